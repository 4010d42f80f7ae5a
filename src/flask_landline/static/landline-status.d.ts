import type { Landline } from "./landline.js";

/** `<landline-status>`: says in a word whether the page is told at once, has to ask, or gets through to nobody. */
export class LandlineStatus extends HTMLElement {
  /** The line it tells of; null until it is given one, and nothing is shown until then. */
  line: Landline<any> | null;
}

declare global {
  interface HTMLElementTagNameMap {
    "landline-status": LandlineStatus;
  }
}
