// Channels that share a cursor, and when to ask for them next. Knows no timers: time and randomness are passed in.

// "More is waiting, ask at once", and there is nothing: so often in a row it is a loop, not a feed.
const LOOP_POLLS = 5;
// Advice between zero and this is taken as this: five polls in half a second are enough.
const LEAST_MS = 100;
const FAILED_MS = 1000;
const LIMIT_MS = 60000;

export class Group {
  /** Once it was asked for, a channel that comes later cannot be part of it. */
  asked = false;
  failures = 0;
  /** @type {Set<string>} the problems told of since the last answer */
  told = new Set();
  /** @type {"interval" | "more" | "retry"} what it waits for */
  why = "more";
  #at = 0;
  #random = 0;
  #loops = 0;

  /**
   * @param {string | null} cursor
   * @param {Iterable<string>} channels
   */
  constructor(cursor, channels) {
    this.cursor = cursor;
    this.channels = new Set(channels);
  }

  /** The same for equal readers, so that a cache in between may answer: channels in order, then the cursor. */
  get query() {
    const query = [...this.channels].sort().map((channel) => ["channel", channel]);
    if (this.cursor) query.push(["cursor", this.cursor]);
    return new URLSearchParams(query);
  }

  /**
   * @param {number} intervalMs between two polls
   * @returns {number} the time of the next one
   */
  dueAt(intervalMs) {
    // Up to a tenth more, so that pages opened together do not march in step.
    return this.#at + (this.why === "interval" ? Math.max(LEAST_MS, intervalMs) * (1 + this.#random / 10) : 0);
  }

  hurry() {
    this.why = "more";
    this.#at = 0;
  }

  /**
   * @param {boolean} more is said to be waiting
   * @param {boolean} moved whether the answer brought another cursor, as all news do
   * @param {number} now
   * @param {number} random
   * @returns {boolean} whether a loop begins
   */
  answered(more, moved, now, random) {
    this.told.clear();
    this.failures = 0;
    this.why = more ? "more" : "interval";
    this.#at = now;
    this.#random = random;
    this.#loops = more && !moved ? this.#loops + 1 : 0;
    const loops = this.#loops - LOOP_POLLS;
    if (loops >= 0) this.#backOff(FAILED_MS, loops);
    return loops === 0;
  }

  /**
   * @param {boolean} retryable a refusal (not allowed, unknown channel) seldom mends itself within a second; a network does
   * @param {number} now
   * @param {number} random
   */
  failed(retryable, now, random) {
    this.#at = now;
    this.#random = random;
    this.#backOff(retryable ? FAILED_MS : 5 * FAILED_MS, this.failures++);
  }

  /**
   * Full jitter: a pause is drawn anywhere between zero and a limit that doubles, so that clients which failed together
   * do not come back together (Brooker, "Exponential Backoff And Jitter", 2015).
   *
   * @param {number} firstMs the first limit
   * @param {number} failures how many there were before this one
   */
  #backOff(firstMs, failures) {
    this.why = "retry";
    this.#at += this.#random * Math.min(LIMIT_MS, firstMs * 2 ** failures);
  }
}
