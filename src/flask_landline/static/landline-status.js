// <landline-status>: says in a word whether the page is told at once, has to ask, or gets through to nobody.
//
//   <landline-status live="live" polling="every few seconds" offline="no connection"></landline-status>
//   document.querySelector("landline-status").line = line;
//
// Its words are attributes, its colours the variables --landline-live, -polling, -offline and -closed, and its parts
// `mark` and `word`. The attribute `status` is its own doing, for your style sheet to look at.

/** @import {Landline, Status} from "./landline.js" */

// What is over in less is no news: a line that is replaced, a request that fails once. And a screen reader says each.
const LASTING_MS = 1000;

/** @type {Status[]} */
const STATUSES = ["live", "polling", "offline", "closed"];

// Not by colour alone: a full mark, a ring, a bar, a square. Nothing moves, so there is nothing to reduce.
const sheet = new CSSStyleSheet();
sheet.replaceSync(`
  :host { display: inline-flex; align-items: center; gap: 0.45em; --mark: var(--landline-polling, light-dark(#8a5a00, #e3ae4a)); }
  :host([hidden]), :host(:not([status])) { display: none; }
  :host([status="live"]) { --mark: var(--landline-live, light-dark(#12703f, #5fd395)); }
  :host([status="offline"]) { --mark: var(--landline-offline, light-dark(#b3261e, #ff8a80)); }
  :host([status="closed"]) { --mark: var(--landline-closed, light-dark(#5f6368, #b5b9be)); }
  [part="word"] { align-self: baseline; }
  [part="mark"] { flex: none; box-sizing: border-box; width: 0.64em; height: 0.64em; border: 0.14em solid var(--mark); border-radius: 50%; }
  :host([status="live"]) [part="mark"] { width: 0; height: 0; border-width: 0.32em; }
  :host([status="offline"]) [part="mark"] { height: 0; border-width: 0.08em; border-radius: 0; }
  :host([status="closed"]) [part="mark"] { width: 0.56em; height: 0.56em; border-width: 0.1em; border-radius: 0; }
`);

export class LandlineStatus extends HTMLElement {
  static observedAttributes = STATUSES;

  #word = document.createElement("span");
  /** @type {Landline | null} */
  #line = null;
  /** @type {Status | undefined} what will be shown if it lasts */
  #next;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #look = () => this.#notice();

  constructor() {
    super();
    const mark = document.createElement("span");
    mark.setAttribute("part", "mark");
    this.#word.setAttribute("part", "word");
    this.#word.role = "status";
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    root.append(mark, this.#word);
  }

  /** The line it tells of. A reference that is set anew begins anew. */
  get line() {
    return this.#line;
  }

  set line(line) {
    this.#stop();
    this.#line = line;
    this.removeAttribute("status");
    if (this.isConnected) this.#start();
  }

  connectedCallback() {
    // Set before this script was there, the property is the object's own, and hides ours.
    if (Object.hasOwn(this, "line")) {
      const { line } = this;
      Reflect.deleteProperty(this, "line");
      this.line = line;
    } else this.#start();
  }

  disconnectedCallback() {
    this.#stop();
  }

  attributeChangedCallback() {
    this.#write();
  }

  #start() {
    this.#line?.addEventListener("status", this.#look);
    // The first is shown at once, and what has changed in a removed element's absence.
    this.#show(this.#line?.status);
  }

  #stop() {
    this.#line?.removeEventListener("status", this.#look);
    clearTimeout(this.#timer);
    this.#next = undefined;
  }

  #notice() {
    const status = this.#line?.status;
    if (status === this.#next) return;
    clearTimeout(this.#timer);
    this.#next = status;
    if (status !== this.getAttribute("status")) this.#timer = setTimeout(() => this.#show(status), LASTING_MS);
  }

  /** @param {Status | undefined} status */
  #show(status) {
    if (!status) return;
    this.#next = status;
    this.setAttribute("status", status);
    this.#write();
  }

  #write() {
    const status = this.getAttribute("status");
    this.#word.textContent = status && (this.getAttribute(status) ?? status);
  }
}

customElements.define("landline-status", LandlineStatus);
