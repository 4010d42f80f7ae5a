// What landline.d.ts promises: checked by the compiler, never run.

import { Landline, LandlineError } from "../../src/flask_landline/static/landline.js";
import type { LandlineEvent, Status, TraceDetail, Transport } from "../../src/flask_landline/static/landline.js";
import * as source from "../src/landline.js";

type Equal<One, Other> = (<T>() => T extends One ? 1 : 2) extends <T>() => T extends Other ? 1 : 2 ? true : false;
const same = <Verdict extends true>(): Verdict | void => {};

interface Order {
  id: number;
}

const line = new Landline({ cursor: "k3f9a2zq-7", channels: ["orders"], env: globalThis });
new Landline();
new Landline({ url: new URL("https://app.test/landline/"), cursor: null });

const off = line.on<Order>("orders", (order, event) => {
  same<Equal<typeof order, Order>>();
  same<Equal<typeof event, LandlineEvent<Order>>>();
  // @ts-expect-error: an order has no such field
  order.colour;
});
same<Equal<typeof off, () => void>>();
line.on("orders", async (data: { id: string }) => data.id);
line.on("orders", (anything) => anything.not.typed);

interface Message {
  text: string;
}
const mapped = new Landline<{ orders: Order; [room: `room/${number}`]: Message }>({ cursor: null });
mapped.on("orders", (order, event) => {
  same<Equal<typeof order, Order>>();
  same<Equal<typeof event, LandlineEvent<Order>>>();
});
mapped.on("room/3", ({ text }) => text.trim());
// @ts-expect-error: no such channel in the map
mapped.on("ordrs", () => {});
// @ts-expect-error: a room has a number
mapped.on("room/hall", () => {});
// @ts-expect-error: the map says what orders bring
mapped.on("orders", (order: string) => order);
// @ts-expect-error: and nobody may say otherwise
mapped.on<Message>("orders", (message) => message.text);
mapped.addEventListener("status", ({ detail }) => same<Equal<typeof detail.status, Status>>());

line.addEventListener("status", function ({ detail }) {
  same<Equal<typeof detail.status, Status>>();
  same<Equal<typeof detail.transport, Transport>>();
  same<Equal<typeof this, Landline>>();
});
line.addEventListener("reset", ({ detail }) => detail.channels.includes(detail.reason));
line.addEventListener("error", ({ detail }) => same<Equal<typeof detail, LandlineError>>(), { once: true });
line.addEventListener("trace", { handleEvent: ({ detail }) => same<Equal<typeof detail, TraceDetail>>() });
line.addEventListener("trace", ({ detail }) => {
  if (detail.phase === "ask") detail.request.startsWith("GET ");
  // @ts-expect-error: only the phase "ask" has a request
  else detail.request;
  if (detail.phase === "fall") detail.why.startsWith("closed");
  if (detail.phase === "wait" && detail.waitMs !== null) detail.waitMs.toFixed();
});
line.intervalMs = line.intervalMs * 2;
line.transports = ["sse", "poll"];
same<Equal<typeof line.transport, Transport>>();
// @ts-expect-error: no such rung
line.transports = ["carrier-pigeon"];
// @ts-expect-error: read-only
line.transport = "poll";

// @ts-expect-error: a status is no free text
line.status === "connected";
// @ts-expect-error: read-only
line.cursor = "k3f9a2zq-8";
// @ts-expect-error: read-only
line.status = "live";
// @ts-expect-error: no such option
new Landline({ interval: 5 });
// @ts-expect-error: an array
new Landline({ channels: "orders" });
// @ts-expect-error: a handler is due
line.on("orders");

// The types are written by hand: the source has what they promise, and promises nothing that they hide.
const landline: typeof Landline = source.Landline;
const error: LandlineError = new source.LandlineError("", { code: "handler" });
same<Equal<keyof source.Landline, keyof Landline>>();
same<Equal<keyof typeof source, "Landline" | "LandlineError">>();
export { error, landline };
