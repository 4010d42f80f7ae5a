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

test("an empty cursor is sent as such: a position that was lost is told a reset, and is not the same as none", async () => {
  const reset = { channels: ["orders"], reason: "unknown" };
  const fake = makeLine({ cursor: "" }, [problem(503, "log-unavailable"), answer([event("orders", 3)], "e-3", { reset, transports: ALL })]);
  const { browser } = fake;
  fake.follow("orders");
  await browser.advance(0);
  assert.deepEqual(browser.asked.map(({ query }) => query), ["channel=orders&cursor=", "channel=orders&cursor="]);
  assert.deepEqual(fake.tells("reset"), [reset]);
  assert.deepEqual(fake.got, [["orders", 3]]);
  assert.equal(socket(fake).query.get("cursor"), "e-3");
});

test("an empty cursor wins over a position that the tab remembers", async () => {
  const fake = makeLine({ cursor: "", remember: true }, [], ({ env }) =>
    Object.assign(env, { sessionStorage: { getItem: () => "e-5", setItem: () => {} } }),
  );
  fake.follow("orders");
  await fake.browser.advance(0);
  assert.equal(fake.browser.last.query, "channel=orders&cursor=");
});

// Caches that repeat what they were told not to keep

const date = (/** @type {number} */ time) => new Date(time).toUTCString();

/**
 * Polls of a minute, each two seconds, and how many of them had an address of their own.
 *
 * @param {(time: number) => Record<string, string>} headers
 * @param {string[]} [transports]
 */
async function polls(headers, transports = ["poll"]) {
  const fake = makeLine({ cursor: "e-0" });
  const { browser } = fake;
  browser.luck = 0.5;
  browser.quiet = () => ({ ...answer(null, "e-0", { transports }), headers: headers(browser.time) });
  fake.follow("orders");
  await browser.advance(60000);
  const own = browser.asked.map(({ url }) => url.searchParams.get("_"));
  return { ...fake, own, first: own.findIndex((value) => value !== null) };
}

test("a cache that repeats a short poll's answer is noticed with the second one: from then on each poll has an address of its own", async () => {
  const { own, first, browser } = await polls(() => ({ Date: date(0), "Cache-Control": "no-store" }));
  assert.equal(first, 2);
  assert.ok(own.slice(2).every((value) => value === "0.5"), `${own}`);
  assert.match(browser.last.query, /^channel=orders&cursor=e-0&_=0\.5$/);
});

/** @type {[string, (time: number) => Record<string, string>][]} */
const servers = [
  ["a server's own answers", (time) => ({ Date: date(time) })],
  ["a clock that is wrong by years", (time) => ({ Date: date(time + 1e11) })],
  ["a Date that moves in steps of two seconds", (time) => ({ Date: date(time - (time % 2000)) })],
  ["answers without a Date", () => ({})],
  ["a cache that the app permits for ten seconds", (time) => ({ Date: date(time - (time % 11000)), "Cache-Control": "public, max-age=0, s-maxage=10" })],
];
for (const [name, headers] of servers) {
  test(`${name}: no cache is noticed`, async () => {
    const { first } = await polls(headers);
    assert.equal(first, -1);
  });
}

test("what two addresses are told in one second is no sign of a cache", async () => {
  const fake = makeLine({ cursor: "e-0" });
  const { browser } = fake;
  browser.quiet = () => ({ ...answer(null, "e-0"), headers: { Date: date(browser.time) } });
  fake.follow("orders");
  await browser.advance(0);
  for (let number = 0; number < 5; number++) {
    fake.follow(`room/${number}`);
    await browser.advance(100);
  }
  assert.ok(browser.asked.every(({ url }) => !url.searchParams.has("_")));
});
