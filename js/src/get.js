// One GET, body included, within a time limit. What goes wrong is a reply too: without a status, a body, or both, and
// with the reason.
//
// A page of another origin asks with its visitor's cookies. Where the server lists only "*" the browser drops the answer
// to such a request, and does not say that this was the cause. So a request that got no answer is sent once more without
// cookies, and what worked is kept; but a refusal is no success, as it may be for the lack of just these.

/** @import {Env} from "../../src/flask_landline/static/landline.js" */

/**
 * @typedef {object} Reply
 * @property {number} status 0: there was no answer
 * @property {Pick<Headers, "get">} [headers]
 * @property {any} [body] undefined if it is no JSON, or was cut
 * @property {string} why there is no body
 */

/**
 * What to try, best first; the first is what lines use. It belongs to one line of a page, and `get` shortens it.
 *
 * @param {Env} env
 * @param {string} url
 * @returns {("include" | "same-origin")[]}
 */
export const credentialsFor = ({ origin }, url) =>
  !origin || url.startsWith(`${origin}/`) ? ["same-origin"] : ["include", "same-origin"];

/**
 * @param {Env} env
 * @param {string} url
 * @param {number} timeoutMs
 * @param {AbortController} stop ends it early
 * @param {ReturnType<typeof credentialsFor>} choices
 * @returns {Promise<Reply>}
 */
export async function get(env, url, timeoutMs, stop, choices) {
  /** @type {Reply} */
  const reply = { status: 0, why: "No answer" };
  const timer = env.setTimeout(() => stop.abort(`Nothing in ${timeoutMs} ms`), timeoutMs);
  try {
    let [credentials, other] = choices;
    const ask = () => env.fetch(url, { cache: "no-store", credentials, signal: stop.signal });
    const response = await ask().catch((error) => {
      if (!other || stop.signal.aborted) throw error;
      credentials = other;
      return ask();
    });
    reply.status = response.status;
    if (credentials !== other || reply.status < 400) choices.splice(0, 2, /** @type {"include"} */ (credentials));
    reply.headers = response.headers;
    reply.body = await response.json();
  } catch (error) {
    reply.why = `${error}`;
  }
  env.clearTimeout(timer);
  return reply;
}
