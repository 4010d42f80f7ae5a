// Firefox, driven over WebDriver BiDi for browsers.py: `node firefox.mjs PATH`. One line of JSON in is one order, one
// line out its answer, with the order's number. Ends, with the browser, when there are no more orders.

import { createInterface } from "node:readline";
import puppeteer from "puppeteer-core";

const browser = await puppeteer.launch({ browser: "firefox", executablePath: process.argv[2], headless: true });
/** @type {Map<number, import("puppeteer-core").Page>} by the number of the order that opened it */
const pages = new Map();

const orders = {
  async open({ number, url }) {
    // A context of its own shares nothing with other pages, and a window of its own is never hidden behind them.
    const context = await browser.createBrowserContext();
    const page = await context.newPage({ type: "window" });
    pages.set(number, page);
    await page.goto(url);
  },
  take: ({ page }) => pages.get(page).evaluate(() => globalThis.take()),
  close: ({ page }) => pages.get(page).browserContext().close(),
};

async function obey(order) {
  try {
    return { value: await orders[order.what](order) };
  } catch (error) {
    return { error: `${error}` };
  }
}

for await (const words of createInterface({ input: process.stdin })) {
  const order = JSON.parse(words);
  obey(order).then((answer) => console.log(JSON.stringify({ number: order.number, ...answer })));
}
await browser.close();
