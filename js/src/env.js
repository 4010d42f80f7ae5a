// All that the client uses of its surroundings, in one object: tests pass another.

/** @import {Env} from "../../src/flask_landline/static/landline.js" */

/**
 * @param {Partial<Env>} [given]
 * @returns {Env}
 */
export function makeEnv(given) {
  const { document, window, navigator } = globalThis;
  return {
    // Browsers refuse these with another `this`, and pages wrap fetch at any time.
    fetch: (url, init) => fetch(url, init),
    setTimeout: (callback, ms) => setTimeout(callback, ms),
    clearTimeout: (timer) => clearTimeout(timer),
    random: Math.random,
    now: () => performance.now(),
    document,
    window,
    navigator,
    ...given,
  };
}
