// The face: options, handlers, and what the page itself does. The loop is in poller.js.

import { makeEnv } from "./env.js";
import { LandlineError } from "./errors.js";
import { Feed } from "./feed.js";
import { check, checkMs, readOptions } from "./options.js";
import { Poller } from "./poller.js";

/** @import {Env, Handler, LandlineEvent, LandlineEventMap, LandlineOptions} from "../../src/flask_landline/static/landline.js" */

// What one poll may carry (WIRE §4).
const MAX_CHANNELS = 100;

export { LandlineError };

export class Landline extends EventTarget {
  #settings;
  #feed;
  #poller;
  /** @type {Map<string, Set<(event: LandlineEvent) => void>>} */
  #handlers = new Map();
  #closing = new AbortController();

  /** @param {LandlineOptions} [options] */
  constructor(options = {}) {
    super();
    const env = makeEnv(options.env);
    const { cursor, channels, ...settings } = readOptions(options);
    this.#settings = settings;
    this.#feed = new Feed(cursor);
    this.#poller = new Poller(env, settings, this.#feed, this.#tell.bind(this), this.#deliver.bind(this));
    this.#watchPage(env);
    for (const channel of channels) this.on(channel, () => {});
  }

  get status() {
    return this.#poller.status;
  }

  get cursor() {
    return this.#feed.cursor;
  }

  get intervalMs() {
    return this.#settings.intervalMs;
  }

  set intervalMs(ms) {
    checkMs("intervalMs", ms);
    this.#settings.intervalMs = ms;
    this.#poller.plan();
  }

  /**
   * @param {string} channel
   * @param {Handler} handler
   */
  on(channel, handler) {
    check(channel && typeof channel === "string", "channel", channel, "pass a name");
    check(typeof handler === "function", "handler", handler, "pass a function");
    check(!this.#closing.signal.aborted, "the line", "closed", "make a new Landline");
    let handlers = this.#handlers.get(channel);
    if (!handlers) {
      check(this.#handlers.size < MAX_CHANNELS, "channel 101", channel, "take others off, or make a second Landline");
      this.#handlers.set(channel, (handlers = new Set()));
      this.#feed.join(channel);
      this.#planSoon();
    }
    /** @param {LandlineEvent} event */
    const handle = async (event) => {
      try {
        await handler(event.data, event);
      } catch (cause) {
        const message = `A handler of "${channel}" failed at ${event.offset}: ${cause}. Mend it; the feed goes on.`;
        this.#tell("error", new LandlineError(message, { code: "handler", cause }));
      }
    };
    handlers.add(handle);
    return () => {
      if (!handlers.delete(handle) || handlers.size) return;
      this.#handlers.delete(channel);
      this.#feed.leave(channel);
      this.#planSoon();
    };
  }

  pause() {
    this.#poller.hold("paused", true);
  }

  resume() {
    this.#poller.hold("paused", false);
  }

  poll() {
    this.#poller.poll();
  }

  close() {
    this.#closing.abort();
    this.#poller.hold("closed", true);
  }

  /** Once the caller is done, so that several `on` share one poll. */
  #planSoon() {
    queueMicrotask(() => this.#poller.plan());
  }

  /** @param {LandlineEvent} event */
  #deliver(event) {
    const handlers = this.#handlers.get(event.channel);
    // A copy: a handler put on from here on gets the next event, one taken off not even this.
    for (const handle of [...(handlers ?? [])]) {
      if (handlers?.has(handle) && !this.#closing.signal.aborted) handle(event);
    }
  }

  /**
   * @param {keyof LandlineEventMap} type
   * @param {unknown} detail
   */
  #tell(type, detail) {
    // Nobody can know whether somebody listens, and no problem shall go unseen.
    if (type === "error") console.error(detail);
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** @param {Env} env */
  #watchPage({ document, window, navigator }) {
    /** @param {{type?: string}} event */
    const look = ({ type = "" }) => {
      this.#poller.hold("background", document?.visibilityState === "hidden");
      this.#poller.hold("offline", navigator?.onLine === false);
      // A page in the back/forward cache must have no request under way; it comes back as it was.
      if (type.startsWith("page")) this.#poller.hold("hidden", type === "pagehide");
    };
    for (const type of ["visibilitychange", "online", "offline", "pagehide", "pageshow"]) {
      window?.addEventListener(type, look, this.#closing);
    }
    look({});
  }
}
