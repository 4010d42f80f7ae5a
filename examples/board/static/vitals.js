// The four cards: this machine's vitals as numbers and charts.

import { Chart, SECONDS } from "./chart.js";

const KEPT = 90;
// Below this, network traffic is only the noise of a quiet machine, and is drawn as such.
const QUIET_NETWORK = 10_000;
const CORES_NAMED = 6;

export class Vitals {
  #samples = [];
  #cards = ["cpu", "memory", "network", "load"].map((id) => document.getElementById(id)).filter(Boolean);
  #charts = this.#cards.map((card) => new Chart(card.querySelector("svg")));

  /** @param {object[]} samples the whole state */
  replace(samples) {
    this.#samples = samples;
    this.#draw();
  }

  /** @param {object} sample maybe one that a snapshot had already */
  add(sample) {
    if (this.#samples.some(({ at }) => at === sample.at)) return;
    this.#samples = [...this.#samples, sample].sort((one, other) => one.at - other.at).slice(-KEPT);
    this.#draw();
  }

  #draw() {
    const newest = this.#samples[this.#samples.length - 1];
    if (!newest) return;
    // What is out of sight shall not set the scale.
    const shown = this.#samples.filter(({ at }) => at > newest.at - SECONDS);
    [cpu, memory, network, load].forEach((view, index) => {
      const card = this.#cards[index];
      if (!card) return;
      const { value, parts, scale, top, mark, pick } = view(newest, shown);
      card.querySelector(".value").replaceChildren(...value);
      card.querySelector(".parts").replaceChildren(...parts);
      card.querySelector(".scale").textContent = scale;
      this.#charts[index].draw(this.#samples.map((sample) => ({ at: sample.at, values: pick(sample) })), top, mark);
    });
  }
}

function cpu({ cores }) {
  const few = cores.length <= CORES_NAMED;
  return {
    value: number(mean(cores).toFixed(0), "%"),
    parts: few
      ? cores.map((busy, index) => part(`core ${index}`, `${busy.toFixed(0)} %`))
      : [part(`${cores.length} cores, the busiest`, `${Math.max(...cores).toFixed(0)} %`)],
    scale: "100 %",
    top: 100,
    pick: (sample) => [mean(sample.cores), ...sample.cores],
  };
}

function memory({ memory: { used, total } }) {
  return {
    value: number(...size(used)),
    parts: [part("of", size(total).join(" ")), part("", `${((100 * used) / total).toFixed(0)} %`)],
    scale: size(total).join(" "),
    top: total,
    pick: (sample) => [sample.memory.used],
  };
}

function network({ network: { received, sent } }, samples) {
  const most = Math.max(...samples.map((sample) => Math.max(sample.network.received, sample.network.sent)));
  const top = roundUp(Math.max(most, QUIET_NETWORK));
  const [figure, unit] = rate(received);
  return {
    value: number(figure, `${unit} in`),
    parts: [part("out", rate(sent).join(" "), "other")],
    scale: rate(top).join(" "),
    top,
    pick: (sample) => [sample.network.received, sample.network.sent],
  };
}

function load({ load: [one, five, fifteen], cores }, samples) {
  const top = Math.max(cores.length * 1.15, ...samples.map((sample) => sample.load[0] * 1.05));
  return {
    value: number(one.toFixed(2), ""),
    parts: [part("5 min", five.toFixed(2)), part("15 min", fifteen.toFixed(2))],
    scale: `dashed: ${cores.length} ${cores.length === 1 ? "core" : "cores"}`,
    top,
    mark: cores.length,
    pick: (sample) => [sample.load[0]],
  };
}

const mean = (numbers) => numbers.reduce((sum, one) => sum + one, 0) / Math.max(1, numbers.length);

/** 1, 2 or 5 times a power of ten, not below the value. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

function size(bytes) {
  const gib = bytes / 2 ** 30;
  return gib >= 1 ? [gib.toFixed(gib < 10 ? 2 : 1), "GiB"] : [(bytes / 2 ** 20).toFixed(0), "MiB"];
}

function rate(bytes) {
  if (bytes >= 1e6) return [(bytes / 1e6).toFixed(1), "MB/s"];
  return bytes >= 1e3 ? [(bytes / 1e3).toFixed(bytes < 1e4 ? 1 : 0), "kB/s"] : [String(bytes), "B/s"];
}

function number(text, unit) {
  return [element("span", text), element("small", unit)];
}

function part(name, value, kind = "") {
  const whole = element("span", name ? `${name} ` : "");
  whole.append(element("b", value));
  whole.className = kind;
  return whole;
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
