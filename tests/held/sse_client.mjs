// Reads an event stream with somebody's client, printing each event as it is told: `node sse_client.mjs NAME URL COUNT`.
// How often a client comes back is its own affair; that it does, with what it knows, is what is tested.

const [name, url, count] = process.argv.slice(2);
let seen = 0;

function told(id, data) {
  console.log(JSON.stringify({ id, data: JSON.parse(data) }));
  if (++seen === Number(count)) process.exit(0);
}

const clients = {
  async eventsource() {
    const { EventSource } = await import("eventsource");
    const source = new EventSource(url);
    source.addEventListener("news", (event) => told(event.lastEventId, event.data));
  },

  async "eventsource-client"() {
    const { createEventSource } = await import("eventsource-client");
    const source = createEventSource({ url });
    for await (const { event, id, data } of source) {
      if (event === "news") told(id, data);
    }
  },

  async "fetch-event-source"() {
    // It is made for browsers alone, and looks for these.
    globalThis.window = globalThis;
    globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
    const { fetchEventSource } = await import("@microsoft/fetch-event-source");
    await fetchEventSource(url, {
      openWhenHidden: true,
      onmessage({ event, id, data }) {
        if (event === "news") told(id, data);
      },
      onclose() {
        throw new Error("closed"); // its way to say: come back
      },
      onerror: () => undefined, // after as long as the server asked for
    });
  },
};

await clients[name]();
