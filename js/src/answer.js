// From what HTTP brought to an answer of the wire, or to an error. No I/O, no state: a stranger's page, a cut body,
// a refusal and an answer are told apart here and nowhere else.

import { LandlineError } from "./errors.js";

/** @import {LandlineEvent, Reset} from "../../src/flask_landline/static/landline.js" */

/**
 * @typedef {object} Reply What one GET brought.
 * @property {number} status 0: nothing; `text` then says why
 * @property {string} text
 * @property {{get(name: string): string | null}} headers
 */

/**
 * @typedef {object} Answer
 * @property {LandlineEvent[]} data
 * @property {string | null} cursor
 * @property {Reset | undefined} reset
 * @property {number | undefined} intervalMs as advised, if it was; 0: more is waiting
 * @property {unknown} body as received
 */

/**
 * @param {Reply} reply
 * @param {string | null} cursor that was asked with
 * @param {string} request for the error's words
 * @returns {Answer | LandlineError}
 */
export function readAnswer({ status, text, headers }, cursor, request) {
  const body = status === 304 ? { cursor, advice: { interval: headers.get("Landline-Interval") } } : parse(text);
  const data = body?.data ?? [];
  if (typeof body?.cursor === "string" && body.advice instanceof Object && data.every?.(isEvent)) {
    return { ...body, data, intervalMs: milliseconds(body.advice.interval), body };
  }
  const problem = body?.code ? body : undefined;
  // A page where an answer should be: somebody else spoke.
  const hint = !problem && status >= 200 && status < 500 ? " Is the url right, or a proxy or login page in between?" : "";
  return new LandlineError(`${request}: ${status} ${problem?.detail ?? text.slice(0, 60)}${hint} Trying again.`, {
    code: problem?.code ?? (status ? `http-${status}` : "network"),
    status,
    retryable: status < 400 || status >= 500 || status === 429,
    retryAfterMs: retryAfter(headers.get("Retry-After")),
    problem,
  });
}

/**
 * The answer in plain words, for those who watch the loop.
 *
 * @param {Answer | LandlineError} answer
 */
export function describe(answer) {
  if (answer instanceof LandlineError) {
    return { found: `failed: ${answer.code}`, response: answer.message };
  }
  const { data, reset, body } = answer;
  const news = data[0] ? `${data.length} new event${data[1] ? "s" : ""}` : "nothing new";
  return { found: reset ? `reset: ${reset.reason}, ${news}` : news, response: body };
}

/** @param {any} event */
const isEvent = (event) => event?.channel;

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {}
}

/**
 * @param {unknown} seconds
 * @returns {number | undefined} undefined if that is no duration
 */
function milliseconds(seconds) {
  // Number(null) is 0, which would mean "at once".
  const ms = Number(seconds ?? NaN) * 1000;
  return ms >= 0 ? ms : undefined;
}

/**
 * @param {string | null} value seconds or a date (RFC 9110 §10.2.3)
 * @returns {number} milliseconds
 */
function retryAfter(value) {
  return Math.max(0, (milliseconds(value) ?? Date.parse(`${value}`) - Date.now()) || 0);
}
