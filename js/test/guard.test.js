// The guard alone: what it reports of a turn that throws, and what it does then. With a browser: faults.test.js.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Guard } from "../src/guard.js";

/** @param {() => void} [doubt] */
function make(doubt) {
  /** @type {string[]} */
  const seen = [];
  const guard = new (class extends Guard {
    doubt() {
      seen.push("doubt");
      doubt?.();
    }
  })((type, error) => seen.push(`${type} ${/** @type {any} */ (error).code}`));
  return { guard, seen };
}

const boom = () => {
  throw new Error("boom");
};

test("a turn that throws nothing is only done", () => {
  const { guard, seen } = make();
  guard.guard(() => seen.push("turn"));
  assert.deepEqual(seen, ["turn"]);
});

test("what is thrown is reported once, and doubted each time", () => {
  const { guard, seen } = make();
  guard.guard(boom);
  guard.guard(boom);
  assert.deepEqual(seen, ["error client", "doubt", "doubt"]);
});

test("another thing that is thrown is reported too", () => {
  const { guard, seen } = make();
  guard.guard(boom);
  guard.guard(() => {
    throw new Error("another");
  });
  assert.deepEqual(seen, ["error client", "doubt", "error client", "doubt"]);
});

test("a cure of the turn's own takes the place of doubt", () => {
  const { guard, seen } = make();
  guard.guard(boom, () => seen.push("cure"));
  assert.deepEqual(seen, ["error client", "cure"]);
});

test("a cure that throws as well ends there, and is not reported", () => {
  const { guard, seen } = make(boom);
  guard.guard(boom);
  assert.deepEqual(seen, ["error client", "doubt"]);
});
