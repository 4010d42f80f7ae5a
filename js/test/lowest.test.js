// What is served or shown as it is written, and not built, runs in the lowest browsers that the documents name: nothing in
// it is written, called or styled that Safari 15.0 lacks, but where another way stands beside it.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { transform } from "esbuild";
import { LOWEST } from "../lowest.js";

const ROOT = new URL("../../", import.meta.url);

/** What is called, with the Safari that has it first. */
const CALLS = {
  "15.4": /\.at\(|\bObject\.hasOwn\b|\bstructuredClone\b|\.findLast(Index)?\(|\brandomUUID\b|\.showModal\(|\bBroadcastChannel\b/,
  "16.0": /\brequestSubmit\b|\bAbortSignal\.timeout\b|\.toReversed\(|\.toSorted\(|\.toSpliced\(|\.with\(/,
  "16.4": /\bimport\.meta\.resolve\b|"importmap"|\bnew CSSStyleSheet\b|\bgroupBy\(|\bcheckVisibility\b/,
  "17.4": /\bAbortSignal\.any\b|\bPromise\.withResolvers\b|\bURL\.canParse\b|\bshowPopover\b|\bArray\.fromAsync\b/,
  "18.0": /\bURL\.parse\b|\bPromise\.try\b|\bstartViewTransition\b/,
};
/** How it is styled. */
const STYLES = {
  "15.4": /:has\(|\d[dsl]v[hw]\b|@layer\b/,
  "16.0": /@container\b|\bcontainer-type\b|\bsubgrid\b/,
  "16.2": /\bcolor-mix\(/,
  "16.4": /@property\b|@media \([^)]*[<>]/,
  "17.2": /^\s+&/m,
  "17.5": /\blight-dark\(|@starting-style\b|\btext-wrap\b/,
};
/** What has another way beside it, which tests in an engine without the first one hold. */
const GUARDED = /** @type {any[]} */ ([
  "if (!sheet) (sheet = new CSSStyleSheet()).replaceSync(CSS);",
  /@supports \(color: light-dark\(#000, #fff\)\) \{\n[^\n]+\n {2}\}/,
  "#wires label:has(:focus-visible) {",
  "@supports not selector(:has(a)) {",
]);

/** @param {string} text */
const plain = (text) => GUARDED.reduce((rest, way) => rest.replace(way, ""), text).replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "");

/**
 * @param {string} folder
 * @param {RegExp} names
 */
const list = (folder, names) => readdirSync(new URL(folder, ROOT)).filter((name) => names.test(name)).map((name) => `${folder}${name}`);

const SCRIPTS = [
  ...list("src/flask_landline/static/", /^landline-.*\.js$/),
  ...list("examples/board/static/", /\.js$/),
  ...list("examples/lesson/static/", /\.js$/),
];
const PAGES = ["board", "lesson"].flatMap((name) => [
  ...list(`examples/${name}/static/`, /\.css$/),
  ...list(`examples/${name}/templates/`, /\.html$/),
]);

for (const name of SCRIPTS) {
  test(`${name} is written for the lowest browsers`, async () => {
    const text = readFileSync(new URL(name, ROOT), "utf8");
    /** @type {import("esbuild").TransformOptions} */
    const alike = { format: "esm", minifyWhitespace: true };
    const lowered = await transform(text, { ...alike, target: LOWEST });
    const asItIs = await transform(text, { ...alike, target: "esnext" });
    assert.equal(lowered.code, asItIs.code);
  });
}

for (const name of [...SCRIPTS, ...PAGES]) {
  test(`${name} calls and styles by what the lowest browsers have`, () => {
    const text = plain(readFileSync(new URL(name, ROOT), "utf8"));
    for (const [since, lacking] of [...Object.entries(CALLS), ...Object.entries(STYLES)]) {
      assert.equal(lacking.exec(text)?.[0], undefined, `Safari has it from ${since}`);
    }
  });
}
