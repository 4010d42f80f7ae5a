// One class for all that can go wrong, so that a page has one thing to show. The message says what, why, and what next.

/** @import {LandlineError as Public} from "../../src/flask_landline/static/landline.js" */

export class LandlineError extends Error {
  /** @override */
  name = "LandlineError";
  code = "";
  status = 0;
  /** @type {Public["problem"]} */
  problem;

  /**
   * @param {string} message
   * @param {{code: string, status?: number, problem?: any, cause?: unknown}} more
   */
  constructor(message, more) {
    super(message);
    Object.assign(this, more);
  }
}
