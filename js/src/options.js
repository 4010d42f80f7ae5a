// What a page may ask for. A slip of the pen shall not make a line that does something else than was meant, so unknown
// names and values are refused: with the value, and what there is instead.

/** @import {Env, LandlineOptions, Transport} from "../../src/flask_landline/static/landline.js" */

/** @typedef {Required<LandlineOptions> & {url: string, transports: readonly Transport[]}} Options */

/** An option has the type of its default; `cursor` is text. @type {Record<string, any>} */
const DEFAULTS = {
  // By hand, as a script from a Blob has an address that nothing is relative to.
  url: import.meta.url.replace(/[^/]*(\?.*)?$/, ""),
  cursor: null,
  channels: [],
  intervalMs: 0,
  hiddenIntervalMs: 60000,
  hiddenAfterMs: 30000,
  timeoutMs: 30000,
  proveMs: 3000,
  transports: ["websocket", "sse", "long-poll", "poll"],
  share: true,
  remember: false,
  env: globalThis,
};
// Without these there is no loop. All else in `Env` may be absent.
/** @type {(keyof Env)[]} */
const NEEDED = ["fetch", "setTimeout", "clearTimeout", "Math", "performance", "Date"];

/** @param {unknown} value */
const kindOf = (value) => (Array.isArray(value) ? "list" : typeof value);

/**
 * @param {LandlineOptions} options
 * @returns {Options}
 * @throws {TypeError} for an unknown option, or a value that makes no sense
 */
export function readOptions(options) {
  // Text has entries too: its characters.
  if (typeof options !== "object") checked(`${options}`, null);
  const read = { ...DEFAULTS };
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) read[name] = checked(name, value instanceof URL ? value.href : value);
  }
  const missing = NEEDED.filter((name) => !read.env[name]);
  if (missing[0]) throw new TypeError(`env has no ${missing}.`);
  return /** @type {Options} */ (read);
}

/**
 * @template {any} Value
 * @param {string} name
 * @param {Value} value
 * @returns {Value} the same
 * @throws {TypeError}
 */
export function checked(name, value) {
  if (!(name in DEFAULTS)) throw new TypeError(`"${name}" is no option. There are ${Object.keys(DEFAULTS)}.`);
  const usual = DEFAULTS[name];
  const kind = kindOf(usual ?? "");
  const given = /** @type {any} */ (value);
  const fits =
    kindOf(value) === kind &&
    // A time that is none would have the page ask without a pause.
    (kind !== "number" || (given >= 0 && given < Infinity)) &&
    (name !== "transports" || given.every((/** @type {any} */ one) => usual.includes(one)));
  if (value === usual || fits) return value;
  const what = kind === "number" ? "time in ms, from 0 on" : name === "transports" ? `list of ${usual}` : kind;
  throw new TypeError(`${name}: "${value}" is no ${what}.`);
}

/**
 * Where Landline is. Without user and password, which a page's own address may have: `fetch` takes no such address, and
 * they belong into no message. The browser sends them by itself.
 *
 * @param {string} url
 * @param {string | undefined} base
 * @returns {string} absolute, with a slash at its end
 * @throws {TypeError}
 */
export function resolve(url, base) {
  try {
    const address = new URL(url.replace(/\/*$/, "/"), base);
    address.username = address.password = "";
    return address.href;
  } catch {
    // Not in the browser's words: they may have the base, password and all.
    throw new TypeError(`url: "${url.replace(/\/\/.*@/, "//")}" is no address. Begin it with "https://" or "/".`);
  }
}
