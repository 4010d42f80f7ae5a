// A page that is loaded anew when it was told a reset, and never in a loop. What was rendered on the server is right
// again by loading it, unless a cache (the browser's, a CDN's, a service worker's) gives back what was there before, with
// its old position: the reset comes again, and so would the reload, as fast as it can, in every visitor's browser.
//
// So a tab keeps in sessionStorage when it loaded anew last, and for which positions. What cannot be kept there is known
// by how this very page was loaded, which is good for one reload.

import { LandlineError } from "./errors.js";

/** @import {Env} from "../../src/flask_landline/static/landline.js" */

// A log that was replaced is told to all pages at once; they do not come back at once.
const JITTER_MS = 5000;
const LEAST_MS = 10000;
// Rendered while the log could not be read, a page has a reset coming each time, and its server is not well.
const LEAST_LOST_MS = 60000;
// A CDN may have as many copies of a page as it has places.
const KEPT = 9;

/**
 * @param {Env} env
 * @param {string} prefix
 * @param {string | null} start the position that the page was rendered with; "" if it was lost
 * @param {AbortSignal} closed
 * @param {(error: LandlineError) => void} tell
 * @returns {() => void} plans one reload
 */
export function makeReload(env, prefix, start, closed, tell) {
  const key = `${prefix} reloads`;

  /** @returns {number | undefined} how long to wait yet; undefined: for ever */
  function decide() {
    const now = env.Date.now();
    try {
      // In here, as it is the look at it that throws where storage is forbidden.
      const { sessionStorage } = env;
      const [at, ...positions] = (sessionStorage?.getItem(key) ?? "").split(",");
      // "start" and "now" are no positions: a page may come with them again and again.
      if (start?.includes("-") && positions.includes(start)) return;
      // By the size of the difference: a clock that was set back would stop it for as long.
      const waitMs = (start === "" ? LEAST_LOST_MS : LEAST_MS) - Math.abs(now - Number(at));
      if (waitMs <= 0) /** @type {Storage} */ (sessionStorage).setItem(key, `${[now, start, ...positions].filter(Boolean).slice(0, KEPT)}`);
      return waitMs;
    } catch {
      // 1: reloaded.
      return env.performance.navigation?.type === 1 ? undefined : 0;
    }
  }

  /** @param {number} ms */
  function later(ms) {
    env.setTimeout(() => {
      if (closed.aborted) return;
      const waitMs = decide();
      if (waitMs === undefined) {
        const message = `Reset at ${start} again after a reload: a cache has the page. Send it with "Cache-Control: no-store".`;
        tell(new LandlineError(message, { code: "stale" }));
      } else if (waitMs > 0) later(waitMs);
      else env.location?.reload?.();
    }, ms);
  }

  return () => later(env.Math.random() * JITTER_MS);
}
