// The lines: a WebSocket and an event stream with one shape. What comes is told as answers of polls that nobody had
// to ask for, the end as a reason. Neither reconnects: that is decided in ladder.js, and goes on from our own cursor.

import { parts } from "./feed.js";

/** @import {Env, Transport} from "../../src/flask_landline/static/landline.js" */
/** @import {Query} from "./feed.js" */
/** @import {credentialsFor} from "./get.js" */

/**
 * An answer as a line brings it: a hello has a nonce, and a part of an answer no cursor.
 *
 * @typedef {Omit<Partial<import("./answer.js").Answer>, "cursor"> & {cursor?: string | null, nonce?: string, keepalive?: number}} Pushed
 */

/**
 * @typedef {object} Listener
 * @property {(answer: Pushed) => void} take
 * @property {(why: string, how?: {calm?: boolean, busy?: boolean, pauseMs?: number}) => void} end
 */

/**
 * @param {Env} env
 * @param {Transport} rung "websocket" or "sse"
 * @param {{url: string, credentials: ReturnType<typeof credentialsFor>}} settings the prefix, absolute; and how polls get through
 * @param {Query} query
 * @param {Listener} listener
 * @returns {() => void} closes it
 */
export function openLine(env, rung, { url, credentials }, { parameters, channels, grant }, listener) {
  // Where one is absent, its rung falls like any other that cannot be opened.
  const { WebSocket, EventSource } = /** @type {Required<Env>} */ (env);
  /** @param {string} text */
  const read = (text) => {
    try {
      return JSON.parse(text);
    } catch {
      listener.end("garbled");
    }
  };
  if (rung === "websocket") {
    const socket = new WebSocket(`${url}ws?${parameters}${grant}`.replace("http", "ws"), "landline.v1");
    socket.onmessage = ({ data }) => {
      const answer = read(data);
      if (answer) listener.take(answer);
    };
    // WIRE §6: 1001 is going away, to be carried on elsewhere after a pause; 1013 too much now, so fall.
    socket.onclose = ({ code, reason }) =>
      listener.end(`closed: ${code}`, { calm: code === 1001, busy: code === 1013, pauseMs: reason * 1000 || 0 });
    return () => socket.close();
  }
  const source = new EventSource(`${url}events?${parameters}${grant}`, { withCredentials: credentials[0] === "include" });
  /** @type {{channel: string, offset: number} | undefined} what the next block is */
  let snapshot;
  /** @param {{type: string, data?: string, lastEventId?: string}} block */
  const take = ({ type, data, lastEventId = "" }) => {
    // A channel may be named "error" or "open" too, but then there is data.
    if (data === undefined) return type === "error" && listener.end("closed");
    const value = read(data);
    if (type !== "landline") {
      // The id is the cursor behind the event, and the only place where a stream carries its offset.
      const [, offset] = parts(lastEventId);
      if (snapshot) listener.take({ data: [{ ...snapshot, data: value, snapshot: true }] });
      else listener.take({ data: [{ channel: type, offset, data: value }], cursor: lastEventId });
      snapshot = undefined;
    } else if (value?.goodbye) listener.end("goodbye", { calm: true, pauseMs: value.goodbye.retry * 1000 || 0 });
    else if (value?.snapshot) snapshot = value.snapshot;
    else if (value) listener.take(value);
  };
  for (const type of new Set([...channels, "landline", "error"])) source.addEventListener(type, take);
  return () => source.close();
}
