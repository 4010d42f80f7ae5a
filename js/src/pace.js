// When to ask next, and what has failed so far. Knows no timers: time and randomness are passed in.

const FIRST_MS = 1000;
const LIMIT_MS = 60000;

/**
 * Full jitter: a pause is drawn anywhere between zero and a limit that grows, so that clients which failed together
 * do not come back together (Brooker, "Exponential Backoff And Jitter", 2015).
 *
 * @param {number} limitMs
 * @param {number} random
 */
export const pause = (limitMs, random) => random * Math.min(LIMIT_MS, Math.max(FIRST_MS, limitMs));

export class Pace {
  /** @type {"interval" | "more" | "retry"} what it waits for */
  why = "more";
  failures = 0;
  /** @type {Set<string>} the problems since the last answer */
  #problems = new Set();
  #at = 0;
  #failingSince = 0;
  #stretch = 1;

  /**
   * @param {number} intervalMs between two polls
   * @returns {number} the time of the next one
   */
  dueAt(intervalMs) {
    return this.#at + (this.why === "interval" ? intervalMs * this.#stretch : 0);
  }

  hurry() {
    this.#at = -Infinity;
  }

  /**
   * @param {boolean} more is waiting
   * @param {number} now
   * @param {number} random
   */
  answered(more, now, random) {
    this.failures = 0;
    this.#problems.clear();
    this.why = more ? "more" : "interval";
    this.#at = now;
    // Up to a tenth more, so that pages opened together do not march in step.
    this.#stretch = 1 + random / 10;
  }

  /**
   * @param {string} problem
   * @param {number} now
   * @param {number} random
   * @returns {boolean} whether the problem is a new one
   */
  failed(problem, now, random) {
    this.why = "retry";
    if (!this.failures++) this.#failingSince = now;
    // By time, not by count: small draws follow each other fast, and a short outage must not be outlasted by far.
    this.#at = now + pause(2 * (now - this.#failingSince), random);
    return this.#problems.size < this.#problems.add(problem).size;
  }
}
