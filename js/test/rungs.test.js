// The ladder's state machine alone: which rung, and when.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Ladder } from "../src/ladder.js";

/** @import {LadderEvent} from "../src/ladder.js" */

const ALL = /** @type {any[]} */ (["websocket", "sse", "long-poll", "poll"]);
const timer = { type: "timer", mayOpen: true };
const ws = "websocket";
const up = [[0, { type: "offer", rungs: ALL }], [0, timer], [10, { type: "hello", rung: ws }]];
/** @param {string} why @param {any} [how] */
const ends = (why, how) => ({ type: "end", rung: ws, why, ...how });

/** @type {[string, any[], string[], number | undefined][]} steps at their times, what the last one does, and when something is due */
const table = [
  ["the best rung is opened first", up.slice(0, 2), ["open websocket opened"], 3000],
  ["nothing is opened that is not offered", [[0, { type: "offer", rungs: ["poll"] }], [0, timer]], [], Infinity],
  ["nothing is opened while the page may not", [up[0], [0, { type: "timer", mayOpen: false }]], [], undefined],
  ["a hello proves a probe", up, ["prove websocket proved"], 30010],
  ["a hello of another rung proves nothing", [...up.slice(0, 2), [10, { type: "hello", rung: "sse" }]], [], 3000],
  ["no hello in time: the rung falls, and the next is opened", [...up.slice(0, 2), [3000, timer]],
    ["close websocket no hello", "open sse opened"], 6000],
  ["an error before the hello: it falls", [...up.slice(0, 2), [5, ends("closed: 1006")]],
    ["close websocket closed: 1006"], -Infinity],
  ["an established line that ends: poll, and the same again after a pause", [...up, [500, ends("closed: 1006")]],
    ["close websocket closed: 1006"], 1000],
  ["and nothing below is tried before", [...up, [500, ends("closed: 1006")], [999, timer]], [], 1000],
  ["1013: the next rung at once", [...up, [500, ends("closed: 1013", { busy: true })], [500, timer]],
    ["open sse opened"], 3500],
  ["a goodbye's pause is kept", [...up, [500, ends("goodbye", { calm: true, pauseMs: 4000 })]],
    ["close websocket goodbye"], 5000],
  ["silence for two keepalives: poll", [...up, [30010, { type: "timer", mayOpen: false }]],
    ["close websocket silence"], undefined],
  ["a sign of life puts the silence off", [...up, [20000, { type: "sign", rung: ws }], [30010, timer]], [], 50000],
  ["a rung withdrawn is left", [...up, [20, { type: "offer", rungs: ["sse", "poll"] }]],
    ["close websocket withdrawn"], -Infinity],
  ["three short lives: demoted", [...up, ...[1, 2, 3].flatMap((life) => [[life * 2000, ends("x")], [life * 2000 + 500, timer], [life * 2000 + 510, { type: "hello", rung: ws }]]).slice(0, 7), [6000, timer]],
    ["open sse opened"], 9000],
  ["a long life between: not", [...up, [2000, ends("x")], [2500, timer], [2510, { type: "hello", rung: ws }], [13000, { type: "sign", rung: ws }], [13001, ends("x")], [13600, timer],
      [13610, { type: "hello", rung: ws }], [14000, ends("x")], [14000, timer]], [], 14500],
  ["a better rung is tried beside a line that is not the best, and takes over", [...up.slice(0, 2), [3000, timer], [3010, { type: "hello", rung: "sse" }], [3500, timer], [3510, { type: "hello", rung: ws }]],
    ["close sse", "prove websocket proved"], 33510],
  ["all that is open is dropped", [...up, [20, { type: "drop" }]], ["close websocket dropped"], -Infinity],
];
for (const [name, steps, expected, dueAt] of table) {
  test(name, () => {
    const ladder = new Ladder(3000);
    /** @type {string[]} */
    let did = [];
    for (const [at, step] of steps) did = ladder.step(/** @type {LadderEvent} */ (step), at, 0.5).map((action) => action.join(" "));
    assert.deepEqual(did, expected);
    if (dueAt !== undefined) assert.equal(ladder.dueAt(true), dueAt);
  });
}

test("pauses after falls grow to a minute, and are forgotten when the line has lasted", () => {
  const ladder = new Ladder(3000);
  ladder.step({ type: "offer", rungs: ["websocket"] }, 0, 1);
  const pauses = [];
  let now = 0;
  for (let fall = 0; fall < 9; fall++) {
    ladder.step({ type: "timer", mayOpen: true }, now, 1);
    ladder.step({ type: "end", rung: "websocket", why: "" }, now, 1);
    pauses.push(ladder.dueAt(true) - now);
    now += pauses.at(-1) ?? 0;
  }
  assert.deepEqual(pauses, [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]);
  ladder.step({ type: "timer", mayOpen: true }, now, 1);
  ladder.step({ type: "hello", rung: "websocket" }, now, 1);
  ladder.step({ type: "sign", rung: "websocket" }, now + 10000, 1);
  ladder.step({ type: "end", rung: "websocket", why: "" }, now + 20000, 1);
  assert.equal(ladder.dueAt(true), now + 21000);
});
