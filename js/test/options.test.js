// What an app may set: options, what is wrong with them, and addresses.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeBrowser, Landline, LandlineError, answer, event, folder, makeLine } from "./fake.js";

// Options: what Python refuses, JavaScript does

const TIMES = ["intervalMs", "hiddenIntervalMs", "hiddenAfterMs", "timeoutMs", "proveMs"];
const OPTIONS = `url,cursor,channels,${TIMES},transports,share,remember,env`;
/** @type {[any, string][]} options, and what is said of them */
const slips = [
  ...TIMES.flatMap((name) =>
    ["soon", "5", -1, NaN, Infinity, null].map(
      (ms) => /** @type {[any, string]} */ ([{ [name]: ms }, `${name}: "${ms}" is no time in ms, from 0 on.`]),
    ),
  ),
  [{ interval: 5 }, `"interval" is no option. There are ${OPTIONS}.`],
  [{ URL: "/landline" }, `"URL" is no option. There are ${OPTIONS}.`],
  ["/landline", `"/landline" is no object of options.`],
  [5, `"5" is no object of options.`],
  [{ url: 5 }, `url: "5" is no string.`],
  [{ url: null }, `url: "null" is no string.`],
  [{ url: "http://me:hush@[" }, `url: "http://[" is no address. Begin it with "https://" or "/".`],
  [{ cursor: 7 }, `cursor: "7" is no string.`],
  [{ channels: "orders" }, `channels: "orders" is no list.`],
  [{ channels: [5] }, /^on\("5", /],
  [{ channels: [""] }, /^on\("", /],
  [{ transports: "poll" }, `transports: "poll" is no list of websocket,sse,long-poll,poll.`],
  [{ transports: ["poll", "carrier-pigeon"] }, `transports: "poll,carrier-pigeon" is no list of websocket,sse,long-poll,poll.`],
  [{ transports: ["shared"] }, `transports: "shared" is no list of websocket,sse,long-poll,poll.`],
  [{ share: "no" }, `share: "no" is no boolean.`],
  [{ remember: 1 }, `remember: "1" is no boolean.`],
  [{ env: 1 }, `env: "1" is no object.`],
].map((slip) => /** @type {any} */ (slip));
for (const [options, message] of slips) {
  test(`${JSON.stringify(options)} is a TypeError with the value and the remedy`, () => {
    const { env } = new FakeBrowser();
    const given = typeof options === "object" ? { url: "/landline/", env, ...options } : options;
    assert.throws(() => new Landline(given), { name: "TypeError", message });
  });
}

for (const name of ["fetch", "setTimeout", "clearTimeout", "Math", "performance"]) {
  test(`an env without ${name} is a TypeError that names it`, () => {
    const { env } = new FakeBrowser();
    assert.throws(() => new Landline({ url: "/landline", env: /** @type {any} */ ({ ...env, [name]: undefined }) }), {
      name: "TypeError",
      message: `env has no ${name}.`,
    });
  });
}

test("an env with no more than the loop needs is one", async () => {
  const { fetch, setTimeout, clearTimeout, Math, performance } = new FakeBrowser().env;
  const line = new Landline({ url: "http://app.test/landline", env: { fetch, setTimeout, clearTimeout, Math, performance } });
  line.on("orders", () => {});
  assert.equal(line.status, "polling");
  assert.throws(() => line.reloadOnReset(), { name: "TypeError", message: "env has no location.reload." });
  line.close();
});

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
    assert.deepEqual([error.code, error.message], ["too-many-channels", `"room/100": a line reads 100 channels. Use another one.`]);
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
    assert.match(message, new RegExp(`Its ${`GET ${browser.asked[0]?.url}`.length} characters are more than some servers take\\. Use several lines\\.`));
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
