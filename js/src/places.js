// Who may have a request held. To one host of HTTP/1.1 a browser opens six connections, for all its windows together:
// with six event streams or held polls no other window loads, and nothing else of the site. Where windows share one line
// (share.js) they need one; a page over plain http has no Web Locks, so its windows only count each other: the oldest
// four may, the others ask by short polls. (A WebSocket is not among the six.)
//
// Each window says at every beat that it is there, and at once to one that it did not know. Nothing is decided together,
// so for a moment more than four may hold; the words between windows need no connection, so with the next beat that is
// over. A window that says nothing for three beats is gone: closed, crashed, suspended, its place is another's.

/** @import {Env} from "../../src/flask_landline/static/landline.js" */

const MOST = 4;
const GONE_BEATS = 3;

export class Places {
  /** Whether this window may have a request held; true where windows cannot be counted. */
  mayHold = true;
  #env;
  #sharing;
  /** @type {InstanceType<NonNullable<Env["BroadcastChannel"]>> | undefined} */
  #bus;
  /** When this window came, so the order of windows is one for all, and who has a place keeps it. */
  #id = 0;
  /** The others, and for how many beats of this one each has said nothing. @type {Map<number, number>} */
  #heard = new Map();

  /**
   * @param {Env} env
   * @param {(turn: () => void) => void} sharing do what is for the other windows, and go on if it fails
   */
  constructor(env, sharing) {
    this.#env = env;
    this.#sharing = sharing;
  }

  /**
   * Take part, or not. A window that comes holds nothing until it has heard the others for a beat.
   *
   * @param {boolean} isWanted
   */
  watch(isWanted) {
    const { BroadcastChannel, Date, Math, window } = this.#env;
    const Bus = isWanted && window && BroadcastChannel;
    if (!Bus === !this.#bus) return;
    this.#bus?.close();
    this.#bus = undefined;
    this.#heard.clear();
    this.mayHold = true;
    if (!Bus) return;
    // It may be forbidden, as in Firefox where cookies are.
    this.#bus = new Bus("landline");
    this.mayHold = false;
    this.#id = Date.now() + Math.random();
    this.#bus.onmessage = ({ data }) =>
      this.#sharing(() => {
        const isNew = !this.#heard.has(data);
        this.#heard.set(data, 0);
        if (isNew) this.#bus?.postMessage(this.#id);
      });
    this.#bus.postMessage(this.#id);
  }

  /** @returns {boolean} whether something has changed */
  beat() {
    const { mayHold } = this;
    let before = 0;
    for (const [id, beats] of this.#heard) {
      this.#heard.set(id, beats + 1);
      if (beats >= GONE_BEATS) this.#heard.delete(id);
      else if (id < this.#id) before++;
    }
    this.mayHold = before < MOST;
    this.#sharing(() => this.#bus?.postMessage(this.#id));
    return this.mayHold !== mayHold;
  }
}
