// The loop: when it asks, and what it does when that fails.

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { LandlineError, answer, event, makeLine, problem, start, times } from "./fake.js";

/** @type {[string, number, number, number[]][]} advice in seconds, wish in ms */
const intervals = [
  ["the advice is the interval", 2, 0, [0, 2000, 4000]],
  ["a slower wish wins", 2, 3000, [0, 3000, 6000]],
  ["a faster wish does not", 2, 500, [0, 2000, 4000]],
  ["a wish does not hold up what is waiting", 0, 3000, [0, 0, 0]],
  ["advice is never taken for less than 125 ms", 0.001, 0, [0, 125, 250]],
];
for (const [name, interval, intervalMs, expected] of intervals) {
  test(name, async () => {
    let offset = 0;
    const fake = makeLine({ intervalMs });
    fake.browser.script = Array.from({ length: 3 }, () => () => answer([event("orders", ++offset)], `c${offset}`, { interval }));
    fake.follow("orders");
    await fake.browser.advance(6000);
    assert.deepEqual(times(fake.browser).slice(0, 3), expected);
  });
}

test("an interval is stretched by up to a tenth, so that pages do not march in step", async () => {
  const { browser } = await start();
  browser.luck = 0.5;
  await browser.advance(2000);
  await browser.advance(2100);
  assert.deepEqual(times(browser), [0, 2000, 4100]);
});

test("the wish may change while waiting", async () => {
  const { browser, line } = await start();
  line.intervalMs = 9000;
  assert.equal(line.intervalMs, 9000);
  await browser.advance(8999);
  assert.equal(browser.asked.length, 1);
  line.intervalMs = 0;
  await browser.advance(0);
  assert.equal(browser.asked.length, 2);
  assert.throws(() => (line.intervalMs = -1), TypeError);
});

test("new advice is followed from the answer that brings it", async () => {
  const { browser } = await start({}, [answer(null, "c1", { interval: 5 }), answer(null, "c1", { interval: 1 })]);
  await browser.advance(6000);
  assert.deepEqual(times(browser), [0, 5000, 6000]);
});

for (const advice of [{}, { interval: null }, { interval: "soon" }, { interval: -1 }]) {
  test(`advice without a usable interval (${JSON.stringify(advice)}) leaves the one before`, async () => {
    const { browser } = await start({}, [
      { body: { data: null, cursor: "c1", advice } },
      answer(null, "c1", { interval: 5 }),
      { body: { data: null, cursor: "c1", advice } },
    ]);
    await browser.advance(12000);
    assert.deepEqual(times(browser), [0, 2000, 7000, 12000]);
  });
}

test("an interval of 0 is no advice for later", async () => {
  const { browser } = await start({}, [
    answer(null, "c1", { interval: 5 }),
    answer([event("orders", 1)], "c2", { interval: 0 }),
    { body: { data: null, cursor: "c2", advice: {} } },
  ]);
  await browser.advance(10000);
  assert.deepEqual(times(browser), [0, 5000, 5000, 10000]);
});

test("handlers are never called for nothing new", async () => {
  const { browser, got } = await start();
  await browser.advance(60000);
  assert.equal(browser.asked.length, 31);
  assert.deepEqual(got, []);
  assert.equal(browser.timers, 2, "the next poll's, and the one that looks for a sleep");
});

test("never two polls at once, whatever is called", async () => {
  const { browser, line, follow } = await start({}, [{ hang: true }]);
  line.poll();
  line.resume();
  line.intervalMs = 1;
  follow("room");
  await browser.show("hidden");
  await browser.show("visible");
  await browser.advance(29000);
  assert.equal(browser.asked.length, 1);
  await browser.advance(5000);
  assert.equal(browser.mostAtOnce, 1);
});

test("never two polls at once, even if the page comes and goes while a handler runs", async () => {
  const { browser, line } = await start({}, [answer(null, "c0")]);
  browser.script = [answer([event("orders", 1)], "c1"), { hang: true }];
  line.on("orders", () => {
    browser.window.dispatchEvent(new Event("pagehide"));
    browser.window.dispatchEvent(new Event("pageshow"));
  });
  await browser.advance(8000);
  assert.equal(browser.asked.length, 3);
  assert.equal(browser.mostAtOnce, 1);
});

test("a page without channels is neither offline nor polling", async () => {
  const { browser, line } = makeLine();
  await browser.show("hidden");
  assert.equal(line.status, "closed");
});

// Failures

/** @type {[string, any, string, number][]} */
const failures = [
  ["a network failure", { error: new TypeError("fetch failed") }, "network", 0],
  ["a body cut by the network", { body: {}, cut: new TypeError("terminated") }, "http-200", 200],
  ["a 500", { status: 500, text: "<h1>oops" }, "http-500", 500],
  ["a 502", { status: 502, text: "" }, "http-502", 502],
  ["a captive portal", { text: "<!doctype html>Accept our terms" }, "http-200", 200],
  ["an empty body", { text: "" }, "http-200", 200],
  ["a list of things that are no events", { body: { data: [null], cursor: "c", advice: {} } }, "http-200", 200],
  ["a refusal that time mends", problem(503, "busy"), "busy", 503],
];
for (const [name, reply, code, status] of failures) {
  test(`${name} is tried again with growing pauses, told once, and over with the next answer`, async () => {
    const fake = makeLine({}, [reply, reply, reply, reply, answer([event("orders", 1)], "c1"), reply]);
    const { browser, line, got, tells } = fake;
    browser.luck = 0.5;
    fake.follow("orders");
    await browser.advance(499);
    assert.equal(line.status, "offline");
    await browser.advance(3501);
    assert.deepEqual(times(browser), [0, 500, 1000, 2000, 4000]);
    assert.equal(line.status, "polling");
    assert.deepEqual(got, [["orders", 1]]);
    const [error, ...others] = tells("error");
    assert.deepEqual(others, []);
    assert.ok(error instanceof LandlineError);
    assert.deepEqual([error.code, error.status], [code, status]);
    assert.match(error.message, /^GET http:\/\/app\.test\/landline\/poll\?channel=orders: .*Trying again\.$/);
    await browser.advance(2100 + 500);
    assert.deepEqual(times(browser).slice(-2), [6100, 6600], "the pauses begin anew");
    assert.equal(tells("error").length, 2, "and a new failure is told anew");
    assert.deepEqual(tells("status").map(({ status }) => status), ["polling", "offline", "polling", "offline", "polling"]);
  });
}

test("pauses grow no longer than a minute", async () => {
  const { browser } = await start();
  browser.quiet = { error: new Error("gone") };
  browser.luck = 0.999;
  await browser.advance(600000);
  const pauses = times(browser).slice(1).map((time, index) => time - (times(browser)[index] ?? 0));
  assert.ok(Math.max(...pauses) <= 60000);
  assert.ok(browser.asked.length < 25, `${browser.asked.length} polls in ten minutes`);
});

test("distinct problems are told one by one", async () => {
  const { browser, tells } = await start({}, [
    { error: new Error("a") },
    problem(503, "busy"),
    { error: new Error("a") },
    problem(503, "log-unavailable"),
  ]);
  await browser.advance(0);
  assert.deepEqual(tells("error").map(({ code }) => code), ["network", "busy", "log-unavailable"]);
});

test("a hint is given where something else than Landline answered, and only there", async () => {
  for (const [reply, hinted] of /** @type {[any, boolean][]} */ ([
    [{ text: "<html>" }, true],
    [{ status: 404, text: "Not found" }, true],
    [{ status: 502, text: "Bad gateway" }, true],
    [{ error: new Error("gone") }, false],
    [problem(404, "unknown-channel"), false],
  ])) {
    const { tells } = await start({}, [reply]);
    assert.equal(/Is the url right/.test(tells("error")[0].message), hinted);
  }
});

test("a poll that takes too long is given up", async () => {
  const { browser, line, tells } = await start({ timeoutMs: 4000 }, [{ hang: true }]);
  browser.luck = 0.5;
  await browser.advance(3999);
  assert.equal(line.status, "polling");
  await browser.advance(1);
  assert.equal(line.status, "offline");
  assert.match(tells("error")[0].message, /Nothing in 4000 ms\. Trying again/);
  await browser.advance(500);
  assert.equal(browser.asked.length, 2);
  assert.equal(line.status, "polling");
});

/** @type {[number, string][]} */
const refusals = [
  [400, "bad-request"],
  [400, "bad-cursor"],
  [401, "not-allowed"],
  [403, "not-allowed"],
  [404, "unknown-channel"],
];
for (const [status, code] of refusals) {
  test(`${status} ${code} is told once with its problem, and tried again ever more slowly`, async () => {
    const fake = makeLine({ cursor: "c0" });
    const { browser, line, tells } = fake;
    browser.quiet = problem(status, code, { channels: ["orders"], extra: 1 });
    browser.luck = 0.5;
    fake.follow("orders");
    await browser.advance(122000);
    assert.deepEqual(times(browser), [0, 500, 1000, 2000, 4000, 8000, 16000, 32000, 62000, 92000, 122000]);
    assert.equal(tells("error").length, 1);
    const [error] = tells("error");
    assert.deepEqual([error.code, error.status], [code, status]);
    assert.equal(error.problem.extra, 1);
    assert.ok(error.message.includes(error.problem.detail));
    assert.equal(line.status, "closed");
    browser.quiet = answer(null, "c1");
    await browser.advance(30000);
    assert.equal(line.status, "polling");
  });
}

for (const [status, code] of /** @type {[number, string][]} */ ([
  [429, "slow-down"],
  [503, "busy"],
  [503, "app-failed"],
  [503, "log-unavailable"],
])) {
  test(`${status} ${code} is named, and is no refusal: the line is offline, and asks again after Retry-After`, async () => {
    const { browser, line, tells } = await start({}, [problem(status, code, {}, { "Retry-After": "3" })]);
    assert.equal(line.status, "offline");
    assert.deepEqual(tells("error").map((error) => [error.code, error.status]), [[code, status]]);
    await browser.advance(3000);
    assert.deepEqual(times(browser), [0, 3000]);
    assert.equal(line.status, "polling");
  });
}

/** @type {[string, string, number][]} */
const retryAfters = [
  ["seconds", "7", 7000],
  ["fractions of a second", "1.5", 1500],
  ["a date", "Sun, 22 Nov 2026 12:00:07 GMT", 7000],
  ["a date in the past", "Sun, 22 Nov 2026 11:00:00 GMT", 0],
  ["nonsense", "soon", 0],
  ["something negative", "-5", 0],
];
for (const [name, value, expected] of retryAfters) {
  for (const status of [429, 503]) {
    test(`Retry-After in ${name} is waited for after ${status}, and some more`, async () => {
      mock.timers.enable({ apis: ["Date"], now: Date.UTC(2026, 10, 22, 12) });
      try {
        const fake = makeLine({}, [problem(status, "busy", {}, { "Retry-After": value })]);
        fake.browser.luck = 0.25;
        fake.follow("orders");
        await fake.browser.advance(expected + 250);
        assert.deepEqual(times(fake.browser), [0, expected + 250]);
      } finally {
        mock.timers.reset();
      }
    });
  }
}

test("Retry-After holds whatever wakes the page, but not the page's own poll()", async () => {
  const { browser, line } = await start({}, [problem(503, "busy", {}, { "Retry-After": "50" }), problem(503, "busy", {}, { "Retry-After": "50" })]);
  await browser.show("hidden");
  await browser.show("visible");
  await browser.connect(false);
  await browser.connect(true);
  line.pause();
  line.resume();
  await browser.advance(49999);
  assert.equal(browser.asked.length, 1);
  await browser.advance(1);
  assert.equal(browser.asked.length, 2);
  line.poll();
  await browser.advance(0);
  assert.equal(browser.asked.length, 3);
});

test("Retry-After holds a channel added meanwhile too", async () => {
  const { browser, follow } = await start({}, [problem(503, "busy", {}, { "Retry-After": "50" })]);
  follow("room");
  await browser.advance(49999);
  assert.equal(browser.asked.length, 1);
});

test("an absurd Retry-After does not overflow the timer", async () => {
  const { browser } = await start();
  browser.script = [problem(503, "busy", {}, { "Retry-After": "99999999999" })];
  await browser.advance(2000);
  assert.equal(browser.asked.length, 2);
  await browser.advance(2e9 - 1);
  assert.equal(browser.asked.length, 2);
  await browser.advance(1);
  assert.equal(browser.asked.length, 3);
});

// The loop guard

test("'ask at once' is believed only of an answer that moved the cursor", async () => {
  const { browser } = await start({ cursor: "c0" }, [
    answer(null, "c1", { interval: 0 }),
    answer(null, "c1", { interval: 0 }),
    answer([event("orders", 1)], "c1", { interval: 0 }),
  ]);
  browser.quiet = answer(null, "c1", { interval: 0 });
  await browser.advance(6000);
  assert.deepEqual(times(browser), [0, 0, 2000, 4000, 6000]);
});

test("a page that asks again and again for nothing is stopped, and told", async () => {
  const { browser, line, tells } = await start({ cursor: "c1" });
  browser.quiet = answer(null, "c1");
  line.addEventListener("trace", ({ detail }) => {
    if (detail.phase === "act") line.poll();
  });
  await browser.advance(11000);
  assert.deepEqual(times(browser), [0, 2000, 2000, 2000, 2000, 2000]);
  assert.deepEqual(tells("error").map(({ code }) => code), ["loop"]);
  // Not for ever: it asks again, and so does the page.
  await browser.advance(1000);
  assert.equal(times(browser)[6], 12000);
});

test("pages may ask as fast as the server allows", async () => {
  const { browser, tells } = await start({ cursor: "c1" });
  browser.quiet = answer(null, "c1", { interval: 0.001 });
  await browser.advance(5000);
  assert.ok(browser.asked.length > 20, `${browser.asked.length} polls`);
  assert.deepEqual(tells("error"), []);
});

test("a cursor that moves is no loop, with events or without", async () => {
  let offset = 0;
  const fake = makeLine();
  fake.browser.script = Array.from({ length: 50 }, (_, index) => () =>
    answer(index % 2 ? null : [event("orders", ++offset)], `c${index}`, { interval: 0 }),
  );
  fake.follow("orders");
  await fake.browser.advance(0);
  assert.equal(fake.browser.asked.length, 51);
  assert.deepEqual(fake.tells("error"), []);
});

// The trace

/** @type {[string, any, any, any][]} a reply, and the phases answer and act */
const steps = [
  ["two events", answer([event("orders", 1), event("orders", 2)], "c2"), {}, { action: "updated" }],
  ["one event", answer([event("orders", 1)], "c1"), {}, { action: "updated" }],
  ["nothing new", answer(null, "c0"), {}, { action: "no change" }],
  ["an empty list", answer([], "c0"), {}, { action: "no change" }],
  ["a reset", answer(null, "c1", { reset: { channels: ["orders"], reason: "trimmed" } }), {}, { action: "reset" }],
  ["a refusal", problem(403, "not-allowed"), { status: 403, response: /not-allowed, do something/ }, { action: "failed" }],
  ["no answer", { error: new TypeError("gone") }, { status: 0, response: /gone/ }, { action: "failed" }],
];
for (const [name, reply, found, act] of steps) {
  test(`${name} is traced: ask, answer, act, wait`, async () => {
    const { browser, trace, line, follow } = makeLine({ cursor: "c0" }, [() => ((browser.time += 12), reply)]);
    browser.luck = 0.5;
    follow("orders");
    await browser.advance(0);
    line.close();
    const transport = "poll";
    const [asked, answered, acted, waited] = /** @type {any[]} */ (trace);
    assert.deepEqual(asked, { step: 1, phase: "ask", transport, request: "GET http://app.test/landline/poll?channel=orders&cursor=c0" });
    const { response = reply.body, ...others } = found;
    if (response instanceof RegExp) assert.match(answered.response.message, response);
    else assert.deepEqual(answered.response, response);
    assert.deepEqual({ ...answered, response: 0 }, { step: 1, phase: "answer", transport, status: 200, ms: 12, response: 0, ...others });
    assert.deepEqual(acted, { step: 1, phase: "act", transport, ...act });
    const retry = act.action === "failed";
    assert.deepEqual(waited, { step: 1, phase: "wait", transport, waitMs: retry ? 500 : 2100, why: retry ? "retry" : "interval" });
  });
}

test("a wait is traced again when it changes", async () => {
  const { browser, line, trace } = await start();
  trace.length = 0;
  await browser.advance(500);
  await browser.show("hidden");
  line.pause();
  await browser.fire("pagehide");
  line.close();
  assert.deepEqual(trace.map((detail) => [detail.step, /** @type {any} */ (detail).why, /** @type {any} */ (detail).waitMs]), [
    [1, "interval", 59500],
    [1, "paused", null],
    [1, "hidden", null],
    [1, "closed", null],
  ]);
});

test("the waits of more and retry are traced as such", async () => {
  const { trace } = await start({}, [answer([event("orders", 1)], "c1", { interval: 0 }), problem(503, "busy", {}, { "Retry-After": "3" })]);
  const waits = trace.filter(({ phase }) => phase === "wait");
  assert.deepEqual(waits.map((detail) => [/** @type {any} */ (detail).why, /** @type {any} */ (detail).waitMs]), [
    ["more", 0],
    ["retry", 3000],
  ]);
});

for (const interval of [0, 2]) {
  test(`who pauses the line on seeing a wait (interval ${interval}) has paused it`, async () => {
    const { browser, line, follow } = makeLine({}, [answer([event("orders", 1)], "c1", { interval })]);
    line.addEventListener("trace", ({ detail }) => detail.phase === "wait" && line.pause());
    follow("orders");
    await browser.advance(60000);
    assert.equal(browser.asked.length, 1);
    line.poll();
    await browser.advance(60000);
    assert.equal(browser.asked.length, 2);
  });
}

test("who closes the line on seeing a step has closed it", async () => {
  for (const phase of ["ask", "answer", "act", "wait"]) {
    const { browser, line, got, follow } = makeLine({}, [answer([event("orders", 1)], "c1", { interval: 0 })]);
    line.addEventListener("trace", ({ detail }) => detail.phase === phase && line.close());
    follow("orders");
    await browser.advance(60000);
    assert.equal(browser.asked.length, 1, phase);
    assert.equal(got.length, phase === "ask" || phase === "answer" ? 0 : 1, phase);
  }
});
