// One GET, body included, within a time limit; cookies as by default, to the page's own origin only.
// What goes wrong is a reply too: without a status, a body, or both, and with the reason.

/** @import {Env} from "../../src/flask_landline/static/landline.js" */

/**
 * @typedef {object} Reply
 * @property {number} status 0: there was no answer
 * @property {Pick<Headers, "get">} [headers]
 * @property {any} [body] undefined if it is no JSON, or was cut
 * @property {string} why there is no body
 */

/**
 * @param {Env} env
 * @param {string} url
 * @param {number} timeoutMs
 * @param {AbortController} stop ends it early
 * @returns {Promise<Reply>}
 */
export async function get(env, url, timeoutMs, stop) {
  /** @type {Reply} */
  const reply = { status: 0, why: "No answer" };
  const timer = env.setTimeout(() => stop.abort(`Nothing in ${timeoutMs} ms`), timeoutMs);
  try {
    const response = await env.fetch(url, { cache: "no-store", signal: stop.signal });
    reply.status = response.status;
    reply.headers = response.headers;
    reply.body = await response.json();
  } catch (error) {
    reply.why = `${error}`;
  }
  env.clearTimeout(timer);
  return reply;
}
