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
 * @property {{token: string}} [grant]
 */

// Servers' limits begin at 4,094 characters for the request line (gunicorn's).
const LONG = 3500;

/**
 * @param {Reply} reply
 * @param {string} request for the error's words
 * @returns {Answer | LandlineError}
 */
export function readAnswer({ status, body, why }, request) {
  if (body?.cursor && body.advice && isData(body)) return body;
  const problem = body?.code ? body : undefined;
  // Without a problem document something else than Landline spoke.
  const isLong = status === 414 || request.length > LONG;
  const long = ` ${request.length} characters are too many. Use several lines.`;
  const hint = problem ? "" : isLong ? long : status ? " Is the url right?" : "";
  return new LandlineError(`${request.slice(0, 300)}: ${status} ${problem?.detail ?? `${why}.`}${hint} Trying again.`, {
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

/** @param {any} answer */
export const isData = ({ data }) => (data ?? []).every?.((/** @type {any} */ event) => event?.channel);
