// From what HTTP brought to an answer of the wire, or to an error. No I/O, no state: a stranger's page, a cut body,
// a refusal and an answer are told apart here and nowhere else.

import { LandlineError } from "./errors.js";

/** @import {LandlineEvent, Reset} from "../../src/flask_landline/static/landline.js" */
/** @import {Reply} from "./get.js" */

/**
 * @typedef {object} Answer
 * @property {LandlineEvent[] | null} [data]
 * @property {string} cursor
 * @property {{interval: number, hold?: any, transports?: any}} advice as received: it may be anything
 * @property {Reset} [reset]
 */

/**
 * @param {Reply} reply
 * @param {string | null} cursor that was asked with
 * @param {string} request for the error's words
 * @returns {Answer | LandlineError}
 */
export function readAnswer({ status, headers, body, why }, cursor, request) {
  if (status === 304) return { cursor: `${cursor}`, advice: { interval: Number(headers?.get("Landline-Interval")) } };
  if (body?.cursor && body.advice && isData(body)) return body;
  const problem = body?.code ? body : undefined;
  // Somebody else spoke.
  const hint = status && !problem ? " Is the url right, or a proxy or login page in between?" : "";
  return new LandlineError(`${request}: ${status} ${problem?.detail ?? `${why}.`}${hint} Trying again.`, {
    code: problem?.code ?? (status ? `http-${status}` : "network"),
    status,
    problem,
  });
}

/**
 * @param {Reply} reply
 * @returns {number} milliseconds; Retry-After is in seconds or a date (RFC 9110 §10.2.3)
 */
export function retryAfter({ headers }) {
  const value = headers?.get("Retry-After") ?? "";
  return Math.max(0, Number(value) * 1000 || Date.parse(value) - Date.now() || 0);
}

/**
 * The answer in plain words, for those who watch the loop.
 *
 * @param {Partial<Answer> | LandlineError} answer
 */
export function describe(answer) {
  if (answer instanceof LandlineError) return { found: `failed: ${answer.code}`, response: answer.message };
  const { length } = answer.data ?? [];
  const news = length ? `${length} new event${length > 1 ? "s" : ""}` : "nothing new";
  return { found: answer.reset ? `reset: ${answer.reset.reason}, ${news}` : news, response: answer };
}

/** @param {any} answer */
export const isData = ({ data }) => (data ?? []).every?.((/** @type {any} */ event) => event?.channel);
