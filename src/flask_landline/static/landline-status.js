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

// Not by colour alone: a full mark, a ring, a bar, a square. Nothing moves, so there is nothing to reduce. The first
// colours suit light and dark pages alike, for browsers without light-dark() (Safari before 17.5).
const CSS = `
  :host { --_live: #1f8a52; --_polling: #a46c00; --_offline: #d9473c; --_closed: #7d8288; }
  @supports (color: light-dark(#000, #fff)) {
    :host { --_live: light-dark(#12703f, #5fd395); --_polling: light-dark(#8a5a00, #e3ae4a); --_offline: light-dark(#b3261e, #ff8a80); --_closed: light-dark(#5f6368, #b5b9be); }
  }
  :host { display: inline-flex; align-items: center; gap: 0.45em; --mark: var(--landline-polling, var(--_polling)); }
  :host([hidden]), :host(:not([status])) { display: none; }
  :host([status="live"]) { --mark: var(--landline-live, var(--_live)); }
  :host([status="offline"]) { --mark: var(--landline-offline, var(--_offline)); }
  :host([status="closed"]) { --mark: var(--landline-closed, var(--_closed)); }
  [part="word"] { align-self: baseline; }
  [part="mark"] { flex: none; box-sizing: border-box; width: 0.64em; height: 0.64em; border: 0.14em solid var(--mark); border-radius: 50%; }
  :host([status="live"]) [part="mark"] { width: 0; height: 0; border-width: 0.32em; }
  :host([status="offline"]) [part="mark"] { height: 0; border-width: 0.08em; border-radius: 0; }
  :host([status="closed"]) [part="mark"] { width: 0.56em; height: 0.56em; border-width: 0.1em; border-radius: 0; }
`;

/** @type {CSSStyleSheet | undefined} shared by all elements */
let sheet;

/**
 * Style a shadow root: by a sheet that no Content-Security-Policy forbids, where there is such a thing, and else (Safari
 * before 16.4) by an element. A policy may take that out; the word is there all the same.
 *
 * @param {ShadowRoot} root
 */
function style(root) {
  try {
    if (!sheet) (sheet = new CSSStyleSheet()).replaceSync(CSS);
    root.adoptedStyleSheets = [sheet];
  } catch {
    const element = document.createElement("style");
    element.textContent = CSS;
    root.append(element);
  }
}

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
    // Not the property: Firefox before 119 has none.
    this.#word.setAttribute("role", "status");
    const root = this.attachShadow({ mode: "open" });
    style(root);
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
    if (Object.prototype.hasOwnProperty.call(this, "line")) {
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
