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
  /** When the log took it, Unix seconds. */
  at: number;
  data: Data;
  /** True if `data` stands for the channel's whole state rather than for one change. */
  snapshot?: boolean;
}

/** `"live"`: pushed. `"polling"`: asked for. `"offline"`: nothing gets through at the moment. */
export type Status = "live" | "polling" | "offline";

export interface LandlineOptions {
  /** The prefix Landline is served under. Default: the folder this file was loaded from. */
  url?: string | URL;
  /**
   * The position of the page when it was rendered, from `landline_cursor()`. Channels known before the first
   * poll are then read from there, without a snapshot: the page has their state already.
   */
  cursor?: string | null;
  /** Channels to read from the start, even before they have a handler; events nobody handles are dropped. */
  channels?: readonly string[];
  /** How often this page wishes to ask. The server's advice is a lower bound. Default: the advice. */
  intervalMs?: number;
  /** How often to ask while the page is hidden, if that is less often. Default: 60000. */
  hiddenIntervalMs?: number;
  /** How long one poll may take, body included. Default: 30000. */
  timeoutMs?: number;
  /** Stands in for the browser, for tests and for places that are none. Default: `globalThis`. */
  env?: Env;
}

/** What the client uses of its surroundings. */
export interface Env {
  fetch(url: string, init: RequestInit): Promise<Pick<Response, "status" | "json"> & { headers: Pick<Headers, "get"> }>;
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(timer: any): void;
  Math: Pick<Math, "random">;
  performance: Pick<Performance, "now">;
  /** Absent outside of pages, as are `window` and `navigator`. */
  document?: { readonly visibilityState: string };
  window?: EventTarget;
  navigator?: { readonly onLine: boolean };
}

/** What went wrong, why, and what comes next is in `message`. */
export class LandlineError extends Error {
  /**
   * A refusal's code (`"not-allowed"`, `"bad-cursor"`, …), or one of the client's own: `"network"` (no answer),
   * `"http-<status>"` (an answer that is not Landline's; also with 200), `"handler"`.
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
  /** `"trimmed"`: events were dropped meanwhile. `"epoch"`: another life of the log. `"ahead"`: the log is shorter than the cursor. */
  reason: string;
}

/** Why the client waits. `"more"`: it does not, there is more to ask for. `"hidden"`: until the page is back. `"closed"`: for ever. */
export type Why = "interval" | "more" | "retry" | "hidden" | "paused" | "offline" | "closed";

/**
 * One phase of one step of the loop. A step is one poll and goes `ask → answer → act → wait`; its number, from 1,
 * is in all four. `wait` is told again, with the same number, when the wait may have changed (the page was hidden, paused, …).
 * A step cut short by `close()`, by leaving the page or by going offline has no `answer` and no `act`.
 */
export type TraceDetail =
  | { step: number; phase: "ask"; /** Method and address. */ request: string }
  | {
      step: number;
      phase: "answer";
      /** The HTTP status; 0 if there was no answer. */
      status: number;
      /** What the server found, in plain words: `"2 new events"`, `"nothing new"`, `"reset: trimmed, 1 new event"`, `"failed: busy"`. */
      found: string;
      /** The body of the answer, or the error's message. */
      response: unknown;
      /** How long the poll took. */
      ms: number;
    }
  | {
      step: number;
      phase: "act";
      /** `"no change"` also if all events were seen already. */
      action: "updated" | "no change" | "reset" | "failed";
    }
  | { step: number; phase: "wait"; /** null: until that is over. */ waitMs: number | null; why: Why };

export interface LandlineEventMap {
  status: CustomEvent<{ status: Status }>;
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
 * A line to the server. It begins to ask by itself as soon as there is a channel, and never gives up.
 *
 * Events: `status` (it changed), `reset` (the server cannot prove that nothing was missed; what it still has follows),
 * `error` (once per distinct problem; on the console too, so that none goes unseen), `trace` (each phase of each step).
 */
export class Landline extends EventTarget {
  /** Throws a TypeError if a duration makes no sense. */
  constructor(options?: LandlineOptions);

  /**
   * Call `handler` once for each event of the channel, in order; several handlers in the order of registration.
   * A channel new to the line is read from now on, and starts with its snapshot if it has one. With `cursor` in the
   * options, channels put on before the first poll are read from there instead, without one.
   *
   * @returns A function that takes the handler off again.
   */
  on<Data = any>(channel: string, handler: Handler<Data>): () => void;

  /** `"polling"` until shown otherwise; `"offline"` when the last poll failed or the browser has no network. */
  readonly status: Status;

  /** The position up to which everything was read; null while nothing was. Opaque: keep it, pass it on, never take it apart. */
  readonly cursor: string | null;

  /** The page's wish; may be changed at any time. 0: no wish. */
  intervalMs: number;

  /** Ask no more until `resume()`. An answer under way is still delivered. */
  pause(): void;

  /** Go on, and ask at once. */
  resume(): void;

  /** Ask now, without regard to any wait. While paused: exactly once. While a poll is under way: once more after it. */
  poll(): void;

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
