// Every case of tests/vectors/answers.json, which the server's tests read too.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { makeLine } from "./fake.js";

/** @type {{cases: any[]}} */
const { cases } = JSON.parse(await readFile(new URL("../../tests/vectors/answers.json", import.meta.url), "utf8"));

// This client asks for no 304: it has no use for one, and a browser's cache has no part in its polls.
const ours = cases.filter(({ polls }) => polls.every((/** @type {any} */ { status }) => status !== 304));
for (const { name, channels, cursor, polls } of ours) {
  for (const luck of [0, 0.999]) {
    test(`${name} (luck ${luck})`, async () => {
      const steps = await play(channels, cursor, polls, luck);
      for (const [step, { asked, delivered, reset, error, cursor, wait }] of polls.entries()) {
        const { waitMs, ...told } = steps[step];
        assert.deepEqual(told, { asked, delivered, reset, error, cursor });
        assert.ok(waitMs >= wait[0] * 1000 && waitMs <= wait[1] * 1000, `waits ${waitMs} ms, not ${wait} s`);
      }
    });
  }
}

/**
 * @param {string[]} channels
 * @param {string | null} cursor
 * @param {any[]} polls
 * @param {number} luck
 */
async function play(channels, cursor, polls, luck) {
  const script = polls.map(({ status, headers, body, text }) => ({ status, headers, body, text }));
  const { browser, line } = makeLine({ cursor }, script);
  browser.luck = luck;
  /** @type {any[]} */
  const steps = [];
  line.addEventListener("trace", ({ detail }) => {
    if (detail.phase === "ask") steps.push({ asked: "", delivered: [], reset: null, error: null });
    if (detail.phase === "wait" && detail.why !== "closed") Object.assign(steps.at(-1), { waitMs: detail.waitMs, cursor: line.cursor });
  });
  line.addEventListener("reset", ({ detail }) => (steps.at(-1).reset = detail));
  line.addEventListener("error", ({ detail }) => (steps.at(-1).error = detail.code));
  for (const channel of channels) line.on(channel, (data) => steps.at(-1).delivered.push([channel, data]));
  await browser.advance(0);
  while (steps.length < polls.length) await browser.advance(steps.at(-1).waitMs);
  line.close();
  for (const [step, { query }] of browser.asked.entries()) Object.assign(steps[step], { asked: query });
  return steps;
}
