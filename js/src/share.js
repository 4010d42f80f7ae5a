// One line for all tabs of one origin and prefix. The tab that holds a lock of the browser's leads: it polls and climbs,
// and tells the others what comes. For those its word is one more rung, the best one: opened at their own cursor,
// proved by a hello with their nonce, fallen from when it ends or falls silent. So nothing hangs on a tab that closes,
// freezes or crashes: the others go on from where they are, and the browser gives the lock to one of them.
//
// Only tabs that are seen wait for the lock, and a leader that is hidden hands it on, as browsers suspend hidden pages
// without a word: when it is hidden, and when one that is seen asks it. It does so by asking for the lock anew, behind
// those that wait, so if there are none it has it again. Until the browser has answered it keeps its own line, but
// neither serves nor passes on: there are never two that lead.
//
// A leader takes a follower on only if it has all that came after the follower's cursor. So each tab keeps the newest
// events it was told, and for each channel a floor: the offset after which it has them all.

import { asking, isBefore, parts } from "./feed.js";
import { Pace } from "./pace.js";

/** @import {Env, LandlineEvent, Status} from "../../src/flask_landline/static/landline.js" */
/** @import {Feed, Query} from "./feed.js" */
/** @import {Listener, Pushed} from "./lines.js" */

/**
 * @typedef {object} Host
 * @property {Status} status
 * @property {(channel: string) => void} read one more, for another tab
 * @property {(turn: () => void) => void} sharing do what is for the other tabs, and go on if it fails
 * @property {() => void} plan anew: another one leads, or other channels are to be read
 */

/**
 * What tabs tell each other. A follower: its `id` with `channels`, `cursor` and `nonce`, or alone when it goes.
 * The leader: answers and ends, to all, or `to` a nonce.
 *
 * @typedef {Pushed & {id?: string, channels?: string[], to?: string, end?: string, status?: Status}} Message
 */

// Events kept for tabs that come back after a poll of their own, or under a new leader.
const KEPT = 100;
// Channels read for one tab, or for all tabs together: as many as one request may ask for (WIRE §4).
export const MOST = 100;
// The longest address of a request for all tabs together is 3,500, below what servers and proxies take (gunicorn 4,094,
// many a proxy 4,096). This is it without what comes behind the channels: a cursor, a nonce and a grant.
const LONGEST = 3200;

export class Share {
  /** Whether this tab has lines of its own; undefined until the browser has said so. @type {boolean | undefined} */
  leads = true;
  /** The leader's. @type {Status} */
  status = "polling";
  /** The channels this tab itself wants. @type {Set<string>} */
  own = new Set();
  /** Those the followers want, by their ids. @type {Map<string, string[]>} */
  #theirs = new Map();
  #env;
  #feed;
  #host;
  #name;
  #id;
  /** While this tab takes part. @type {InstanceType<NonNullable<Env["BroadcastChannel"]>> | undefined} */
  #bus;
  #quit = new AbortController();
  /** Gives the lock back, to ask for it anew. @type {((value: true) => void) | undefined} */
  #release;
  #isHidden = false;
  /** Whether those who follow have missed something, were this tab to lead (on). */
  #isGap = true;
  /** @type {LandlineEvent[]} */
  #recent = [];
  /** @type {Map<string, number>} */
  #floors = new Map();
  /** What follows the leader, and from where. @type {{nonce: string, listener: Listener, from: number, isProved?: boolean} | undefined} */
  #line;
  /** When to read again for other tabs what was refused to all of them together. */
  #pace = new Pace();

  /**
   * @param {Env} env
   * @param {string} url the prefix, absolute
   * @param {Feed} feed
   * @param {Host} host
   */
  constructor(env, url, feed, host) {
    this.#env = env;
    this.#feed = feed;
    this.#host = host;
    this.#name = `landline ${url}`;
    this.#id = `${env.Math.random()}`;
  }

  /**
   * Take part, or not. Where the browser has no locks, or the page is not a secure one, each tab leads.
   *
   * @param {boolean} isWanted
   * @param {boolean} [isHidden]
   */
  watch(isWanted, isHidden = this.#isHidden) {
    const isOther = isHidden !== this.#isHidden;
    this.#isHidden = isHidden;
    if (isOther && this.leads) this.#handOn();
    // Not to be given the lock while it is hidden.
    if (isOther && this.leads === false) isHidden ? this.#quit.abort() : this.#ask();
    if (!this.#env.navigator?.locks || isWanted === !!this.#bus) return;
    this.#quit.abort();
    if (!isWanted) {
      // A leader need not say that it goes: who gets the lock does.
      this.#tell({ id: this.#id });
      this.#bus?.close();
      this.#bus = undefined;
      this.leads = true;
      this.#theirs.clear();
      return this.prune();
    }
    // What has the locks has the channel too; but it may be forbidden, in Firefox where cookies are.
    this.#bus = new /** @type {Required<Env>} */ (this.#env).BroadcastChannel(this.#name);
    this.#bus.onmessage = ({ data }) => this.#host.sharing(() => this.#hear(data));
    this.leads = undefined;
    this.#ask();
  }

  /** Ask the browser for the lead; if another tab has it, wait for it. */
  #ask() {
    const { locks } = /** @type {Required<NonNullable<Env["navigator"]>>} */ (this.#env.navigator);
    const { signal } = (this.#quit = new AbortController());
    /** @param {boolean} leads */
    const become = (leads) => {
      if (signal.aborted) return;
      this.leads = leads;
      // Who followed this one follows another.
      if (!leads) {
        this.#theirs.clear();
        this.#isGap = true;
      }
      this.prune();
      this.#host.plan();
    };
    /** @param {{ifAvailable: true} | {signal: AbortSignal}} how @returns {Promise<unknown>} */
    const request = (how) =>
      locks
        .request(this.#name, how, (lock) => {
          become(!!lock);
          if (!lock && !this.#isHidden) request({ signal });
          if (!lock || signal.aborted) return;
          // Those who followed another poll now, and come back.
          if (this.#isGap) this.#tell({ end: "leader" });
          return new Promise((release) => (signal.onabort = this.#release = release));
        })
        .then((wasMine) => wasMine && !signal.aborted && request({ ifAvailable: true }))
        .catch(() => become(true));
    request({ ifAvailable: true });
  }

  /**
   * Follow the leader: a line like any other, but with nothing to close. The leader goes on speaking to all.
   *
   * @param {Query} query
   * @param {string} nonce
   * @param {Listener} listener
   */
  open({ channels, cursor }, nonce, listener) {
    this.#line = { nonce, listener, from: parts(cursor)[1] };
    this.#tell({ id: this.#id, channels, cursor, nonce });
  }

  /** Let another tab lead, if this one is hidden, and there is one that is seen and waits for it. */
  #handOn() {
    const release = this.#isHidden && this.#release;
    if (!release) return;
    this.leads = undefined;
    this.#release = undefined;
    this.#isGap = false;
    release(true);
    return true;
  }

  /** A sign for those who follow; a leader that shows a dialog gives none. */
  beat() {
    if (this.leads && this.#theirs.size) this.#tell({});
  }

  /** Whether all tabs together want more than one request may ask for. */
  get isTooMuch() {
    const wanted = this.prune();
    return this.#theirs.size > 0 && (wanted.size > MOST || `${this.#name}${asking(wanted)}`.length > LONGEST);
  }

  /**
   * Read for no other tab what this page does not want itself.
   *
   * @returns {boolean} whether there was anything
   */
  shed() {
    if (!this.#isMore) return false;
    this.#pace.failed("", this.#env.performance.now(), this.#env.Math.random());
    this.#theirs.clear();
    this.prune();
    this.#tell({ end: "refused" });
    return true;
  }

  get #isMore() {
    return this.prune().size > this.own.size;
  }

  /** Read no more what no tab wants; return what is wanted. */
  prune() {
    const wanted = new Set([...this.own, ...[...this.#theirs.values()].flat()]);
    for (const channel of [...this.#feed.reading, ...this.#feed.joining]) {
      if (wanted.has(channel)) continue;
      this.#feed.leave(channel);
      this.#floors.delete(channel);
    }
    return wanted;
  }

  /**
   * Keep what this tab was told, and tell it the others if it leads.
   *
   * @param {LandlineEvent[]} events new ones
   * @param {unknown} [reset]
   */
  pass(events, reset) {
    const { reading, seen, cursor } = this.#feed;
    const floors = this.#floors;
    if (reset || !this.#bus) {
      this.#recent = [];
      floors.clear();
    }
    // Nothing is copied where nothing is shared.
    if (!this.#bus) return;
    for (const channel of reading) {
      if (!floors.has(channel)) floors.set(channel, Math.max(parts(cursor)[1], seen.get(channel) ?? 0));
    }
    // A snapshot is for who asked for it, and what this page's handlers do to their data is theirs.
    // It was JSON, so that is a whole copy, and in browsers that have no structuredClone too.
    const data = JSON.parse(JSON.stringify(events.filter(({ snapshot }) => !snapshot)));
    this.#recent.push(...data);
    for (const { channel, offset } of this.#recent.splice(0, this.#recent.length - KEPT)) {
      if (offset > (floors.get(channel) ?? Infinity)) floors.set(channel, offset);
    }
    if (this.leads) this.#tell(reset ? { end: "reset" } : { data, cursor });
    else if (reset || data[0]) this.#isGap = true;
  }

  /** @param {Message} message */
  #tell(message) {
    this.#bus?.postMessage({ status: this.#host.status, ...message });
  }

  /** @param {Message} message */
  #hear({ id, channels = [], to, end, status, data, cursor, nonce }) {
    // Other followers are the leader's business.
    if (id) return channels[0] ? this.leads && this.#serve(id, channels, cursor, nonce) : this.#lose(id);
    const line = this.#line;
    if (!line || (to ? to !== line.nonce : !line.isProved && !end)) return;
    this.status = status ?? "polling";
    if (end) return line.listener.end(end, { calm: !to });
    line.isProved = true;
    // A leader that is catching up may be behind where this tab began.
    const isOld = isBefore(cursor, this.#feed.cursor);
    line.listener.take({ data: data?.filter(({ offset }) => offset > line.from), cursor: isOld ? null : cursor, nonce: to });
  }

  /** @param {string} id of a follower that is gone; the others need not know */
  #lose(id) {
    this.#theirs.delete(id);
    this.prune();
    this.#host.plan();
  }

  /**
   * @param {string} id
   * @param {string[]} channels
   * @param {string | null} [cursor]
   * @param {string} [nonce]
   */
  #serve(id, channels, cursor, nonce) {
    // Only a tab that is seen asks. It hears when another one leads.
    if (this.#handOn()) return;
    this.#theirs.set(id, channels);
    const isTooMuch = (this.isTooMuch || (this.#isMore && this.#pace.dueAt(0) > this.#env.performance.now())) && this.#theirs.delete(id);
    this.prune();
    const [epoch, from] = parts(cursor);
    const here = this.#feed.cursor;
    const isBehind = epoch !== parts(here)[0] || channels.some((channel) => from < (this.#floors.get(channel) ?? Infinity));
    const data = this.#recent.filter(({ channel, offset }) => offset > from && channels.includes(channel));
    this.#tell({ to: nonce, data, cursor: here, end: isBehind ? "behind" : "" });
    if (isBehind && !isTooMuch) channels.forEach((channel) => this.#host.read(channel));
    this.#host.plan();
  }
}
