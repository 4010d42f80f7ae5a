// What the files that pages load call, held against the lowest browsers that the documents name. What is *written* is
// the concern of esbuild's `target` in build.js; a method that a browser lacks is found out by its users alone.
//
// Names only, without types: `at` is too new if it is so wherever the tables know an `at`. So a name is passed over that
// is old on one object and new on the one it is used of; what passes between our own modules is mangled or known to no table.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { test } from "node:test";
import { parse } from "acorn";
import { full } from "acorn-walk";
import { transform } from "esbuild";
import { LOWEST } from "../lowest.js";

/** @type {any} */
const tables = createRequire(import.meta.url)("@mdn/browser-compat-data");
const folder = new URL("../../src/flask_landline/static/", import.meta.url);
const lowest = LOWEST.map((browser) => /** @type {[string, number]} */ ([/^[a-z]+/.exec(browser)?.[0] ?? "", parseFloat(browser.replace(/^[a-z]+/, ""))]));

/** Names that are passed over, and why. @type {Record<string, string>} */
const KNOWN = {
  BroadcastChannel: "where the browser has none, windows are not counted; where it has locks, it has this too",
  locks: "where the browser has none, nothing is shared between tabs",
  request: "of navigator.locks",
  token: "of the wire",
  nonce: "of the wire",
  keepalive: "of the wire",
  retry: "of the wire",
  interval: "of the wire",
  element: "our own",
  config: "of htmx",
};

/** What has another way beside it, which tests in an engine without the first one hold. @type {Record<string, RegExp>} */
const BESIDE = { "landline-status.js": /^\.(replaceSync|adoptedStyleSheets):/ };

/** @param {any} support one browser's statement, or several of which one has to do */
const since = (support) => Math.min(...[support].flat().map((one) => (one?.version_added && !one.flags ? parseFloat(one.version_added.replace("≤", "")) || Infinity : Infinity)));

/** @param {any} compat */
const lackedBy = (compat) => lowest.filter(([browser, version]) => !(since(compat.support[browser]) <= version)).map(([browser, version]) => `${browser} ${version}`);

/** By name: of each thing that has it, the browsers that lack it there. @type {Map<string, string[][]>} */
const members = new Map();
/** @type {Map<string, string[]>} */
const globals = new Map();
for (const things of [tables.api, tables.javascript.builtins]) {
  for (const [thing, parts] of Object.entries(things)) {
    for (const [name, part] of Object.entries(/** @type {any} */ (parts))) {
      if (name === "__compat") globals.set(thing, lackedBy(part));
      if (part.__compat) globals.set(`${thing}.${name.replace("_static", "")}`, lackedBy(part.__compat));
      if (part.__compat) members.set(name.replace("_static", ""), [...(members.get(name.replace("_static", "")) ?? []), lackedBy(part.__compat)]);
    }
  }
}

/**
 * @param {string} code
 * @returns {string[]} what it uses and some of the lowest browsers lack
 */
function tooNew(code) {
  /** @type {Set<string>} */
  const found = new Set();
  /** @type {Set<string>} names that the code gives to things of its own */
  const own = new Set();
  /** @param {string} name */
  const global = (name) => {
    const lacking = globals.get(name);
    if (lacking?.length) found.add(`${name}: ${lacking}`);
    return !!lacking;
  };
  /** @param {string} name */
  const member = (name) => {
    // The browser's own functions are used as members too: of env.
    if (name in KNOWN || global(name)) return;
    const lacking = members.get(name);
    if (lacking?.every((browsers) => browsers.length)) found.add(`.${name}: ${lacking[0]}`);
  };
  const tree = parse(code, { ecmaVersion: "latest", sourceType: "module" });
  full(tree, (/** @type {any} */ node) => {
    if (node.type === "PropertyDefinition" || node.type === "MethodDefinition") own.add(node.key.name);
    if (node.type === "Property" && node.value.type !== "Identifier" && node.value.type !== "AssignmentPattern") own.add(node.key.name);
  });
  full(tree, (/** @type {any} */ node) => {
    const { type, object, property, callee } = node;
    if ((type === "NewExpression" || type === "CallExpression") && callee.name) global(callee.name);
    if (type !== "MemberExpression" || node.computed) return;
    if (object.name) global(object.name);
    if (!(object.name && global(`${object.name}.${property.name}`)) && !own.has(property.name)) member(property.name);
  });
  return [...found];
}

for (const file of ["landline.js", "landline-htmx.js", "landline-status.js"]) {
  test(`${file} calls nothing that the lowest browsers lack`, async () => {
    const found = tooNew(await readFile(new URL(file, folder), "utf8"));
    assert.deepEqual(found.filter((one) => !BESIDE[file]?.test(one)), []);
  });

  test(`${file} is written in nothing that the lowest browsers cannot read`, async () => {
    const code = await readFile(new URL(file, folder), "utf8");
    const [written, lowered] = await Promise.all(["esnext", LOWEST].map((target) => transform(code, { target, format: "esm" })));
    assert.equal(lowered?.code, written?.code);
  });
}

for (const [code, name] of [
  ["structuredClone({})", "structuredClone"],
  ["list.at(-1)", ".at"],
  ["list.findLast((one) => one)", ".findLast"],
  ["Object.hasOwn(one, 'name')", "Object.hasOwn"],
  ["AbortSignal.timeout(5)", "AbortSignal.timeout"],
  ["signal.throwIfAborted()", ".throwIfAborted"],
  ["new CSSStyleSheet().replaceSync('')", ".replaceSync"],
  ["Promise.withResolvers()", "Promise.withResolvers"],
  ["env.structuredClone({})", "structuredClone"],
  ["new Map().getOrInsert(1, 2)", ".getOrInsert"],
]) {
  test(`${code} would be noticed`, () => {
    assert.ok(tooNew(`${code}`).some((one) => one.startsWith(`${name}`)), `${tooNew(`${code}`)}`);
  });
}

test("the lowest browsers are those that the documents name", async () => {
  const text = await readFile(new URL("../../docs/reference/javascript.md", import.meta.url), "utf8");
  const [, named] = /runs from (.*?)\./s.exec(text.replaceAll(/\.(?=\d)/g, "·")) ?? [];
  const versions = Object.fromEntries(lowest);
  assert.equal(named?.replaceAll("·", "."), `Safari ${versions.safari?.toFixed(1)}, Chrome and Edge ${versions.chrome}, and Firefox ${versions.firefox}`);
  assert.equal(versions.edge, versions.chrome);
});
