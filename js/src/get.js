// One GET, body included, within a time limit; cookies as by default, to the page's own origin only. What goes wrong below HTTP is a reply too, with status 0.

/** @import {Env} from "../../src/flask_landline/static/landline.js" */
/** @import {Reply} from "./answer.js" */

/**
 * @param {Env} env
 * @param {string} url
 * @param {number} timeoutMs
 * @param {AbortController} stop ends it early
 * @returns {Promise<Reply>}
 */
export async function get(env, url, timeoutMs, stop) {
  /** @type {unknown} */
  let why;
  const timer = env.setTimeout(() => {
    why = `nothing within ${timeoutMs} ms`;
    stop.abort();
  }, timeoutMs);
  try {
    const response = await env.fetch(url, {
      headers: { Accept: "application/json" },
      cache: "no-store",
      signal: stop.signal,
    });
    return { status: response.status, headers: response.headers, text: await response.text() };
  } catch (error) {
    return { status: 0, headers: new Headers(), text: `${why ?? error}` };
  } finally {
    env.clearTimeout(timer);
  }
}
