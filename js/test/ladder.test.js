// The ladder as a page climbs it: lines of a fake browser in all orders. The state machine alone is in rungs.test.js.

import assert from "node:assert/strict";
import { test } from "node:test";
import { answer, event, makeLine, problem } from "./fake.js";

const ALL = /** @type {any[]} */ (["websocket", "sse", "long-poll", "poll"]);
/** @param {any} [options] @param {any[]} [script] @param {any[]} [transports] */
async function start(options, script, transports = ALL) {
  const fake = makeLine({ cursor: "e-0", ...options }, script);
  fake.browser.quiet = ({ url }) => answer(null, url.searchParams.get("cursor") ?? "e-0", { transports });
  fake.follow("orders");
  await fake.browser.advance(0);
  return fake;
}

/** @param {ReturnType<typeof makeLine>} fake */
const socket = ({ browser }) => browser.line("websocket");

test("first a poll, then a line at its cursor; polls go on until its hello is here, and stop", async () => {
  const fake = await start({}, [answer([event("orders", 1)], "e-1", { transports: ALL })]);
  const { browser, line } = fake;
  const { url, protocol } = socket(fake);
  assert.match(url, /^ws:\/\/app\.test\/landline\/ws\?channel=orders&cursor=e-1&nonce=/);
  assert.equal(protocol, "landline.v1");
  await browser.advance(2500);
  assert.equal(browser.asked.length, 2);
  assert.deepEqual([line.status, line.transport], ["polling", "poll"]);
  socket(fake).hello();
  assert.deepEqual([line.status, line.transport], ["live", "websocket"]);
  for (let time = 0; time < 10; time++) {
    await browser.advance(15000);
    socket(fake).tell({ data: null, cursor: "e-1", advice: { interval: 2, hold: 20, transports: ALL } });
  }
  assert.equal(browser.asked.length, 2);
});

test("another's nonce proves nothing", async () => {
  const fake = await start();
  socket(fake).tell({ data: null, cursor: "e-0", nonce: "old" });
  assert.equal(fake.line.status, "polling");
  assert.ok(socket(fake).closed);
});

test("a poll under way is given up when the line takes over", async () => {
  const fake = await start({}, [answer(null, "e-0", { transports: ALL }), { hang: true }]);
  await fake.browser.advance(2000);
  socket(fake).hello();
  await fake.browser.advance(0);
  assert.ok(fake.browser.last.init.signal?.aborted);
  assert.deepEqual(fake.trace.at(-1), { step: 2, phase: "wait", transport: "websocket", waitMs: null, why: "live" });
});

test("what is pushed is delivered once, and traced as a step without a question", async () => {
  const fake = await start({}, [answer([event("orders", 1)], "e-1", { transports: ALL })]);
  socket(fake).hello();
  fake.trace.length = 0;
  const frame = { data: [event("orders", 1), event("orders", 2)], cursor: "e-2" };
  socket(fake).tell(frame);
  assert.deepEqual(fake.got, [["orders", 1], ["orders", 2]]);
  assert.equal(fake.line.cursor, "e-2");
  assert.deepEqual(fake.trace, [
    { step: 2, phase: "answer", transport: "websocket", status: 200, response: frame, ms: 0 },
    { step: 2, phase: "act", transport: "websocket", action: "updated" },
    { step: 2, phase: "wait", transport: "websocket", waitMs: null, why: "live" },
  ]);
});

test("a stream's blocks make the same events: offset from the id, snapshots announced, a reset in parts", async () => {
  const fake = await start({ transports: ["sse", "poll"] });
  const stream = fake.browser.line("sse");
  /** @type {any[]} */
  const events = [];
  fake.line.on("orders", (_, event) => events.push(event));
  assert.match(stream.url, /^http:\/\/app\.test\/landline\/events\?channel=orders&cursor=e-0&nonce=/);
  stream.hello();
  stream.block("orders", 7, "e-17");
  stream.block("landline", { reset: { channels: ["orders"], reason: "epoch" } }, "e-17");
  stream.block("landline", { snapshot: { channel: "orders", offset: 3 } }, "e-17");
  stream.block("orders", "all", "e-17");
  assert.equal(fake.line.cursor, "e-17");
  stream.block("orders", "inside", "f-3");
  stream.block("landline", { cursor: "f-4" }, "f-4");
  assert.deepEqual(events, [
    { channel: "orders", offset: 17, data: 7 },
    { channel: "orders", offset: 3, data: "all", snapshot: true },
  ]);
  assert.equal(fake.line.cursor, "f-4");
  assert.deepEqual(fake.tells("reset"), [{ channels: ["orders"], reason: "epoch" }]);
  stream.block("landline", { goodbye: { retry: 2 } }, "f-4");
  assert.ok(stream.closed);
  // Polls keep the pause as well: all readers of a server that restarts would come at once.
  const { length } = fake.browser.asked;
  await fake.browser.advance(1999);
  assert.deepEqual([fake.browser.asked.length, fake.browser.lines.length], [length, 1]);
  await fake.browser.advance(1);
  assert.equal(fake.browser.last.query, "channel=orders&cursor=f-4");
  assert.equal(fake.browser.lines.length, 2);
});

test("a socket's 1001 says the pause too", async () => {
  const fake = await start();
  const { browser } = fake;
  socket(fake).hello();
  const { length } = browser.asked;
  socket(fake).onclose?.({ code: 1001, reason: "1.5" });
  await browser.advance(1499);
  assert.equal(browser.asked.length, length);
  await browser.advance(1);
  assert.equal(browser.asked.length, length + 1);
  assert.equal(browser.lines.length, 2);
});

test("the silence that ends a line is twice the keepalive that its hello told", async () => {
  const fake = await start();
  const line = socket(fake);
  line.tell({ data: null, cursor: "e-0", nonce: line.query.get("nonce"), keepalive: 40 });
  await fake.browser.advance(79999);
  assert.equal(fake.line.status, "live");
  await fake.browser.advance(1);
  assert.equal(fake.line.status, "polling");
});

test("an error of a stream ends it; a channel named error or open does not, nor its opening", async () => {
  const fake = await start({ transports: ["sse", "poll"], channels: ["error", "open"] });
  const stream = fake.browser.line("sse");
  stream.fire("open", {});
  stream.hello();
  stream.block("error", "data", "e-1");
  stream.block("open", "data", "e-2");
  assert.ok(!stream.closed);
  stream.fire("error", {});
  assert.ok(stream.closed);
});

test("a line that was left is not heard, though another of its kind is up", async () => {
  const fake = await start();
  const left = socket(fake);
  left.hello();
  left.end(1001);
  await fake.browser.advance(1000);
  assert.notEqual(socket(fake), left);
  socket(fake).hello();
  left.tell({ data: [event("orders", 9)], cursor: "e-9" });
  left.end(1006);
  assert.deepEqual(fake.got, []);
  assert.equal(fake.line.status, "live");
});

test("going away is held against no rung, however often", async () => {
  const fake = await start();
  fake.browser.luck = 0.5;
  for (let time = 0; time < 5; time++) {
    socket(fake).hello();
    socket(fake).end(1001);
    await fake.browser.advance(600);
  }
  assert.deepEqual([...new Set(fake.browser.lines.map(({ kind }) => kind))], ["websocket"]);
});

test("resumed, nothing is opened before the poll's answer", async () => {
  const fake = await start();
  fake.line.pause();
  fake.browser.script = [{ hang: true }];
  fake.line.resume();
  await fake.browser.advance(10000);
  assert.equal(fake.browser.open.length, 0);
});

test("when polls get through again, a rung that had fallen is tried at once", async () => {
  const fake = await start({ transports: ["websocket", "poll"] });
  fake.browser.luck = 1;
  for (let time = 0; time < 6; time++) {
    socket(fake).end(1006);
    await fake.browser.advance(32000);
  }
  const { length } = fake.browser.lines;
  socket(fake).end(1006);
  fake.browser.script = [{ error: new Error("gone") }];
  await fake.browser.advance(5000);
  assert.equal(fake.line.status, "polling");
  assert.equal(fake.browser.lines.length, length + 1);
});

test("what cannot be read ends a line", async () => {
  const fake = await start();
  socket(fake).hello();
  socket(fake).onmessage?.({ data: "<html>" });
  assert.ok(socket(fake).closed);
  assert.equal(fake.line.status, "polling");
});

test("silence: poll at once with the same cursor", async () => {
  const fake = await start();
  socket(fake).hello();
  await fake.browser.advance(30000);
  assert.equal(fake.browser.last.query, "channel=orders&cursor=e-0");
  assert.equal(fake.browser.last.at, 31000);
});

test("with lines refused, polls are held; a held one that fails is no failure of the page", async () => {
  const fake = await start({ transports: ["long-poll", "poll"] });
  await fake.browser.advance(125);
  assert.equal(fake.browser.last.query, "channel=orders&cursor=e-0&wait=20");
  assert.equal(fake.line.transport, "long-poll");
  fake.browser.luck = 0.9;
  fake.browser.script = [problem(503, "busy", {}, { "Retry-After": "3" })];
  await fake.browser.advance(2200);
  assert.ok(fake.browser.asked.length > 2);
  assert.deepEqual(fake.tells("error"), []);
  assert.equal(fake.line.status, "polling");
});

test("a held poll is given more time than a short one, and nobody who comes waits for its end", async () => {
  const fake = await start({ transports: ["long-poll", "poll"] }, [answer(null, "e-0", { transports: ALL }), { hang: true }]);
  await fake.browser.advance(45000);
  assert.ok(!fake.browser.last.init.signal?.aborted);
  fake.follow("room");
  await fake.browser.advance(0);
  assert.equal(fake.browser.asked[2]?.query, "channel=room");
});

test("another channel: joined by a poll, then a line for both from where the others were", async () => {
  const fake = await start();
  const before = socket(fake);
  before.hello();
  fake.follow("room");
  fake.browser.script = [() => {
    // Between the server's answer and its arrival, the line goes on.
    before.tell({ data: [event("orders", 5)], cursor: "e-5" });
    return answer([event("room", 2, { snapshot: true })], "e-3", { transports: ALL });
  }];
  await fake.browser.advance(0);
  assert.ok(before.closed);
  const after = socket(fake);
  assert.notEqual(after, before);
  assert.match(after.url, /channel=orders&channel=room&cursor=e-0/);
  after.hello();
  after.tell({ data: [event("room", 2), event("room", 4), event("orders", 5)], cursor: "e-5" });
  assert.deepEqual(fake.got, [["orders", 5], ["room", 2], ["room", 4]]);
});

/** @type {[string, (fake: any) => any][]} */
const leavings = [
  ["pause", ({ line }) => line.pause()],
  ["close", ({ line }) => line.close()],
  ["pagehide", ({ browser }) => browser.fire("pagehide")],
  ["offline", ({ browser }) => browser.connect(false)],
  ["being hidden for long", async ({ browser }) => (await browser.show("hidden"), await browser.advance(30000))],
  ["poll only", ({ line }) => (line.transports = ["poll"])],
  ["the last channel's end", ({ off }) => off()],
];
for (const [name, leave] of leavings) {
  test(`${name} closes the line, and whatever it still says is not heard`, async () => {
    const fake = makeLine({ cursor: "e-0" });
    fake.browser.quiet = answer(null, "e-0", { transports: ALL });
    const off = fake.follow("orders");
    await fake.browser.advance(0);
    const left = socket(fake);
    left.hello();
    await leave({ ...fake, off });
    await fake.browser.advance(0);
    assert.ok(left.closed);
    left.tell({ data: [event("orders", 1)], cursor: "e-1" });
    assert.deepEqual(fake.got, []);
    assert.notEqual(fake.line.status, "live");
  });
}

test("hidden for a moment, the line stays; shown after long, poll and climb", async () => {
  const fake = await start();
  socket(fake).hello();
  await fake.browser.show("hidden");
  await fake.browser.advance(4000);
  await fake.browser.show("visible");
  assert.equal(fake.line.status, "live");
  assert.equal(fake.browser.asked.length, 1);
  await fake.browser.show("hidden");
  await fake.browser.advance(31000);
  await fake.browser.show("visible");
  assert.equal(fake.browser.last.at, fake.browser.time);
  socket(fake).hello();
  assert.equal(fake.line.status, "live");
});

test("paused, poll() is one short poll; resumed, poll and climb", async () => {
  const fake = await start();
  socket(fake).hello();
  fake.line.pause();
  fake.line.poll();
  await fake.browser.advance(60000);
  assert.equal(fake.browser.asked.length, 2);
  assert.equal(fake.browser.lines.length, 1);
  fake.line.resume();
  await fake.browser.advance(0);
  assert.equal(fake.browser.asked.length, 3);
  assert.equal(fake.browser.lines.length, 2);
});

for (const [seenMs, hiddenMs = 0] of [[0, 6000], [1000, 6000], [9000, 6000], [1000, 20000], [1000, 28000]]) {
  test(`seen for ${seenMs} ms, shown again after ${hiddenMs}: the line from before is not trusted, though it was not closed`, async () => {
    const fake = await start();
    const before = socket(fake);
    before.hello();
    await fake.browser.advance(seenMs ?? 0);
    await fake.browser.show("hidden");
    await fake.browser.advance(hiddenMs);
    assert.ok(!before.closed);
    await fake.browser.show("visible");
    assert.ok(before.closed);
    assert.equal(fake.line.status, "polling");
    assert.equal(fake.browser.last.at, fake.browser.time);
    await fake.browser.advance(0);
    socket(fake).hello();
    assert.equal(fake.line.status, "live");
  });
}

// A page stands still in a dialog or suspended; in a machine's sleep the monotonic clock may stand still as well.
for (const how of /** @type {("stall" | "sleep")[]} */ (["stall", "sleep"])) {
  test(`after a ${how} the line is not trusted, whatever it says: poll within two seconds`, async () => {
    const fake = await start();
    const before = socket(fake);
    before.hello();
    await fake.browser.advance(1000);
    await fake.browser[how](3600000);
    // What was on its way before is no sign that it works.
    before.event(event("orders", 10));
    await fake.browser.advance(1000);
    assert.ok(before.closed);
    assert.equal(fake.browser.asked.length, 2);
    socket(fake).hello();
    assert.equal(fake.line.status, "live");
    await fake.browser.advance(20000);
    assert.equal(fake.browser.open.length, 1);
  });
}

test("a timer that is a little late is no sleep, nor is a clock that was set back", async () => {
  const fake = await start();
  socket(fake).hello();
  for (const ms of [2900, -3600000]) {
    await fake.browser.sleep(ms);
    await fake.browser.advance(4000);
    socket(fake).tell({ data: null, cursor: null });
  }
  assert.equal(fake.browser.lines.length, 1);
});

test("a hidden page's timers are late as a rule: it keeps its line", async () => {
  const fake = await start({ hiddenAfterMs: 3600000 });
  socket(fake).hello();
  await fake.browser.show("hidden");
  for (let minute = 0; minute < 5; minute++) {
    await fake.browser.stall(25000);
    socket(fake).tell({ data: null, cursor: null });
  }
  assert.equal(fake.browser.lines.length, 1);
});

test("a better rung that may be tried from now on does not end the line", async () => {
  const fake = await start({ transports: ["sse", "poll"] });
  const stream = fake.browser.line("sse");
  stream.hello();
  fake.line.transports = ALL;
  await fake.browser.advance(0);
  assert.ok(!stream.closed);
  assert.equal(fake.line.transport, "sse");
  socket(fake).hello();
  assert.ok(stream.closed);
  assert.equal(fake.line.transport, "websocket");
});

test("a reset that a poll brings while a line proves itself has the line opened anew", async () => {
  const reset = { channels: ["orders"], reason: "epoch" };
  const fake = await start({}, [answer(null, "e-9", { transports: ALL }), answer([event("orders", 1)], "f-1", { reset, transports: ALL })]);
  await fake.browser.advance(2000);
  assert.equal(new URL(socket(fake).url).searchParams.get("cursor"), "f-1");
  assert.equal(fake.browser.open.length, 1);
});

test("while polls fail nothing is opened; with the first answer, what was learned is forgotten", async () => {
  const fake = await start();
  const quiet = fake.browser.quiet;
  socket(fake).hello();
  fake.browser.quiet = { error: new Error("gone") };
  fake.browser.luck = 0.9;
  socket(fake).end(1006);
  await fake.browser.advance(100000);
  assert.equal(fake.line.status, "offline");
  assert.equal(fake.browser.lines.length, 1);
  fake.browser.quiet = quiet;
  await fake.browser.advance(60000);
  assert.ok(fake.browser.lines.length > 1);
});

// All orders

/** A log, and all that can happen to its reader. @param {number[]} orders what happens, by number */
async function play(orders) {
  const fake = makeLine({ cursor: "e-0" });
  const { browser, got, line } = fake;
  let head = 0;
  const since = (/** @type {string} */ cursor, upTo = head) => {
    const from = Number(cursor.slice(2));
    return upTo > from ? Array.from({ length: upTo - from }, (_, index) => event("orders", from + index + 1)) : null;
  };
  browser.quiet = ({ url }) => answer(since(url.searchParams.get("cursor") ?? ""), `e-${head}`, { transports: ALL });
  const flush = () => {
    for (const open of browser.open) {
      if (!open.proved) continue;
      for (const one of since(`e-${open.at}`) ?? []) open.event(one);
      open.at = head;
    }
  };
  const moves = [
    () => void head++,
    () => (head++, flush()),
    () => {
      const [open] = browser.open.filter(({ proved }) => !proved);
      open?.hello();
    },
    () => browser.open[0]?.end(1006),
    () => browser.open.at(-1)?.end(1001),
    () => browser.advance(3100),
    () => browser.advance(31000),
    () => {
      browser.script = [{ error: new Error("gone") }];
    },
    // What is closed may still have something in its pipe.
    () => browser.lines.findLast(({ closed, proved }) => closed && proved)?.event(event("orders", ++head)),
    () => browser.open[0]?.tell({ data: null, cursor: `e-${browser.open[0].at}`, advice: { interval: 2, hold: 20, transports: ["sse", "poll"] } }),
  ];
  fake.follow("orders");
  await browser.advance(0);
  for (const order of orders) {
    const statusBefore = line.status;
    const asked = browser.asked.length;
    await moves[order % moves.length]?.();
    if (statusBefore === "live" && line.status === "live" && browser.open.length === 1 && order % moves.length < 3) {
      assert.equal(browser.asked.length, asked, "a poll beside a line that delivers");
    }
    assert.ok(browser.open.length <= 2, "more than a line and a probe");
    assert.ok(browser.mostAtOnce <= 1, "two polls at once");
    assert.deepEqual(got.map(([, offset]) => offset), got.map((_, index) => index + 1), "a gap, a repeat or another order");
  }
  // The way is free again: everything comes, and the best line is up.
  for (let tries = 0; tries < 200 && line.transport !== "websocket"; tries++) {
    await browser.advance(1000);
    for (const open of browser.open) if (!open.proved) open.hello();
    flush();
  }
  flush();
  assert.equal(line.transport, "websocket");
  assert.equal(got.length, head);
  line.close();
  assert.equal(browser.timers, 0);
}

test("no gap, no repeat, in order, never two readers, always up again: all orders of four", async () => {
  for (let order = 0; order < 10 ** 4; order++) await play([order, order / 10, order / 100, order / 1000].map(Math.floor));
});

test("and long orders, drawn", async () => {
  let seed = 20261122;
  const draw = () => (seed = (seed * 48271) % 2147483647);
  for (let time = 0; time < 300; time++) await play(Array.from({ length: 30 }, draw));
});
