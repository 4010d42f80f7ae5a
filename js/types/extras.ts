// What the types of the two extra files promise: checked by the compiler, never run.

// Imported from where an app serves them: tsconfig.json says where the types are.
import { Landline } from "/landline/landline.js";
import { install, useLine } from "/landline/landline-htmx.js";
import { LandlineStatus } from "/landline/landline-status.js";

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
