// One line for all tabs, where the leading one is hidden: browsers suspend hidden pages without a word.

import assert from "node:assert/strict";
import { test } from "node:test";
import { checkAll, openTabs } from "./tabs.js";

/** @import {Tab} from "./tabs.js" */

test("a hidden leader hands the lock on at once, and keeps its own line until the browser has answered", async () => {
  const { origin, tabs } = await openTabs(3);
  const [leader, next] = /** @type {[Tab, Tab, Tab]} */ (tabs);
  const line = origin.lines[0];
  const { request } = origin;
  /** @type {(() => void)[]} */
  const asked = [];
  // The browser takes its time, and gives the lock to another one meanwhile.
  origin.request = async (...args) => {
    await new Promise((answer) => asked.push(() => answer(undefined)));
    return request.apply(origin, args);
  };
  await leader.browser.show("hidden");
  await origin.calm();
  assert.ok(next.leads);
  assert.equal(asked.length, 1);
  assert.ok(!line?.closed);
  assert.deepEqual([leader.line.status, leader.line.transport], ["live", "websocket"]);
  origin.publish("orders");
  await origin.advance(3000);
  asked.forEach((answer) => answer());
  await origin.advance(3000);
  assert.deepEqual(tabs.map(({ line }) => line.transport), ["websocket", "websocket", "shared"]);
  checkAll(origin);
  // For as long as any hidden page.
  await origin.advance(30000);
  assert.equal(origin.lines.length, 1);
});

test("a hidden leader without one that is seen stays what it is, with its line", async () => {
  const { origin, tabs } = await openTabs(3);
  const line = origin.lines[0];
  for (const { browser } of tabs.toReversed()) await browser.show("hidden");
  await origin.advance(5000);
  assert.ok(tabs[0]?.leads);
  assert.ok(!line?.closed);
  assert.deepEqual(tabs.map(({ line }) => line.status), ["live", "live", "live"]);
  origin.publish("orders");
  await origin.calm();
  checkAll(origin);
});

test("a tab that is shown asks a hidden leader whether it is there, and leads itself", async () => {
  const { origin, tabs } = await openTabs(3);
  for (const { browser } of tabs.toReversed()) await browser.show("hidden");
  await tabs[2]?.browser.show("visible");
  await origin.calm();
  await origin.advance(1000);
  assert.ok(tabs[2]?.leads);
  assert.equal(tabs[2]?.line.transport, "websocket");
});

test("a tab that is shown under a leader that stands still trusts it no more: it polls at once", async () => {
  const { origin, tabs } = await openTabs(2);
  const [leader, other] = /** @type {[Tab, Tab]} */ (tabs);
  await other.browser.show("hidden");
  await leader.browser.show("hidden");
  leader.isGone = true; // it keeps the lock
  origin.publish("orders");
  await other.browser.show("visible");
  await origin.calm();
  assert.deepEqual(other.got.get("orders"), [1]);
  assert.equal(other.line.status, "polling");
  await origin.advance(5000);
  assert.equal(other.line.transport, "websocket");
});

// Exhausted: when the browser answers who leads, and when an event is published, counted in things that arrive after the
// leader was hidden; and which of the others are seen. Fixed: what arrives comes in the order in which it was sent.
for (const seen of [[1, 2], [1], [2], []]) {
  test(`a leader is hidden, tabs seen: ${seen}; an event at any moment, the browser's answer at any: all events once and in order`, async () => {
    const most = 14;
    for (let publishAt = 0; publishAt < most; publishAt++) {
      for (let answerAt = 0; answerAt < most; answerAt++) await hideAndPublish(seen, publishAt, answerAt);
    }
  });
}

/** @param {number[]} seen @param {number} publishAt @param {number} answerAt */
async function hideAndPublish(seen, publishAt, answerAt) {
  const { origin, tabs } = await openTabs(3);
  tabs[2]?.follow("room");
  await origin.advance(1500);
  const { request } = origin;
  /** @type {(value?: unknown) => void} */
  let answer = () => {};
  const answered = new Promise((resolve) => (answer = resolve));
  origin.request = async (...args) => (await answered, request.apply(origin, args));
  for (const at of [1, 2]) if (!seen.includes(at)) await tabs[at]?.browser.show("hidden");
  await tabs[0]?.browser.show("hidden");
  for (let moment = 0; moment < 16; moment++) {
    if (moment === publishAt) for (const channel of ["orders", "room"]) origin.publish(channel);
    if (moment === answerAt) answer();
    if (!origin.underWay.length) for (const { browser } of tabs) await browser.advance(500);
    await origin.arrive();
  }
  for (const { browser } of tabs) await browser.show("visible");
  await origin.advance(3000);
  checkAll(origin);
}
