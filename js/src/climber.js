// Does what the ladder decides: opens and closes lines, keeps its time, and passes on what comes.

import { isData } from "./answer.js";
import { Ladder } from "./ladder.js";
import { openLine } from "./lines.js";

/** @import {Env, Transport} from "../../src/flask_landline/static/landline.js" */
/** @import {Feed, Query} from "./feed.js" */
/** @import {credentialsFor} from "./get.js" */
/** @import {LadderEvent} from "./ladder.js" */
/** @import {Listener, Pushed} from "./lines.js" */
/** @import {Share} from "./share.js" */

/**
 * @typedef {object} Host
 * @property {(query: Query, answer: Pushed, rung: Transport) => void} take
 * @property {(ms?: number) => void} rest ask nothing for so long
 * @property {(isPollDue: boolean) => void} changed the line is another, or none
 * @property {(turn: () => void) => void} guard do what a timer or a line has begun
 * @property {(cause: unknown) => void} fault tell once what was thrown
 * @property {(phase: "climb" | "fall", detail: {transport: Transport, why: string}) => void} trace
 */

export class Climber {
  #env;
  #settings;
  #feed;
  #share;
  #host;
  #ladder;
  /** What is open. @type {Map<Transport, {close: () => void}>} */
  #lines = new Map();
  /** The channels the lines are for; "" if there are to be none. */
  #key = "";
  /** What may be opened. */
  #rungs = "";
  #mayOpen = false;
  /** @type {unknown} */
  #timer;

  /**
   * @param {Env} env
   * @param {{url: string, proveMs: number, credentials: ReturnType<typeof credentialsFor>}} settings
   * @param {Feed} feed
   * @param {Share} share
   * @param {Host} host
   */
  constructor(env, settings, feed, share, host) {
    this.#env = env;
    this.#settings = settings;
    this.#feed = feed;
    this.#share = share;
    this.#host = host;
    this.ladder = this.#ladder = new Ladder(settings.proveMs);
  }

  /**
   * Lines are for the channels of their time. If these have changed, or none is wanted, what is open is closed.
   *
   * @param {boolean} isWanted
   * @param {boolean} mayOpen
   * @param {Transport[]} rungs
   * @returns {boolean} whether a line was closed
   */
  watch(isWanted, mayOpen, rungs) {
    const { reading, cursor } = this.#feed;
    const key = isWanted && cursor ? `${[...reading].sort()}` : "";
    const { line } = this.#ladder;
    this.#mayOpen = mayOpen && key !== "";
    if (key !== this.#key) this.#step({ type: "drop" }, false);
    this.#key = key;
    if (`${rungs}` !== this.#rungs) this.#step({ type: "offer", rungs }, false);
    this.#rungs = `${rungs}`;
    this.#schedule();
    return line !== this.#ladder.line;
  }

  /** Close what is open, and begin anew. */
  restart() {
    this.#step({ type: "drop" });
  }

  #schedule() {
    const dueAt = this.#ladder.dueAt(this.#mayOpen);
    this.#env.clearTimeout(this.#timer);
    if (dueAt === Infinity) return;
    const wake = () => this.#host.guard(() => this.#step({ type: "timer", mayOpen: this.#mayOpen }));
    this.#timer = this.#env.setTimeout(wake, Math.max(0, Math.ceil(dueAt - this.#env.performance.now())));
  }

  /**
   * @param {LadderEvent} event
   * @param {boolean} [isTold]
   */
  #step(event, isTold = true) {
    const { line } = this.#ladder;
    const actions = this.#ladder.step(event, this.#env.performance.now(), this.#env.Math.random());
    const isPollDue = line && !this.#ladder.line && event.type !== "drop";
    // First all that is to be done: who is told may change everything again.
    for (const [verb, rung] of actions) {
      if (verb === "close") this.#close(rung);
      if (verb === "open") this.#open(rung);
    }
    for (const [verb, rung, why] of actions) {
      if (why) this.#host.trace(verb === "close" ? "fall" : "climb", { transport: rung, why });
    }
    if (event.type === "sign") return;
    this.#schedule();
    if (isTold && actions[0]) this.#host.changed(!!isPollDue);
  }

  /** @param {Transport} rung */
  #close(rung) {
    const line = this.#lines.get(rung);
    this.#lines.delete(rung);
    try {
      line?.close();
    } catch (cause) {
      // What it says is heard no more, and the step that closes it goes on.
      this.#host.fault(cause);
    }
  }

  /** @param {Transport} rung */
  #open(rung) {
    const query = this.#feed.query(false);
    // Nobody else has it: neither another tab nor a cache that repeats an old answer.
    const nonce = `${this.#env.Math.random()}`;
    query.parameters.set("nonce", nonce);
    const line = { close: () => {} };
    this.#lines.set(rung, line);
    const isOpen = () => this.#lines.get(rung) === line;
    /** @type {Listener} */
    const listener = {
      take: (answer) =>
        this.#host.guard(() => {
          const isProof = answer.nonce === nonce;
          if (!isOpen()) return;
          if (!isData(answer) || !(isProof || this.#ladder.line === rung)) return listener.end("no hello");
          if (answer.keepalive) this.#ladder.keepaliveMs = answer.keepalive * 1000;
          this.#step({ type: isProof ? "hello" : "sign", rung });
          if (isOpen()) this.#host.take(query, answer, rung);
        }),
      end: (why, how) =>
        this.#host.guard(() => {
          if (!isOpen()) return;
          // Polls keep the pause too: a server that restarts has said to each of its readers when.
          this.#host.rest(how?.pauseMs);
          this.#step({ type: "end", rung, why, ...how });
        }),
    };
    try {
      if (rung === "shared") this.#share.open(query, nonce, listener);
      else line.close = openLine(this.#env, rung, this.#settings, query, listener);
    } catch (error) {
      // A content security policy forbids it, for one.
      listener.end(`${error}`);
    }
  }
}
