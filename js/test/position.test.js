// Where a page stands, what goes along to prove that it may, and when it may not ask: cursors, grants, pauses.

import assert from "node:assert/strict";
import { test } from "node:test";
import { answer, event, makeLine, problem } from "./fake.js";

const ALL = ["websocket", "sse", "long-poll", "poll"];

async function start() {
  const fake = makeLine({ cursor: "e-0" });
  fake.browser.quiet = ({ url }) => answer(null, url.searchParams.get("cursor") ?? "e-0", { transports: ALL });
  fake.follow("orders");
  await fake.browser.advance(0);
  return fake;
}

/** @param {ReturnType<typeof makeLine>} fake */
const socket = ({ browser }) => browser.line("websocket");

test("a hello's cursor is where one who missed nothing stands", async () => {
  const fake = await start();
  const line = socket(fake);
  line.tell({ data: null, cursor: "e-70", nonce: line.query.get("nonce") });
  assert.equal(fake.line.cursor, "e-70");
});

test("a channel put on later gets nothing from before, however far back the others stand", async () => {
  const fake = makeLine({ cursor: "e-5", transports: ["poll"] });
  const { browser } = fake;
  browser.script = [answer(null, "e-5"), answer(null, "e-9"), answer([event("room", 7), event("orders", 8), event("room", 10)], "e-10")];
  fake.follow("orders");
  await browser.advance(0);
  fake.follow("room");
  await browser.advance(2000);
  assert.equal(browser.last.query, "channel=orders&channel=room&cursor=e-5");
  assert.deepEqual(fake.got, [["orders", 8], ["room", 10]]);
});

test("a join answered from a cache takes all back to where it was answered", async () => {
  const fake = makeLine({ cursor: "e-5", transports: ["poll"] });
  const { browser } = fake;
  browser.script = [answer(null, "e-5"), answer(null, "e-3")];
  browser.quiet = answer(null, "e-3");
  fake.follow("orders");
  await browser.advance(0);
  fake.follow("room");
  await browser.advance(2000);
  assert.equal(browser.last.query, "channel=orders&channel=room&cursor=e-3");
});

test("the newest grant goes along, for the channels it is for, and into no message", async () => {
  const grant = (/** @type {string} */ token) => ({ grant: { token, expires: 1 } });
  const fake = makeLine({ cursor: "e-0" }, [answer(null, "e-0", { transports: ALL, .../** @type {any} */ (grant("one")) })]);
  const { browser } = fake;
  browser.quiet = answer(null, "e-0", { transports: ALL });
  fake.follow("orders");
  await browser.advance(0);
  assert.equal(socket(fake).query.get("grant"), "one");
  const line = socket(fake);
  line.tell({ data: null, cursor: "e-0", nonce: line.query.get("nonce"), ...grant("two") });
  fake.line.poll();
  await browser.advance(0);
  assert.equal(browser.last.query, "channel=orders&cursor=e-0&grant=two");
  fake.follow("room");
  await browser.advance(0);
  assert.deepEqual(browser.asked.slice(-2).map(({ query }) => query), ["channel=room", "channel=orders&channel=room&cursor=e-0"]);
  browser.script = [problem(503, "busy")];
  fake.line.poll();
  await browser.advance(0);
  assert.doesNotMatch(JSON.stringify([fake.trace.map((detail) => /** @type {any} */ (detail).request), fake.tells("error").map(({ message }) => message)]), /two|grant/);
});

test("of two pauses that a server asks for, the longer one holds", async () => {
  const fake = await start();
  const { browser } = fake;
  socket(fake).hello();
  await browser.advance(5000);
  browser.quiet = problem(429, "slow-down", {}, { "Retry-After": "60" });
  fake.follow("room");
  await browser.advance(100);
  const { length } = browser.asked;
  socket(fake).onclose?.({ code: 1001, reason: "1" });
  await browser.advance(59000);
  assert.equal(browser.asked.length, length);
});
