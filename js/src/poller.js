// The loop: ask, take the answer, wait, ask again. One poll at a time, for ever. Knows when, but neither
// what was read (feed.js) nor who handles it (landline.js).

import { describe, readAnswer, retryAfter } from "./answer.js";
import { LandlineError } from "./errors.js";
import { get } from "./get.js";
import { Pace } from "./pace.js";

/** @import {Env, LandlineEvent, LandlineEventMap, Status, TraceDetail} from "../../src/flask_landline/static/landline.js" */
/** @import {Answer} from "./answer.js" */
/** @import {Feed, Query} from "./feed.js" */

/** @typedef {{url: string, intervalMs: number, hiddenIntervalMs: number, timeoutMs: number}} Settings */

/**
 * Why nothing is asked. `hidden`: in the back/forward cache or on the way there. `background`: hidden, but there,
 * and asking more slowly.
 *
 * @typedef {"closed" | "hidden" | "paused" | "offline" | "background"} Hold
 */

/** @type {("closed" | "hidden")[]} */
const FIRM = ["closed", "hidden"];
// Those that poll() overrides: the page knows what it does, and the browser may be wrong.
/** @type {("paused" | "offline")[]} */
const SOFT = ["paused", "offline"];
// Advice between zero and this is taken as this.
const LEAST_MS = 100;
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
  #main = new Pace();
  /** Of channels that join others: if they are refused, the others go on. */
  #joins = new Pace();
  /** @type {Set<Hold>} */
  #holds = new Set();
  /** One poll owed to `poll()`, paused or not. */
  #owed = false;
  // Until the server's first advice.
  #adviceMs = 2000;
  /** The time before which the server will not be asked, by its own word. */
  #notBefore = 0;
  #step = 0;
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

  /** @param {string} channel */
  join(channel) {
    this.#feed.join(channel);
    // Whatever became of joins before, this one is another.
    this.#joins.hurry();
    this.plan();
  }

  /** @param {string} channel */
  leave(channel) {
    this.#feed.leave(channel);
    this.plan();
  }

  /** Decide anew what to ask and when. */
  plan() {
    const { reading, joining } = this.#feed;
    this.#env.clearTimeout(this.#timer);
    if (this.#asking || !(reading.size || joining.size)) return;
    const { intervalMs, hiddenIntervalMs } = this.#settings;
    const hiddenMs = this.#holds.has("background") ? hiddenIntervalMs : 0;
    const everyMs = Math.max(LEAST_MS, this.#adviceMs, intervalMs, hiddenMs);
    const isJoin = reading.size > 0 && joining.size > 0 && this.#joins.dueAt(everyMs) <= this.#main.dueAt(everyMs);
    const pace = isJoin ? this.#joins : this.#main;
    const dueAt = Math.max(this.#notBefore, pace.dueAt(everyMs));
    const waitMs = Math.max(0, Math.ceil(dueAt - this.#env.performance.now()));
    const held = [...FIRM, ...(this.#owed ? [] : SOFT)].find((why) => this.#holds.has(why));
    if (!held) this.#timer = this.#env.setTimeout(() => this.#ask(isJoin, pace), Math.min(waitMs, TIMER_MS));
    if (this.#step) this.#trace("wait", { waitMs: held ? null : waitMs, why: held ?? pace.why });
  }

  /** Ask now, whatever the server said. */
  poll() {
    this.#owed = true;
    this.#notBefore = 0;
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
    this.#main.hurry();
    this.#joins.hurry();
    this.plan();
  }

  /**
   * @param {boolean} isJoin
   * @param {Pace} pace
   */
  async #ask(isJoin, pace) {
    const { url, timeoutMs } = this.#settings;
    const { performance } = this.#env;
    const asking = (this.#asking = new AbortController());
    const query = this.#feed.query(isJoin);
    const address = `${url}poll?${query.parameters}`;
    const request = `GET ${address}`;
    const startedAt = performance.now();
    this.#step++;
    this.#owed = false;
    this.#trace("ask", { request });
    const reply = await get(this.#env, address, timeoutMs, asking);
    if (this.#asking !== asking) return;
    const answer = readAnswer(reply, query.cursor, request);
    this.#trace("answer", { status: reply.status, ...describe(answer), ms: Math.round(performance.now() - startedAt) });
    if (answer instanceof LandlineError) this.#failed(pace, answer, retryAfter(reply));
    else this.#answered(pace, query, answer);
    // Who was told may have closed the line.
    if (this.#asking !== asking) return;
    this.#asking = undefined;
    if (this.#owed) this.poll();
    else this.plan();
  }

  /**
   * @param {Pace} pace
   * @param {Query} query
   * @param {Answer} answer
   */
  #answered(pace, query, answer) {
    const { cursor, reset, advice } = answer;
    // "Ask again at once" by an answer that brought nothing would make a loop: wrong advice, or a cache in between.
    const more = advice.interval === 0 && cursor !== query.cursor;
    // Who joins later does not wait for who joined now.
    pace.answered(more || query.isJoin, this.#env.performance.now(), this.#env.Math.random());
    const events = this.#feed.take(query, answer);
    if (advice.interval > 0) this.#adviceMs = advice.interval * 1000;
    this.#showStatus();
    if (reset) this.#tell("reset", reset);
    events.forEach(this.#deliver);
    this.#trace("act", { action: reset ? "reset" : events[0] ? "updated" : "no change" });
  }

  /**
   * @param {Pace} pace
   * @param {LandlineError} error
   * @param {number} retryAfterMs
   */
  #failed(pace, error, retryAfterMs) {
    this.#notBefore = this.#env.performance.now() + retryAfterMs;
    const isNew = pace.failed(error.message, this.#notBefore, this.#env.Math.random());
    this.#showStatus();
    if (isNew) this.#tell("error", error);
    this.#trace("act", { action: "failed" });
  }

  #showStatus() {
    const status = this.#main.failures || this.#holds.has("offline") ? "offline" : "polling";
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
