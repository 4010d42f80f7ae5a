// The board: one line to the server, two handlers, and a panel that watches the line.

import { Happening } from "./happening.js";
import { connectForm, Notes } from "./notes.js";
import { Vitals } from "./vitals.js";
import { Wires } from "./wires.js";

const get = (id) => document.getElementById(id);

const vitals = new Vitals();
const notes = new Notes(() => Date.now() / 1000);
const happening = new Happening();
let Landline;
let wires;
let line;
let paused = false;

/** Have a line, which goes on where the one before it was. */
function open(options = {}) {
  const before = line;
  line = new Landline({ intervalMs: get("interval").valueAsNumber, cursor: before?.cursor, ...options });
  if (paused) line.pause();
  line.on("vitals", (data, { snapshot }) => {
    if (snapshot) vitals.replace(data);
    else vitals.add(data);
    happening.note("vitals drawn");
  });
  line.on("notes", (data, { snapshot }) => {
    if (snapshot) notes.replace(data);
    else notes.add(data);
    happening.note(snapshot ? `${data.length} notes listed` : "a note added");
  });
  line.addEventListener("status", showStatus);
  // The first answer changes no status: until then, there is none.
  line.addEventListener("trace", ({ detail }) => detail.phase === "act" && showStatus());
  happening.watch(line);
  wires.watch(line);
  before?.close();
  return !paused;
}

function showStatus() {
  const badge = get("status");
  get("transport").textContent = line.transport;
  if (badge.dataset.status === line.status) return;
  badge.dataset.status = line.status;
  badge.textContent = line.status;
}

// Controls.

function setPaused(wanted) {
  paused = wanted;
  get("pause").textContent = paused ? "Resume" : "Pause";
  document.body.classList.toggle("paused", paused);
  happening.intervalMs = paused ? null : line.intervalMs;
}

get("pause").addEventListener("click", () => {
  setPaused(!paused);
  if (paused) line.pause();
  else line.resume();
});

get("step").addEventListener("click", () => {
  if (!paused) {
    setPaused(true);
    line.pause();
  }
  line.poll();
});

get("interval").addEventListener("input", ({ target }) => {
  line.intervalMs = target.valueAsNumber;
  get("interval-said").textContent = `${(target.valueAsNumber / 1000).toFixed(1)} s`;
  if (!paused) happening.intervalMs = line.intervalMs;
});

/**
 * Begin.
 *
 * @param {typeof import("landline").Landline} given
 * @param {string} script where it is from
 */
export function start(given, script) {
  Landline = given;
  wires = new Wires(open, script);
  open();
  // Browsers restore controls on reload, and the line starts anew.
  get("interval").dispatchEvent(new Event("input"));
}

// One's own note should show at once, and not only with the next poll; paused is paused, and a line needs no asking.
connectForm(() => {
  if (!paused && line.status !== "live") line.poll();
});
