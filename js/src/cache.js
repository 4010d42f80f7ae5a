// Whether what answers is the server, or a cache that repeats what the server said once and was told not to keep: a
// service worker that looks into its cache first, for one. All short polls from one position have one address, so the
// first "nothing new" would be the answer to all that follow.
//
// It shows by the answer's Date, the second in which a server made it (RFC 9110 §6.6.1): what was asked for two seconds
// after another answer had come cannot be of the same second. Where there is no Date, nothing is noticed.

/** @import {Reply} from "./get.js" */

const SECONDS_APART = 2;

/** @returns {(reply: Reply, askedAt: number, now: number) => boolean} whether this one came from such a cache */
export function watchCaches() {
  /** @type {string | null | undefined} */
  let date;
  let cameAt = 0;
  return ({ headers }, askedAt, now) => {
    const before = date;
    date = headers?.get("Date");
    if (!date || date !== before) cameAt = now;
    // A cache that the app itself permits may repeat an answer for so long.
    // It says `public, max-age=0, s-maxage=<seconds>` (WIRE §4); what says it otherwise is not suspected.
    const [, , permitted = 0] = `${headers?.get("Cache-Control")}`.split("=");
    return askedAt - cameAt >= 1000 * (SECONDS_APART + Number(permitted));
  };
}
