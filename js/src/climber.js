// Does what the ladder decides: opens and closes lines, keeps its time, and passes on what comes.

import { isData } from "./answer.js";
import { Ladder } from "./ladder.js";
import { openLine } from "./lines.js";

/** @import {Env, Transport} from "../../src/flask_landline/static/landline.js" */
/** @import {Feed, Query} from "./feed.js" */
/** @import {LadderEvent} from "./ladder.js" */
/** @import {Listener, Pushed} from "./lines.js" */

/**
 * @typedef {object} Host
 * @property {(query: Query, answer: Pushed, rung: Transport) => void} pushed
 * @property {(isPollDue: boolean) => void} changed the line is another, or none
 * @property {(phase: "climb" | "fall", transport: Transport, why: string) => void} told
 */

// A timer so much too late was stopped with the machine: what it was to watch over is not what it was.
const LATE_MS = 10000;

export class Climber {
  #env;
  #url;
  #feed;
  #host;
  #ladder;
  /** What is open. @type {Map<Transport, {close: () => void}>} */
  #lines = new Map();
  /** The channels the lines are for; "" if there are to be none. */
  #key = "";
  #mayOpen = false;
  /** @type {unknown} */
  #timer;

  /**
   * @param {Env} env
   * @param {{url: string, proveMs: number}} settings
   * @param {Feed} feed
   * @param {Host} host
   */
  constructor(env, { url, proveMs }, feed, host) {
    this.#env = env;
    this.#url = url;
    this.#feed = feed;
    this.#host = host;
    this.ladder = this.#ladder = new Ladder(proveMs);
  }

  /**
   * Lines are for the channels of their time. If these have changed, or none is wanted, what is open is closed.
   *
   * @param {boolean} isWanted
   * @param {boolean} mayOpen
   * @returns {boolean} whether a line was closed
   */
  watch(isWanted, mayOpen) {
    const { reading, cursor } = this.#feed;
    const key = isWanted && cursor ? JSON.stringify([...reading].sort()) : "";
    const { line } = this.#ladder;
    this.#mayOpen = mayOpen && key !== "" && reading.size > 0;
    const isStale = key !== this.#key;
    this.#key = key;
    if (isStale) this.#step({ type: "drop" }, false);
    this.#schedule();
    return isStale && line !== undefined;
  }

  /** Close what is open, and begin anew. */
  restart() {
    this.#step({ type: "drop" });
  }

  /** @param {Transport[]} rungs */
  offer(rungs) {
    const { WebSocket, EventSource } = this.#env;
    const has = { websocket: WebSocket, sse: EventSource, "long-poll": true, poll: true };
    this.#step({ type: "offer", rungs: rungs.filter((rung) => has[rung]) });
  }

  #schedule() {
    const { performance } = this.#env;
    // What was due already is due now, and not late.
    const dueAt = Math.max(this.#ladder.dueAt(this.#mayOpen), performance.now());
    this.#env.clearTimeout(this.#timer);
    if (dueAt === Infinity) return;
    const wake = () => {
      const { line } = this.#ladder;
      const isLate = performance.now() - dueAt > LATE_MS;
      if (line && isLate) this.#step({ type: "end", rung: line, why: "asleep", calm: true });
      this.#step({ type: "timer", mayOpen: this.#mayOpen });
    };
    this.#timer = this.#env.setTimeout(wake, Math.ceil(dueAt - performance.now()));
  }

  /**
   * @param {LadderEvent} event
   * @param {boolean} [isTold]
   */
  #step(event, isTold = true) {
    const actions = this.#ladder.step(event, this.#env.performance.now(), this.#env.Math.random());
    // First all that is to be done: who is told may change everything again.
    for (const [verb, rung] of actions) {
      if (verb === "close") this.#close(rung);
      if (verb === "open") this.#open(rung);
    }
    for (const [verb, rung, why] of actions) if (verb === "climb" || verb === "fall") this.#host.told(verb, rung, why);
    if (event.type === "sign") return;
    this.#schedule();
    if (isTold && actions.length) this.#host.changed(actions.some(([verb]) => verb === "poll"));
  }

  /** @param {Transport} rung */
  #close(rung) {
    const line = this.#lines.get(rung);
    this.#lines.delete(rung);
    line?.close();
  }

  /** @param {Transport} rung */
  #open(rung) {
    const query = this.#feed.query(false);
    // Nobody else has it: neither another tab nor a cache that repeats an old answer.
    const nonce = `${this.#env.performance.now()}-${this.#env.Math.random()}`;
    query.parameters.set("nonce", nonce);
    const line = { close: () => {} };
    this.#lines.set(rung, line);
    const isOpen = () => this.#lines.get(rung) === line;
    /** @type {Listener} */
    const listener = {
      take: (answer) => {
        if (!isOpen()) return;
        if (this.#ladder.line === rung && isData(answer)) {
          this.#step({ type: "sign", rung });
          this.#host.pushed(query, answer, rung);
        } else if (answer.nonce === nonce) this.#step({ type: "hello", rung });
        else listener.end("no hello");
      },
      end: (why, how) => {
        if (isOpen()) this.#step({ type: "end", rung, why, ...how });
      },
    };
    try {
      line.close = openLine(this.#env, rung, this.#url, query.parameters, query.channels, listener);
    } catch (error) {
      // A content security policy forbids it, for one.
      listener.end(`${error}`);
    }
  }
}
