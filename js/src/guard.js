// Keeps the loop (poller.js) going whatever is thrown in it, by the browser or by the client's own code. Handlers of the
// app are called elsewhere (landline.js), and what they throw gets no further than there.

import { LandlineError } from "./errors.js";

/** @import {LandlineEventMap} from "../../src/flask_landline/static/landline.js" */

export class Guard {
  #tell;
  /** What was thrown in here. @type {Set<string>} */
  #faults = new Set();

  /** @param {(type: keyof LandlineEventMap, detail: unknown) => void} tell */
  constructor(tell) {
    this.#tell = tell;
  }

  /**
   * Do one turn of the loop: for a timer, an answer, a line, the page. What is thrown in it is a failure like any other,
   * reported once and tried again. The lines are dropped, as what one has brought may be lost halfway; it comes again.
   *
   * @this {Guard & {doubt: () => void}} a loop that knows how to take it that nothing gets through
   * @param {() => void} turn
   * @param {() => void} [mend] what to do after a failure instead
   */
  guard(turn, mend = () => this.doubt()) {
    try {
      turn();
    } catch (cause) {
      this.fault(cause);
      // A browser that throws even here has the page's next event, or call, as its next turn.
      try {
        mend();
      } catch {}
    }
  }

  /** @param {unknown} cause */
  fault(cause) {
    if (this.#faults.size === this.#faults.add(`${cause}`).size) return;
    this.#tell("error", new LandlineError(`The client failed: ${cause}. Trying again.`, { code: "client", cause }));
  }
}
