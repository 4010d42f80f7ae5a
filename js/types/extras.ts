// What the types of the two extra files promise: checked by the compiler, never run.

import { Landline } from "../../src/flask_landline/static/landline.js";
import { install, useLine } from "../../src/flask_landline/static/landline-htmx.js";
import { LandlineStatus } from "../../src/flask_landline/static/landline-status.js";

const line = new Landline<{ orders: { id: number } }>();

declare const htmx: typeof import("htmx.org").default;
install(htmx);
useLine(line);
useLine(new Landline({ url: "/live" }), "/live");
// @ts-expect-error: a line, not what to make one of
useLine({ url: "/live" });

const badge = document.createElement("landline-status");
badge.line = line;
badge.line = null;
badge satisfies LandlineStatus;
// @ts-expect-error: its status is for style sheets to look at; ask the line
badge.status;
