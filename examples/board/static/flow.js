// The loop as a picture: one node a stage, the current one lit, the way taken kept until the next round.
// A short poll is over in milliseconds, so a round is played slowly enough to be followed.

const EDGES = [
  ["asks", "checks"],
  ["checks", "question"],
  ["question", "send", "yes"],
  ["question", "empty", "no"],
  ["send", "update"],
  ["empty", "leave"],
  ["update", "waits"],
  ["leave", "waits"],
  ["waits", "asks"],
];
const SLOW_MS = 340;
const FAST_MS = 60;
// What part of the interval a round may take, so that the waiting is seen too.
const PLAYED = 0.55;
const CORNER = 10;
const ARROW = 6;

const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Flow {
  #root;
  #svg;
  #nodes = new Map();
  /** What each node says while it is not its turn. */
  #idle = new Map();
  #edges = new Map();
  #queue = [];
  #timer = 0;
  #current = "";
  /** Milliseconds between two rounds; null: somebody steps by hand. */
  intervalMs = 1000;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
    this.#svg = root.querySelector("svg");
    for (const node of root.querySelectorAll("[data-node]")) {
      this.#nodes.set(node.dataset.node, node);
      this.#idle.set(node.dataset.node, node.querySelector("span").textContent);
    }
    for (const [from, to, word] of EDGES) this.#edges.set(`${from} ${to}`, this.#makeEdge(word));
    new ResizeObserver(() => this.#layOut()).observe(root);
    document.fonts?.ready.then(() => this.#layOut());
  }

  /**
   * Begin a round. What is left of the last one is skipped.
   *
   * @param {string} said of how it begins
   */
  begin(said) {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#queue = [];
    for (const [name, node] of this.#nodes) {
      node.removeAttribute("data-state");
      this.#say(name, this.#idle.get(name));
    }
    for (const { group } of this.#edges.values()) group.removeAttribute("data-state");
    this.#light("asks", said);
  }

  /**
   * Go on to a node, when its time has come.
   *
   * @param {string} name
   * @param {string} said below its name
   * @param {{failed?: boolean, waitMs?: number | null}} [how]
   */
  go(name, said, how = {}) {
    const at = performance.now();
    this.#queue.push(() => this.#light(name, said, how, at));
    if (!this.#timer) this.#play();
  }

  #play() {
    if (calm.matches) {
      while (this.#queue.length) this.#queue.shift()();
      return;
    }
    const dwellMs = this.intervalMs === null ? SLOW_MS : Math.min(SLOW_MS, Math.max(FAST_MS, (this.intervalMs * PLAYED) / 5));
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.#queue.shift()?.();
      if (this.#queue.length) this.#play();
    }, dwellMs);
  }

  #light(name, said, { failed = false, waitMs = null } = {}, at = 0) {
    const before = this.#nodes.get(this.#current);
    if (before?.dataset.state === "lit") before.dataset.state = "done";
    this.#edges.get(`${this.#current} ${name}`)?.group.setAttribute("data-state", "done");
    const node = this.#nodes.get(name);
    node.dataset.state = failed ? "failed" : "lit";
    this.#current = name;
    this.#root.dataset.current = name;
    this.#say(name, said);
    if (name === "waits") this.#countDown(node.querySelector(".countdown"), waitMs, performance.now() - at);
  }

  #say(name, said) {
    this.#nodes.get(name).querySelector("span").textContent = said;
  }

  #countDown(bar, waitMs, elapsedMs) {
    for (const animation of bar.getAnimations()) animation.cancel();
    if (!waitMs || calm.matches) return;
    bar.animate([{ transform: "none" }, { transform: "scaleX(0)" }], { duration: waitMs, fill: "forwards" }).currentTime = elapsedMs;
  }

  #makeEdge(word) {
    const group = this.#svg.appendChild(svg("g"));
    const path = group.appendChild(svg("path", { class: "way" }));
    const head = group.appendChild(svg("path", { class: "head" }));
    const text = word && group.appendChild(svg("text"));
    if (text) text.textContent = word;
    return { group, path, head, text };
  }

  /** Draw the edges from where the style sheet has put the nodes. */
  #layOut() {
    const origin = this.#root.getBoundingClientRect();
    const boxes = new Map();
    for (const [name, node] of this.#nodes) {
      const { left, top, width, height } = node.getBoundingClientRect();
      boxes.set(name, { x: left - origin.left, y: top - origin.top, width, height });
    }
    this.#svg.setAttribute("viewBox", `0 0 ${origin.width} ${origin.height}`);
    for (const [from, to] of EDGES) {
      const { path, head, text } = this.#edges.get(`${from} ${to}`);
      const way = from === "waits" ? back(boxes.get(from), boxes.get(to), origin) : forth(boxes.get(from), boxes.get(to));
      path.setAttribute("d", way.d);
      head.setAttribute("d", arrow(way));
      text?.setAttribute("x", way.middle[0]);
      text?.setAttribute("y", way.middle[1]);
    }
  }
}

/** A way between neighbours: to the right, or down, with one step in between. */
function forth(a, b) {
  if (b.x >= a.x + a.width) {
    const [x1, y1, x2, y2] = [a.x + a.width, centre(a)[1], b.x, centre(b)[1]];
    const middle = (x1 + x2) / 2;
    return { d: stepped([x1, y1], [middle, y1], [middle, y2], [x2, y2]), end: [x2, y2], towards: "right", middle: [middle, y1 + (y2 - y1) * 0.62] };
  }
  const [x1, y1, x2, y2] = [centre(a)[0], a.y + a.height, centre(b)[0], b.y];
  const middle = (y1 + y2) / 2;
  return { d: stepped([x1, y1], [x1, middle], [x2, middle], [x2, y2]), end: [x2, y2], towards: "down", middle: [x1 + (x2 - x1) * 0.55, middle] };
}

/** The way back to the beginning: below everything, or along the left edge. */
function back(a, b, { height }) {
  if (a.x >= b.x + b.width) {
    const [[x1], [x2], y] = [centre(a), centre(b), height - 2];
    const end = [x2, b.y + b.height];
    return { d: stepped([x1, a.y + a.height], [x1, y], [x2, y], end), end, towards: "up", middle: [(x1 + x2) / 2, y] };
  }
  const [[, y1], [, y2], x] = [centre(a), centre(b), 2];
  return { d: stepped([a.x, y1], [x, y1], [x, y2], [b.x, y2]), end: [b.x, y2], towards: "right", middle: [x, (y1 + y2) / 2] };
}

const centre = ({ x, y, width, height }) => [x + width / 2, y + height / 2];

/** A line through points, with rounded corners. */
function stepped(...points) {
  let d = `M${points[0]}`;
  for (let index = 1; index < points.length - 1; index++) {
    const [before, corner, after] = points.slice(index - 1, index + 2);
    const room = Math.min(CORNER, distance(before, corner) / 2, distance(corner, after) / 2);
    d += `L${towards(corner, before, room)}Q${corner} ${towards(corner, after, room)}`;
  }
  return `${d}L${points[points.length - 1]}`;
}

const distance = ([x1, y1], [x2, y2]) => Math.hypot(x2 - x1, y2 - y1);

function towards(from, to, length) {
  const whole = distance(from, to) || 1;
  return from.map((value, index) => value + ((to[index] - value) * length) / whole);
}

function arrow({ end: [x, y], towards: direction }) {
  const [along, across] = [ARROW, ARROW * 0.6];
  if (direction === "right") return `M${x} ${y}l${-along} ${-across}v${2 * across}z`;
  if (direction === "down") return `M${x} ${y}l${-across} ${-along}h${2 * across}z`;
  return `M${x} ${y}l${-across} ${along}h${2 * across}z`;
}

function svg(name, attributes = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
