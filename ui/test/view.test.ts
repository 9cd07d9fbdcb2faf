// The view and its address.

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { DEFAULTS, decodeView, encodeView, type View } from "../src/view";

const name = fc.string({ minLength: 1, unit: "grapheme" });
const names = fc.array(name, { maxLength: 4 });
const finite = fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0);
const numbers = fc.oneof(finite, fc.constant(NaN));
const fields: { [Name in keyof View]: fc.Arbitrary<View[Name]> } = {
  page: fc.constantFrom("charts", "compare", "scatter", "parallel", "run"),
  experiments: names,
  filter: name,
  order: name,
  stage: fc.constantFrom("active", "deleted"),
  nested: fc.boolean(),
  columns: names,
  runs: names,
  hidden: names,
  pinned: names,
  baseline: name,
  run: name,
  summary: name,
  keys: name,
  closed: names,
  size: fc.constantFrom("s", "m", "l"),
  chart: name,
  x: fc.constantFrom("step", "time", "relative", "metric"),
  xKey: name,
  xMin: numbers,
  xMax: numbers,
  logX: fc.boolean(),
  y: fc.constantFrom("linear", "log", "symlog"),
  smoothing: fc.constantFrom("none", "ema", "gaussian"),
  strength: fc.double({ min: 0, max: 1, noNaN: true }).map((number) => number + 0),
  clip: fc.boolean(),
  ranksApart: fc.boolean(),
  group: names,
  aggregate: fc.constantFrom("mean", "median"),
  band: fc.constantFrom("minmax", "std", "sem", "ci95"),
  part: fc.constantFrom("last", "min", "max", "best"),
  differing: fc.boolean(),
  tags: fc.boolean(),
  all: fc.boolean(),
  scatterX: name,
  scatterY: name,
  scatterLogX: fc.boolean(),
  scatterLogY: fc.boolean(),
  colour: name,
  axes: names,
  logAxes: names,
  ranges: names,
};
const views = fc.record(fields, { noNullPrototype: true });

test("an address gives back the view that it was made of, whatever is in it", () => {
  fc.assert(
    fc.property(views, (view) => {
      assert.deepEqual(decodeView(`#${encodeView(view)}`), view);
    }),
  );
});

test("what equals the default is not in the address", () => {
  assert.equal(encodeView(DEFAULTS), "");
});

test("what an address should not hold counts as the default", () => {
  const view = decodeView("#page=nowhere&x=%00&xMin=Infinity&strength=much&unknown=1&y=log");
  assert.deepEqual(view, { ...DEFAULTS, y: "log" });
});
