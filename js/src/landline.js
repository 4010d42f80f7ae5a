// The face: options, handlers, and what the page itself does. The loop is in poller.js.

import { Feed } from "./feed.js";
import { Poller } from "./poller.js";
import { makeReload } from "./reload.js";
import { checked, readOptions, resolve } from "./options.js";
import { LandlineError } from "./errors.js";
import { credentialsFor } from "./get.js";

/** @import {Env, Handler, LandlineEvent, LandlineEventMap, LandlineOptions} from "../../src/flask_landline/static/landline.js" */

export { LandlineError };

// A page in the back/forward cache, or frozen, must have no request under way; it comes back as it was. In this order,
// because a page that hears when it comes, but not when it goes, is not stopped for ever.
/** @type {Record<string, boolean>} */
const HIDES = { pageshow: false, resume: false, pagehide: true, freeze: true };

export class Landline extends EventTarget {
  #env;
  #settings;
  #feed;
  #poller;
  /** @type {Set<{channel: string, handler: Handler}>} */
  #handlers = new Set();
  /** Options of the page's listeners: `signal` takes them off, and by `capture` the document's own events get here too. */
  #closing = Object.assign(new AbortController(), { capture: true });
  /** Remember a position for the next page of this tab, and return the one remembered. @type {(cursor?: string | null) => string | null | void} */
  #keep;
  /** Loads the page anew. One function for the life of the line: put on twice, it is called once. @type {() => void} */
  #reload;

  /** @param {LandlineOptions} [options] */
  constructor(options = {}) {
    super();
    const { url, cursor, channels, remember, env, ...settings } = readOptions(options);
    const prefix = resolve(url, env.document?.baseURI ?? env.location?.href);
    this.#env = env;
    this.#settings = { ...settings, url: prefix, credentials: credentialsFor(env, prefix) };
    // Storage may be forbidden or full; then a page begins like a new one.
    this.#keep = (position) => {
      try {
        const { sessionStorage } = env;
        if (remember) return position ? sessionStorage?.setItem(prefix, position) : sessionStorage?.getItem(prefix);
      } catch {}
    };
    const start = cursor ?? this.#keep() ?? null;
    this.#feed = new Feed(start);
    const poller = (this.#poller = new Poller(env, this.#settings, this.#feed, this.#tell.bind(this), this.#deliver.bind(this)));
    const reload = makeReload(env, prefix, start, this.#closing.signal, (error) => this.#tell("error", error));
    this.#reload = () => poller.guard(reload);
    poller.guard(() => this.#watchPage(env));
    for (const channel of channels) this.on(channel, () => {});
  }

  get status() {
    return this.#poller.status;
  }

  get transport() {
    return this.#poller.transport;
  }

  get cursor() {
    return this.#feed.cursor;
  }

  get intervalMs() {
    return this.#settings.intervalMs;
  }

  set intervalMs(ms) {
    this.#settings.intervalMs = checked("intervalMs", ms);
    this.#poller.plan();
  }

  get transports() {
    return this.#settings.transports;
  }

  set transports(transports) {
    this.#settings.transports = checked("transports", transports);
    this.#poller.offer();
  }

  /**
   * @param {string} channel
   * @param {Handler} handler
   */
  on(channel, handler) {
    if (!channel || typeof channel !== "string" || typeof handler !== "function") {
      throw new TypeError(`on("${channel}", ${handler}) takes a name and a function.`);
    }
    const entry = { channel, handler };
    // First, as it refuses a channel too many.
    this.#poller.join(channel);
    this.#handlers.add(entry);
    return () => {
      this.#handlers.delete(entry);
      for (const other of this.#handlers) if (other.channel === channel) return;
      this.#poller.leave(channel);
    };
  }

  pause() {
    this.#poller.halt("paused", true);
  }

  resume() {
    this.#poller.halt("paused", false);
  }

  poll() {
    this.#poller.poll();
  }

  reloadOnReset() {
    if (!this.#env.location?.reload) throw new TypeError("env has no location.reload.");
    this.addEventListener("reset", this.#reload, { once: true, signal: this.#closing.signal });
  }

  close() {
    this.#closing.abort();
    this.#handlers.clear();
    this.#poller.guard(() => this.#poller.halt("closed", true));
  }

  /** @param {LandlineEvent} event */
  #deliver(event) {
    // A copy: a handler put on from here on gets the next event, one taken off not even this.
    for (const entry of [...this.#handlers]) {
      if (entry.channel === event.channel && this.#handlers.has(entry)) this.#handle(entry.handler, event);
    }
  }

  /**
   * @param {Handler} handler
   * @param {LandlineEvent} event
   */
  async #handle(handler, event) {
    try {
      await handler(event.data, event);
    } catch (cause) {
      const message = `A handler of "${event.channel}" failed: ${cause}`;
      this.#tell("error", new LandlineError(message, { code: "handler", cause }));
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
    const poller = this.#poller;
    /** @param {{type?: string}} event */
    const look = ({ type = "" }) => {
      if (type in HIDES) poller.halt("hidden", !!HIDES[type]);
      poller.halt("background", document?.visibilityState === "hidden");
      if (type === "online") poller.wake(true);
      // Some browsers are wrong about it for as long as they run: a page that is merely looked at has a line that says otherwise.
      else if (type !== "visibilitychange" && navigator?.onLine === false) poller.doubt();
      this.#keep(this.cursor);
    };
    for (const type of [...Object.keys(HIDES), "visibilitychange", "online", "offline"]) {
      window?.addEventListener(type, (event) => poller.guard(() => look(event)), this.#closing);
    }
    look({});
  }
}
