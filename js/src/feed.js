// What was read and what to ask next: cursors, joins, dedupe. Knows no network, no timers, no handlers.
//
// Channels that share a cursor form a group, and one poll asks for one group. Mostly there is one. A channel added
// later has no position yet: it gets a group of its own, asked without a cursor (so its snapshot comes). Channels that
// were refused are set apart with the cursor they had: they miss nothing, and the others go on without them.
//
// A group that has caught up moves in with another one and takes that one's cursor. Nothing is lost: the other's cursor
// was given before this group was asked, so whatever lies between the two was either delivered just now and is
// dropped by its offset, or comes again with the other's cursor. The two are never compared.

import { Group } from "./group.js";

/** @import {LandlineEvent} from "../../src/flask_landline/static/landline.js" */
/** @import {Answer} from "./answer.js" */

export class Feed {
  /** @type {Group[]} none of them empty */
  groups = [];
  #start;
  /** @type {Map<string, number>} the newest offset delivered, or inside a snapshot */
  #seen = new Map();

  /** @param {string | null} start the position of channels joined before the first answer */
  constructor(start) {
    this.#start = start;
  }

  get cursor() {
    return this.groups.find((group) => group.cursor)?.cursor ?? this.#start;
  }

  /** @param {string} channel */
  join(channel) {
    const group = this.groups.find((group) => !group.asked);
    if (group) group.channels.add(channel);
    else this.groups.push(new Group(this.groups[0] ? null : this.#start, [channel]));
  }

  /** @param {string} channel */
  leave(channel) {
    this.groups = this.groups.filter(({ channels }) => !channels.delete(channel) || channels.size);
    this.#seen.delete(channel);
  }

  /**
   * Set refused channels apart, unless the whole group was refused.
   *
   * @param {Group} group from here on the refused ones
   * @param {string[]} [refused] as the problem names them
   */
  split(group, refused = []) {
    const { cursor, channels } = group;
    const others = [...channels].filter((channel) => !refused.includes(channel));
    if (!others[0] || others.length === channels.size) return;
    for (const channel of others) channels.delete(channel);
    this.groups.unshift(Object.assign(new Group(cursor, others), { asked: true }));
  }

  /**
   * Take an answer in: advance the group, and keep what is new.
   *
   * @param {Group} group the one that was asked
   * @param {Answer} answer
   * @returns {LandlineEvent[]} what to deliver, in order
   */
  take(group, { data, cursor, reset, intervalMs }) {
    // Another life of the log, or a shorter one: all offsets may come again.
    if (reset && reset.reason !== "trimmed") this.#seen.clear();
    for (const channel of reset?.channels ?? []) this.#seen.delete(channel);
    group.cursor = cursor;
    this.#start = null;
    const events = data.filter((event) => this.#isNew(group, event));
    const other = this.groups.find((other) => other !== group && other.cursor && !other.failures);
    if (other && intervalMs !== 0) {
      for (const channel of group.channels) other.channels.add(channel);
      this.groups = this.groups.filter((other) => other !== group);
    }
    return events;
  }

  /**
   * @param {Group} group
   * @param {LandlineEvent} event
   */
  #isNew({ channels }, { channel, offset }) {
    const isNew = channels.has(channel) && offset > (this.#seen.get(channel) ?? -1);
    if (isNew) this.#seen.set(channel, offset);
    return isNew;
  }
}
