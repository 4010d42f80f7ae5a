// A page that loads itself anew after a reset: when, and never in a loop. Pages of one tab follow each other here, each
// rendered with a cursor; the tab's storage stays.

import assert from "node:assert/strict";
import { test } from "node:test";
import { LandlineError, answer, makeLine } from "./fake.js";

class Tab {
  /** @type {Record<string, string>} */
  kept = {};
  /** The wall clock at the beginning of the next page, in ms. */
  clock = 1.8e12;
  /** @type {any} */
  storage = {
    getItem: (/** @type {string} */ key) => this.kept[key] ?? null,
    setItem: (/** @type {string} */ key, /** @type {string} */ value) => void (this.kept[key] = value),
  };
  /** How the page that is open was loaded, as browsers say it. */
  type = 0;
  loads = 0;
  luck = 0.5;

  /**
   * Open a page that is told a reset by its first answer, and stay until it reloads or time is up.
   *
   * @param {any} options
   * @param {number} [ms]
   * @returns {Promise<{after: number | undefined, fake: ReturnType<typeof makeLine>}>} when it was loaded anew
   */
  async load(options, ms = 120000) {
    this.loads++;
    /** @type {number | undefined} */
    let after;
    const begun = this.clock;
    const reset = { channels: ["orders"], reason: "epoch" };
    const fake = makeLine(options, [], (browser) => {
      browser.luck = this.luck;
      browser.quiet = ({ url }) => answer(null, "f-9", /^(f-9)?$/.test(url.searchParams.get("cursor") ?? "") && options.cursor !== "" ? {} : { reset });
      Object.assign(browser.env, { Date: { now: () => begun + browser.time - 1000 } });
      Object.defineProperty(browser.env, "sessionStorage", { get: () => this.storage });
      Object.assign(browser.env.location, { reload: () => (after ??= browser.time - 1000) });
      Object.assign(browser.env.performance, { navigation: { type: this.type } });
    });
    fake.line.reloadOnReset();
    fake.follow("orders");
    for (let passed = 0; passed < ms && after === undefined; passed += 100) await fake.browser.advance(100);
    this.clock = begun + (after ?? ms) + 200;
    this.type = after === undefined ? 0 : 1;
    await fake.browser.fire("pagehide");
    fake.line.close();
    return { after, fake };
  }

  /** Load one page after the other for as long as each loads the next. @param {(load: number) => any} options */
  async settle(options) {
    for (let load = 1; load < 20; load++) {
      const { after, fake } = await this.load(options(load));
      if (after === undefined) return fake;
    }
    throw new Error("a storm");
  }
}

for (const [luck, after] of /** @type {[number, number][]} */ ([[0, 0], [0.5, 2500], [0.9, 4500]])) {
  test(`the page is loaded anew at random within five seconds (${luck}), after the handlers of reset`, async () => {
    const tab = new Tab();
    tab.luck = luck;
    const page = await tab.load({ cursor: "e-5" });
    assert.deepEqual(page.fake.tells("reset").length, 1);
    assert.equal(page.after, after);
  });
}

test("handlers of reset that were put on later run first", async () => {
  /** @type {string[]} */
  const order = [];
  const fake = makeLine({ cursor: "e-5" }, [answer(null, "f-1", { reset: { channels: ["orders"], reason: "epoch" } })], ({ env }) => {
    Object.assign(env.location, { reload: () => order.push("reload") });
  });
  fake.line.reloadOnReset();
  fake.line.addEventListener("reset", () => order.push("handler"));
  fake.follow("orders");
  await fake.browser.advance(5000);
  assert.deepEqual(order, ["handler", "reload"]);
});

/** @type {[string, (load: number) => any, number][]} what comes at each load, and how many there are at most */
const caches = [
  ["a page that is rendered anew", (load) => ({ cursor: load > 1 ? "f-9" : "e-5" }), 2],
  ["a cached page, a shell from a service worker", () => ({ cursor: "e-5" }), 2],
  ["remember: true, with an old position", () => ({ remember: true }), 2],
  ["a CDN with two copies", (load) => ({ cursor: `e-${load % 2}` }), 3],
];
for (const [name, options, most] of caches) {
  for (const how of ["kept", "forbidden", "full", "absent"]) {
    test(`${name}, storage ${how}: loaded ${how === "kept" ? most : 2} times at most`, async () => {
      const tab = new Tab();
      if (name.startsWith("remember")) tab.kept["http://app.test/landline/"] = "e-5";
      const { getItem, setItem } = tab.storage;
      const deny = () => {
        throw new DOMException("denied", "SecurityError");
      };
      if (how === "forbidden") Object.defineProperty(tab, "storage", { get: deny });
      if (how === "full") tab.storage = { getItem, setItem: (/** @type {string} */ key, /** @type {string} */ value) => (key in tab.kept ? setItem(key, value) : deny()) };
      if (how === "absent") tab.storage = undefined;
      const fake = await tab.settle(options);
      assert.ok(tab.loads <= (how === "kept" ? most : 2), `${tab.loads} loads`);
      const [error] = fake.tells("error");
      // No reset, no word.
      if (name.endsWith("anew") || name.startsWith("remember")) return;
      assert.ok(error instanceof LandlineError);
      assert.equal(error.code, "stale");
      assert.match(error.message, /Cache-Control: no-store/);
    });
  }
}

test("new positions, and a reset each time: once in ten seconds", async () => {
  const tab = new Tab();
  const begun = tab.clock;
  for (let load = 0; load < 7; load++) await tab.load({ cursor: `e-${load}` });
  // The first at 2.5 s, then each ten seconds.
  assert.ok(tab.clock - begun >= 62500 && tab.clock - begun < 65000, `${tab.clock - begun}`);
});

test("an empty cursor: once a minute", async () => {
  const tab = new Tab();
  const begun = tab.clock;
  for (let load = 0; load < 4; load++) await tab.load({ cursor: "" });
  assert.ok(tab.clock - begun >= 182500 && tab.clock - begun < 185000, `${tab.clock - begun}`);
});

test('"start" is no position, and a page may come with it again', async () => {
  const tab = new Tab();
  for (let load = 0; load < 3; load++) assert.notEqual((await tab.load({ cursor: "start" })).after, undefined);
});

test("a clock that is set back by an hour stops nothing", async () => {
  const tab = new Tab();
  await tab.load({ cursor: "e-1" });
  tab.clock -= 3600000;
  const { after } = await tab.load({ cursor: "e-2" });
  assert.equal(after, 2500);
});

test("a line that was closed loads nothing anew, and put on twice it does so once", async () => {
  let loads = 0;
  const reset = { channels: ["orders"], reason: "epoch" };
  const make = () =>
    makeLine({ cursor: "e-1" }, [answer(null, "f-1", { reset })], ({ env }) => Object.assign(env.location, { reload: () => loads++ }));
  const closed = make();
  closed.line.reloadOnReset();
  closed.follow("orders");
  closed.line.addEventListener("reset", () => closed.line.close());
  await closed.browser.advance(60000);
  assert.equal(loads, 0);
  const twice = make();
  twice.line.reloadOnReset();
  twice.line.reloadOnReset();
  twice.follow("orders");
  await twice.browser.advance(60000);
  assert.equal(loads, 1);
});
