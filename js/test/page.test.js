// The loop in a page: paused, hidden, left, without a network, asleep.

import assert from "node:assert/strict";
import { test } from "node:test";
import { answer, event, makeLine, start, times } from "./fake.js";

// pause, resume, poll

test("pause stops asking, resume asks at once", async () => {
  const { browser, line } = await start();
  line.pause();
  line.pause();
  assert.equal(line.status, "closed");
  await browser.advance(60000);
  assert.equal(browser.asked.length, 1);
  line.resume();
  assert.equal(line.status, "polling");
  await browser.advance(0);
  assert.equal(browser.asked.length, 2);
});

test("an answer under way is still delivered after pause", async () => {
  const { browser, line, got } = await start();
  browser.script = [
    () => {
      line.pause();
      return answer([event("orders", 1)], "c1", { interval: 0 });
    },
  ];
  await browser.advance(60000);
  assert.deepEqual(got, [["orders", 1]]);
  assert.equal(browser.asked.length, 2);
});

test("poll asks at once and the wait begins anew", async () => {
  const { browser, line } = await start();
  await browser.advance(500);
  line.poll();
  await browser.advance(2000);
  assert.deepEqual(times(browser), [0, 500, 2500]);
});

test("poll while paused asks exactly once, also when more is waiting", async () => {
  const { browser, line, trace } = await start();
  line.pause();
  browser.script = [answer([event("orders", 1)], "c1", { interval: 0 })];
  line.poll();
  await browser.advance(60000);
  assert.equal(browser.asked.length, 2);
  line.poll();
  await browser.advance(60000);
  assert.equal(browser.asked.length, 3);
  assert.deepEqual(trace.at(-1), { step: 3, phase: "wait", transport: "poll", waitMs: null, why: "paused" });
});

test("poll while a poll is under way asks once more after it, however often it was called", async () => {
  const { browser, line } = await start();
  browser.script = [
    () => {
      line.poll();
      line.poll();
      return answer(null, "c1");
    },
  ];
  await browser.advance(2000);
  assert.deepEqual(times(browser), [0, 2000, 2000]);
});

test("poll does not wait for a backoff", async () => {
  const { browser, line } = await start();
  browser.luck = 0.9;
  browser.script = [{ error: new Error("gone") }];
  await browser.advance(2000);
  assert.equal(line.status, "offline");
  line.poll();
  await browser.advance(0);
  assert.equal(line.status, "polling");
});

// The page's life

test("a hidden page asks at the hidden interval, and at once when it is shown", async () => {
  const { browser } = await start({ hiddenIntervalMs: 30000 });
  await browser.show("hidden");
  await browser.advance(29999);
  assert.deepEqual(times(browser), [0]);
  await browser.advance(5001);
  assert.deepEqual(times(browser), [0, 30000]);
  await browser.show("visible");
  await browser.advance(2000);
  assert.deepEqual(times(browser), [0, 30000, 35000, 37000]);
});

test("a page that is opened hidden reads once, then at the hidden interval", async () => {
  const { browser, follow } = makeLine({}, [], (browser) => (browser.document.visibilityState = "hidden"));
  follow("orders");
  await browser.advance(60000);
  assert.deepEqual(times(browser), [0, 60000]);
});

test("hidden never means more often than shown, and what is waiting is still read at once", async () => {
  const { browser } = await start({ hiddenIntervalMs: 10, intervalMs: 5000 }, [answer([event("orders", 1)], "c1", { interval: 0 })]);
  await browser.show("hidden");
  await browser.advance(5000);
  assert.deepEqual(times(browser), [0, 0, 5000]);
});

test("a page that is left asks no more, and at once when it comes back", async () => {
  const { browser, line } = await start();
  await browser.fire("pagehide");
  await browser.show("hidden");
  line.poll();
  await browser.advance(600000);
  assert.equal(browser.asked.length, 1);
  await browser.fire("pageshow");
  await browser.show("visible");
  assert.deepEqual(times(browser), [0, 600000, 600000].slice(0, browser.asked.length));
  assert.ok(browser.asked.length >= 2);
});

test("leaving the page ends the poll under way without calling it a failure", async () => {
  const { browser, told } = await start({}, [{ hang: true }]);
  told.length = 0;
  await browser.fire("pagehide");
  assert.ok(browser.last.init.signal?.aborted);
  await browser.advance(60000);
  assert.deepEqual(told, []);
  await browser.fire("pageshow");
  assert.equal(browser.asked.length, 2);
});

test("the pageshow of a page just loaded is nothing", async () => {
  const { browser } = await start();
  await browser.fire("pageshow");
  assert.equal(browser.asked.length, 1);
});

test("offline is taken for a failure: polls go on more and more slowly, up to once a minute", async () => {
  const { browser, line, tells } = await start();
  browser.luck = 0.999;
  browser.quiet = { error: new TypeError("no network") };
  await browser.connect(false);
  assert.equal(line.status, "offline");
  await browser.advance(600000);
  const pauses = times(browser).slice(1).map((time, index) => time - (times(browser)[index] ?? 0));
  assert.ok(Math.max(...pauses) <= 60000, `${pauses}`);
  assert.ok(browser.asked.length > 10 && browser.asked.length < 25, `${browser.asked.length} polls in ten minutes`);
  assert.equal(tells("error").length, 1);
  browser.quiet = answer(null, "c1");
  const { length } = browser.asked;
  await browser.connect(true);
  assert.equal(browser.asked.length, length + 1, "online asks at once");
  assert.equal(line.status, "polling");
  assert.deepEqual(tells("status").map(({ status }) => status), ["polling", "offline", "polling"]);
});

for (const told of ["event", "start"]) {
  test(`an answer proves a browser wrong that says offline (${told}): all goes on, and climbs`, async () => {
    const { browser, line, follow } = makeLine({ cursor: "e-0" }, [], ({ navigator }) => {
      if (told === "start") navigator.onLine = false;
    });
    browser.quiet = answer(null, "e-0", { transports: ["websocket", "poll"] });
    browser.luck = 0.9;
    follow("orders");
    if (told === "event") {
      await browser.advance(0);
      browser.line("websocket").hello();
      await browser.connect(false);
      assert.deepEqual([...browser.open], [], "the line is not trusted");
    }
    assert.equal(line.status, "offline");
    await browser.advance(1000);
    assert.equal(line.status, "polling");
    browser.line("websocket").hello();
    assert.equal(line.status, "live");
    // It still says so, and is asked no more: a look at the page cuts no line that works.
    await browser.show("hidden");
    await browser.show("visible");
    await browser.advance(20000);
    assert.equal(line.status, "live");
    line.close();
  });
}

test("poll asks at once while offline", async () => {
  const { browser, line } = await start();
  browser.luck = 0.9;
  await browser.connect(false);
  line.poll();
  await browser.advance(0);
  assert.equal(browser.asked.length, 2);
});

test("online ends a backoff", async () => {
  const { browser } = await start();
  browser.luck = 0.9;
  browser.script = [{ error: new Error("gone") }, { error: new Error("gone") }];
  await browser.advance(2000);
  await browser.connect(false);
  await browser.connect(true);
  assert.equal(browser.asked.length, 3);
});

test("going offline ends the poll under way, and its late answer is not taken", async () => {
  const { browser, got } = await start({}, [{ hang: true }]);
  await browser.connect(false);
  assert.ok(browser.last.init.signal?.aborted);
  browser.quiet = answer([event("orders", 1)], "c1");
  await browser.connect(true);
  await browser.advance(100);
  assert.deepEqual(got, [["orders", 1]]);
  assert.equal(browser.mostAtOnce, 1);
});

test("a page opened without a network asks like one whose poll has failed", async () => {
  const { browser, line, follow } = makeLine({}, [], (browser) => {
    browser.navigator.onLine = false;
    browser.luck = 0.9;
  });
  assert.equal(line.status, "closed", "it has nothing to ask for yet");
  follow("orders");
  assert.equal(line.status, "offline");
  await browser.advance(899);
  assert.equal(browser.asked.length, 0);
  await browser.advance(1);
  assert.equal(browser.asked.length, 1);
  assert.equal(line.status, "polling");
});

test("paused stays paused, whatever the page does", async () => {
  const { browser, line } = await start();
  line.pause();
  await browser.show("hidden");
  await browser.show("visible");
  await browser.connect(false);
  await browser.connect(true);
  await browser.fire("pagehide");
  await browser.fire("pageshow");
  await browser.advance(600000);
  assert.equal(browser.asked.length, 1);
});

test("after a sleep the page asks once, not for all it missed", async () => {
  const { browser } = await start();
  await browser.stall(8 * 3600000);
  assert.equal(browser.asked.length, 2);
  await browser.advance(2000);
  assert.equal(browser.asked.length, 3);
});

// What was asked before is as dead as a line, but only its time limit would end it.
for (const how of /** @type {("sleep" | "hide")[]} */ (["sleep", "hide"])) {
  test(`a poll that was under way before a page stood still (${how}) is given up`, async () => {
    const { browser, told } = await start();
    browser.script = [{ hang: true }];
    await browser.advance(2000);
    assert.equal(browser.atOnce, 1);
    if (how === "hide") await browser.show("hidden");
    await browser.sleep(60000);
    if (how === "hide") await browser.show("visible");
    await browser.advance(2000);
    assert.equal(browser.mostAtOnce, 1);
    assert.equal(browser.atOnce, 0);
    assert.ok(browser.asked.length >= 3);
    assert.ok(told.every(([type]) => type !== "error"));
  });
}

test("a frozen page has nothing under way, and polls at once when it thaws", async () => {
  const { browser } = await start();
  await browser.fire("freeze");
  await browser.advance(60000);
  assert.equal(browser.asked.length, 1);
  await browser.fire("resume");
  assert.equal(browser.asked.length, 2);
});

// remember

/** @param {Record<string, string>} [kept] */
function makeStorage(kept = {}) {
  return {
    kept,
    getItem: (/** @type {string} */ key) => kept[key] ?? null,
    setItem: (/** @type {string} */ key, /** @type {string} */ value) => void (kept[key] = value),
  };
}

test("remember: the next page of the tab goes on where this one was left", async () => {
  const sessionStorage = makeStorage();
  const first = makeLine({ remember: true }, [answer(null, "c7")], ({ env }) => Object.assign(env, { sessionStorage }));
  first.follow("orders");
  await first.browser.advance(0);
  await first.browser.fire("pagehide");
  const next = makeLine({ remember: true }, [], ({ env }) => Object.assign(env, { sessionStorage }));
  next.follow("orders");
  await next.browser.advance(0);
  assert.equal(next.browser.last.query, "channel=orders&cursor=c7");
  const other = makeLine({ remember: true, cursor: "c9" }, [], ({ env }) => Object.assign(env, { sessionStorage }));
  other.follow("orders");
  await other.browser.advance(0);
  assert.equal(other.browser.last.query, "channel=orders&cursor=c9");
});

test("nothing is remembered unasked, and a browser that forbids it is no error", async () => {
  const sessionStorage = makeStorage();
  const unasked = makeLine({}, [], ({ env }) => Object.assign(env, { sessionStorage }));
  unasked.follow("orders");
  await unasked.browser.advance(0);
  await unasked.browser.fire("pagehide");
  assert.deepEqual(sessionStorage.kept, {});
  const forbidden = makeLine({ remember: true }, [], ({ env }) =>
    Object.defineProperty(env, "sessionStorage", {
      get() {
        throw new DOMException("denied", "SecurityError");
      },
    }),
  );
  forbidden.follow("orders");
  await forbidden.browser.advance(0);
  await forbidden.browser.fire("pagehide");
  assert.equal(forbidden.browser.asked.length, 1);
});
