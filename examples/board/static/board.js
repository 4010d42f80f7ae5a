// The board: one line to the server, two handlers, and a panel that watches the line.

import { Landline } from "landline";
import { Happening } from "./happening.js";
import { connectForm, Notes } from "./notes.js";
import { Vitals } from "./vitals.js";

const get = (id) => document.getElementById(id);

const line = new Landline({ intervalMs: 1000 });
const vitals = new Vitals();
const notes = new Notes(() => Date.now() / 1000);
const happening = new Happening(line);

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

// Status and transport.

function showStatus() {
  const badge = get("status");
  showTransports();
  if (badge.dataset.status === line.status) return;
  badge.dataset.status = line.status;
  badge.textContent = line.status;
}

let offered = [];

line.addEventListener("status", showStatus);
line.addEventListener("trace", ({ detail }) => {
  if (detail.phase !== "answer" || detail.status !== 200) return;
  // What is pushed has no advice with it.
  offered = detail.response.advice?.transports ?? offered;
  showStatus();
});

function showTransports() {
  const list = get("transports");
  const used = line.transport;
  const key = [...offered, used].join();
  if (list.dataset.shown === key) return;
  list.dataset.shown = key;
  list.replaceChildren(
    ...offered.map((name) => {
      const item = document.createElement("li");
      item.textContent = name;
      if (name === used) item.setAttribute("aria-current", "true");
      return item;
    }),
  );
}

// Controls.

let paused = false;

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

const best = line.transports;

get("willing").addEventListener("change", ({ target }) => {
  line.transports = target.value === "poll" ? ["poll"] : best;
});

// Browsers restore controls on reload, and the line starts anew.
get("interval").dispatchEvent(new Event("input"));
get("willing").dispatchEvent(new Event("change"));

// One's own note should show at once, and not only with the next poll; paused is paused, and a line needs no asking.
connectForm(() => {
  if (!paused && line.status !== "live") line.poll();
});
