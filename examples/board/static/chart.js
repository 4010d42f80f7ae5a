// A chart of the last three minutes: lines over time, the first one with its area filled. Plain SVG.

export const SECONDS = 180;
const HEIGHT = 100;
// Nobody read in between, so nothing was measured: the line breaks rather than guess.
const GAP_SECONDS = 7;

const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Chart {
  #group;
  #newest = 0;

  /** @param {SVGSVGElement} svg with a viewBox of 180 × 100 */
  constructor(svg) {
    this.#group = svg.appendChild(make("g"));
  }

  /**
   * @param {{at: number, values: number[]}[]} points oldest first; the first value is the main line
   * @param {number} top the value at the upper edge
   * @param {number} [mark] where to draw a level line
   */
  draw(points, top, mark) {
    const newest = points[points.length - 1]?.at ?? 0;
    const x = (at) => SECONDS - (newest - at);
    const y = (value) => HEIGHT - (HEIGHT - 4) * Math.min(1, value / top);
    const shapes = [];
    if (mark !== undefined) shapes.push(make("path", { class: "mark", d: `M0 ${y(mark)}H${SECONDS}` }));
    for (const run of runs(points.filter(({ at }) => x(at) > -GAP_SECONDS))) {
      const lines = run[0].values.map((_, index) => run.map(({ at, values }) => `${x(at).toFixed(2)} ${y(values[index] ?? 0).toFixed(2)}`).join("L"));
      // A lone point is a line without length; with round caps it is a dot.
      const end = run.length > 1 ? "" : "h.01";
      shapes.push(make("path", { class: "area", d: `M${x(run[0].at)} ${HEIGHT}L${lines[0]}V${HEIGHT}Z` }));
      lines.forEach((line, index) => shapes.push(make("path", { class: index ? "line other" : "line", d: `M${line}${end}` })));
    }
    this.#group.replaceChildren(...shapes);
    this.#scroll(newest - this.#newest);
    this.#newest = newest;
  }

  /** Let the picture move in from where it was. */
  #scroll(seconds) {
    if (calm.matches || seconds <= 0 || seconds > GAP_SECONDS) return;
    this.#group.animate([{ transform: `translateX(${seconds}px)` }, { transform: "none" }], { duration: 700, easing: "cubic-bezier(.3,0,.2,1)" });
  }
}

function runs(points) {
  const found = [];
  let before;
  for (const point of points) {
    if (before === undefined || point.at - before > GAP_SECONDS) found.push([]);
    found[found.length - 1].push(point);
    before = point.at;
  }
  return found;
}

function make(name, attributes = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
