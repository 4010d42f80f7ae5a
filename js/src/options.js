// What a page may pass, checked at once: a wrong option would otherwise show as a feed that stays silent.

/** @import {LandlineOptions} from "../../src/flask_landline/static/landline.js" */

/** @param {LandlineOptions} options */
export function readOptions({
  url = new URL(".", import.meta.url),
  cursor = null,
  channels = [],
  intervalMs = 0,
  hiddenIntervalMs = 60000,
  timeoutMs = 30000,
  env,
  ...others
}) {
  for (const name in others) check(false, name, "no option", "see landline.d.ts");
  check(url instanceof URL || typeof url === "string", "url", url, "pass the prefix");
  check(cursor === null || (cursor && typeof cursor === "string"), "cursor", cursor, "pass landline_cursor()");
  check(Array.isArray(channels), "channels", channels, "pass an array");
  const settings = { intervalMs, hiddenIntervalMs, timeoutMs };
  for (const [name, ms] of Object.entries(settings)) checkMs(name, ms);
  return { url: `${url}`.replace(/\/*$/, "/"), cursor, channels, ...settings };
}

/**
 * @param {string} name
 * @param {number} ms
 */
export function checkMs(name, ms) {
  check(ms >= 0 && ms < Infinity, name, ms, "pass milliseconds");
}

/**
 * @param {unknown} right
 * @param {string} name
 * @param {unknown} value
 * @param {string} remedy
 * @returns {asserts right}
 */
export function check(right, name, value, remedy) {
  if (!right) throw new TypeError(`${name} is "${value}"; ${remedy}.`);
}
