// Bundles js/src into the one file that pages load. With --check: is the committed one up to date, and small enough?

import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

// 6 KB, with the line shared between tabs, which is still to come.
const LIMIT_BYTES = 6144;

// Names that only pass between our own modules. None of them may be public; npm test runs on the bundle too and would notice.
const INTERNAL = "answered busy calm changed demote dueAt failed failures forget forgive from halt hurry isJoin join joining ladder leave line main mayOpen offer parameters pauseMs plan polling probe provedAt pushed query reading restart rung rungs shortLives take told watch";

const target = new URL("../src/flask_landline/static/landline.js", import.meta.url);
const { outputFiles } = await build({
  entryPoints: [fileURLToPath(new URL("src/landline.js", import.meta.url))],
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  mangleProps: new RegExp(`^(${INTERNAL.replaceAll(" ", "|")})$`),
  legalComments: "none",
  banner: { js: "// Built from js/" },
  write: false,
});
const built = outputFiles[0]?.text ?? "";
const bytes = gzipSync(built, { level: 9 }).length;
console.log(`landline.js: ${bytes} of ${LIMIT_BYTES} bytes gzipped, ${built.length} plain`);
if (bytes > LIMIT_BYTES) fail(`landline.js has outgrown its ${LIMIT_BYTES} bytes. Make it smaller.`);

if (!process.argv.includes("--check")) await writeFile(target, built);
else if (built !== (await readFile(target, "utf8").catch(() => ""))) {
  fail("src/flask_landline/static/landline.js is not what js/src builds. Run `npm run build` and commit it.");
}

/** @param {string} problem */
function fail(problem) {
  console.error(`landline: ${problem}`);
  process.exitCode = 1;
}
