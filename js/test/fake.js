// A browser and a server made of nothing: time moves when a test says so, and each poll is answered by its script.

import { mock } from "node:test";

/** @import {Landline as PublicLandline, LandlineOptions, TraceDetail} from "../../src/flask_landline/static/landline.js" */

/**
 * @typedef {object} Reply
 * @property {number} [status]
 * @property {Record<string, string>} [headers]
 * @property {string} [text] instead of `body`
 * @property {any} [body]
 * @property {Error} [error] the network failed
 * @property {Error} [cut] the body did, midway
 * @property {boolean} [hang] nothing comes
 */

/** @typedef {{url: URL, init: RequestInit, at: number, query: string}} Ask */

// The same tests hold the source and, with LANDLINE_BUNDLE set, the file that pages load to the same behaviour.
export const folder = process.env.LANDLINE_BUNDLE ? "../../src/flask_landline/static" : "../src";
/** @type {typeof import("../src/landline.js")} */
export const { Landline, LandlineError } = await import(`${folder}/landline.js`);

/** Let everything that was promised happen. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

export class FakeBrowser {
  time = 1000;
  /** How much further the wall clock is: what the machine slept. */
  slept = 0;
  /** What Math.random gives. */
  luck = 0;
  /** @type {Ask[]} */
  asked = [];
  /** @type {(Reply | ((ask: Ask) => Reply))[]} */
  script = [];
  /** What the server says when the script is over. @type {Reply | ((ask: Ask) => Reply)} */
  quiet = answer(null, "c1");
  atOnce = 0;
  mostAtOnce = 0;
  window = new EventTarget();
  document = { visibilityState: "visible" };
  navigator = { onLine: true };
  /** @type {Map<number, {at: number, callback: () => void}>} */
  #timers = new Map();
  #lastTimer = 0;
  /** Every line that was opened. @type {FakeLine[]} */
  lines = [];

  get open() {
    return this.lines.filter(({ closed }) => !closed);
  }

  /** The newest of a kind. @param {string} kind */
  line(kind) {
    const found = this.lines.findLast((line) => line.kind === kind);
    if (!found) throw new Error(`no ${kind} was opened`);
    return found;
  }

  env = {
    fetch: (/** @type {string} */ url, /** @type {RequestInit} */ init) => this.#fetch(url, init),
    setTimeout: (/** @type {() => void} */ callback, /** @type {number} */ ms) => {
      // As in browsers: what does not fit into 32 bits fires at once.
      this.#timers.set(++this.#lastTimer, { at: this.time + (ms < 2 ** 31 ? ms : 1), callback });
      return this.#lastTimer;
    },
    clearTimeout: (/** @type {number} */ timer) => void this.#timers.delete(timer),
    Math: { random: () => this.luck },
    performance: { now: () => this.time },
    Date: { now: () => Date.UTC(2026, 0) + this.time + this.slept },
    document: this.document,
    location: { href: "http://app.test/page" },
    origin: "http://app.test",
    WebSocket: makeLineClass("websocket", this.lines),
    EventSource: makeLineClass("sse", this.lines),
    window: this.window,
    navigator: this.navigator,
  };

  get timers() {
    return this.#timers.size;
  }

  /** @param {number} ms */
  async advance(ms) {
    await settle();
    const end = this.time + ms;
    for (;;) {
      const [next] = [...this.#timers].filter(([, { at }]) => at <= end).sort((one, other) => one[1].at - other[1].at);
      if (!next) break;
      this.#timers.delete(next[0]);
      this.time = Math.max(this.time, next[1].at);
      next[1].callback();
      await settle();
    }
    this.time = end;
  }

  /** The page stands still: time passes and no timer fires until it goes on. @param {number} ms */
  async stall(ms) {
    this.time += ms;
    await this.advance(0);
  }

  /** The lid is shut: the wall clock alone goes on, and timers have as long to go as before. @param {number} ms */
  async sleep(ms) {
    this.slept += ms;
    await this.advance(0);
  }

  /** @param {string} type */
  async fire(type) {
    this.window.dispatchEvent(new Event(type));
    await this.advance(0);
  }

  /** @param {"visible" | "hidden"} state */
  async show(state) {
    this.document.visibilityState = state;
    await this.fire("visibilitychange");
  }

  /** @param {boolean} onLine */
  async connect(onLine) {
    this.navigator.onLine = onLine;
    await this.fire(onLine ? "online" : "offline");
  }

  get last() {
    const ask = this.asked.at(-1);
    if (!ask) throw new Error("nothing was asked");
    return ask;
  }

  /** @param {string} href @param {RequestInit} init */
  async #fetch(href, init) {
    const url = new URL(href, "http://app.test");
    const ask = { url, init, at: this.time, query: url.search.slice(1) };
    this.asked.push(ask);
    const next = this.script.shift() ?? this.quiet;
    const reply = typeof next === "function" ? next(ask) : next;
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.atOnce);
    try {
      if (reply.hang) await aborted(/** @type {AbortSignal} */ (init.signal));
      if (reply.error) throw reply.error;
      const { status = 200, headers = {}, body, text = JSON.stringify(body), cut } = reply;
      return {
        status,
        headers: new Headers(headers),
        json: async () => {
          if (cut) throw cut;
          return JSON.parse(text);
        },
      };
    } finally {
      this.atOnce--;
    }
  }
}

/** A socket or a stream, and the server at its other end. */
class FakeLine {
  closed = false;
  proved = false;
  /** @type {Map<string, (block: any) => void>} */
  #listeners = new Map();
  /** @type {((message: any) => void) | null} */
  onmessage = null;
  /** @type {((close: any) => void) | null} */
  onclose = null;

  /** @param {string} kind @param {string} url @param {any} [options] */
  constructor(kind, url, options) {
    this.kind = kind;
    this.url = url;
    this.protocol = options;
    /** Of a stream. */
    this.withCredentials = options?.withCredentials;
    this.query = new URL(url).searchParams;
    /** What was sent already. */
    this.at = Number((this.query.get("cursor") ?? "").split("-")[1]);
  }

  /** @param {string} type @param {(block: any) => void} listener */
  addEventListener(type, listener) {
    this.#listeners.set(type, listener);
  }

  close() {
    this.closed = true;
  }

  hello() {
    this.proved = true;
    this.tell({ data: null, cursor: this.query.get("cursor"), nonce: this.query.get("nonce") });
  }

  /** An answer, as a message or as a block. @param {any} body */
  tell(body) {
    if (this.kind === "websocket") this.onmessage?.({ data: JSON.stringify(body) });
    else this.block("landline", body, body.cursor);
  }

  /** @param {any} event */
  event(event) {
    if (this.kind === "websocket") this.tell({ data: [event], cursor: `e-${event.offset}` });
    else this.block(event.channel, event.data, `e-${event.offset}`);
  }

  /** @param {string} type @param {any} data @param {string} lastEventId */
  block(type, data, lastEventId) {
    this.fire(type, { data: JSON.stringify(data), lastEventId });
  }

  /** @param {string} type @param {any} fields */
  fire(type, fields) {
    this.#listeners.get(type)?.({ type, ...fields });
  }

  /** @param {number} code */
  end(code) {
    if (this.kind === "websocket") this.onclose?.({ code });
    else this.fire("error", {});
  }
}

/** @param {string} kind @param {FakeLine[]} lines */
function makeLineClass(kind, lines) {
  return class extends FakeLine {
    /** @param {string} url @param {any} [options] a socket's protocol, or a stream's options */
    constructor(url, options) {
      super(kind, url, options);
      lines.push(this);
    }
  };
}

/** @param {AbortSignal} signal */
function aborted(signal) {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
}

/**
 * @param {any[] | null} data
 * @param {string} cursor
 * @param {{interval?: number, transports?: string[], reset?: any}} [more]
 * @returns {Reply}
 */
export function answer(data, cursor, { interval = 2, transports = ["poll"], ...more } = {}) {
  return { body: { data, cursor, advice: { interval, hold: 20, transports }, ...more } };
}

/**
 * @param {number} status
 * @param {string} code
 * @param {any} [more]
 * @param {Record<string, string>} [headers]
 * @returns {Reply}
 */
export function problem(status, code, more, headers) {
  return { status, headers, body: { type: "about:blank", title: code, status, detail: `${code}, do something.`, code, ...more } };
}

/**
 * @param {string} channel
 * @param {number} offset
 * @param {any} [more]
 */
export function event(channel, offset, more) {
  return { channel, offset, at: 1795357200 + offset, data: offset, ...more };
}

/**
 * A line in a fake browser, and all it tells.
 *
 * @param {LandlineOptions} [options]
 * @param {(Reply | ((ask: Ask) => Reply))[]} [script]
 * @param {(browser: FakeBrowser) => void} [prepare]
 */
export function makeLine(options, script = [], prepare) {
  mock.method(console, "error", () => {});
  const browser = new FakeBrowser();
  prepare?.(browser);
  browser.script = script;
  /** @type {PublicLandline} */
  const line = new Landline({ url: "/landline/", env: browser.env, ...options });
  /** @type {any[]} */
  const told = [];
  /** @type {TraceDetail[]} */
  const trace = [];
  for (const type of ["status", "reset", "error"]) {
    line.addEventListener(type, (event) => told.push([type, /** @type {CustomEvent} */ (event).detail]));
  }
  line.addEventListener("trace", (event) => trace.push(/** @type {CustomEvent} */ (event).detail));
  /** @type {any[]} what the handlers got */
  const got = [];
  /** @param {string} channel */
  const follow = (channel) => line.on(channel, (data, event) => got.push([event.channel, data]));
  /** @param {string} type */
  const tells = (type) => told.filter(([name]) => name === type).map(([, detail]) => detail);
  return { browser, line, told, tells, trace, got, follow };
}

/**
 * When polls were asked, counted from the start.
 *
 * @param {ReturnType<typeof makeLine>["browser"]} browser
 */
export const times = (browser) => browser.asked.map(({ at }) => at - 1000);

/**
 * A line that reads one channel and has asked once.
 *
 * @param {any} [options]
 * @param {any[]} [script]
 */
export async function start(options, script) {
  const fake = makeLine(options, script);
  fake.follow("orders");
  await fake.browser.advance(0);
  return fake;
}
