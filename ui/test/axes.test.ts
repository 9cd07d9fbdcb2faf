// Axes that runs are placed on, parts of them, and colours.

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { makeAxis } from "../src/pages/axes";
import { makeColours } from "../src/pages/colours";
import { distanceAt, isWithin, parseRanges, placesOf, rangeBetween, withRange } from "../src/pages/ranges";
import { nearest } from "../src/pages/nearest";

const numbers = fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 20 });

test("every number has a place between 0 and 1, in their order, however large they are", () => {
  fc.assert(
    fc.property(numbers, fc.boolean(), (values, log) => {
      const axis = makeAxis(values, log, 0.05);
      const placed = values.filter((value) => !axis.log || value > 0).sort((a, b) => a - b).map((value) => axis.place(value));
      for (const [index, place] of placed.entries()) {
        assert.ok(place >= -1e-9 && place <= 1 + 1e-9, `${place}`);
        assert.ok(index === 0 || place >= (placed[index - 1] as number));
      }
      assert.ok(axis.ticks.length < 40);
      for (const { at } of axis.ticks) assert.ok(at >= -1e-6 && at <= 1 + 1e-6, `${at}`);
    }),
  );
});

test("params are texts: numbers among them make a numeric axis, one word makes it an axis of names", () => {
  const numeric = makeAxis(["0.1", "1e-3", "10", undefined], true);
  assert.equal(numeric.names, null);
  assert.ok(Math.abs(numeric.place("0.1") - 0.5) < 1e-9);
  const named = makeAxis(["10", "9", "none"], true);
  assert.deepEqual(named.names, ["9", "10", "none"]);
});

test("what is missing, not finite, or not positive on a logarithmic axis has no place", () => {
  const axis = makeAxis([1, 10, "NaN", "Infinity", -5, undefined], true);
  for (const value of ["NaN", "Infinity", "-Infinity", -5, 0, undefined]) assert.equal(axis.place(value), NaN);
});

test("a range between two places holds the values there, also after it went through the address", () => {
  const place = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(numbers, place, place, (values, a, b) => {
      const axis = makeAxis(values, false);
      const range = rangeBetween(axis, "params.x", a, b);
      assert.ok(range);
      const [back] = parseRanges(withRange([], "params.x", range));
      assert.ok(back);
      const [low, high] = [Math.min(a, b), Math.max(a, b)];
      for (const value of values) {
        const at = axis.place(value);
        if (at > low + 1e-6 && at < high - 1e-6) assert.ok(isWithin(axis, back, value));
        if (at < low - 1e-6 || at > high + 1e-6) assert.ok(!isWithin(axis, back, value));
      }
    }),
  );
});

test("a range of names holds whole names; nonsense in an address is left out", () => {
  const axis = makeAxis(["adam", "lion", "sgd"], false);
  const range = rangeBetween(axis, "params.opt", 0.2, 0.7);
  assert.deepEqual(range, { field: "params.opt", low: "lion", high: "lion" });
  assert.deepEqual(range && placesOf(axis, range).map((each) => each.toFixed(2)), ["0.33", "0.67"]);
  assert.equal(rangeBetween(axis, "params.opt", 0.2, 0.3), null);
  assert.deepEqual(parseRanges(["nonsense", "[1,2,3]", '["a",null,1]', "{}", "null"]), []);
});

test("the line and the point that are nearest to the pointer are found", () => {
  assert.equal(distanceAt([0, 100], [10, 20], 15, 60), 10);
  assert.equal(distanceAt([40], [10], 500, 50), 10);
  const points = [{ x: 0, y: 0 }, { x: 10, y: 0 }];
  assert.equal(nearest(points, 7, 1), points[1]);
  assert.equal(nearest(points, 200, 200), null);
});

test("few values have a colour each, many numbers a scale, what is missing is grey", () => {
  const few = makeColours("params.p", ["b", "a", undefined]);
  assert.deepEqual(few.few?.map(([name]) => name), ["a", "b"]);
  assert.notEqual(few.of("a"), few.of("b"));
  const many = makeColours("params.p", Array.from({ length: 30 }, (_, index) => index));
  assert.deepEqual([many.few, many.low, many.high], [null, 0, 29]);
  assert.equal(many.of(undefined), few.of(undefined));
});
