// The panel "What is happening": the line's own trace, told three ways. It only listens and never takes part.

import { Flow } from "./flow.js";

const ROWS = 10;
const LISTED = 4;
const WHYS = {
  interval: (seconds) => `for ${seconds} s`,
  more: () => "not at all: more is there",
  retry: (seconds) => `tries again in ${seconds} s`,
  hidden: (seconds) => (seconds ? `${seconds} s, while hidden` : "while hidden"),
  paused: () => "until you go on",
  offline: () => "for the network",
};

const get = (id) => document.getElementById(id);

export class Happening {
  #line;
  #flow = new Flow(get("flow"));
  #steps = get("steps");
  #row;
  /** The number of the newest row. */
  #step = 0;
  #answer;
  /** What the page's handlers did since the last answer. */
  #done = [];
  #lastChange = 0;

  /** The line that is up, if it is one that pushes. */
  #pushing = "";

  /** @param {import("landline").Landline} line instead of the one before, if there was one */
  watch(line) {
    this.#line = line;
    // Each line counts its steps from 1.
    const before = this.#step;
    line.addEventListener("trace", ({ detail }) => {
      if (line === this.#line) this[detail.phase]({ ...detail, step: before + detail.step });
    });
    line.addEventListener("error", ({ detail }) => (get("fault").textContent = detail.message));
  }

  /** How fast the picture plays; null: somebody steps by hand. */
  set intervalMs(ms) {
    this.#flow.intervalMs = ms;
  }

  /** @param {string} what a handler did to the page, in a word or two */
  note(what) {
    this.#done.push(what);
  }

  ask({ step, request }) {
    const url = new URL(request.split(" ")[1], location.href);
    const cursor = url.searchParams.get("cursor");
    const wait = url.searchParams.get("wait");
    this.#begin(step, `GET poll ${wait ? `wait=${wait} ` : ""}${cursor ? `cursor=${cursor}` : "no cursor yet"}`, request);
    this.#flow.begin(`GET ${url.pathname.replace(/wires.\w+/, "wires/…")}`);
    if (wait) this.#flow.go("checks", `holds it, ${wait} s at most`);
  }

  #begin(step, asked, request) {
    // A poll that a line took over from has no answer.
    if (this.#row && !this.#row.dataset.action) this.#write("given up");
    this.#done = [];
    this.#step = step;
    this.#row = this.#steps.insertRow(0);
    this.#row.setAttribute("role", "row");
    this.#row.dataset.step = step;
    this.#write(String(step));
    this.#write(asked, request, "code");
    this.#shorten();
  }

  answer({ step, transport, status, response, ms }) {
    // What is pushed nobody asked for.
    const isPushed = step !== this.#step;
    if (isPushed) {
      this.#begin(step, `none: ${transport}`, `pushed by ${transport}`);
      this.#flow.begin("nothing: it is told");
    }
    const isAnswer = !(response instanceof Error);
    const events = response.data?.length ?? 0;
    const found = describe(response);
    this.#answer = { isAnswer, events };
    const said = isAnswer ? `{"data": ${events ? `[${events}]` : "null"}}` : status ? `status ${status}` : "no answer";
    this.#write(found);
    this.#write(said, json(response), "code");
    this.#show("new-data", isAnswer ? (events ? "yes" : "no") : "not known");
    this.#show("response", json(response));
    if (isAnswer) {
      get("fault").textContent = "";
      this.#flow.go("checks", isPushed ? "as soon as published" : `took ${ms} ms`);
      this.#flow.go("question", found);
      this.#flow.go(events ? "send" : "empty", said);
    } else {
      this.#flow.go("checks", found, { failed: true });
    }
  }

  act({ step, action }) {
    const { isAnswer, events } = this.#answer;
    const done = [...new Set(this.#done)].join(", ");
    if (done) this.#lastChange = step;
    const unchanged = this.#lastChange ? `unchanged since step ${this.#lastChange}` : "nothing shown yet";
    this.#write(action);
    this.#row.dataset.action = action;
    this.#show("cursor", this.#line.cursor ?? "none yet");
    this.#show("ui", done || unchanged);
    if (isAnswer) this.#flow.go(events ? "update" : "leave", done || "nothing to do");
  }

  wait({ transport, waitMs, why }) {
    const seconds = waitMs === null ? "" : (waitMs / 1000).toFixed(1);
    const said = why === "live" ? `on a line: ${transport}` : WHYS[why]?.(seconds);
    this.#flow.go("waits", said ?? why, { waitMs });
  }

  climb({ transport, why }) {
    if (why !== "proved") return;
    this.#pushing = transport;
    this.#tell("climbed", `climbed to ${transport}`);
  }

  fall({ transport, why }) {
    const wasUp = transport === this.#pushing;
    if (wasUp) this.#pushing = "";
    if (why !== "dropped") this.#tell("fell", `${wasUp ? "fell from" : "tried"} ${transport} (${why})`);
  }

  /** A row between the rounds; one for all that is said several times in a row. */
  #tell(action, text) {
    const newest = this.#steps.rows[0];
    if (newest?.dataset.text === text) {
      newest.dataset.times = Number(newest.dataset.times) + 1;
      newest.lastElementChild.textContent = `${text}, ${newest.dataset.times}×`;
      return;
    }
    const row = this.#steps.insertRow(0);
    row.setAttribute("role", "row");
    Object.assign(row.dataset, { action, text, times: 1 });
    for (const words of ["", text]) {
      const cell = row.insertCell();
      cell.setAttribute("role", "cell");
      cell.textContent = words;
    }
    row.lastElementChild.colSpan = 4;
    this.#shorten();
  }

  #shorten() {
    while (this.#steps.rows.length > ROWS) this.#steps.deleteRow(-1);
  }

  #write(text, title = "", kind = "") {
    const cell = this.#row.insertCell();
    cell.setAttribute("role", "cell");
    cell.textContent = text;
    cell.title = title.slice(0, 2000);
    cell.className = kind;
  }

  #show(id, text) {
    const element = get(id);
    if (element.textContent === text) return;
    element.textContent = text;
    // Once more from the start, though it may still be running.
    element.classList.remove("changed");
    void element.offsetWidth;
    element.classList.add("changed");
  }
}

/** What an answer found, in plain words. */
function describe(response) {
  if (response instanceof Error) return `failed: ${response.code}`;
  const { length } = response.data ?? [];
  const news = length ? `${length} new event${length > 1 ? "s" : ""}` : "nothing new";
  return response.reset ? `reset: ${response.reset.reason}, ${news}` : news;
}

/** A response as text: a line a field, long lists cut short. */
function json(response) {
  const isRefusal = response instanceof Error;
  if (isRefusal && !response.problem) return response.message;
  const given = Object.entries(isRefusal ? response.problem : response).filter(([, value]) => value !== undefined);
  const fields = given.map(([name, value]) => `"${name}": ${JSON.stringify(value, shorten)}`);
  return `{${fields.join(",\n ")}}`;
}

function shorten(_, value) {
  const isLong = Array.isArray(value) && value.length > LISTED;
  return isLong ? [...value.slice(0, LISTED), `… ${value.length - LISTED} more`] : value;
}
