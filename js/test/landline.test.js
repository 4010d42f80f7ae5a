// The face: options, handlers, joining, errors.

import assert from "node:assert/strict";
import { test } from "node:test";
import { LandlineError, answer, event, folder, makeLine, problem } from "./fake.js";

test("what may be set later is checked as well, and what was there stays", () => {
  const { line } = makeLine({ transports: ["poll"] });
  for (const value of /** @type {any[]} */ (["poll", ["pigeon"], null])) assert.throws(() => (line.transports = value), TypeError);
  assert.deepEqual(line.transports, ["poll"]);
  for (const value of /** @type {any[]} */ (["5", -1, NaN, undefined])) assert.throws(() => (line.intervalMs = value), TypeError);
  assert.equal(line.intervalMs, 0);
});

for (const [channel, handler] of /** @type {any[]} */ ([["orders"], ["orders", "show"], ["", () => {}], [undefined, () => {}], [["orders"], () => {}]])) {
  test(`on(${JSON.stringify(channel)}, ${handler}) is a TypeError, and no such channel is read`, async () => {
    const { browser, line } = makeLine();
    assert.throws(() => line.on(channel, handler), { name: "TypeError", message: `on("${channel}", ${handler}) takes a name and a function.` });
    await browser.advance(60000);
    assert.equal(browser.asked.length, 0);
  });
}

test("the hundred-and-first channel is refused by name, and the hundred are read on", async () => {
  const { browser, follow, got, tells } = makeLine({}, [answer([event("room/0", 1)], "c1")]);
  for (let number = 0; number < 100; number++) follow(`room/${number}`);
  follow("room/7");
  assert.throws(() => follow("room/100"), (/** @type {any} */ error) => {
    assert.ok(error instanceof LandlineError);
    assert.deepEqual([error.code, error.message], ["too-many-channels", `"room/100": a line reads 100 channels. Use several lines.`]);
    return true;
  });
  await browser.advance(2000);
  assert.deepEqual(browser.asked.map(({ url }) => url.searchParams.getAll("channel").length), [100, 100]);
  assert.deepEqual(got, [["room/0", 1]]);
  assert.deepEqual(tells("error"), []);
});

// Addresses

/** @type {[any, string][]} */
const urls = [
  ["/landline/", "http://app.test/landline/poll"],
  ["/landline", "http://app.test/landline/poll"],
  ["https://other.test/live", "https://other.test/live/poll"],
  [new URL("https://other.test/live/"), "https://other.test/live/poll"],
];
for (const [url, expected] of urls) {
  test(`the prefix ${url} is polled at ${expected}`, async () => {
    const { browser, follow } = makeLine({ url });
    follow("orders");
    await browser.advance(0);
    assert.equal(browser.last.url.href, `${expected}?channel=orders`);
  });
}

/** @type {[string, any][]} where the page is, and the option */
const withCredentials = [
  ["http://me:hush@app.test/page", "/landline"],
  ["http://me:hush@app.test/page", "landline/"],
  ["http://me@app.test/page", "/landline"],
  ["http://app.test/page", "http://me:hush@app.test/landline"],
  ["http://app.test/page", new URL("http://me:hush@app.test/landline")],
];
for (const place of ["baseURI", "href"]) {
  for (const [page, url] of withCredentials) {
    test(`user and password are in no address and no message: ${url} on ${page}, by ${place}`, async () => {
      const fake = makeLine({ url, cursor: "e-0" }, [], ({ env, document }) => {
        if (place === "href") env.location.href = page;
        else Object.assign(document, { baseURI: page });
      });
      const { browser, follow, trace } = fake;
      browser.luck = 0.9;
      browser.quiet = answer(null, "e-0", { transports: ["websocket", "sse", "poll"] });
      follow("orders");
      await browser.advance(0);
      assert.equal(browser.last.url.href, "http://app.test/landline/poll?channel=orders&cursor=e-0");
      await browser.advance(3500);
      assert.deepEqual(browser.lines.map(({ url }) => url.split("?")[0]), ["ws://app.test/landline/ws", "http://app.test/landline/events"]);
      browser.quiet = { error: new TypeError("gone") };
      await browser.advance(10000);
      assert.equal(fake.tells("error").length, 1);
      assert.doesNotMatch(JSON.stringify([fake.told, trace, fake.tells("error").map(({ message }) => message)]), /hush|me@/);
    });
  }
}

for (const [name, reply, length] of /** @type {[string, any, number][]} */ ([
  ["414 by a proxy", { status: 414, text: "<h1>414 Request-URI Too Large" }, 1],
  ["400 by gunicorn", { status: 400, text: "<h1>Bad Request" }, 100],
  ["no answer at all", { error: new TypeError("gone") }, 100],
])) {
  test(`an address that is too long (${name}) is told with its length and the remedy, and not whole`, async () => {
    const { browser, follow, tells } = makeLine({}, [reply]);
    for (let number = 0; number < length; number++) follow(`room/${"x".repeat(36)}${number}`);
    await browser.advance(0);
    const [{ message }] = tells("error");
    assert.match(message, new RegExp(` ${`GET ${browser.asked[0]?.url}`.length} characters are too many\\. Use several lines\\.`));
    assert.ok(message.length < 500, message);
    assert.doesNotMatch(message, /Is the url right/);
  });
}

test("without a prefix, the folder of the script is polled", async () => {
  const { browser, follow } = makeLine({ url: undefined });
  follow("orders");
  await browser.advance(0);
  assert.equal(browser.last.url.href, `${new URL(`${folder}/poll`, import.meta.url)}?channel=orders`);
});

test("undefined options are the defaults", () => {
  const { line } = makeLine({ cursor: undefined, channels: undefined, intervalMs: undefined, timeoutMs: undefined });
  assert.equal(line.intervalMs, 0);
  assert.equal(line.cursor, null);
});

test("a poll goes past every cache, and with nothing the server does not know", async () => {
  const { browser, follow } = makeLine();
  follow("orders");
  await browser.advance(0);
  const { signal, ...init } = browser.last.init;
  assert.ok(signal);
  assert.deepEqual(init, { cache: "no-store", credentials: "same-origin" });
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
  await browser.advance(0);
  assert.deepEqual(browser.asked.map(({ query }) => query), ["channel=__proto__&channel=orders&channel=stock"]);
});

test("the order of registration does not change the address", async () => {
  const queries = new Set();
  for (const channels of [["a", "b", "B"], ["B", "b", "a"]]) {
    const { browser, follow } = makeLine({ cursor: "c0" });
    channels.forEach(follow);
    await browser.advance(0);
    queries.add(browser.last.query);
  }
  assert.deepEqual([...queries], ["channel=B&channel=a&channel=b&cursor=c0"]);
});

test("__proto__ is a channel like any other", async () => {
  const { browser, follow, got } = makeLine({}, [answer([event("__proto__", 1)], "c1")]);
  follow("__proto__");
  await browser.advance(0);
  assert.deepEqual(got, [["__proto__", 1]]);
});

test("channels in the options are read before they have a handler, and joined no second time", async () => {
  const { browser, follow, got } = makeLine({ channels: ["orders"] }, [
    answer([event("orders", 1)], "c1"),
    answer([event("orders", 2)], "c2"),
  ]);
  await browser.advance(0);
  follow("orders")();
  follow("orders");
  await browser.advance(2000);
  assert.deepEqual(browser.asked.map(({ query }) => query), ["channel=orders", "channel=orders&cursor=c1"]);
  assert.deepEqual(got, [["orders", 2]]);
});

test("the page's cursor positions what is put on before the first answer", async () => {
  const { browser, line, follow } = makeLine({ cursor: "c0" });
  assert.equal(line.cursor, "c0");
  follow("orders")();
  follow("stock");
  await browser.advance(0);
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
  const { browser, follow, line } = makeLine({ cursor: "c0" }, [() => (follow("room"), answer(null, "c1")), answer(null, "c2")]);
  follow("orders");
  await browser.advance(0);
  assert.deepEqual(browser.asked.map(({ query }) => query), ["channel=orders&cursor=c0", "channel=room"]);
  assert.equal(line.cursor, "c1");
  assert.equal(browser.mostAtOnce, 1);
});

test("a channel added while the first poll fails is asked for with the others", async () => {
  const { browser, follow } = makeLine({ cursor: "c0" }, [() => (follow("room"), { error: new Error("gone") })]);
  follow("orders");
  await browser.advance(0);
  assert.equal(browser.last.query, "channel=orders&channel=room&cursor=c0");
});

test("a channel added while others are joining is joined after them, and has its snapshot", async () => {
  const { browser, follow, got } = makeLine({ cursor: "c0" }, [
    answer(null, "c1"),
    () => (follow("room/2"), answer([event("room", 3, { snapshot: true })], "j3")),
    answer([event("room/2", 4, { snapshot: true })], "j4"),
    answer([event("room", 3), event("room/2", 4), event("room/2", 5)], "c5"),
  ]);
  follow("orders");
  await browser.advance(0);
  follow("room");
  await browser.advance(2000);
  assert.deepEqual(browser.asked.map(({ query }) => query), [
    "channel=orders&cursor=c0",
    "channel=room",
    "channel=room%2F2",
    "channel=orders&channel=room&channel=room%2F2&cursor=c1",
  ]);
  assert.deepEqual(got, [["room", 3], ["room/2", 4], ["room/2", 5]]);
});

test("a join does not put off the poll of the others", async () => {
  const { browser, follow } = makeLine({ cursor: "c0" });
  follow("orders");
  for (let number = 0; number < 10; number++) {
    await browser.advance(500);
    follow(`room/${number}`);
  }
  await browser.advance(0);
  const main = browser.asked.filter(({ query }) => query.includes("cursor"));
  assert.deepEqual(main.map(({ at }) => at - 1000), [0, 2000, 4000]);
});

test("a refused join is told once and tried again ever more slowly, while the others go on", async () => {
  const { browser, follow, got, line, tells, told } = makeLine({ cursor: "c0" });
  const refusal = problem(404, "unknown-channel", { channels: ["rom"] });
  browser.luck = 0.9;
  browser.quiet = ({ query }) => (query === "channel=rom" ? refusal : answer([event("orders", 1)], "c1"));
  follow("orders");
  await browser.advance(0);
  follow("rom");
  await browser.advance(8000);
  const joins = browser.asked.filter(({ query }) => query === "channel=rom");
  assert.deepEqual(joins.map(({ at }) => at - 1000), [0, 900, 2520, 7056]);
  const others = browser.asked.filter(({ query }) => query === "channel=orders&cursor=c1");
  assert.deepEqual(others.map(({ at }) => at - 1000), [2180, 4360, 6540]);
  assert.equal(line.status, "polling");
  assert.deepEqual(got, [["orders", 1]]);
  assert.deepEqual(tells("error").map(({ code, status, problem }) => [code, status, problem.channels]), [["unknown-channel", 404, ["rom"]]]);
  assert.deepEqual(tells("status").map(({ status }) => status), ["polling"]);
  assert.equal(told.length, 2);
});

test("another join does not wait for the pause after one that was refused", async () => {
  const { browser, follow } = makeLine({ cursor: "c0" }, [answer(null, "c1"), problem(404, "unknown-channel")]);
  browser.luck = 0.9;
  follow("orders");
  await browser.advance(0);
  const off = follow("rom");
  await browser.advance(0);
  off();
  follow("room");
  await browser.advance(0);
  assert.equal(browser.last.query, "channel=room");
});

test("a channel without handlers is asked for no more; put on again, it is joined anew", async () => {
  const { browser, follow, got } = makeLine({}, [
    answer([event("orders", 3), event("room", 4)], "c4"),
    answer(null, "c4"),
    answer([event("room", 2, { data: "all", snapshot: true })], "c5"),
  ]);
  follow("orders");
  const off = follow("room");
  await browser.advance(0);
  off();
  off();
  await browser.advance(2000);
  assert.equal(browser.last.query, "channel=orders&cursor=c4");
  follow("room");
  await browser.advance(0);
  assert.equal(browser.last.query, "channel=room");
  assert.deepEqual(got, [["orders", 3], ["room", 4], ["room", "all"]]);
});

test("when the last channel goes, asking stops", async () => {
  const { browser, follow, line } = makeLine();
  const off = follow("orders");
  await browser.advance(0);
  off();
  assert.equal(line.status, "closed");
  await browser.advance(60000);
  assert.equal(browser.asked.length, 1);
});

test("a failed line without channels is not asked for", async () => {
  const { browser, follow } = makeLine({}, [{ error: new Error("gone") }]);
  browser.luck = 0.5;
  const off = follow("orders");
  await browser.advance(0);
  off();
  await browser.advance(60000);
  assert.equal(browser.asked.length, 1);
});

test("who comes when all have gone starts anew, not at an old position", async () => {
  const { browser, follow } = makeLine({ cursor: "c0" });
  const off = follow("orders");
  await browser.advance(0);
  off();
  follow("orders");
  await browser.advance(2000);
  assert.deepEqual(browser.asked.map(({ query }) => query), ["channel=orders&cursor=c0", "channel=orders"]);
});

test("a channel taken off while its poll is under way gets nothing from it", async () => {
  const { browser, follow, got } = makeLine({}, [
    answer(null, "c6"),
    () => {
      off();
      follow("room");
      return answer([event("room", 7), event("orders", 8)], "c8");
    },
    answer([event("room", 5, { data: "all", snapshot: true })], "c8"),
  ]);
  const off = follow("room");
  follow("orders");
  await browser.advance(2000);
  assert.equal(browser.last.query, "channel=room");
  assert.deepEqual(got, [["orders", 8], ["room", "all"]]);
});

test("handlers get data and event, in the order of registration, the same function as often as it was put on", async () => {
  const { browser, line } = makeLine({}, [answer([event("orders", 1, { data: { id: 7 } })], "c1")]);
  /** @type {any[]} */
  const calls = [];
  const twice = () => calls.push("twice");
  line.on("orders", (data, event) => calls.push(["first", data, event.offset, event.at]));
  line.on("orders", twice);
  line.on("orders", twice);
  await browser.advance(0);
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

test("an async handler is called in order, and not waited for; a chain of promises makes it wait", async () => {
  const { line, browser } = makeLine({}, [answer([event("orders", 1), event("orders", 2)], "c2")]);
  /** @type {any[]} */
  const steps = [];
  /** @type {(() => void)[]} */
  const finish = [];
  /** @param {string} name @param {number} order */
  const show = async (name, order) => {
    steps.push(`${name} begins ${order}`);
    await new Promise((resolve) => finish.push(() => resolve(undefined)));
    steps.push(`${name} ends ${order}`);
  };
  line.on("orders", (order) => show("plain", order));
  let last = Promise.resolve();
  line.on("orders", (order) => (last = last.then(() => show("chained", order))));
  await browser.advance(0);
  while (finish.length) {
    finish.shift()?.();
    await browser.advance(0);
  }
  const of = (/** @type {string} */ name) => steps.filter((step) => step.startsWith(name));
  assert.deepEqual(of("plain"), ["plain begins 1", "plain begins 2", "plain ends 1", "plain ends 2"]);
  assert.deepEqual(of("chained"), ["chained begins 1", "chained ends 1", "chained begins 2", "chained ends 2"]);
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
    assert.match(errors[0].message, /"orders" failed: Error: boom/);
    assert.equal(line.status, "polling");
  });
}

test("problems are on the console too, so that they are seen when nobody listens", async () => {
  const { browser, follow } = makeLine({}, [{ error: new TypeError("gone") }]);
  browser.luck = 0.5;
  follow("orders");
  await browser.advance(0);
  assert.equal(/** @type {any} */ (console.error).mock.calls.length, 1);
});

test("a handler sees the cursor after the answer", async () => {
  const { browser, line } = makeLine({}, [answer([event("orders", 1)], "c1")]);
  /** @type {any} */
  let cursor;
  line.on("orders", () => (cursor = line.cursor));
  await browser.advance(0);
  assert.equal(cursor, "c1");
});

test("close stops the line: nothing is asked, nothing delivered, whatever is put on", async () => {
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
  assert.deepEqual(told.map(([type, { status }]) => [type, status]), [["status", "polling"], ["status", "closed"]]);
  assert.equal(line.status, "closed");
  follow("room");
  await browser.advance(60000);
  assert.equal(browser.asked.length, 1);
  assert.equal(browser.timers, 0);
});

test("close ends the poll under way, silently", async () => {
  const { line, browser, follow, told } = makeLine({}, [{ hang: true }]);
  follow("orders");
  await browser.advance(0);
  line.close();
  await browser.advance(60000);
  assert.ok(browser.last.init.signal?.aborted);
  assert.deepEqual(told.map(([type, { status }]) => [type, status]), [["status", "polling"], ["status", "closed"]]);
});
