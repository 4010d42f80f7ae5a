// The face: options, handlers, joining, errors.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Landline, LandlineError, answer, event, folder, makeLine, problem, settle } from "./fake.js";

/** @type {[string, any, RegExp][]} */
const wrongOptions = [
  ["an unknown option", { interval: 2 }, /interval.*landline\.d\.ts/],
  ["an url that is none", { url: 5 }, /url is "5"; pass/],
  ["an empty cursor", { cursor: "" }, /cursor is ""; pass landline_cursor\(\)/],
  ["a cursor that is a number", { cursor: 12 }, /cursor is "12"; pass landline_cursor\(\)/],
  ["channels that are a string", { channels: "orders" }, /channels is "orders"; pass an array/],
  ["an empty channel", { channels: [""] }, /channel is ""; pass a name/],
  ["a channel that is null", { channels: [null] }, /channel is "null"; pass a name/],
  ["intervalMs that is text", { intervalMs: "soon" }, /intervalMs is "soon"; pass milliseconds/],
  ["intervalMs below zero", { intervalMs: -1 }, /intervalMs is "-1"; pass milliseconds/],
  ["intervalMs that is NaN", { intervalMs: NaN }, /intervalMs is "NaN"; pass milliseconds/],
  ["hiddenIntervalMs without end", { hiddenIntervalMs: Infinity }, /hiddenIntervalMs is "Infinity"; pass/],
  ["timeoutMs below zero", { timeoutMs: -5 }, /timeoutMs is "-5"; pass/],
];
for (const [name, options, words] of wrongOptions) {
  test(`${name} is a TypeError with the value and the remedy`, () => {
    assert.throws(() => new Landline({ url: "/landline/", ...options }), { name: "TypeError", message: words });
  });
}

/** @type {[any, string][]} */
const urls = [
  ["/landline/", "http://app.test/landline/poll"],
  ["/landline", "http://app.test/landline/poll"],
  ["https://other.test/live", "https://other.test/live/poll"],
  [new URL("https://other.test/live/"), "https://other.test/live/poll"],
];
for (const [url, expected] of urls) {
  test(`the prefix ${url} is polled at ${expected}`, async () => {
    const { browser, follow, trace } = makeLine({ url });
    follow("orders");
    await settle();
    assert.equal(browser.last.url.href, `${expected}?channel=orders`);
    assert.equal(/** @type {any} */ (trace[0]).request, `GET ${browser.last.url.pathname}?channel=orders`);
  });
}

test("without a prefix, the folder of the script is polled", async () => {
  const { browser, follow } = makeLine({ url: undefined });
  follow("orders");
  await settle();
  assert.equal(browser.last.url.href, `${new URL(`${folder}/poll`, import.meta.url)}?channel=orders`);
});

test("undefined options are the defaults", async () => {
  const { line } = makeLine({ cursor: undefined, channels: undefined, intervalMs: undefined, timeoutMs: undefined });
  assert.equal(line.intervalMs, 0);
  assert.equal(line.cursor, null);
});

test("a poll asks for JSON, past every cache, and with nothing the server does not know", async () => {
  const { browser, follow } = makeLine();
  follow("orders");
  await settle();
  const { signal, ...init } = browser.last.init;
  assert.ok(signal);
  assert.deepEqual(init, { headers: { Accept: "application/json" }, cache: "no-store" });
  assert.deepEqual([...browser.last.url.searchParams.keys()], ["channel"]);
});

test("nothing is asked while there is no channel", async () => {
  const { browser } = makeLine();
  await browser.advance(60000);
  assert.equal(browser.asked.length, 0);
  assert.equal(browser.timers, 0);
});

test("several channels put on together share the first poll", async () => {
  const { browser, follow } = makeLine();
  for (const channel of ["stock", "orders", "__proto__"]) follow(channel);
  assert.equal(browser.asked.length, 0);
  await settle();
  assert.deepEqual(browser.asked.map(({ query }) => query), ["channel=__proto__&channel=orders&channel=stock"]);
});

test("the order of registration does not change the address", async () => {
  const queries = new Set();
  for (const channels of [["a", "b", "B"], ["B", "b", "a"]]) {
    const { browser, follow } = makeLine({ cursor: "c0" });
    channels.forEach(follow);
    await settle();
    queries.add(browser.last.query);
  }
  assert.deepEqual([...queries], ["channel=B&channel=a&channel=b&cursor=c0"]);
});

test("__proto__ is a channel like any other", async () => {
  const { follow, got } = makeLine({}, [answer([event("__proto__", 1)], "c1")]);
  follow("__proto__");
  await settle();
  assert.deepEqual(got, [["__proto__", 1]]);
});

test("channels in the options are read before they have a handler, and joined no second time", async () => {
  const { browser, follow, got } = makeLine({ channels: ["orders"] }, [
    answer([event("orders", 1)], "c1"),
    answer([event("orders", 2)], "c2"),
  ]);
  await settle();
  follow("orders")();
  follow("orders");
  await browser.advance(2000);
  assert.deepEqual(browser.asked.map(({ query }) => query), ["channel=orders", "channel=orders&cursor=c1"]);
  assert.deepEqual(got, [["orders", 2]]);
});

test("the page's cursor positions what is put on before the first poll", async () => {
  const { browser, line, follow } = makeLine({ cursor: "c0" });
  assert.equal(line.cursor, "c0");
  follow("orders")();
  follow("stock");
  await settle();
  assert.equal(browser.last.query, "channel=stock&cursor=c0");
});

test("a channel added later is joined alone, then polled with the others from the main cursor", async () => {
  const { browser, line, follow, got } = makeLine({ cursor: "c0" }, [
    answer([event("orders", 5)], "c5"),
    answer([event("room", 9, { data: "all", snapshot: true })], "c9"),
    answer([event("orders", 8), event("room", 9), event("room", 10)], "c10"),
  ]);
  follow("orders");
  await browser.advance(100);
  follow("room");
  follow("room/2");
  await browser.advance(0);
  assert.equal(browser.asked[1]?.query, "channel=room&channel=room%2F2");
  assert.equal(line.cursor, "c5");
  await browser.advance(2000);
  assert.equal(browser.asked[2]?.query, "channel=orders&channel=room&channel=room%2F2&cursor=c5");
  assert.equal(browser.asked[2]?.at, 3000);
  assert.deepEqual(got, [["orders", 5], ["room", "all"], ["orders", 8], ["room", 10]]);
});

test("a channel added while the first poll is under way is joined right after it", async () => {
  const { browser, follow, line } = makeLine({}, [answer(null, "c1"), answer(null, "c2")]);
  follow("orders");
  await Promise.resolve();
  follow("room");
  await settle();
  assert.deepEqual(browser.asked.map(({ query }) => query), ["channel=orders", "channel=room"]);
  assert.equal(line.cursor, "c1");
  assert.equal(browser.mostAtOnce, 1);
});

test("the page's cursor is not used for a channel added while the first poll is under way", async () => {
  const { browser, follow } = makeLine({ cursor: "c0" }, [{ hang: true }]);
  follow("orders");
  await settle();
  follow("room");
  await browser.advance(31000);
  assert.ok(browser.asked.some(({ query }) => query === "channel=room"));
});

test("a snapshot in pages is read to its end before the channel moves in with the others", async () => {
  const { browser, follow } = makeLine({ cursor: "c0" }, [
    answer(null, "c5"),
    answer([event("room", 9, { snapshot: true })], "j9", { interval: 0 }),
    answer([event("room", 10)], "j10"),
  ]);
  follow("orders");
  await settle();
  follow("room");
  await browser.advance(2000);
  assert.deepEqual(browser.asked.map(({ query }) => query), [
    "channel=orders&cursor=c0",
    "channel=room",
    "channel=room&cursor=j9",
    "channel=orders&channel=room&cursor=c5",
  ]);
});

test("channels that are refused are set apart with their cursor, the others go on", async () => {
  const refused = problem(403, "not-allowed", { channels: ["room"] });
  const { browser, line, follow, got, tells } = makeLine({ cursor: "c0" }, [
    refused,
    answer([event("orders", 1)], "c1"),
    answer(null, "c1"),
    refused,
    answer(null, "c1"),
    answer([event("room", 1)], "r2"),
    answer(null, "c1"),
  ]);
  browser.luck = 0.5;
  ["orders", "room"].forEach(follow);
  await settle();
  assert.equal(line.status, "polling");
  await browser.advance(8500);
  assert.deepEqual(browser.asked.slice(0, 7).map(({ query, at }) => [at, query]), [
    [1000, "channel=orders&channel=room&cursor=c0"],
    [1000, "channel=orders&cursor=c0"],
    [3100, "channel=orders&cursor=c1"],
    [3500, "channel=room&cursor=c0"],
    [5200, "channel=orders&cursor=c1"],
    [7300, "channel=orders&cursor=c1"],
    [8500, "channel=room&cursor=c0"],
  ]);
  assert.deepEqual(tells("error").map(({ code, status, problem }) => [code, status, problem.channels]), [["not-allowed", 403, ["room"]]]);
  assert.deepEqual(got, [["orders", 1]]);
});

test("what was refused and is allowed again goes on where it was, and moves in with the others", async () => {
  const { browser, follow, got } = makeLine({ cursor: "c0" }, [
    problem(403, "not-allowed", { channels: ["room"] }),
    answer([event("orders", 2)], "c2"),
    answer([event("room", 1)], "r1"),
  ]);
  ["orders", "room"].forEach(follow);
  await browser.advance(2000);
  assert.deepEqual(browser.asked.map(({ query }) => query), [
    "channel=orders&channel=room&cursor=c0",
    "channel=orders&cursor=c0",
    "channel=room&cursor=c0",
    "channel=orders&channel=room&cursor=c2",
  ]);
  assert.deepEqual(got, [["orders", 2], ["room", 1]]);
});

test("a refused join does not hold up the channels there were before", async () => {
  const { browser, follow, line } = makeLine({ cursor: "c0" }, [answer(null, "c1"), problem(404, "unknown-channel", { channels: ["rom"] })]);
  browser.luck = 0.9;
  follow("orders");
  await settle();
  follow("rom");
  await browser.advance(2180);
  assert.equal(browser.last.query, "channel=orders&cursor=c1");
  assert.equal(line.status, "polling");
});

test("a channel without handlers is asked for no more; put on again, it is joined anew", async () => {
  const { browser, follow, got } = makeLine({}, [
    answer([event("orders", 3), event("room", 4)], "c4"),
    answer(null, "c4"),
    answer([event("room", 2, { data: "all", snapshot: true })], "c5"),
  ]);
  follow("orders");
  const off = follow("room");
  await settle();
  off();
  off();
  await browser.advance(2000);
  assert.equal(browser.last.query, "channel=orders&cursor=c4");
  follow("room");
  await browser.advance(0);
  assert.equal(browser.last.query, "channel=room");
  assert.deepEqual(got, [["orders", 3], ["room", 4], ["room", "all"]]);
});

test("when the last channel goes, asking stops and the position is given up", async () => {
  const { browser, line, follow } = makeLine();
  const off = follow("orders");
  await settle();
  off();
  await browser.advance(60000);
  assert.equal(browser.asked.length, 1);
  assert.equal(line.cursor, null);
});

test("a position given up is not taken up again, not even the page's", async () => {
  const { browser, follow } = makeLine({ cursor: "c0" });
  const off = follow("orders");
  await settle();
  off();
  follow("orders");
  await settle();
  assert.deepEqual(browser.asked.map(({ query }) => query), ["channel=orders&cursor=c0", "channel=orders"]);
});

test("a channel taken off while its poll is under way gets nothing from it", async () => {
  const { browser, follow, got } = makeLine({}, [
    () => {
      off();
      follow("room");
      return answer([event("room", 7), event("orders", 8)], "c8");
    },
    answer([event("room", 5, { data: "all", snapshot: true })], "c8"),
  ]);
  const off = follow("room");
  follow("orders");
  await browser.advance(0);
  assert.equal(browser.last.query, "channel=room");
  assert.deepEqual(got, [["orders", 8], ["room", "all"]]);
});

test("a line reads 100 channels and refuses the 101st; another handler is no channel", async () => {
  const { browser, follow, line } = makeLine();
  for (let number = 0; number < 100; number++) follow(`room/${number}`);
  follow("room/7");
  assert.throws(() => follow("room/100"), { name: "TypeError", message: /channel 101 is "room\/100".*second Landline/ });
  await settle();
  assert.equal(browser.last.url.searchParams.size, 100);
  line.close();
});

test("handlers get data and event, in the order of registration, the same function as often as it was put on", async () => {
  const { line } = makeLine({}, [answer([event("orders", 1, { data: { id: 7 } })], "c1")]);
  /** @type {any[]} */
  const calls = [];
  const twice = () => calls.push("twice");
  line.on("orders", (data, event) => calls.push(["first", data, event.offset, event.at]));
  line.on("orders", twice);
  line.on("orders", twice);
  await settle();
  assert.deepEqual(calls, [["first", { id: 7 }, 1, 1795357201], "twice", "twice"]);
});

test("a handler taken off by another gets not even the event under way, one put on only the next", async () => {
  const { line, browser } = makeLine({}, [answer([event("orders", 1)], "c1"), answer([event("orders", 2)], "c2")]);
  /** @type {any[]} */
  const calls = [];
  line.on("orders", (data) => {
    off();
    if (data === 1) line.on("orders", (data) => calls.push(["late", data]));
  });
  const off = line.on("orders", (data) => calls.push(["off", data]));
  await browser.advance(2000);
  assert.deepEqual(calls, [["late", 2]]);
});

for (const [name, fail] of /** @type {[string, () => any][]} */ ([
  ["throws", () => { throw new Error("boom"); }],
  ["rejects", async () => { throw new Error("boom"); }],
])) {
  test(`a handler that ${name} is reported and stops neither the feed nor the others`, async () => {
    const { line, browser, got, follow, tells } = makeLine({}, [
      answer([event("orders", 1), event("orders", 2)], "c2"),
      answer([event("orders", 3)], "c3"),
    ]);
    line.on("orders", fail);
    follow("orders");
    await browser.advance(2000);
    assert.deepEqual(got, [["orders", 1], ["orders", 2], ["orders", 3]]);
    const errors = tells("error");
    assert.equal(errors.length, 3);
    assert.ok(errors[0] instanceof LandlineError);
    assert.equal(errors[0].code, "handler");
    assert.equal(/** @type {Error} */ (errors[0].cause).message, "boom");
    assert.match(errors[0].message, /"orders" failed at 1: Error: boom/);
    assert.equal(line.status, "polling");
  });
}

test("problems are on the console too, so that they are seen when nobody listens", async () => {
  const { follow } = makeLine({}, [{ error: new TypeError("gone") }]);
  follow("orders");
  await settle();
  assert.equal(/** @type {any} */ (console.error).mock.calls.length, 1);
});

test("a handler sees the cursor after the answer", async () => {
  const { line } = makeLine({}, [answer([event("orders", 1)], "c1")]);
  /** @type {any} */
  let cursor;
  line.on("orders", () => (cursor = line.cursor));
  await settle();
  assert.equal(cursor, "c1");
});

test("close stops the line: nothing is asked, nothing delivered, nothing put on", async () => {
  const { line, browser, follow, got, told } = makeLine({}, [answer([event("orders", 1), event("orders", 2)], "c2")]);
  line.on("orders", () => line.close());
  follow("orders");
  await browser.advance(60000);
  for (const wake of [() => line.poll(), () => line.resume(), () => (line.intervalMs = 5)]) wake();
  await browser.fire("pageshow");
  await browser.connect(false);
  await browser.connect(true);
  await browser.advance(60000);
  assert.equal(browser.asked.length, 1);
  assert.deepEqual(got, []);
  assert.deepEqual(told, []);
  assert.equal(browser.timers, 0);
  assert.throws(() => follow("room"), { name: "TypeError", message: /closed.*new Landline/ });
});

test("close ends the poll under way, silently", async () => {
  const { line, browser, follow, told } = makeLine({}, [{ hang: true }]);
  follow("orders");
  await settle();
  line.close();
  await browser.advance(60000);
  assert.ok(browser.last.init.signal?.aborted);
  assert.deepEqual(told, []);
});

test("a channel put on while a refusal is told is joined, not read from the others' position", async () => {
  const { browser, line, follow } = makeLine({ cursor: "c0" }, [problem(403, "not-allowed", { channels: ["room"] })]);
  line.addEventListener("error", () => follow("stock"));
  ["orders", "room"].forEach(follow);
  await settle();
  assert.deepEqual(browser.asked.map(({ query }) => query).slice(1, 3), ["channel=orders&cursor=c0", "channel=stock"]);
});
