// Several tabs of one origin, and a server with a log. Nothing arrives by itself: answers, pushes and words between tabs
// wait until a test lets them through, so that all orders can be tried.

import assert from "node:assert/strict";
import { mock } from "node:test";
import { FakeBrowser, Landline } from "./fake.js";

/** @import {LandlineOptions} from "../../src/flask_landline/static/landline.js" */

const TRANSPORTS = ["websocket", "sse", "long-poll", "poll"];
const PAGE = 3;

export class Origin {
  /** The log: channels by offset - 1. @type {string[]} */
  log = [];
  /** The oldest offset kept of each channel is above this. */
  trimmed = 0;
  epoch = "e";
  /** @type {Tab[]} */
  tabs = [];
  /** What is under way. @type {{tab: Tab, arrive: () => void}[]} */
  underWay = [];
  /** @type {{tab: Tab, name: string, turn: (lock: unknown) => void}[]} the first one has the lock */
  queue = [];
  /** @type {Set<Bus>} */
  buses = new Set();
  /** What a tab is given for its browser. */
  wrap = (/** @type {any} */ env) => env;
  transports = TRANSPORTS;
  time = 0;
  /** Whether pages have Web Locks: those over plain http do not. */
  isSecure = true;

  /** @param {Partial<LandlineOptions>} [options] @param {string[]} [channels] */
  open(options, channels = ["orders"]) {
    const tab = new Tab(this, options);
    this.tabs.push(tab);
    for (const channel of channels) tab.follow(channel);
    return tab;
  }

  /** @param {string} channel */
  publish(channel) {
    this.log.push(channel);
    for (const tab of this.tabs) for (const line of tab.browser.open) this.push(tab, line);
  }

  keepalive() {
    const cursor = `${this.epoch}-${this.log.length}`;
    for (const tab of this.tabs) {
      for (const line of tab.browser.open) {
        if (line.proved) this.underWay.push({ tab, arrive: () => line.closed || line.tell({ data: null, cursor }) });
      }
    }
  }

  /** The server's answer to a line that is opened. @param {Tab} tab @param {any} line */
  accept(tab, line) {
    if (line.closed) return;
    const cursor = line.query.get("cursor");
    const { data } = this.read(line.query.getAll("channel"), cursor);
    line.proved = true;
    // Who has missed nothing is told the log's end.
    line.tell({ data: null, cursor: data ? cursor : `${this.epoch}-${this.log.length}`, nonce: line.query.get("nonce") });
    line.at = Number((cursor ?? "").split("-")[1]);
    this.push(tab, line);
  }

  /** All that is new for a line, as one frame. @param {Tab} tab @param {any} line */
  push(tab, line) {
    if (!line.proved) return;
    const cursor = `${this.epoch}-${line.at}`;
    const { data, ...body } = this.read(line.query.getAll("channel"), cursor, Infinity);
    if (!data) return;
    line.at = this.log.length;
    const arrive = () => {
      if (line.kind === "websocket") line.closed || line.tell({ data, ...body });
      else for (const event of data) line.closed || line.event(event);
    };
    this.underWay.push({ tab, arrive });
  }

  /** @param {string[]} channels @param {string | null} cursor @param {number} [limit] */
  read(channels, cursor, limit = PAGE) {
    const advice = { interval: 2, hold: 20, transports: this.transports };
    const here = `${this.epoch}-${this.log.length}`;
    if (!cursor) return { data: null, cursor: here, advice };
    const [epoch, from] = cursor.split("-");
    const after = epoch === this.epoch ? Number(from) : 0;
    const reset =
      epoch !== this.epoch ? { channels, reason: "epoch" } : after < this.trimmed && channels.some((name) => this.log.slice(after, this.trimmed).includes(name)) ? { channels, reason: "trimmed" } : undefined;
    const all = this.log.flatMap((channel, index) =>
      index >= Math.max(after, this.trimmed) && channels.includes(channel) ? [{ channel, offset: index + 1, data: index + 1 }] : [],
    );
    const data = all.slice(0, limit);
    const at = data.at(-1)?.offset;
    // Where nothing is new, the cursor comes back as it was (WIRE §4).
    const position = at ? `${this.epoch}-${at}` : reset ? here : cursor;
    if (all.length > limit) advice.interval = 0;
    return { data: data.length ? data : null, cursor: position, advice, ...(reset && { reset }) };
  }

  /** Let one thing arrive. @param {number} [which] */
  async arrive(which = 0) {
    const [next] = this.underWay.splice(which, 1);
    if (next && !next.tab.isGone) next.arrive();
    await settle();
  }

  /** Let all arrive that is under way, and what comes of it; time does not pass. */
  async calm() {
    for (let turn = 0; turn < 1000; turn++) {
      for (const tab of this.tabs) if (!tab.isGone) await tab.browser.advance(0);
      if (!this.underWay.length) return;
      await this.arrive();
    }
    throw new Error("this never ends");
  }

  /** Time passes, in all tabs alike, and all arrives at once. @param {number} ms */
  async advance(ms) {
    await this.calm();
    for (let passed = 0; passed < ms; passed += 250) {
      this.time += 250;
      if (this.time % 10000 === 0) this.keepalive();
      for (const tab of this.tabs) if (!tab.isGone) await tab.browser.advance(250);
      await this.calm();
    }
  }

  /** Connections that are open now. */
  get lines() {
    return this.tabs.flatMap(({ browser, isGone }) => (isGone ? [] : browser.open));
  }

  /** @param {Tab} tab @param {string} name @param {{ifAvailable?: boolean, signal?: AbortSignal}} options @param {(lock: unknown) => unknown} callback */
  async request(tab, name, { ifAvailable, signal }, callback) {
    if (ifAvailable && this.queue.some((entry) => entry.name === name)) return callback(null);
    /** @type {any} */
    const entry = { tab, name };
    const turn = new Promise((resolve, reject) => {
      entry.turn = resolve;
      signal?.addEventListener("abort", () => reject(signal.reason));
    });
    this.queue.push(entry);
    this.grant();
    try {
      return await callback(await turn);
    } finally {
      this.queue = this.queue.filter((other) => other !== entry);
      this.grant();
    }
  }

  /** Whoever is the first of those for a name has its lock. */
  grant() {
    const names = new Set();
    for (const { name, turn } of this.queue) {
      if (!names.has(name)) turn({ name });
      names.add(name);
    }
  }
}

class Bus {
  /** @type {((message: any) => void) | null} */
  onmessage = null;

  /** @param {Tab} tab @param {string} name */
  constructor(tab, name) {
    this.tab = tab;
    this.name = name;
    tab.origin.buses.add(this);
  }

  /** @param {unknown} message */
  postMessage(message) {
    const data = structuredClone(message);
    const { underWay, buses } = this.tab.origin;
    for (const other of buses) {
      if (other === this || other.name !== this.name) continue;
      underWay.push({ tab: other.tab, arrive: () => buses.has(other) && other.onmessage?.({ data }) });
    }
  }

  close() {
    this.tab.origin.buses.delete(this);
  }
}

export class Tab {
  browser = new FakeBrowser();
  isGone = false;
  /** Offsets delivered, by channel. @type {Map<string, number[]>} */
  got = new Map();
  /** The log's length when each channel was first read. @type {Map<string, number>} */
  from = new Map();
  /** @type {any[]} */
  errors = [];

  /** @param {Origin} origin @param {Partial<LandlineOptions>} [options] */
  constructor(origin, options) {
    mock.method(console, "error", () => {});
    this.origin = origin;
    const { browser } = this;
    browser.slept = origin.time;
    browser.luck = (0.137 * (origin.tabs.length + 1)) % 1;
    const tab = this;
    const fetch = (/** @type {string} */ href, /** @type {RequestInit} */ init) => this.#fetch(href, init);
    /** @type {any} */
    const env = browser.env;
    Object.assign(env, { fetch });
    /** @type {(name: string, how: any, callback: any) => Promise<unknown>} */
    const request = (name, how, callback) => origin.request(tab, name, how, callback);
    if (origin.isSecure) env.navigator.locks = { request };
    env.BroadcastChannel = class extends Bus {
      /** @param {string} name */
      constructor(name) {
        super(tab, name);
      }
    };
    for (const kind of ["WebSocket", "EventSource"]) {
      const Line = env[kind];
      env[kind] = class extends Line {
        /** @param {string} url @param {any} options */
        constructor(url, options) {
          super(url, options);
          origin.underWay.push({ tab, arrive: () => origin.accept(tab, this) });
        }
      };
    }
    this.line = new Landline({ url: "/landline/", cursor: `${origin.epoch}-${origin.log.length}`, env: origin.wrap(env), ...options });
    this.line.addEventListener("error", (error) => this.errors.push(/** @type {CustomEvent} */ (error).detail.code));
  }

  /** @param {string} channel */
  follow(channel) {
    this.got.set(channel, []);
    this.from.set(channel, this.origin.log.length);
    return this.line.on(channel, (_, { offset }) => this.got.get(channel)?.push(offset));
  }

  /** No word any more: neither to the other tabs nor from them. */
  crash() {
    this.isGone = true;
    const { origin } = this;
    for (const line of this.browser.open) line.close();
    for (const bus of origin.buses) if (bus.tab === this) bus.close();
    origin.queue = origin.queue.filter(({ tab }) => tab !== this);
    origin.grant();
  }

  async leave() {
    this.line.close();
    await settle();
    this.isGone = true;
  }

  get leads() {
    return this.origin.queue[0]?.tab === this;
  }

  /** @param {string} href @param {RequestInit} init */
  async #fetch(href, { signal }) {
    const { searchParams } = new URL(href);
    this.browser.asked.push(/** @type {any} */ ({ query: `${searchParams}`, at: this.browser.time }));
    const body = this.origin.read(searchParams.getAll("channel"), searchParams.get("cursor"));
    await new Promise((resolve, reject) => {
      this.origin.underWay.push({ tab: this, arrive: () => resolve(undefined) });
      signal?.addEventListener("abort", () => reject(signal.reason));
    });
    return { status: 200, headers: new Headers(), json: async () => body };
  }
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

/** @param {Origin} origin */
export function checkAll({ tabs, log }) {
  for (const [index, { got, from, isGone }] of tabs.entries()) {
    if (isGone) continue;
    for (const [channel, offsets] of got) {
      const due = log.flatMap((name, at) => (name === channel && at >= (from.get(channel) ?? 0) ? [at + 1] : []));
      assert.deepEqual(offsets, due, `tab ${index} on ${channel}`);
    }
  }
}

/** @param {number} count @param {string[]} [channels] */
export async function openTabs(count, channels) {
  const origin = new Origin();
  const tabs = Array.from({ length: count }, () => origin.open({}, channels));
  await origin.advance(2500);
  return { origin, tabs };
}
