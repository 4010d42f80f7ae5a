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

  /** @param {import("landline").Landline} line */
  constructor(line) {
    this.#line = line;
    line.addEventListener("trace", ({ detail }) => this[detail.phase](detail));
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
    const held = wait ? ` wait=${wait}` : "";
    this.#begin(step, `GET poll ${cursor ? `cursor=${cursor}` : "no cursor yet"}${held}`, request);
    this.#flow.begin("GET /landline/poll");
  }

  #begin(step, asked, request) {
    this.#done = [];
    this.#step = step;
    this.#row = this.#steps.insertRow(0);
    this.#row.setAttribute("role", "row");
    this.#write(String(step));
    this.#write(asked, request, "code");
    while (this.#steps.rows.length > ROWS) this.#steps.deleteRow(-1);
  }

  answer({ step, transport, status, found, response, ms }) {
    // What is pushed nobody asked for.
    const isPushed = step !== this.#step;
    if (isPushed) {
      this.#begin(step, `none: ${transport}`, `pushed by ${transport}`);
      this.#flow.begin("nothing: it is told");
    }
    const isAnswer = status === 200 || status === 304;
    const events = response?.data?.length ?? 0;
    this.#answer = { isAnswer, events, found };
    const said = isAnswer ? `{"data": ${events ? `[${events}]` : "null"}}` : status ? `status ${status}` : "no answer";
    this.#write(found);
    this.#write(said, json(response), "code");
    this.#show("new-data", isAnswer ? (events ? "yes" : "no") : "not known");
    this.#show("response", json(response));
    if (isAnswer) {
      get("fault").textContent = "";
      this.#flow.go("checks", isPushed ? "as soon as published" : `took ${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`);
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

  climb() {}

  fall() {}

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

/** A response as text: a line a field, long lists cut short. */
function json(response) {
  if (response === null) return "304: nothing new";
  if (typeof response === "string") return response;
  const fields = Object.entries(response).map(([name, value]) => `"${name}": ${JSON.stringify(value, shorten)}`);
  return `{${fields.join(",\n ")}}`;
}

function shorten(_, value) {
  const isLong = Array.isArray(value) && value.length > LISTED;
  return isLong ? [...value.slice(0, LISTED), `… ${value.length - LISTED} more`] : value;
}
