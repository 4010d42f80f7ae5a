// Options: what Python refuses, JavaScript does.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeBrowser, Landline } from "./fake.js";


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
  ["/landline", /^"\/landline" is no option\. There are url,cursor,/],
  [5, /^"5" is no option\. There are url,cursor,/],
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

for (const name of ["fetch", "setTimeout", "clearTimeout", "Math", "performance", "Date"]) {
  test(`an env without ${name} is a TypeError that names it`, () => {
    const { env } = new FakeBrowser();
    assert.throws(() => new Landline({ url: "/landline", env: /** @type {any} */ ({ ...env, [name]: undefined }) }), {
      name: "TypeError",
      message: `env has no ${name}.`,
    });
  });
}

test("an env with no more than the loop needs is one", async () => {
  const { fetch, setTimeout, clearTimeout, Math, performance, Date } = new FakeBrowser().env;
  const line = new Landline({ url: "http://app.test/landline", env: { fetch, setTimeout, clearTimeout, Math, performance, Date } });
  line.on("orders", () => {});
  assert.equal(line.status, "polling");
  assert.throws(() => line.reloadOnReset(), { name: "TypeError", message: "env has no location.reload." });
  line.close();
});
