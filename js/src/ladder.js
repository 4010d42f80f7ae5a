// On which rung to stand, and when to try a better one. Events in, actions out: no I/O, no timers; time and
// randomness are passed in. Polls go on below all this (poller.js), so whatever is decided here, nothing is lost by it.
//
// `line` is the rung that delivers. `probe` is one that was opened and has yet to prove itself, by a hello with our
// nonce. A probe is always better than the line, so a rung's name tells the two apart.

import { pause } from "./pace.js";

/** @import {Transport} from "../../src/flask_landline/static/landline.js" */

/**
 * @typedef {{type: "offer", rungs: Transport[]}
 *   | {type: "timer", mayOpen: boolean}
 *   | {type: "hello" | "sign", rung: Transport}
 *   | {type: "end", rung: Transport, why: string, calm?: boolean, busy?: boolean, pauseMs?: number}
 *   | {type: "drop"}} LadderEvent
 * `calm`: it was announced, or our own doing, and says nothing against the rung. `busy`: the server wants no such line now. `drop`: the page wants no line now.
 */

/**
 * @typedef {[verb: "open" | "prove" | "close", rung: Transport, why?: string]} Action
 * With a reason it is told; `prove` has nothing to be done.
 */

/**
 * What is known of a rung: `at` it may be tried, and with `failures` it is demoted, so those below may be tried meanwhile.
 *
 * @typedef {{at: number, failures: number, shortLives: number, provedAt: number}} Rung
 */

// Of how many keepalives the silence ends a line (WIRE §11.4).
const SILENT = 2;
// A leading tab gives a sign each two seconds (poller.js); three are missing where it shows a dialog, or was suspended.
// While the page is hidden browsers let timers, the leader's too, go off once a minute, so a line of the leader's own
// kind of silence is what counts then.
const SILENT_LEADER_MS = 6000;
// A line that still gives signs after so long is a good one; phoenix.js and Engine.IO call it stable after as much.
const STEADY_MS = 10000;
// So many lives without getting there, one after the other, and the rung is demoted.
const SHORT_LIVES = 3;
// Readers that lost their line together do not come back together.
const JITTER_MS = 1000;

/** @type {Transport[]} */
const PUSHED = ["shared", "websocket", "sse"];

export class Ladder {
  /** @type {Transport | undefined} */
  line;
  /** @type {Transport | undefined} */
  probe;
  // The server's default, until a hello has said.
  keepaliveMs = 15000;
  #proveMs;
  /** @type {Transport[]} offered and wanted, best first */
  #rungs = [];
  /** @type {Map<Transport, Rung>} */
  #known = new Map();
  #signAt = 0;
  #proofDueAt = 0;

  /** @param {number} proveMs */
  constructor(proveMs) {
    this.#proveMs = proveMs;
  }

  /**
   * @param {LadderEvent} event
   * @param {number} now
   * @param {number} random
   * @returns {Action[]}
   */
  step(event, now, random) {
    /** @type {Action[]} */
    const actions = [];
    const { line, probe } = this;
    /**
     * @param {Transport} rung
     * @param {string} why
     * @param {{calm?: boolean, busy?: boolean, pauseMs?: number}} [how]
     */
    const end = (rung, why, { calm, busy, pauseMs = 0 } = {}) => {
      const known = this.#rung(rung);
      known.at = now + pauseMs + random * JITTER_MS;
      // A line that was established is tried again first; one that never was, or is short-lived, is not.
      const demoted = busy || (!calm && (rung === this.probe || ++known.shortLives >= SHORT_LIVES));
      if (demoted) this.demote(rung, now, random, pauseMs);
      actions.push(["close", rung, why]);
      if (rung === this.line) this.line = undefined;
      else this.probe = undefined;
    };
    switch (event.type) {
      case "offer":
        this.#rungs = event.rungs;
        for (const rung of [probe, line]) if (rung && !event.rungs.includes(rung)) end(rung, "withdrawn", { calm: true });
        break;
      case "timer":
        if (line && now >= this.#silentAt(event.mayOpen)) end(line, "silence");
        if (probe && now >= this.#proofDueAt) end(probe, "no hello");
        if (event.mayOpen && !this.probe) {
          this.probe = this.#candidates().find((rung) => this.#rung(rung).at <= now);
          this.#proofDueAt = now + this.#proveMs;
          if (this.probe) actions.push(["open", this.probe, "opened"]);
        }
        break;
      case "hello":
        if (event.rung !== probe) break;
        if (line) actions.push(["close", line]);
        actions.push(["prove", probe, "proved"]);
        this.line = probe;
        this.probe = undefined;
        this.#rung(probe).provedAt = this.#signAt = now;
        break;
      case "sign":
        if (event.rung !== line) break;
        this.#signAt = now;
        // Not with the first sign: a proxy that kills each line after a moment would have it tried for ever.
        // Below zero, because the life that ends some day is no short one.
        if (now - this.#rung(line).provedAt >= STEADY_MS) Object.assign(this.#rung(line), { failures: 0, shortLives: -1 });
        break;
      case "end":
        if (event.rung === line || event.rung === probe) end(event.rung, event.why, event);
        break;
      case "drop":
        for (const rung of [probe, line]) if (rung) actions.push(["close", rung, "dropped"]);
        this.line = this.probe = undefined;
    }
    return actions;
  }

  /**
   * When something is due: an opening, a proof, a sign of life.
   *
   * @param {boolean} mayOpen
   */
  dueAt(mayOpen) {
    let at = this.line ? this.#silentAt(mayOpen) : Infinity;
    if (this.probe) return Math.min(at, this.#proofDueAt);
    if (mayOpen) for (const rung of this.#candidates()) at = Math.min(at, this.#rung(rung).at);
    return at;
  }

  /**
   * How to poll, if there is to be a poll: held, where all that is better has fallen.
   *
   * @param {number} now
   * @returns {Transport}
   */
  polling(now) {
    const isLeft = this.#candidates().every((rung) => this.#rung(rung).failures);
    const mayHold = this.#rungs.includes("long-poll") && this.#rung("long-poll").at <= now;
    return isLeft && mayHold ? "long-poll" : "poll";
  }

  /**
   * @param {Transport} rung
   * @param {number} now
   * @param {number} random
   * @param {number} [atLeastMs]
   */
  demote(rung, now, random, atLeastMs = 0) {
    const known = this.#rung(rung);
    known.at = now + atLeastMs + pause(1000 * 2 ** known.failures++, random);
  }

  /** @param {Transport} rung */
  forgive(rung) {
    this.#known.delete(rung);
  }

  /** Drop all that was learned: the network is another one. */
  forget() {
    this.#known.clear();
  }

  /** Better rungs than the line's, best first; none below one that is only waiting to be reconnected. */
  #candidates() {
    const rungs = this.#rungs.filter((rung) => PUSHED.includes(rung));
    const better = this.line ? rungs.slice(0, rungs.indexOf(this.line)) : rungs;
    const waiting = better.findIndex((rung) => !this.#rung(rung).failures);
    return waiting < 0 ? better : better.slice(0, waiting + 1);
  }

  /** @param {boolean} mayOpen */
  #silentAt(mayOpen) {
    return this.#signAt + (mayOpen && this.line === "shared" ? SILENT_LEADER_MS : SILENT * this.keepaliveMs);
  }

  /** @param {Transport} name */
  #rung(name) {
    const rung = this.#known.get(name) ?? { at: -Infinity, failures: 0, shortLives: 0, provedAt: 0 };
    this.#known.set(name, rung);
    return rung;
  }
}
