// Landline for htmx 2.
//
//   <main hx-ext="landline" landline-cursor="{{ landline_cursor() }}">
//     <ul landline-channel="orders" hx-get="/orders" hx-trigger="landline:orders">…</ul>
//
// An event of a channel triggers `landline:<channel>` on the elements that name the channel. With landline-swap, the
// event's data is swapped in, too: as it is, so the app must have made it as it makes its pages, with what people
// wrote escaped.
//
// What htmx swaps in was rendered some time ago, and its channel may have moved since. So if it has a landline-cursor
// of its own, what came after that is fetched and told to its elements first; the rest is held until then.
//
// Two rules of htmx that keep a page safe from what people wrote hold here, too: nothing is done inside `hx-disable`,
// and requests go to the page's own origin unless `htmx.config.selfRequestsOnly` is off.

import { Landline } from "./landline.js";

/** @import {LandlineEvent, Reset, TraceDetail} from "./landline.js" */

/**
 * One channel read by one element.
 *
 * @typedef {object} Seat
 * @property {HTMLElement} element
 * @property {string} channel
 * @property {LandlineEvent[]} [held] there while earlier events are being fetched
 * @property {number} seen the offset up to which it has everything
 */

/** @typedef {{seats: Set<Seat>, off: () => void, timer?: ReturnType<typeof setTimeout>}} Channel */

// Between an element and what replaces it nobody reads its channel: for 20 ms in htmx's default of settling. Without
// this, each such swap would end the line and open another.
const LINGER_MS = 5000;

/** One line, and the elements that read from it. */
class Switchboard {
  line;
  isHandedIn;
  #url;
  #isAnswered;
  /** @type {Map<string, Channel>} */
  #channels = new Map();
  /** The channels that the line reads for certain. @type {Set<string>} */
  #read = new Set();
  /** The poll under way. @type {{step: number, channels: string[]} | undefined} */
  #asked;
  /** Who lacks what came after a cursor, until the line reads the channel. @type {Map<Seat, string>} */
  #behind = new Map();
  /** @type {WeakSet<Element>} */
  #usedHolders = new WeakSet();

  /**
   * @param {string | undefined} url
   * @param {Landline} line
   * @param {boolean} isNew whether all it reads is read from the cursor it was given
   */
  constructor(url, line, isNew) {
    this.#url = url;
    this.line = line;
    this.isHandedIn = !isNew;
    this.#isAnswered = !isNew;
    line.addEventListener("reset", ({ detail }) => this.#reset(detail));
    line.addEventListener("trace", ({ detail }) => this.#watch(detail));
  }

  /**
   * @param {HTMLElement} element
   * @param {string} name
   * @param {Element | null} holder of a cursor
   * @returns {() => void} takes the element off the channel
   */
  connect(element, name, holder) {
    /** @type {Seat} */
    const seat = { element, channel: name, seen: -1 };
    const channel = this.#channels.get(name) ?? this.#open(name);
    clearTimeout(channel.timer);
    channel.seats.add(seat);
    if (holder) this.#place(seat, holder);
    return () => {
      channel.seats.delete(seat);
      this.#behind.delete(seat);
      if (channel.seats.size) return;
      channel.timer = setTimeout(() => {
        channel.off();
        this.#channels.delete(name);
        this.#read.delete(name);
      }, LINGER_MS);
    };
  }

  /** @param {string} name */
  #open(name) {
    const seats = /** @type {Set<Seat>} */ (new Set());
    const off = this.line.on(name, (_, event) => {
      // A copy: what is swapped in from here on gets the next event, what is swapped out not even this.
      for (const seat of [...seats]) {
        if (seat.held) seat.held.push(event);
        else if (seats.has(seat)) tell(seat, event);
      }
    });
    /** @type {Channel} */
    const channel = { seats, off };
    this.#channels.set(name, channel);
    return channel;
  }

  /**
   * @param {Seat} seat
   * @param {Element} holder
   */
  #place(seat, holder) {
    const cursor = api.getAttributeValue(holder, "landline-cursor");
    // It is the position of what came together with it; what comes into it later is newer.
    if (!cursor || this.#usedHolders.has(holder)) return;
    queueMicrotask(() => this.#usedHolders.add(holder));
    if (!this.#isAnswered && cursor === this.line.cursor) return;
    seat.held = [];
    // Cursors are opaque (WIRE §2), but this one is of its server's own version.
    seat.seen = Number(cursor.slice(cursor.lastIndexOf("-") + 1));
    this.#behind.set(seat, cursor);
    // By an answer it is known that the line reads the channel, also if it was handed in and has read it for long.
    if (this.#read.has(seat.channel)) queueMicrotask(() => this.#catchUp());
    else this.line.poll();
  }

  /** @param {TraceDetail} detail */
  #watch(detail) {
    const { step, phase } = detail;
    if (phase === "ask") {
      const { searchParams } = new URL(detail.request.slice("GET ".length), document.baseURI);
      this.#asked = { step, channels: searchParams.getAll("channel") };
    }
    // A line's own steps are told in between, under other numbers.
    if (phase !== "act" || step !== this.#asked?.step || detail.action === "failed") return;
    this.#isAnswered = true;
    for (const name of this.#asked.channels) if (this.#channels.has(name)) this.#read.add(name);
    this.#catchUp();
  }

  #catchUp() {
    /** @type {Map<string, Seat[]>} */
    const ready = new Map();
    for (const [seat, cursor] of this.#behind) {
      if (!this.#read.has(seat.channel)) continue;
      this.#behind.delete(seat);
      ready.set(cursor, [...(ready.get(cursor) ?? []), seat]);
    }
    for (const [cursor, seats] of ready) fetchPast(this.#url, cursor, seats);
  }

  /** @param {Reset} reset */
  #reset(reset) {
    for (const { seats } of [...this.#channels.values()]) for (const seat of [...seats]) tellReset(seat, reset);
  }
}

/**
 * Tell elements what came after the cursor, then what was held meanwhile. The line reads their channels by now, so
 * nothing can fall in between.
 *
 * @param {string | undefined} url
 * @param {string} cursor
 * @param {Seat[]} seats
 */
function fetchPast(url, cursor, seats) {
  const past = new Landline({ url, cursor, transports: ["poll"], share: false });
  for (const seat of seats) {
    past.on(seat.channel, (_, event) => {
      seat.seen = event.offset;
      deliver(seat.element, event);
    });
  }
  past.addEventListener("reset", ({ detail }) => seats.forEach((seat) => tellReset(seat, detail)));
  past.addEventListener("trace", ({ detail }) => {
    // Any other reason to wait means that there is more to come.
    if (detail.phase !== "wait" || detail.why !== "interval") return;
    past.close();
    for (const seat of seats) {
      const { held = [] } = seat;
      seat.held = undefined;
      for (const event of held) tell(seat, event);
    }
  });
}

/**
 * Tell what the line has brought, which may be from before the element.
 *
 * @param {Seat} seat
 * @param {LandlineEvent} event
 */
function tell({ element, seen }, event) {
  if (event.offset > seen) deliver(element, event);
}

/**
 * @param {HTMLElement} element
 * @param {LandlineEvent} event
 */
function deliver(element, event) {
  // Removed, and not by htmx; or moved to where it does nothing.
  // See SECURITY.md: what-is-moved-into-hx-disable-stops
  if (!element.isConnected || isDisabled(element)) return disconnect(element);
  // It does not bubble: an element inside another that names the same channel would trigger both, and the other twice.
  const told = new CustomEvent(`landline:${event.channel}`, { detail: event, cancelable: true });
  if (element.dispatchEvent(told) && api.hasAttribute(element, "landline-swap")) swap(element, event);
}

/**
 * As htmx's own extension for event streams does, by the element's hx-target and hx-swap.
 *
 * @param {HTMLElement} element
 * @param {LandlineEvent} event
 */
function swap(element, { channel, offset, data, snapshot }) {
  if (typeof data !== "string") {
    const words = `landline-swap: what "${channel}" brought at ${offset} is not a string of HTML, so it was not swapped in.`;
    const remedy = `Publish rendered HTML, or leave landline-swap away and let hx-trigger="landline:${channel}" fetch.`;
    return console.error(`${words} ${remedy}`, data, element);
  }
  let html = data;
  api.withExtensions(element, (/** @type {any} */ extension) => {
    html = extension.transformResponse(html, null, element);
  });
  const how = api.getSwapSpecification(element);
  // The whole state takes the place of what was collected.
  if (snapshot && /^(beforeend|afterbegin)$/.test(how.swapStyle)) how.swapStyle = "innerHTML";
  const target = api.getTarget(element);
  if (target) api.swap(target, html, how, { contextElement: element });
  else api.triggerErrorEvent(element, "htmx:targetError", { target: api.getClosestAttributeValue(element, "hx-target") });
}

/**
 * @param {Seat} seat
 * @param {Reset} reset
 */
function tellReset(seat, reset) {
  const { element, channel } = seat;
  if (!reset.channels.includes(channel)) return;
  // Another log's offsets, or the same ones once more.
  if (reset.reason !== "trimmed") seat.seen = -1;
  if (isDisabled(element)) return disconnect(element);
  element.dispatchEvent(new CustomEvent("landline-reset", { detail: reset }));
  // To fetch again is all the remedy that is needed. What was swapped in bit by bit, only the page can mend.
  if (api.hasAttribute(element, "landline-swap")) return;
  element.dispatchEvent(new CustomEvent(`landline:${channel}`, { detail: { channel, reset } }));
}

const SELECTORS = ["[landline-channel]", "[data-landline-channel]", "landline-status"];

/** The htmx of the page. @type {any} */
let htmx;
/** htmx's internal API. @type {any} */
let api;
/** By the url that elements or their ancestors name. @type {Map<string, Switchboard>} */
const switchboards = new Map();
/** @type {WeakMap<Element, {key: string, off: () => void}>} */
const connected = new WeakMap();

/** @param {Element} element */
const isDisabled = (element) => element.closest(htmx.config.disableSelector) !== null;

/**
 * Apply htmx's rule for addresses to the `landline-url` of an element: the page's own origin only while
 * `selfRequestsOnly` is on, and what listeners of `htmx:validateUrl` say. A line that the page handed in under this
 * url is the author's choice, and so is the default, where the script came from.
 *
 * @param {Element} element
 * @param {string} path
 * @returns {boolean}
 */
function mayReadFrom(element, path) {
  if (!path || switchboards.get(path)?.isHandedIn) return true;
  const url = parse(path);
  const sameHost = url?.origin === location.origin;
  let why = "is no address";
  // See SECURITY.md: url-is-of-the-pages-origin
  if (url && (sameHost || !htmx.config.selfRequestsOnly)) {
    // See SECURITY.md: url-is-what-listeners-allow
    if (api.triggerEvent(element, "htmx:validateUrl", { url, sameHost, path })) return true;
    why = "was refused by a listener of htmx:validateUrl";
  } else if (url) why = `is not of this page's origin, ${location.origin}, and htmx.config.selfRequestsOnly is on`;
  const remedy = "Name a prefix of this origin, or hand in a line for it: useLine(new Landline({ url }), url).";
  console.error(`landline-url: "${path}" ${why}, so nothing is read from there. ${remedy}`, element);
  api.triggerErrorEvent(element, "htmx:invalidPath", { path });
  return false;
}

/** @param {string} path */
function parse(path) {
  try {
    return new URL(path, document.baseURI);
  } catch {
    return null;
  }
}

/** @param {HTMLElement} element that htmx has processed; perhaps once more, with other attributes */
function connect(element) {
  // htmx processes nothing that is disabled, but connectAll finds elements by itself.
  // See SECURITY.md: nothing-is-read-inside-hx-disable
  if (isDisabled(element)) return disconnect(element);
  const url = api.getAttributeValue(closest(element, "landline-url"), "landline-url") || "";
  const names = api.getAttributeValue(element, "landline-channel");
  const isStatus = element.localName === "landline-status";
  const key = `${url} ${names}`;
  if (connected.get(element)?.key === key) return;
  disconnect(element);
  if (names === null && !isStatus) return;
  /** @type {(() => void)[]} */
  const offs = [];
  connected.set(element, { key, off: () => offs.forEach((off) => off()) });
  if (!mayReadFrom(element, url)) return;
  const holder = closest(element, "landline-cursor");
  const board = switchboard(url, holder);
  if (isStatus) Object.assign(element, { line: /** @type {any} */ (element).line ?? board.line });
  for (const name of names?.split(",") ?? []) if (name.trim()) offs.push(board.connect(element, name.trim(), holder));
}

/** @param {Element} element */
function disconnect(element) {
  connected.get(element)?.off();
  connected.delete(element);
}

/**
 * @param {string} url
 * @param {Element | null} holder
 */
function switchboard(url, holder) {
  let board = switchboards.get(url);
  if (!board) {
    const cursor = holder && api.getAttributeValue(holder, "landline-cursor");
    board = new Switchboard(url || undefined, new Landline({ url: url || undefined, cursor }), true);
    switchboards.set(url, board);
  }
  return board;
}

/**
 * @param {HTMLElement} element
 * @param {string} attribute also with "data-" before it
 * @returns {Element | null}
 */
const closest = (element, attribute) => element.closest(`[${attribute}], [data-${attribute}]`);

/**
 * Read from a line that the page has already, instead of from one of our own. To be called before elements are
 * processed: in a module script of the page.
 *
 * @param {Landline} line
 * @param {string} [url] as given to the line, if it was
 */
export function useLine(line, url = "") {
  if (switchboards.has(url)) {
    throw new Error("Elements read from another line already. Call useLine earlier: before htmx processes the page.");
  }
  switchboards.set(url, new Switchboard(url || undefined, line, false));
}

/**
 * Add the extension to an htmx that is no global, such as one that was imported.
 *
 * @param {any} its
 */
export function install(its) {
  htmx = its;
  htmx.defineExtension("landline", {
    /** @param {any} internals */
    init: (internals) => (api = internals),
    getSelectors: () => SELECTORS,
    /** @param {string} name @param {CustomEvent} event */
    onEvent(name, { detail }) {
      if (name === "htmx:afterProcessNode") connect(detail.elt);
      if (name === "htmx:beforeCleanupElement") disconnect(detail.elt);
    },
    isLandline: true,
  });
  const connectAll = () => {
    for (const element of htmx.findAll(SELECTORS.join())) {
      api.withExtensions(element, (/** @type {any} */ extension) => extension.isLandline && connect(element));
    }
  };
  // htmx may have processed the page before it knew of the extension.
  whenLoaded(connectAll);
}

/** @param {() => void} callback */
function whenLoaded(callback) {
  if (document.readyState === "complete") callback();
  else addEventListener("load", callback);
}

function installGlobal() {
  const its = /** @type {any} */ (globalThis).htmx;
  if (its) install(its);
  return its;
}

if (!installGlobal()) {
  whenLoaded(() => {
    if (htmx || installGlobal()) return;
    console.error("landline-htmx.js found no htmx. Load htmx by a script tag, or import install() and call install(htmx).");
  });
}
