// One line for all tabs. First what happens when; then all of it at random, and the one rule that must always hold:
// every tab gets every event of its channels once and in order.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Origin, checkAll, openTabs } from "./tabs.js";

/** @import {Tab} from "./tabs.js" */

test("twelve tabs have one line, and each gets all", async () => {
  const { origin, tabs } = await openTabs(12);
  assert.equal(origin.lines.length, 1);
  assert.deepEqual(tabs.map(({ line }) => line.transport), ["websocket", ...Array(11).fill("shared")]);
  assert.deepEqual([...new Set(tabs.map(({ line }) => line.status))], ["live"]);
  const asked = tabs.map(({ browser }) => browser.asked.length);
  for (let count = 0; count < 20; count++) {
    origin.publish("orders");
    await origin.advance(1000);
  }
  checkAll(origin);
  assert.deepEqual(tabs.map(({ browser }) => browser.asked.length), asked);
});

for (const how of /** @type {("crash" | "leave")[]} */ (["crash", "leave"])) {
  test(`the leader's end (${how}): another one takes the lock, all poll once at the change and share again`, async () => {
    const { origin, tabs } = await openTabs(12);
    for (let count = 0; count < 10; count++) {
      const leader = tabs.find((tab) => tab.leads && !tab.isGone);
      origin.publish("orders");
      const asked = tabs.map(({ browser }) => browser.asked.length);
      await leader?.[how]();
      origin.publish("orders");
      await origin.calm();
      const polls = tabs.map(({ browser, isGone }, index) => (isGone ? 1 : browser.asked.length - (asked[index] ?? 0)));
      assert.deepEqual([...new Set(polls)], [1]);
      checkAll(origin);
      await origin.advance(3000);
      assert.equal(origin.lines.length, 1);
    }
    checkAll(origin);
  });
}

test("a tab with another channel: the leader reads it too", async () => {
  const { origin, tabs } = await openTabs(2);
  const other = origin.open({}, ["room"]);
  await origin.advance(40000);
  assert.equal(other.line.transport, "shared");
  assert.equal(origin.lines.length, 1);
  assert.deepEqual(origin.lines[0]?.query.getAll("channel"), ["orders", "room"]);
  for (const channel of ["room", "orders", "room"]) origin.publish(channel);
  await origin.calm();
  checkAll(origin);
  assert.deepEqual(tabs[0]?.line.cursor, other.line.cursor);
  // Who leads no more reads for itself alone.
  await tabs[0]?.browser.show("hidden");
  await origin.advance(40000);
  assert.match(`${tabs[0]?.browser.last.query}`, /^channel=orders&cursor=/);
  await tabs[0]?.browser.show("visible");
  await origin.advance(40000);
  await other.leave();
  await origin.advance(3000);
  assert.deepEqual(origin.lines[0]?.query.getAll("channel"), ["orders"]);
});

test("a hidden leader gives the lead to a tab that is seen; hidden ones poll slowly", async () => {
  const { origin, tabs } = await openTabs(3);
  const [first, second] = /** @type {Tab[]} */ (tabs);
  await first?.browser.show("hidden");
  await origin.advance(35000);
  assert.ok(second?.leads);
  assert.equal(first?.line.transport, "poll");
  assert.equal(tabs[2]?.line.transport, "shared");
  origin.publish("orders");
  await first?.browser.show("visible");
  await origin.advance(3000);
  assert.equal(first?.line.transport, "shared");
  checkAll(origin);
});

test("a frozen leader gives up the lead; one that froze without a word is missed", async () => {
  const { origin, tabs } = await openTabs(2);
  await tabs[0]?.browser.fire("freeze");
  await origin.advance(2000);
  assert.ok(tabs[1]?.leads);
  await tabs[0]?.browser.fire("resume");
  await origin.advance(3000);
  assert.equal(tabs[0]?.line.transport, "shared");
});

test("a follower that goes is no other follower's business", async () => {
  const { origin, tabs } = await openTabs(4);
  const asked = tabs.map(({ browser }) => browser.asked.length);
  await tabs[3]?.leave();
  await origin.advance(3000);
  assert.deepEqual(tabs.map(({ browser }) => browser.asked.length), asked);
  assert.deepEqual(tabs.map(({ line }) => line.transport).slice(0, 3), ["websocket", "shared", "shared"]);
});

test("a leader that says nothing any more, in a dialog for one, is missed within seconds: its followers have lines of their own until it does", async () => {
  const { origin, tabs } = await openTabs(2);
  const [leader, follower] = /** @type {[Tab, Tab]} */ (tabs);
  await origin.advance(60000);
  assert.equal(follower.browser.asked.length, 1, "a quiet one is not missed");
  leader.isGone = true; // it keeps the lock
  await origin.advance(7000);
  assert.equal(follower.browser.asked.length, 2);
  await origin.advance(4000);
  assert.equal(follower.line.transport, "websocket");
  origin.publish("orders");
  await origin.calm();
  assert.deepEqual(follower.got.get("orders"), [1]);
});

test("a follower that is behind what the leader keeps polls on until it is not", async () => {
  const { origin } = await openTabs(1);
  const late = origin.open({ cursor: "e-0" });
  late.from.set("orders", 0);
  for (let count = 0; count < 150; count++) origin.publish("orders");
  await origin.advance(10000);
  assert.equal(late.line.transport, "shared");
  checkAll(origin);
});

test("a reset is each tab's own: all ask for themselves", async () => {
  const { origin, tabs } = await openTabs(3);
  origin.publish("orders");
  await origin.calm();
  /** @type {any[]} */
  const resets = [];
  for (const { line } of tabs) line.addEventListener("reset", (event) => resets.push(/** @type {CustomEvent} */ (event).detail.reason));
  // Only the leader finds out by itself.
  origin.epoch = "f";
  origin.log = ["orders", "orders", "orders"];
  for (const { got } of tabs) got.set("orders", []);
  tabs.find(({ leads }) => leads)?.line.poll();
  await origin.advance(5000);
  assert.deepEqual(resets, ["epoch", "epoch", "epoch"]);
  assert.equal(origin.lines.length, 1);
  origin.publish("orders");
  await origin.calm();
  for (const { got } of tabs) assert.deepEqual(got.get("orders"), [1, 2, 3, 4]);
});

test("who chose its transports, or wants no sharing, has a line of its own", async () => {
  const origin = new Origin();
  origin.open();
  const alone = origin.open({ share: false });
  const choosy = origin.open({ transports: ["poll"] });
  await origin.advance(3000);
  assert.equal(alone.line.transport, "websocket");
  assert.equal(choosy.line.transport, "poll");
  assert.equal(origin.lines.length, 2);
  choosy.line.transports = ["websocket", "sse", "long-poll", "poll"];
  await origin.advance(3000);
  assert.equal(choosy.line.transport, "shared");
});

test("pages under other prefixes share nothing", async () => {
  const origin = new Origin();
  origin.open();
  origin.open({ url: "/other/" });
  await origin.advance(3000);
  assert.equal(origin.lines.length, 2);
});

test("where the browser refuses the lock, each tab leads", async () => {
  const origin = new Origin();
  origin.request = async () => {
    throw new DOMException("not in a sandbox", "SecurityError");
  };
  origin.open();
  origin.open();
  await origin.advance(3000);
  assert.deepEqual(origin.tabs.map(({ line }) => line.transport), ["websocket", "websocket"]);
});

test("more channels than one request takes: the one too many has a line of its own", async () => {
  const { origin, tabs } = await openTabs(1, Array.from({ length: 99 }, (_, index) => `room/${index}`));
  const other = origin.open({}, ["orders", "news"]);
  await origin.advance(20000);
  assert.equal(other.line.transport, "websocket");
  assert.deepEqual(tabs[0]?.errors, []);
  origin.publish("news");
  await origin.calm();
  checkAll(origin);
});

/**
 * The server refuses whoever asks for more channels than these, or others.
 *
 * @param {Origin} origin
 * @param {(channels: string[]) => string | false | undefined} why a problem's code
 */
function refuse(origin, why) {
  const { open } = origin;
  origin.open = (options, channels = []) => {
    const tab = open.call(origin, options, []);
    const { env } = tab.browser;
    const { fetch, WebSocket, EventSource } = env;
    env.fetch = async (href, init) => {
      const code = why(new URL(href).searchParams.getAll("channel"));
      const reply = await fetch(href, init);
      return code ? { ...reply, status: 404, json: async () => ({ code, detail: code }) } : reply;
    };
    /** @param {any} Line @returns {any} */
    const refusing = (Line) =>
      class extends Line {
        /** @param {any} body */
        tell(body) {
          if (why(this.query.getAll("channel"))) this.end(1006);
          else super.tell(body);
        }
      };
    Object.assign(env, { WebSocket: refusing(WebSocket), EventSource: refusing(EventSource) });
    for (const channel of channels) tab.follow(channel);
    return tab;
  };
}

test("a channel that is refused to one tab is no other's misfortune", async () => {
  const origin = new Origin();
  let isGone = false;
  refuse(origin, (channels) => isGone && channels.includes("old") && "unknown-channel");
  const leader = origin.open({}, ["orders"]);
  await origin.advance(3000);
  origin.open({}, ["old"]);
  const third = origin.open({}, ["orders"]);
  await origin.advance(20000);
  assert.deepEqual(origin.lines[0]?.query.getAll("channel"), ["old", "orders"]);
  isGone = true;
  for (const line of leader.browser.open) (line.close(), line.end(1006));
  await origin.advance(5000);
  for (let count = 1; count <= 5; count++) {
    origin.publish("orders");
    await origin.advance(5000);
    for (const { got } of [leader, third]) assert.equal(got.get("orders")?.length, count);
  }
});

test("a leader whose own channels become too many with the others' reads its own", async () => {
  const origin = new Origin();
  refuse(origin, (channels) => channels.length > 100 && "too-many-channels");
  const names = (/** @type {string} */ room, /** @type {number} */ count) => Array.from({ length: count }, (_, at) => `${room}/${at}`);
  const leader = origin.open({}, names("a", 60));
  await origin.advance(3000);
  origin.open({}, names("b", 40));
  await origin.advance(20000);
  leader.follow("a/60");
  await origin.advance(20000);
  for (const channel of ["a/1", "a/60", "b/1"]) origin.publish(channel);
  await origin.advance(20000);
  checkAll(origin);
});

test("channels that together make no URL that servers take: no request for them is ever sent", async () => {
  const origin = new Origin();
  let longest = 0;
  refuse(origin, (channels) => {
    const { length } = `http://app.test/landline/events?${new URLSearchParams(channels.map((name) => ["channel", name]))}`;
    longest = Math.max(longest, length);
    return length > 3500 && "uri-too-long";
  });
  const names = (/** @type {string} */ room, /** @type {number} */ count) => Array.from({ length: count }, (_, at) => `${room}/${at}-${"x".repeat(50)}`);
  const first = origin.open({}, names("a", 32));
  await origin.advance(3000);
  const second = origin.open({}, names("b", 32));
  const third = origin.open({}, names("a", 8));
  await origin.advance(300000);
  assert.deepEqual([first, second, third].map(({ line }) => line.transport), ["websocket", "websocket", "shared"]);
  // Now its own are too many beside the others'.
  third.line.close();
  const fourth = origin.open({}, names("d", 10));
  await origin.advance(60000);
  assert.equal(fourth.line.transport, "shared");
  for (const name of names("c", 14)) first.follow(name);
  await origin.advance(60000);
  assert.ok(longest < 3500, `${longest}`);
  for (const name of [...names("a", 2), ...names("b", 2), ...names("c", 2), ...names("d", 2)]) origin.publish(name);
  await origin.advance(10000);
  assert.deepEqual(origin.tabs.flatMap(({ errors }) => errors), []);
  origin.tabs.splice(origin.tabs.indexOf(third), 1);
  checkAll(origin);
});

test("what only all tabs together are refused is asked for again after pauses that grow, and no page is told", async () => {
  const origin = new Origin();
  /** @type {number[]} */
  const refused = [];
  refuse(origin, (channels) => {
    if (channels.length < 3) return;
    refused.push(leader?.browser.time ?? 0);
    return "uri-too-long";
  });
  /** @type {Tab | undefined} */
  let leader = undefined;
  leader = origin.open({}, ["a", "b"]);
  await origin.advance(3000);
  const others = [origin.open({}, ["c"]), origin.open({}, ["a"])];
  for (const [index, { browser }] of origin.tabs.entries()) browser.luck = 0.9 + index / 100;
  await origin.advance(600000);
  const pauses = refused.map((at, index) => at - (refused[index - 1] ?? at)).filter((pause) => pause > 500);
  assert.ok(refused.length < 60, `${refused.length} in ten minutes`);
  assert.ok(pauses.slice(-5).every((pause) => pause > 45000), `${pauses}`);
  // The pause is the leader's, so a tab that is new has no more of its own asked for.
  const { length } = refused;
  origin.open({}, ["d"]);
  await origin.advance(1000);
  assert.equal(refused.length, length);
  await origin.tabs.at(-1)?.leave();
  // It stands as well as it would alone, and those who want nothing else share its line.
  assert.deepEqual([leader, ...others].map(({ line }) => line.transport), ["websocket", "websocket", "shared"]);
  assert.deepEqual(origin.tabs.flatMap(({ errors }) => errors), []);
  for (const channel of ["a", "b", "c"]) origin.publish(channel);
  await origin.advance(5000);
  checkAll(origin);
});

test("where only polls work, tabs do not wait for the slow ones of a hidden leader", async () => {
  const origin = new Origin();
  const { read } = origin;
  origin.read = (...args) => {
    const body = read.apply(origin, args);
    body.advice.transports = ["poll"];
    return body;
  };
  const [leader, seen] = [origin.open(), origin.open()];
  await origin.advance(5000);
  assert.equal(seen.line.transport, "shared");
  await leader.browser.show("hidden");
  await origin.advance(3000);
  origin.publish("orders");
  await origin.advance(3000);
  assert.deepEqual(seen.got.get("orders"), [1]);
});

test("a channel that a leader reads for others begins with its snapshot when its own page puts it on", async () => {
  const origin = new Origin();
  const { read } = origin;
  origin.read = (channels, cursor, limit) => {
    const body = read.call(origin, channels, cursor, limit);
    const snapshot = { channel: "board", offset: origin.log.length, data: "all", snapshot: true };
    return cursor || !channels.includes("board") ? body : { ...body, data: /** @type {any[]} */ ([snapshot]) };
  };
  const leader = origin.open({}, ["orders"]);
  await origin.advance(3000);
  origin.open({ cursor: null }, ["board"]);
  await origin.advance(20000);
  assert.ok(origin.lines[0]?.query.getAll("channel").includes("board"));
  /** @type {any[]} */
  const got = [];
  leader.line.on("board", (data) => got.push(data));
  await origin.advance(5000);
  assert.deepEqual(got, ["all"]);
});

test("what a page's handlers do to their data no other tab sees", async () => {
  const { origin, tabs } = await openTabs(2);
  const [leader, follower] = /** @type {[Tab, Tab]} */ (tabs);
  const { read } = origin;
  origin.read = (...args) => {
    const body = read.apply(origin, args);
    return { ...body, data: body.data && body.data.map((item) => ({ ...item, data: /** @type {any} */ ({ number: item.data }) })) };
  };
  leader.line.on("orders", (data) => (data.show = () => {}));
  /** @type {any[]} */
  const got = [];
  follower.line.on("orders", (data) => got.push(data));
  await follower.browser.fire("freeze");
  await origin.calm();
  // Its own poll was read before the event; the leader has kept that.
  await follower.browser.fire("resume");
  await follower.browser.advance(0);
  origin.publish("orders");
  await origin.arrive(origin.underWay.findIndex(({ tab }) => tab === leader));
  await origin.advance(3000);
  assert.deepEqual(got, [{ number: 1 }]);
});

// At random

/** @param {number} seed */
function makeRandom(seed) {
  // mulberry32
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const CHANNELS = ["orders", "room", "news"];
const RUNS = Number(process.env.LANDLINE_RUNS ?? 60);

test(`${RUNS} random histories of tabs: all events once and in order`, async () => {
  for (let seed = 1; seed <= RUNS; seed++) await play(seed).catch((error) => {
    error.message = `seed ${seed}: ${error.message}`;
    throw error;
  });
});

/** @param {number} seed */
async function play(seed) {
  const random = makeRandom(seed);
  /** @template T @param {T[]} list @returns {T} */
  const pick = (list) => /** @type {T} */ (list[Math.floor(random() * list.length)]);
  const origin = new Origin();
  const open = () => origin.open({}, [...new Set([pick(CHANNELS), pick(CHANNELS)])]);
  open();
  for (let step = 0; step < 150; step++) {
    const there = origin.tabs.filter(({ isGone }) => !isGone);
    const tab = pick(there);
    const dice = random();
    if (dice < 0.3) origin.publish(pick(CHANNELS));
    else if (dice < 0.7) {
      // Of each tab, what it is sent arrives in order.
      const of = pick(origin.underWay)?.tab;
      await origin.arrive(Math.max(0, origin.underWay.findIndex((item) => item.tab === of)));
    } else if (dice < 0.9) for (const other of there) await other.browser.advance(pick([0, 100, 1000, 4000]));
    else if (dice < 0.93 && there.length < 6) open();
    else if (dice < 0.94 && there.length > 1) tab.crash();
    else if (dice < 0.95 && there.length > 1) await tab.leave();
    else if (dice < 0.97) await tab.browser.show(pick(["hidden", "visible"]));
    else if (dice < 0.98) await tab.browser.fire(pick(["freeze", "resume"]));
    else if (dice < 0.99) for (const line of tab.browser.open) (line.close(), line.end(1006));
    else tab.line.poll();
  }
  for (const { isGone, browser } of origin.tabs) {
    if (isGone) continue;
    await browser.fire("resume");
    await browser.show("visible");
  }
  await origin.advance(5000);
  checkAll(origin);
  // Whatever was learned, no pause is longer than a minute.
  for (let minute = 0; minute < 3 && origin.lines.length !== 1; minute++) await origin.advance(60000);
  assert.equal(origin.lines.length, 1);
  checkAll(origin);
}
