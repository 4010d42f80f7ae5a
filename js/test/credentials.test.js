// Whose cookies go along: the page's own always, at another origin where the server allows it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { answer, makeLine, problem, start } from "./fake.js";

/** @import {Ask, Reply} from "./fake.js" */

const URL = "http://api.test/landline/";
const TRANSPORTS = ["websocket", "sse", "long-poll", "poll"];
const with_ = "include";
const without = "same-origin";

/** @param {{browser: {asked: Ask[]}}} fake */
const sent = ({ browser }) => browser.asked.map(({ init }) => init.credentials);

/** A browser at a server that lists "*" alone: with cookies, no answer. @param {Reply} reply @returns {(ask: Ask) => Reply} */
const onlyWithout = (reply) => ({ init }) => (init.credentials === with_ ? { error: new TypeError("Failed to fetch") } : reply);

test("a page's own origin is asked as by default, once", async () => {
  const fake = makeLine({}, [{ error: new Error("gone") }], (browser) => (browser.luck = 0.9));
  fake.follow("orders");
  await fake.browser.advance(0);
  assert.deepEqual(sent(fake), [without]);
});

test("another origin is asked with cookies, and when that has worked a failure is no reason to leave them out", async () => {
  const fake = await start({ url: URL }, [answer(null, "c1"), { error: new Error("gone") }]);
  await fake.browser.advance(10000);
  assert.deepEqual([...new Set(sent(fake))], [with_]);
});

test("a port is part of an origin, and one that begins alike is another", async () => {
  for (const url of ["http://app.test:81/landline", "http://app.test.evil.test/landline"]) {
    assert.deepEqual(sent(await start({ url })), [with_]);
  }
});

test("no answer with cookies: once more without, at once, and that is kept; the page hears of no failure", async () => {
  const fake = makeLine({ url: URL }, [], (browser) => (browser.quiet = onlyWithout(answer(null, "c1"))));
  fake.follow("orders");
  await fake.browser.advance(5000);
  assert.deepEqual(sent(fake), [with_, without, without, without]);
  assert.deepEqual(fake.tells("error"), []);
});

test("no answer either way: one failure, and the next time with cookies again", async () => {
  const gone = { error: new Error("gone") };
  const fake = await start({ url: URL }, [gone, gone, answer(null, "c1")]);
  assert.equal(fake.tells("error").length, 1);
  await fake.browser.advance(5000);
  assert.deepEqual([...new Set(sent(fake).slice(2))], [with_]);
});

test("a refusal with cookies is an answer: nothing is asked without", async () => {
  const fake = await start({ url: URL }, [problem(403, "not-allowed"), { error: new Error("gone") }]);
  await fake.browser.advance(5000);
  assert.deepEqual([...new Set(sent(fake))], [with_]);
});

test("a refusal without them is no success: it may be for their lack", async () => {
  const fake = await start({ url: URL }, [{ error: new Error("gone for a moment") }, problem(403, "not-allowed")]);
  await fake.browser.advance(5000);
  assert.deepEqual(sent(fake).slice(0, 3), [with_, without, with_]);
  assert.equal(fake.line.status, "polling");
});

test("what was ended by its time limit, or by the page, is not asked again without", async () => {
  const fake = await start({ url: URL, timeoutMs: 1000 }, [{ hang: true }]);
  fake.browser.luck = 0.9;
  await fake.browser.advance(1500);
  assert.deepEqual(sent(fake), [with_]);
});

for (const origin of ["http://app.test", "null"]) {
  for (const isListed of [true, false]) {
    test(`an event stream from ${origin}, ${isListed ? "listed" : "one of all"}: as the polls were`, async () => {
      const url = origin === "null" ? "http://app.test/landline/" : URL;
      const reply = answer(null, "e-9", { transports: TRANSPORTS });
      const fake = makeLine({ url, transports: ["sse", "poll"] }, [], (browser) => {
        browser.env.origin = origin;
        browser.quiet = isListed ? reply : onlyWithout(reply);
      });
      fake.follow("orders");
      await fake.browser.advance(0);
      assert.equal(fake.browser.line("sse").withCredentials, isListed);
    });
  }
}
