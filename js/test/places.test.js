// Windows over plain http, which has no Web Locks: of the six connections that a browser opens to one host, four at most
// are held, and every window gets every event.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Origin } from "./tabs.js";

/** @import {Tab} from "./tabs.js" */

const HELD = ["sse", "long-poll"];
const INTERVAL_MS = 2000;
const PROVE_MS = 3000;

/** @param {string[]} transports @param {(origin: Origin) => void} [prepare] */
function makeOrigin(transports, prepare) {
  const origin = new Origin();
  origin.isSecure = false;
  origin.transports = transports;
  prepare?.(origin);
  return origin;
}

/** The numbers of those that hold. @param {Tab[]} tabs */
const holding = (tabs) => tabs.flatMap(({ line, isGone }, index) => (!isGone && HELD.includes(line.transport) ? [index] : []));

/** @param {Origin} origin */
const streams = ({ lines }) => lines.filter(({ kind }) => kind === "sse").length;

/** Publish, and see that all that are there get it in time. @param {Origin} origin */
async function checkEvent(origin) {
  origin.publish("orders");
  const offset = origin.log.length;
  await origin.advance(INTERVAL_MS + PROVE_MS);
  for (const [index, tab] of origin.tabs.entries()) {
    if (!tab.isGone) assert.equal(tab.got.get("orders")?.at(-1), offset, `window ${index}`);
  }
}

for (const apartMs of [0, 250, 1500]) {
  test(`eight windows opened ${apartMs} ms apart: four hold, at no time more, and each gets each event`, async () => {
    const origin = makeOrigin(["sse", "poll"]);
    for (let count = 0; count < 8; count++) {
      origin.open();
      await origin.advance(apartMs);
    }
    for (let ms = 0; ms < 10000; ms += 250) {
      await origin.advance(250);
      assert.ok(streams(origin) <= 4);
    }
    assert.equal(streams(origin), 4);
    const first = holding(origin.tabs);
    if (apartMs) assert.deepEqual(first, [0, 1, 2, 3]);
    for (let count = 0; count < 5; count++) await checkEvent(origin);
    assert.deepEqual(holding(origin.tabs), first, "nothing flaps");
  });
}

for (const how of /** @type {("crash" | "leave")[]} */ (["crash", "leave"])) {
  test(`a window that goes (${how}) leaves its place to the next, whichever it is`, async () => {
    for (let which = 0; which < 8; which++) {
      const origin = makeOrigin(["sse", "poll"]);
      for (let count = 0; count < 8; count++) (origin.open(), await origin.advance(250));
      await origin.advance(5000);
      const [gone] = origin.tabs.splice(which, 1);
      await gone?.[how]();
      await origin.advance(10000);
      assert.deepEqual(holding(origin.tabs), [0, 1, 2, 3]);
      await checkEvent(origin);
    }
  });
}

test("a window that is hidden keeps its place while it keeps its stream, and comes back as the last one", async () => {
  const origin = makeOrigin(["sse", "poll"]);
  for (let count = 0; count < 6; count++) (origin.open(), await origin.advance(250));
  await origin.advance(5000);
  await origin.tabs[0]?.browser.show("hidden");
  await origin.advance(20000);
  assert.equal(streams(origin), 4);
  await origin.advance(30000);
  assert.deepEqual(holding(origin.tabs), [1, 2, 3, 4]);
  await origin.tabs[0]?.browser.show("visible");
  await origin.advance(10000);
  assert.deepEqual(holding(origin.tabs), [1, 2, 3, 4]);
  await checkEvent(origin);
});

test("held polls are counted as well", async () => {
  const origin = makeOrigin(["long-poll", "poll"]);
  for (let count = 0; count < 8; count++) (origin.open(), await origin.advance(250));
  await origin.advance(10000);
  const asked = origin.tabs.map(({ browser }) => browser.asked.length);
  await origin.advance(4000);
  const waits = origin.tabs.map(({ browser }, index) => browser.asked.slice(asked[index]).some(({ query }) => query.includes("wait=")));
  assert.deepEqual(waits, [true, true, true, true, false, false, false, false]);
  await checkEvent(origin);
});

test("a socket is not among the six: all windows have one", async () => {
  const origin = makeOrigin(["websocket", "sse", "long-poll", "poll"]);
  for (let count = 0; count < 8; count++) origin.open();
  await origin.advance(5000);
  assert.ok(origin.tabs.every(({ line }) => line.transport === "websocket"));
  await checkEvent(origin);
});

test("on a secure page, a window that does not share is counted too", async () => {
  const origin = makeOrigin(["sse", "poll"], (origin) => (origin.isSecure = true));
  for (let count = 0; count < 8; count++) origin.open({ transports: ["sse", "poll"] });
  for (let count = 0; count < 3; count++) origin.open();
  await origin.advance(10000);
  assert.equal(streams(origin), 5, "four, and the one that the others share");
  await checkEvent(origin);
});

test("where windows cannot be counted each holds, and the page is told once", async () => {
  const origin = makeOrigin(["sse", "poll"]);
  for (let count = 0; count < 2; count++) {
    const tab = origin.open({}, []);
    /** @type {any} */ (tab.browser.env).BroadcastChannel = class {
      constructor() {
        throw new DOMException("The operation is insecure.", "SecurityError");
      }
    };
    tab.follow("orders");
  }
  await origin.advance(5000);
  assert.equal(streams(origin), 2);
  assert.deepEqual(origin.tabs.map(({ errors }) => errors), [["client"], ["client"]]);
});

test("a closed line leaves nothing behind", async () => {
  const origin = makeOrigin(["sse", "poll"]);
  const tab = origin.open();
  await origin.advance(5000);
  tab.line.close();
  assert.equal(tab.browser.timers, 0);
  assert.equal(origin.buses.size, 0);
});
