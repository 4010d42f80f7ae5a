// What was read and what to ask for next: cursors, joins, dedupe. Knows no network, no timers, no handlers.
//
// Most channels are read together, from one cursor. A channel put on later has no position yet: it joins, which is to
// be asked for once without a cursor (so that its snapshot comes), and is then read with the others, all from the
// older of the two positions. Nothing is lost: whatever lies between them was either delivered already and is dropped
// by its offset, or comes now. Theirs is mostly the older one, as it was given before the join was asked; but a cache
// may answer the join with what was true a second ago.

/** @import {LandlineEvent} from "../../src/flask_landline/static/landline.js" */
/** @import {Pushed} from "./lines.js" */

/**
 * @typedef {object} Query What one poll asks for.
 * @property {boolean} isJoin channels that join others
 * @property {Set<string>} from the set its channels are in
 * @property {string[]} channels
 * @property {string | null} cursor
 * @property {string | null} main the others' cursor when this was asked
 * @property {URLSearchParams} parameters
 * @property {string} grant the parameter that shall be in no message
 */

/**
 * The two parts of a cursor. It is opaque to clients (WIRE §2), but this one is of its server's own version.
 *
 * @param {string | null} [cursor]
 * @returns {[epoch: string, offset: number]}
 */
export const parts = (cursor) => {
  const [epoch = "", offset] = `${cursor}`.split("-");
  return [epoch, Number(offset) || 0];
};

/**
 * Whether one position is before another of the same log.
 *
 * @param {string | null | undefined} one
 * @param {string | null | undefined} other
 */
export const isBefore = (one, other) => {
  const [epoch, offset] = parts(one);
  const [otherEpoch, otherOffset] = parts(other);
  return epoch === otherEpoch && offset < otherOffset;
};

/**
 * @param {Iterable<string>} channels
 * @returns {URLSearchParams} that ask for them
 */
export const asking = (channels) => new URLSearchParams([...channels].map((channel) => ["channel", channel]));

export class Feed {
  /** @type {Set<string>} */
  reading = new Set();
  /** @type {Set<string>} */
  joining = new Set();
  #start;
  /** The newest for each set of channels (WIRE §9), as a parameter. @type {Map<string, string>} */
  #grants = new Map();
  /** @type {Map<string, number>} of each channel, the newest offset delivered, inside a snapshot, or before it joined */
  seen = new Map();

  /** @param {string | null} start the position of the channels joined before the first answer */
  constructor(start) {
    this.cursor = this.#start = start;
  }

  /** @param {string} channel */
  join(channel) {
    if (!this.reading.has(channel)) this.joining.add(channel);
  }

  /** @param {string} channel */
  leave(channel) {
    this.reading.delete(channel);
    this.joining.delete(channel);
    this.seen.delete(channel);
  }

  /**
   * @param {boolean} isJoin
   * @returns {Query}
   */
  query(isJoin) {
    const { reading, joining } = this;
    // The first ones join nobody.
    const from = isJoin || !reading.size ? joining : reading;
    const cursor = from === reading ? this.cursor : this.#start;
    // In order: equal readers ask equal addresses, so that a cache in between may answer.
    const channels = [...from].sort();
    const parameters = asking(channels);
    // An empty one is a position that was lost: to be told so, and not the same as none.
    if (cursor !== null) parameters.set("cursor", cursor);
    const grant = this.#grants.get(`${channels}`) ?? "";
    return { isJoin, from, channels, cursor, main: this.cursor, parameters, grant };
  }

  /**
   * Take an answer in: move on, and keep what is new.
   *
   * @param {Query} query
   * @param {Pushed} answer a pushed one may be without a cursor: more belongs to it
   * @returns {LandlineEvent[]} what to deliver, in order
   */
  take({ isJoin, from, channels, main }, { data, cursor, reset, grant }) {
    if (grant) this.#grants.set(`${channels}`, `&grant=${grant.token}`);
    // Who joined may lack what a line has brought to the others meanwhile, so all go on from before that.
    const next = cursor ?? this.cursor;
    this.cursor = isJoin && !isBefore(next, main) ? main : next;
    this.#start = null;
    // Those taken off meanwhile stay off.
    for (const channel of channels) {
      if (!from.delete(channel)) continue;
      this.reading.add(channel);
      if (isJoin) this.seen.set(channel, parts(cursor)[1]);
    }
    // Another life of the log, or a shorter one: all offsets may come again.
    if (reset && reset.reason !== "trimmed") this.seen.clear();
    for (const channel of reset?.channels ?? []) this.seen.delete(channel);
    return (data ?? []).filter((event) => this.#isNew(event));
  }

  /** @param {LandlineEvent} event */
  #isNew({ channel, offset, snapshot }) {
    const isNew = this.reading.has(channel) && (snapshot || offset > (this.seen.get(channel) ?? -1));
    if (isNew) this.seen.set(channel, offset);
    return isNew;
  }
}
