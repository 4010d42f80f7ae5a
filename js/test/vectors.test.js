// Every case of tests/vectors/answers.json, which the server's tests read too.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { makeLine, settle } from "./fake.js";

const { cases } = JSON.parse(await readFile(new URL("../../tests/vectors/answers.json", import.meta.url), "utf8"));

for (const { name, channels, cursor, polls } of cases) {
  test(name, async () => {
    const { browser, line, got, told, trace, follow, tells } = makeLine({ cursor }, [...polls]);
    browser.luck = 0.999999;
    channels.forEach(follow);
    for (const { asked, delivered, reset, error, cursor, wait } of polls) {
      got.length = told.length = 0;
      const { length } = browser.asked;
      // Not further than this poll: an answer that says "at once" is followed by the next one.
      if (!length) await settle();
      else await browser.advance(0);
      if (browser.asked.length === length) assert.fail("not asked");
      assert.equal(browser.last.query, asked);
    }
  });
}
