// The loop: ask, take the answer, wait, ask again. One poll at a time, for ever. Knows when, but neither
// what was read (feed.js) nor who handles it (landline.js).

import { describe, readAnswer } from "./answer.js";
import { LandlineError } from "./errors.js";
import { get } from "./get.js";

/** @import {Env, LandlineEvent, LandlineEventMap, Status, TraceDetail} from "../../src/flask_landline/static/landline.js" */
/** @import {Answer} from "./answer.js" */
/** @import {Feed} from "./feed.js" */
/** @import {Group} from "./group.js" */

/** @typedef {{url: string, intervalMs: number, hiddenIntervalMs: number, timeoutMs: number}} Settings */

/**
 * Why nothing is asked. `hidden`: in the back/forward cache or on the way there. `background`: hidden, but there,
 * and asking more slowly.
 *
 * @typedef {"closed" | "hidden" | "paused" | "offline" | "background"} Hold
 */

/** @type {("closed" | "hidden" | "paused" | "offline")[]} */
const HOLDS = ["closed", "hidden", "paused", "offline"];
const LOOP = "Told five times to ask at once, for nothing: wrong advice, or a cache in between. Slowing down.";
// Longer timers overflow 32 bits in every browser, and fire at once.
const TIMER_MS = 2 ** 31 - 1;

export class Poller {
  #env;
  #settings;
  #feed;
  #tell;
  #deliver;

  /** @type {Status} */
  status = "polling";
  /** @type {Set<Hold>} */
  #holds = new Set();
  /** One poll owed to `poll()`, paused or not. */
  #owed = false;
  // Until the server's first advice.
  #adviceMs = 2000;
  /** The time before which the server will not be asked, by its own word. */
  #retryAfter = 0;
  #step = 0;
  #turn = 0;
  /** @type {unknown} */
  #timer;
  /** @type {AbortController | undefined} the poll under way */
  #asking;

  /**
   * @param {Env} env
   * @param {Settings} settings
   * @param {Feed} feed
   * @param {(type: keyof LandlineEventMap, detail: unknown) => void} tell
   * @param {(event: LandlineEvent) => void} deliver
   */
  constructor(env, settings, feed, tell, deliver) {
    this.#env = env;
    this.#settings = settings;
    this.#feed = feed;
    this.#tell = tell;
    this.#deliver = deliver;
  }

  /** Decide anew what to ask and when. */
  plan() {
    const turn = ++this.#turn;
    this.#env.clearTimeout(this.#timer);
    if (this.#asking) return;
    const { intervalMs, hiddenIntervalMs } = this.#settings;
    const shownMs = Math.max(this.#adviceMs, intervalMs);
    const everyMs = Math.max(shownMs, this.#holds.has("background") ? hiddenIntervalMs : 0);
    const [group] = [...this.#feed.groups].sort((one, other) => one.dueAt(everyMs) - other.dueAt(everyMs));
    if (!group) return;

    const held = HOLDS.find((why) => this.#holds.has(why) && !(this.#owed && (why === "paused" || why === "offline")));
    const dueAt = group.dueAt(everyMs);
    const slow = group.why === "interval" && everyMs > shownMs;
    const why = held ?? (this.#retryAfter > dueAt ? "retry" : slow ? "hidden" : group.why);
    const waitMs = held ? null : Math.ceil(Math.max(0, Math.max(dueAt, this.#retryAfter) - this.#env.now()));
    if (this.#step || waitMs) this.#trace("wait", { waitMs, why });
    // Who watches may have paused or closed the line just now, and so planned anew.
    if (turn !== this.#turn) return;
    // Not by way of a timer: in hidden pages those are held back for a second, at times for a minute.
    if (waitMs) this.#timer = this.#env.setTimeout(() => this.#ask(group), Math.min(waitMs, TIMER_MS));
    else if (!held) this.#ask(group);
  }

  /** Ask now, whatever the server said. */
  poll() {
    this.#owed = true;
    this.#retryAfter = 0;
    this.#hurry();
  }

  /**
   * @param {Hold} why
   * @param {boolean} on
   */
  hold(why, on) {
    if (on === this.#holds.has(why)) return;
    this.#holds[on ? "add" : "delete"](why);
    if (why !== "paused" && why !== "background") {
      this.#asking?.abort();
      this.#asking = undefined;
    }
    this.#showStatus();
    if (on) this.plan();
    else this.#hurry();
  }

  #hurry() {
    for (const group of this.#feed.groups) group.hurry();
    this.plan();
  }

  /** @param {Group} group */
  async #ask(group) {
    const { url, timeoutMs } = this.#settings;
    const asking = (this.#asking = new AbortController());
    const query = `poll?${group.query}`;
    const request = `GET ${url.replace(/^\w+:\/\/[^/]+/, "")}${query}`;
    const startedAt = this.#env.now();
    this.#step++;
    this.#owed = false;
    group.asked = true;
    this.#trace("ask", { request });
    const reply = await get(this.#env, url + query, timeoutMs, asking);
    if (this.#asking !== asking) return;
    const answer = readAnswer(reply, group.cursor, request);
    this.#trace("answer", { status: reply.status, ...describe(answer), ms: Math.round(this.#env.now() - startedAt) });
    if (answer instanceof LandlineError) this.#failed(group, answer);
    else this.#answered(group, answer);
    // A handler may have closed the line.
    if (this.#asking !== asking) return;
    this.#asking = undefined;
    if (this.#owed) this.poll();
    else this.plan();
  }

  /**
   * @param {Group} group
   * @param {Answer} answer
   */
  #answered(group, answer) {
    const { cursor, reset, intervalMs } = answer;
    const looping = group.answered(intervalMs === 0, cursor !== group.cursor, this.#env.now(), this.#env.random());
    const events = this.#feed.take(group, answer);
    this.#adviceMs = intervalMs || this.#adviceMs;
    this.#showStatus();
    if (looping) this.#tell("error", new LandlineError(LOOP, { code: "loop" }));
    if (reset) this.#tell("reset", reset);
    events.forEach(this.#deliver);
    this.#trace("act", { action: reset ? "reset" : events[0] ? "updated" : "no change", events: events.length });
  }

  /**
   * @param {Group} group
   * @param {LandlineError} error
   */
  #failed(group, error) {
    const { message, retryable, retryAfterMs, problem } = error;
    const now = this.#env.now();
    this.#retryAfter = now + retryAfterMs;
    this.#feed.split(group, problem?.channels);
    group.failed(retryable, this.#retryAfter, this.#env.random());
    this.#showStatus();
    const what = problem?.detail ?? message;
    if (!group.told.has(what)) this.#tell("error", error);
    group.told.add(what);
    this.#trace("act", { action: "failed", events: 0 });
  }

  #showStatus() {
    const { groups } = this.#feed;
    const failed = groups[0] && groups.every((group) => group.failures);
    const status = failed || this.#holds.has("offline") ? "offline" : "polling";
    if (status === this.status) return;
    this.status = status;
    this.#tell("status", { status });
  }

  /**
   * @template {TraceDetail["phase"]} Phase
   * @param {Phase} phase
   * @param {Omit<Extract<TraceDetail, {phase: Phase}>, "step" | "phase">} detail
   */
  #trace(phase, detail) {
    this.#tell("trace", { step: this.#step, phase, ...detail });
  }
}
