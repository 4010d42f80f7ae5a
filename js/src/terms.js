// The terms on which the loop (poller.js) works: what it is set to, in what states of the page it rests, and its numbers.

/** @import {Transport} from "../../src/flask_landline/static/landline.js" */
/** @import {credentialsFor} from "./get.js" */

/**
 * @typedef {{url: string, intervalMs: number, hiddenIntervalMs: number, hiddenAfterMs: number, timeoutMs: number,
 *   proveMs: number, transports: readonly Transport[], share: boolean, credentials: ReturnType<typeof credentialsFor>}} Settings
 */

/**
 * Why nothing is asked. `hidden`: in the back/forward cache or on the way there. `background`: hidden, but there,
 * and asking more slowly; `away`: for so long that a line is not worth its while.
 *
 * @typedef {"closed" | "hidden" | "paused" | "background" | "away"} Hold
 */

// In these nothing is asked. In the first FIRM a poll under way is given up too, and they hold when poll() was called.
/** @type {("closed" | "hidden" | "paused")[]} */
export const QUIET = ["closed", "hidden", "paused"];
// In these no line is kept.
/** @type {Hold[]} */
export const LINELESS = [...QUIET, "away"];
export const FIRM = 2;
// Without a request that a browser counts among the six to one host.
/** @type {Transport[]} */
export const UNHELD = ["websocket", "poll"];
// Advice between zero and this is taken as this.
export const LEAST_MS = 125;
// So many polls in so short a time, all at one cursor and for nothing, are a loop.
export const LOOP_POLLS = 5;
export const LOOP_MS = 500;
export const LOOP_PAUSE_MS = 10000;
// Servers and proxies round: what part of the time granted a held poll has to be held.
export const HELD = 0.8;
// A page that was not heard of itself for so long has stood still: asleep, suspended, in a dialog. Phones cut what is
// open then, without a sign.
export const STILL_MS = 5000;
// How often a page looks whether it did, and gives a sign to other tabs.
export const BEAT_MS = 2000;
// Longer timers overflow 32 bits in every browser, and fire at once.
export const TIMER_MS = 2e9;
