// Bundles js/src into the one file that pages load. With --check: is the committed one up to date, and small enough?

import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { minify } from "terser";
import { LOWEST } from "./lowest.js";

// 8 KB, all in all: a page loads it before it shows anything live.
const LIMIT_BYTES = 8192;

// Names that only pass between our own modules. None of them may be public; npm test runs on the bundle too and would notice.
const INTERNAL = "answered beat busy calm changed demote doubt dueAt failed failures fault forget forgive from guard halt hurry isJoin isProved isTooMuch join joining keepaliveMs ladder leads leave line listener main mayHold mayOpen offer own parameters pass pauseMs plan polling probe provedAt prune pushed query read reading rest restart rung rungs seen sharing shed shortLives take trace wake watch";

const target = new URL("../src/flask_landline/static/landline.js", import.meta.url);
const { outputFiles } = await build({
  entryPoints: [fileURLToPath(new URL("src/landline.js", import.meta.url))],
  bundle: true,
  format: "esm",
  target: LOWEST,
  minifyIdentifiers: true,
  minifySyntax: true,
  mangleProps: new RegExp(`^(${INTERNAL.replaceAll(" ", "|")})$`),
  legalComments: "none",
  write: false,
});
// esbuild bundles and renames; terser makes 3 % less of it. (In another order of the imports in landline.js and poller.js,
// which is that of the modules in here, gzip makes up to 40 bytes more.)
const { code: built = "" } = await minify(outputFiles[0]?.text ?? "", {
  module: true,
  compress: { passes: 4, ecma: 2021, pure_getters: true, unsafe: true, unsafe_arrows: true, unsafe_math: true, lhs_constants: false, comparisons: false },
});
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
