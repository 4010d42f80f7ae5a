// The loop: ask, take the answer, wait, ask again. One poll at a time, for ever. Knows when, but neither
// what was read (feed.js) nor who handles it (landline.js).

import { LandlineError } from "./errors.js";
import { Places } from "./places.js";
import { get } from "./get.js";
import { Climber } from "./climber.js";
import { watchCaches } from "./cache.js";
import { readAnswer, retryAfter } from "./answer.js";
import { Pace } from "./pace.js";
import { MOST, Share } from "./share.js";
import { BEAT_MS, FIRM, HELD, LEAST_MS, LINELESS, LOOP_MS, LOOP_PAUSE_MS, LOOP_POLLS, QUIET, STILL_MS, TIMER_MS, UNHELD } from "./terms.js";

/** @import {Env, LandlineEvent, LandlineEventMap, Status, TraceDetail, Transport} from "../../src/flask_landline/static/landline.js" */
/** @import {Answer} from "./answer.js" */
/** @import {Feed, Query} from "./feed.js" */
/** @import {Pushed} from "./lines.js" */
/** @import {Hold, Settings} from "./terms.js" */

export class Poller {
  #env;
  #settings;
  #feed;
  #tell;
  #deliver;

  /** @type {Status} */
  status = "closed";
  #shown = "closed poll";
  #share;
  #places;
  #climber;
  #ladder;
  /** @type {unknown} */
  #beatTimer;
  #lookedAt = 0;
  /** @type {Transport} of the newest poll */
  #kind = "poll";
  /** What the server offers. @type {Transport[]} */
  #offered = [];
  #holdMs = 0;
  /** Whether there was an answer since the page woke up: first the data, then the climb. */
  #isAnswered = false;
  #isJoining = false;
  /** @type {unknown} */
  #awayTimer;
  #main = new Pace();
  /** Of channels that join others: if they are refused, the others go on. */
  #joins = new Pace();
  /** @type {Set<Hold>} */
  #holds = new Set();
  /** The newest poll was answered by a refusal, which only the app's author or the reader can mend. */
  #isRefused = false;
  /** What was thrown in here. @type {Set<string>} */
  #faults = new Set();
  #isFromCache = watchCaches();
  /** A cache was noticed. */
  #isCached = false;
  /** One poll owed to `poll()`, paused or not. */
  #owed = false;
  // Until the server's first advice.
  #adviceMs = 2000;
  /** The time before which the server will not be asked, by its own word. */
  #notBefore = 0;
  /** Polls since `#vainSince` that brought nothing at all, all at one cursor. */
  #vain = 0;
  #vainSince = 0;
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
    this.#share = new Share(env, settings.url, feed, this);
    this.#places = new Places(env, this.sharing.bind(this));
    this.#climber = new Climber(env, settings, feed, this.#share, this);
    this.#ladder = this.#climber.ladder;
  }

  /**
   * @param {string} channel
   * @throws {LandlineError} if it is one too many
   */
  join(channel) {
    const { own } = this.#share;
    // One too many would have all of them refused.
    if (own.size >= MOST && !own.has(channel)) {
      const message = `"${channel}": a line reads ${MOST} channels. Use several lines.`;
      throw new LandlineError(message, { code: "too-many-channels" });
    }
    // What is read for another tab only has no snapshot for this page: it leads no more, and begins anew.
    if (this.#feed.reading.has(channel) && !own.has(channel)) this.sharing(() => this.#share.watch(false));
    own.add(channel);
    // Nor does it lead those whose channels no longer fit beside its own.
    if (this.#share.isTooMuch) this.sharing(() => this.#share.watch(false));
    this.read(channel);
  }

  /** @param {string} channel for this tab or another */
  read(channel) {
    this.#feed.join(channel);
    // Whatever became of joins before, this one is another.
    this.#joins.hurry();
    this.#cutHeld();
    this.plan();
  }

  /** @param {string} channel */
  leave(channel) {
    this.#share.own.delete(channel);
    this.#share.prune();
    this.plan();
  }

  /**
   * Do one turn of the loop: for a timer, an answer, a line, the page. What is thrown in it is a failure like any other,
   * told once and tried again. The lines are dropped, as what one has brought may be lost halfway; it comes again.
   *
   * @param {() => void} turn
   */
  guard(turn) {
    try {
      turn();
    } catch (cause) {
      this.fault(cause);
      // A browser that throws even here has the page's next event, or call, as its next turn.
      try {
        this.doubt();
      } catch {}
    }
  }

  /**
   * Do what is for the other tabs. It is a comfort: where it cannot be done, this one goes on by itself, and no more
   * speaks to the others before it begins anew: they would take what follows for all there was.
   *
   * @param {() => void} turn
   */
  sharing(turn) {
    try {
      turn();
    } catch (cause) {
      this.fault(cause);
      try {
        this.#share.watch(false);
      } catch {}
      this.#share.leads ??= true;
    }
  }

  /** @param {unknown} cause */
  fault(cause) {
    if (this.#faults.size === this.#faults.add(`${cause}`).size) return;
    this.#tell("error", new LandlineError(`The client failed: ${cause}. Trying again.`, { code: "client", cause }));
  }

  /** @param {string} problem @returns {boolean} whether it is a new one */
  #fail(problem, pace = this.#main) {
    this.rest();
    return pace.failed(problem, this.#notBefore, this.#env.Math.random());
  }

  /**
   * Take it that nothing gets through, as after a poll that failed: the client has failed itself, or the browser says
   * that there is no network. It may be wrong, and only an answer can prove that.
   */
  doubt() {
    this.#cut();
    this.#fail("");
    this.#env.clearTimeout(this.#timer);
    // Not at once: what has thrown may do so again.
    this.#timer = this.#env.setTimeout(() => this.plan(), LEAST_MS);
    this.#climber.restart();
    this.#showStatus();
  }

  /** Decide anew what to ask and when, and whether to climb. */
  plan() {
    this.guard(() => this.#plan());
  }

  #plan() {
    const { reading, joining } = this.#feed;
    const { intervalMs, hiddenIntervalMs, transports, share } = this.#settings;
    const now = this.#env.performance.now();
    const isBehind = this.#holds.has("background");
    const isSome = reading.size + joining.size > 0;
    const isAwake = isSome && !LINELESS.some((why) => this.#holds.has(why));
    const isWanted = isAwake && reading.size > 0;
    // Others shall not get what a choosy page has chosen for itself, the slow polls of a hidden one, or, where what
    // they want together is refused, nothing.
    const mayShare = share && transports.length > 3;
    const isFit = !this.#main.failures && !(isBehind && !this.#ladder.line);
    this.#beat(isAwake);
    this.sharing(() => {
      this.#share.watch(isWanted && mayShare && isFit, isBehind);
      this.#places.watch(isWanted && !(mayShare && this.#env.navigator?.locks));
    });
    // While the browser decides who leads, what is open stays.
    const mayOpen = this.#isAnswered && this.#share.leads !== undefined && !isBehind && !this.#main.failures && this.#notBefore <= now;
    if (this.#climber.watch(isWanted, mayOpen, this.#rungs())) this.#main.hurry();
    this.#showStatus();
    this.#env.clearTimeout(this.#timer);
    if (this.#asking || !isSome) return;
    const isPushed = this.#ladder.line && !this.#owed;
    const everyMs = Math.max(LEAST_MS, this.#adviceMs, intervalMs, isBehind ? hiddenIntervalMs : 0);
    const isJoin = reading.size > 0 && joining.size > 0 && (isPushed || this.#joins.dueAt(everyMs) <= this.#main.dueAt(everyMs));
    const isShort = isJoin || isPushed || this.#owed || isBehind || !this.#holdMs;
    const kind = isShort ? "poll" : this.#ladder.polling(now);
    const pace = isJoin ? this.#joins : this.#main;
    const dueAt = Math.max(this.#notBefore, pace.dueAt(kind === "poll" ? everyMs : LEAST_MS));
    const waitMs = Math.max(0, Math.ceil(dueAt - now));
    const holds = this.#owed ? QUIET.slice(0, FIRM) : QUIET;
    const held = holds.find((why) => this.#holds.has(why)) ?? (isPushed && !isJoin && "live");
    const ask = () => this.#ask(isJoin, pace, kind).catch((cause) => this.guard(() => { throw cause; }));
    if (!held) this.#timer = this.#env.setTimeout(ask, Math.min(waitMs, TIMER_MS));
    if (this.#step) this.trace("wait", { transport: this.transport, waitMs: held ? null : waitMs, why: held || pace.why });
  }

  /** Ask now, whatever the server said. */
  poll() {
    this.#owed = true;
    if (this.#vain < LOOP_POLLS) this.#notBefore = 0;
    this.#cutHeld();
    this.#hurry();
  }

  /** What the page is willing to use has changed. */
  offer() {
    this.#cutHeld();
    this.plan();
  }

  /** @returns {Transport[]} what may be opened now, best first */
  #rungs() {
    const { transports } = this.#settings;
    const rungs = this.#offered.filter((rung) => transports.includes(rung) && (this.#places.mayHold || UNHELD.includes(rung)));
    return this.#share.leads === false ? ["shared", ...rungs] : rungs;
  }

  /**
   * Each two seconds, while something is asked for: did the page stand still, and a sign for other tabs.
   *
   * @param {boolean} isWanted
   */
  #beat(isWanted) {
    if (isWanted === !!this.#beatTimer) return;
    this.#env.clearTimeout(this.#beatTimer);
    this.#beatTimer = undefined;
    if (!isWanted) return;
    // What came before does not matter: nothing was open.
    this.#lookedAt = this.#env.Date.now();
    this.#tick();
  }

  #tick() {
    const beat = () => {
      // Begun anew by the next plan, if it cannot go on.
      this.#beatTimer = undefined;
      this.#tick();
      // The timers of a hidden page are late as a rule; it is looked at when it is shown.
      if (!this.#holds.has("background")) this.#look();
      this.sharing(() => this.#share.beat());
      if (this.#places.beat()) this.offer();
    };
    this.#beatTimer = this.#env.setTimeout(() => this.guard(beat), BEAT_MS);
  }

  /**
   * Trust nothing that was open before, if the page stood still since the last look. The wall clock says so: in a sleep
   * of the machine timers and the monotonic clock may stand still as well, and nothing is late.
   *
   * @param {boolean} [isDoubtful] trust nothing in any case
   */
  #look(isDoubtful) {
    const before = this.#lookedAt;
    this.#lookedAt = this.#env.Date.now();
    if (!isDoubtful && this.#lookedAt - before < STILL_MS) return;
    this.#cut();
    this.#climber.restart();
    this.wake(true);
  }

  /** @param {Hold} why @param {boolean} on */
  halt(why, on) {
    if (on === this.#holds.has(why)) return;
    this.#holds[on ? "add" : "delete"](why);
    if (LINELESS.slice(0, FIRM).includes(why)) this.#cut();
    if (why === "paused") this.#cutHeld();
    if (why === "background") {
      this.#env.clearTimeout(this.#awayTimer);
      if (on) this.#awayTimer = this.#env.setTimeout(() => this.guard(() => this.halt("away", true)), this.#settings.hiddenAfterMs);
      else {
        // The leader may be hidden since, and has to be asked whether it is still there.
        this.#look(this.transport === "shared");
        this.halt("away", false);
      }
    }
    if (why === "closed") this.#env.clearTimeout(this.#awayTimer);
    if (on) this.plan();
    else this.wake(why === "hidden");
  }

  /**
   * Poll, then climb.
   *
   * @param {boolean} isElsewhere what was learned of another network is worth nothing
   */
  wake(isElsewhere) {
    if (!this.#ladder.line) this.#isAnswered = false;
    if (isElsewhere) this.#ladder.forget();
    this.#hurry();
  }

  get transport() {
    return this.#ladder.line ?? this.#kind;
  }

  /** Ask nothing for so long, by the server's word or for its sake; a longer pause is not cut short. */
  rest(ms = 0) {
    this.#notBefore = Math.max(this.#notBefore, this.#env.performance.now() + ms);
  }

  #hurry() {
    this.#main.hurry();
    this.#joins.hurry();
    this.plan();
  }

  #cut() {
    this.#asking?.abort();
    this.#asking = undefined;
  }

  /** Nobody waits for the end of a held poll. */
  #cutHeld() {
    if (this.#kind === "long-poll") this.#cut();
  }

  /** @param {boolean} isPollDue the line is another, or none */
  changed(isPollDue) {
    // At most one reader delivers: the line has taken over. Joins go on, they bring what no line does.
    if (this.#ladder.line && !this.#isJoining) this.#cut();
    if (isPollDue) this.#hurry();
    else this.plan();
  }

  /** @param {boolean} isJoin @param {Pace} pace @param {Transport} transport */
  async #ask(isJoin, pace, transport) {
    const { url, timeoutMs } = this.#settings;
    const { performance } = this.#env;
    const asking = (this.#asking = new AbortController());
    const query = this.#feed.query(isJoin);
    const holdMs = transport === "poll" ? 0 : this.#holdMs;
    if (holdMs) query.parameters.set("wait", `${holdMs / 1000}`);
    // What is asked for by an address of its own no cache can have.
    if (this.#isCached) query.parameters.set("_", `${this.#env.Math.random()}`);
    const address = `${url}poll?${query.parameters}`;
    const request = `GET ${address}`;
    const startedAt = performance.now();
    this.#step++;
    this.#owed = false;
    this.#isJoining = isJoin;
    if (!isJoin) this.#kind = transport;
    this.#showStatus();
    this.trace("ask", { transport, request });
    const reply = await get(this.#env, address + query.grant, timeoutMs + holdMs, asking, this.#settings.credentials);
    if (this.#asking !== asking) return;
    const answer = readAnswer(reply, request);
    const now = performance.now();
    const ms = now - startedAt;
    this.#isCached ||= this.#isFromCache(reply, startedAt, now);
    this.trace("answer", { transport, status: reply.status, response: answer, ms });
    if (answer instanceof LandlineError) this.#failed(pace, answer, retryAfter(reply), transport);
    else this.#answered(pace, query, answer, transport, ms);
    // Who was told may have closed the line.
    if (this.#asking !== asking) return;
    this.#asking = undefined;
    if (this.#owed) this.poll();
    else this.plan();
  }

  /** @param {Pace} pace @param {Query} query @param {Answer} answer @param {Transport} transport @param {number} ms it took */
  #answered(pace, query, answer, transport, ms) {
    const { cursor, advice } = answer;
    const ladder = this.#ladder;
    const now = this.#env.performance.now();
    const random = this.#env.Math.random();
    // "Ask again at once" by an answer that brought nothing would make a loop: wrong advice, or a cache in between.
    const isMoved = cursor !== query.cursor;
    const more = advice.interval === 0 && isMoved;
    // Handlers that poll make one too.
    if (isMoved || answer.data?.length || now - this.#vainSince >= LOOP_MS) {
      this.#vainSince = now;
      this.#vain = 0;
    }
    if (++this.#vain >= LOOP_POLLS) {
      this.rest(LOOP_PAUSE_MS);
      const message = "Does a handler call poll() in a loop?";
      this.#tell("error", new LandlineError(message, { code: "loop" }));
    }
    if (pace === this.#main) {
      // Nothing got through, so nothing was learned of the lines.
      if (pace.failures) ladder.forget();
      this.#isAnswered = true;
    }
    // A held poll has to be held or to bring something; a cache in between would do neither.
    const isHeld = transport === "long-poll" && (isMoved || answer.data?.length || ms >= HELD * this.#holdMs);
    if (isHeld) ladder.forgive("long-poll");
    else if (transport === "long-poll") ladder.demote(transport, now, random);
    // Who joins later does not wait for who joined now.
    pace.answered(more || query.isJoin, now, random);
    // A probe was opened where offsets may have meant something else.
    if (answer.reset) this.#climber.restart();
    this.take(query, answer, transport);
  }

  /** @param {Query} query @param {Pushed} answer @param {Transport} transport */
  take(query, answer, transport) {
    const { reset, advice, data } = answer;
    const isPush = transport === this.#ladder.line;
    // What was pushed is a step, unless it is only a sign of life.
    const isStep = !isPush || data?.length || reset;
    if (isPush && isStep) {
      this.#step++;
      this.trace("answer", { transport, status: 200, response: answer, ms: 0 });
    }
    const events = this.#feed.take(query, answer);
    this.sharing(() => this.#share.pass(events, reset));
    const { interval, hold, transports } = advice ?? {};
    if (interval && interval > 0) this.#adviceMs = interval * 1000;
    if (hold >= 0) this.#holdMs = hold * 1000;
    this.#showStatus();
    if (reset) this.#tell("reset", reset);
    events.forEach(this.#deliver);
    if (isStep) this.trace("act", { transport, action: reset ? "reset" : events[0] ? "updated" : "no change" });
    const isOther = Array.isArray(transports) && `${transports}` !== `${this.#offered}`;
    if (isOther) {
      this.#offered = transports;
      this.#cutHeld();
    }
    if (isOther || (isPush && isStep)) this.plan();
  }

  /** @param {Pace} pace @param {LandlineError} error @param {number} retryAfterMs @param {Transport} transport */
  #failed(pace, error, retryAfterMs, transport) {
    const isHeld = transport === "long-poll";
    // What only all tabs together are refused is no failure of this page: it asks for its own, and for others after a pause.
    if (error.status >= 400 && !retryAfterMs && this.#share.shed()) {
      this.#ladder.forget();
      pace.hurry();
      return this.trace("act", { transport, action: "failed" });
    }
    // One that was to be held is a rung of the ladder: it is a failure only if a short one fails too.
    if (isHeld) this.#ladder.demote(transport, this.#env.performance.now(), this.#env.Math.random(), retryAfterMs);
    // "busy" refuses the holding; short polls still work.
    if (!isHeld || error.code !== "busy") this.rest(retryAfterMs);
    const isNew = !isHeld && this.#fail(error.message, pace);
    if (isHeld) pace.hurry();
    // Too many polls are no refusal of what was asked for.
    else if (pace === this.#main) this.#isRefused = !!error.problem && error.status < 500 && error.status !== 429;
    this.#showStatus();
    if (isNew) this.#tell("error", error);
    this.trace("act", { transport, action: "failed" });
    if (isHeld) this.trace("fall", { transport, why: error.code });
  }

  #showStatus() {
    const { reading, joining } = this.#feed;
    const { transport } = this;
    const isQuiet = this.#holds.has("closed") || this.#holds.has("paused") || !(reading.size || joining.size);
    const down = this.#main.failures && (this.#isRefused ? "closed" : "offline");
    const own = this.#ladder.line ? "live" : isQuiet ? "closed" : down || "polling";
    const status = transport === "shared" ? this.#share.status : own;
    if (`${status} ${transport}` === this.#shown) return;
    this.#shown = `${status} ${transport}`;
    this.status = status;
    this.sharing(() => this.#share.pass([]));
    this.#tell("status", { status, transport });
  }

  /** @template {TraceDetail["phase"]} Phase @param {Phase} phase @param {Omit<Extract<TraceDetail, {phase: Phase}>, "step" | "phase">} detail */
  trace(phase, detail) {
    this.#tell("trace", { step: this.#step, phase, ...detail });
  }
}
