// The row of switches: one rung of the ladder each, the best first. It has the server cut this page's wires, and shows
// what the line makes of it. A page shares its line with other tabs, as is Landline's way, until it cuts something: as
// its cut shall neither reach the others nor be healed by them, it then reads by an address of its own.

const SETTLE_MS = 5000;
const LOOK_MS = 1000;

const get = (id) => document.getElementById(id);

export class Wires {
  #line;
  #reopen;
  /** What tabs share, by its address. @type {URL} */
  #landline;
  /** The switch for sharing, and those of the wires. */
  #shared;
  #wires = new Map();
  // Another one for each life of the page: a reload begins with all wires whole.
  #own = new URL(`wires/${Math.random().toString(36).slice(2, 8)}/`, document.baseURI);
  #isShared = true;
  /** What the server has cut. */
  #cut = [];
  /** How often each was tried since it was cut. */
  #tries = new Map();
  /** Those that ended, and are tried again. */
  #fallen = new Set();
  #offered = [];
  #followers = 0;
  #work = Promise.resolve();

  /**
   * @param {(options: {url?: URL, share?: boolean}) => boolean} reopen gives the page another line, which goes on where
   * the old one was; returns whether it is to run
   * @param {string} script where Landline's is
   */
  constructor(reopen, script) {
    this.#landline = new URL(".", new URL(script, document.baseURI));
    this.#reopen = reopen;
    for (const item of get("wires").children) {
      const rung = { item, input: item.querySelector("input"), said: item.querySelector(".said") };
      if (item.dataset.rung === "shared") this.#shared = rung;
      else this.#wires.set(item.dataset.rung, rung);
      rung.input.addEventListener("change", () => this.#change(rung));
    }
    // Browsers have locks for secure pages only; without them, each tab has a line of its own.
    if (!navigator.locks) {
      Object.assign(this.#shared.input, { disabled: true, checked: false });
      this.#shared.item.classList.add("disabled");
    }
    setInterval(() => this.#countFollowers(), LOOK_MS);
  }

  /** @param {import("landline").Landline} line */
  watch(line) {
    this.#line = line;
    line.addEventListener("status", () => this.#show());
    line.addEventListener("trace", ({ detail }) => {
      if (line === this.#line) this.#trace(detail);
    });
    this.#show();
  }

  #trace({ phase, transport, why, status, response }) {
    // What is pushed has no advice with it.
    if (phase === "answer" && status === 200) this.#offered = response.advice?.transports ?? this.#offered;
    const isTry = phase === "ask" || (phase === "climb" && why === "opened");
    if (isTry && this.#tries.has(transport)) this.#tries.set(transport, this.#tries.get(transport) + 1);
    if (phase === "fall") this.#fallen.add(transport);
    if (phase === "climb" && why === "proved") this.#fallen.delete(transport);
    this.#show();
  }

  /** A page that cuts has a line of its own, one that shares has no cut: so either switch undoes the other. */
  #change({ input }) {
    if (input !== this.#shared.input) this.#shared.input.checked &&= input.checked;
    else if (input.checked) for (const wire of this.#wires.values()) wire.input.checked = true;
    // One after the other, and each time what is wanted by then.
    this.#work = this.#work.then(() => this.#apply());
  }

  async #apply() {
    const isShared = this.#shared.input.checked;
    const cut = [...this.#wires.keys()].filter((name) => !this.#wires.get(name).input.checked);
    // What is to be cut is a line that is up, not one that the page has just let go by itself.
    if (this.#isShared && !isShared && this.#move(false) && cut.length) await this.#settle();
    const trouble = `${cut}` === `${this.#cut}` ? "" : await this.#post(cut);
    get("wires-trouble").textContent = trouble;
    if (trouble) {
      this.#shared.input.checked = this.#isShared;
      for (const [name, { input }] of this.#wires) input.checked = !this.#cut.includes(name);
    } else {
      this.#tries = new Map(cut.map((name) => [name, this.#tries.get(name) ?? 0]));
      this.#cut = cut;
      if (isShared && !this.#isShared) this.#move(true);
    }
    this.#show();
  }

  /** @param {boolean} isShared */
  #move(isShared) {
    this.#isShared = isShared;
    this.#fallen.clear();
    return this.#reopen(isShared ? {} : { url: this.#own, share: false });
  }

  #settle() {
    const line = this.#line;
    return new Promise((resolve) => {
      const look = () => line.status === "live" && resolve();
      line.addEventListener("status", look);
      setTimeout(resolve, SETTLE_MS);
      look();
    });
  }

  /** @returns {Promise<string>} what went wrong; empty: nothing */
  async #post(cut) {
    try {
      const body = new URLSearchParams(cut.map((name) => ["cut", name]));
      const { ok, status } = await fetch(new URL("cut", this.#own), { method: "POST", body });
      return ok ? "" : `The server answered ${status}, and left the wires as they were. Try again.`;
    } catch {
      return "The server cannot be reached, and the wires are as they were. Try again in a moment.";
    }
  }

  /** Of the tabs that share a line, all but one wait for its lock: see share.js of the client. */
  async #countFollowers() {
    if (!navigator.locks || document.hidden) return;
    const { pending } = await navigator.locks.query();
    this.#followers = pending.filter(({ name }) => name === `landline ${this.#landline}`).length;
    this.#show();
  }

  #show() {
    const used = this.#line.transport;
    show(this.#shared, used === "shared", this.#sharing(used === "shared"));
    for (const [name, wire] of this.#wires) show(wire, name === used, this.#state(name, name === used));
  }

  #sharing(isUsed) {
    const { input } = this.#shared;
    if (input.disabled) return "needs https";
    if (!input.checked) return "not shared";
    if (isUsed) return "another tab leads";
    if (this.#followers) return `leads ${this.#followers} other tab${this.#followers > 1 ? "s" : ""}`;
    return "no other tab";
  }

  #state(name, isUsed) {
    const tries = this.#tries.get(name);
    if (!this.#wires.get(name).input.checked) {
      if (tries === undefined) return "cutting …";
      return tries ? `cut, tried ${tries}×` : "cut";
    }
    if (isUsed) return "in use";
    if (this.#offered.length && !this.#offered.includes(name)) return "not offered";
    return this.#fallen.has(name) ? "tried again soon" : "ready";
  }
}

function show({ item, input, said }, isUsed, words) {
  if (isUsed) item.setAttribute("aria-current", "true");
  else item.removeAttribute("aria-current");
  item.dataset.state = !input.checked ? "cut" : isUsed ? "used" : "whole";
  said.textContent = words;
}
