/**
 * The browser client of Landline: live updates that always get through.
 *
 * ```js
 * import { Landline } from "/landline/landline.js";
 * const line = new Landline({ cursor });
 * const off = line.on("orders", (order, event) => addRow(order));
 * ```
 */

/** One published thing, as the server sent it. */
export interface LandlineEvent<Data = unknown> {
  channel: string;
  /** Position in the log; grows strictly, across all channels. */
  offset: number;
  /** When the log took it, Unix seconds; absent in what an event stream (`"sse"`) brought. */
  at?: number;
  data: Data;
  /** True if `data` stands for the channel's whole state rather than for one change. */
  snapshot?: boolean;
}

/**
 * `"live"`: pushed. `"polling"`: asked for. `"offline"`: nothing gets through at the moment. `"closed"`: nothing comes,
 * because the line is closed, paused or without channels, or the server refuses it (it is asked again, ever more slowly).
 */
export type Status = "live" | "polling" | "offline" | "closed";

/**
 * A rung of the ladder, best first: another tab's line, two that push, a poll that the server holds, and polls that
 * it does not hold. A server offers all but the first.
 */
export type Transport = "shared" | "websocket" | "sse" | "long-poll" | "poll";

export interface LandlineOptions {
  /** The prefix Landline is served under. Default: the folder this file was loaded from. */
  url?: string | URL;
  /**
   * The position of the page when it was rendered, from `landline_cursor()`. Channels known before the first
   * poll are then read from there, without a snapshot: the page has their state already. `""` is what a page gets that
   * was rendered while the log could not be read: the first answer is then a reset. `"start"` reads all that is kept.
   */
  cursor?: string | null;
  /** Channels to read from the start, at most 100, even before they have a handler; events nobody handles are dropped. */
  channels?: readonly string[];
  /** How often this page wishes to ask. The server's advice is a lower bound. Default: the advice. */
  intervalMs?: number;
  /** How often to ask while the page is hidden, if that is less often. Default: 60000. */
  hiddenIntervalMs?: number;
  /** After how long in a hidden page a line is closed. Default: 30000. */
  hiddenAfterMs?: number;
  /** How long one poll may take, body included; one that the server holds, so much longer. Default: 30000. */
  timeoutMs?: number;
  /** How long a new line has to prove itself, while polling goes on. Default: 3000. */
  proveMs?: number;
  /**
   * What the page is willing to use, of what the server offers: `["poll"]` keeps to short polls. Default: all.
   * A page that leaves any out has a line of its own: other tabs shall not get what it has chosen.
   */
  transports?: readonly Exclude<Transport, "shared">[];
  /**
   * Whether tabs of one origin and `url` share one line: one of them has it, the others get from it what they read.
   * Needs the browser's Web Locks and `BroadcastChannel`, so a secure page; elsewhere each tab has its own. Default: true.
   */
  share?: boolean;
  /**
   * Whether a reload or the next page of the same tab goes on from this one's position, kept in `sessionStorage`. It
   * then gets the events in between, and no snapshot. `cursor` wins over it, also an empty one. Default: false.
   */
  remember?: boolean;
  /** Stands in for the browser, for tests and for places that are none. Default: `globalThis`. */
  env?: Env;
}

/** What the client uses of its surroundings: the first five always, the others where they are. */
export interface Env {
  fetch(url: string, init: RequestInit): Promise<Pick<Response, "status" | "json"> & { headers: Pick<Headers, "get"> }>;
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(timer: any): void;
  Math: Pick<Math, "random">;
  performance: Pick<Performance, "now"> & { readonly navigation?: { readonly type: number } };
  /** It goes on while the machine sleeps, which `performance` may not. */
  Date: Pick<DateConstructor, "now">;
  /** The page's own; requests to another one carry cookies only if it is given. */
  origin?: string;
  /** Absent outside of pages, as are `window` and `navigator`. */
  document?: { readonly visibilityState: string; readonly baseURI?: string };
  location?: { readonly href: string; reload?(): void };
  /** Where absent, that rung is left out. */
  WebSocket?: new (url: string, protocol: string) => {
    onmessage: ((message: any) => void) | null;
    onclose: ((close: any) => void) | null;
    close(): void;
  };
  EventSource?: new (url: string, options: { withCredentials: boolean }) => { addEventListener(type: string, listener: (block: any) => void): void; close(): void };
  /** Where it or `navigator.locks` is absent, nothing is shared between tabs; without locks it counts a page's windows. */
  BroadcastChannel?: new (name: string) => {
    onmessage: ((message: any) => void) | null;
    postMessage(message: unknown): void;
    close(): void;
  };
  sessionStorage?: Pick<Storage, "getItem" | "setItem">;
  window?: EventTarget;
  navigator?: {
    readonly onLine: boolean;
    readonly locks?: {
      request(
        name: string,
        options: { ifAvailable?: boolean; signal?: AbortSignal },
        callback: (lock: unknown) => unknown,
      ): Promise<unknown>;
    };
  };
}

/** What went wrong, why, and what comes next is in `message`. */
export class LandlineError extends Error {
  /**
   * A refusal's code: `"bad-request"`, `"bad-cursor"`, `"too-many-channels"`, `"not-allowed"`, `"unknown-channel"`,
   * `"method"`, `"slow-down"` (too many polls), `"busy"` (no room), `"app-failed"` or `"log-unavailable"`. Or one of the
   * client's own: `"network"` (no answer), `"http-<status>"` (an answer that is not Landline's; also with 200),
   * `"handler"`, `"client"` (the client itself or the browser has thrown), `"loop"` (five polls within half a second at
   * one cursor, for nothing; the client pauses for ten seconds), `"stale"` (`reloadOnReset()` was given an old page again).
   */
  readonly code: string;
  /** The HTTP status; 0 if there was no answer. */
  readonly status: number;
  /** The server's `application/problem+json` body, if it sent one. */
  readonly problem?: { title?: string; detail?: string; channels?: string[]; [field: string]: unknown };
}

/** The server's word that it cannot prove nothing was missed. */
export interface Reset {
  channels: string[];
  /** `"trimmed"`: events were dropped meanwhile. `"epoch"`: another life of the log. `"ahead"`: the log is shorter than the cursor. `"unknown"`: the cursor was empty. */
  reason: string;
}

/** Why the client waits. `"more"`: it does not, there is more to ask for. `"live"`: it is told without asking. `"hidden"`: until the page is back. `"closed"`: for ever. */
export type Why = "interval" | "more" | "live" | "retry" | "hidden" | "paused" | "closed";

/**
 * One phase of one step of the loop. A step is one poll and goes `ask → answer → act → wait`; its number, from 1,
 * is in all four. `wait` is told again, with the same number, when the wait may have changed (the page was hidden, paused, …).
 * A step cut short by `close()`, by leaving the page, by going offline or by a line that takes over has no `answer` and no `act`.
 * What is pushed is a step without `ask`, and its `answer` has status 200 and took 0 ms; if it comes while a poll is under
 * way, the rest of that poll has its number too.
 * `climb` and `fall` come in between: a line was opened, proved itself, or ended.
 */
export type TraceDetail =
  | { step: number; phase: "ask"; transport: Transport; /** Method and address. */ request: string }
  | {
      step: number;
      phase: "answer";
      transport: Transport;
      /** The HTTP status; 0 if there was no answer. */
      status: number;
      /** The body of the answer; a `LandlineError` if it failed. */
      response: any;
      /** How long the poll took. */
      ms: number;
    }
  | {
      step: number;
      phase: "act";
      transport: Transport;
      /** `"no change"` also if all events were seen already. */
      action: "updated" | "no change" | "reset" | "failed";
    }
  | { step: number; phase: "wait"; transport: Transport; /** null: until that is over. */ waitMs: number | null; why: Why }
  | { step: number; phase: "climb"; transport: Transport; /** Of a line that was opened, and that got through. */ why: string }
  | {
      step: number;
      phase: "fall";
      transport: Transport;
      /** `"no hello"`, `"silence"`, `"goodbye"`, `"withdrawn"` by the server, `"dropped"` by the page, `"closed: 1006"`, … */
      why: string;
    };

export interface LandlineEventMap {
  status: CustomEvent<{ status: Status; transport: Transport }>;
  reset: CustomEvent<Reset>;
  error: CustomEvent<LandlineError>;
  trace: CustomEvent<TraceDetail>;
}

/** Gets an event's `data`, and the event. May be async; what it throws is reported as an `error` event. */
export type Handler<Data = any> = (data: Data, event: LandlineEvent<Data>) => unknown;

type Listener<Type extends keyof LandlineEventMap> =
  | ((this: Landline, event: LandlineEventMap[Type]) => unknown)
  | { handleEvent(event: LandlineEventMap[Type]): unknown }
  | null;

/**
 * A line to the server. It begins to ask by itself as soon as there is a channel, climbs to the best
 * transport that gets through, and never gives up.
 *
 * `new Landline<{ orders: Order; [room: `room/${number}`]: Message }>()` knows its channels and what they bring;
 * without a map, `on` takes any channel, and the type of its data as `on<Order>("orders", …)`.
 *
 * Events: `status` (it or the transport changed), `reset` (the server cannot prove that nothing was missed; what it still has follows),
 * `error` (once per distinct problem; on the console too, so that none goes unseen), `trace` (each phase of each step).
 */
export class Landline<Channels extends object = {}> extends EventTarget {
  /** Throws a TypeError for an option that there is not, and for a value that makes no sense; it names the value and what there is. */
  constructor(options?: LandlineOptions);

  /**
   * Call `handler` once for each event of the channel, in order; several handlers in the order of registration.
   * A channel new to the line is read from now on, and starts with its snapshot if it has one. With `cursor` in the
   * options, channels put on before the first poll are read from there instead, without one.
   *
   * In order they are *called*. What a handler returns is not waited for: an `async` one that has to be done with an event
   * before the next one begins has to see to it itself.
   *
   * Throws a TypeError if there is no name or no handler, and a LandlineError for the 101st channel of a line.
   *
   * @returns A function that takes the handler off again.
   */
  on<Name extends keyof Channels & string>(channel: Name, handler: Handler<Channels[Name]>): () => void;
  on<Data = any>(channel: [keyof Channels] extends [never] ? string : never, handler: Handler<Data>): () => void;

  /** `"live"` while a line is up, this tab's or the one it shares; `"offline"` when the last poll failed or the browser says that it has no network; `"closed"` when nothing is asked or all is refused; else `"polling"`. */
  readonly status: Status;

  /** What brings the events now; `"shared"` if it is another tab's line, whatever that one has. */
  readonly transport: Transport;

  /** What the page is willing to use; may be changed at any time, by setting another list. */
  transports: readonly Exclude<Transport, "shared">[];

  /** The position up to which everything was read; null while nothing was. Opaque: keep it, pass it on, never take it apart. */
  readonly cursor: string | null;

  /** The page's wish; may be changed at any time. 0: no wish. */
  intervalMs: number;

  /** Close the line and ask no more until `resume()`. The answer to a short poll under way is still delivered. */
  pause(): void;

  /** Go on, and ask at once. */
  resume(): void;

  /** Ask now with one short poll, without regard to any wait, also while a line is up. While paused: exactly once. While a poll is under way: once more after it. */
  poll(): void;

  /**
   * Load the page anew after a `reset`: after the handlers of `reset`, and some seconds later, at random. For pages whose state
   * was rendered on the server. Never in a loop: not again for the same `cursor`, at most once in ten seconds, and
   * once a minute where `cursor` is empty. Throws a TypeError outside of pages.
   */
  reloadOnReset(): void;

  /** Stop for good. No handler is called from here on. */
  close(): void;

  addEventListener<Type extends keyof LandlineEventMap>(
    type: Type,
    listener: Listener<Type>,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<Type extends keyof LandlineEventMap>(
    type: Type,
    listener: Listener<Type>,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
}
