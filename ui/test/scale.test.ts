// Scales and what is written at axes.

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { formatTicksOfX, formatTicksOfY } from "../src/chart/axis";
import { scaleOfX, scaleOfY, type Scale } from "../src/chart/scale";

const finite = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e300, max: 1e300 });
const positive = fc.double({ noNaN: true, min: 1e-300, max: 1e300 });
const ordered = (values: fc.Arbitrary<number>) =>
  fc.tuple(values, values).map(([a, b]): [number, number] => (a < b ? [a, b] : [b, a])).filter(([a, b]) => b - a > Math.max(Math.abs(a) * 1e-9, 1e-290));

function check(scale: Scale, [low, high]: [number, number], texts: (values: number[]) => string[]): void {
  assert(Math.abs(scale.place(low)) < 1e-9);
  assert(Math.abs(scale.place(high) - 1) < 1e-9);
  assert(Math.abs(scale.place(scale.value(0.25)) - 0.25) < 1e-6);
  for (const count of [2, 5, 12]) {
    const ticks = scale.ticks(count);
    assert(ticks.length <= 4 * count + 4, `${ticks.length} ticks for ${count}`);
    ticks.forEach((tick, i) => {
      assert(scale.place(tick) > -1e-6 && scale.place(tick) < 1 + 1e-6, `${tick}`);
      if (i) assert(tick > (ticks[i - 1] as number));
    });
    assert.equal(texts(ticks).length, ticks.length);
  }
}

test("scales go from one end to the other and back, with few round ticks inside", () => {
  fc.assert(fc.property(ordered(finite), (range) => {
    check(scaleOfY("linear", range), range, (ticks) => formatTicksOfY(ticks, "linear"));
    check(scaleOfY("symlog", range), range, (ticks) => formatTicksOfY(ticks, "symlog"));
  }));
  fc.assert(fc.property(ordered(positive), (range) =>
    check(scaleOfY("log", range), range, (ticks) => formatTicksOfY(ticks, "log"))));
});

test("texts of ticks tell them apart", () => {
  fc.assert(fc.property(ordered(fc.double({ noNaN: true, min: -1e6, max: 1e6 })), (range) => {
    const ticks = scaleOfX("step", false, range).ticks(6);
    assert.equal(new Set(formatTicksOfX(ticks, "step", false)).size, ticks.length);
  }));
});

test("steps have ticks at whole numbers", () => {
  assert.deepEqual(scaleOfX("step", false, [0, 3]).ticks(8), [0, 1, 2, 3]);
  const ticks = scaleOfX("step", false, [0, 99_999]).ticks(5);
  assert.deepEqual(formatTicksOfX(ticks, "step", false), ["0", "20k", "40k", "60k", "80k"]);
});

test("a logarithmic x axis has a place for step 0", () => {
  const scale = scaleOfX("step", true, [0, 100_000]);
  assert.equal(scale.place(0), 0);
  assert.deepEqual(scale.ticks(12), [0, 1, 10, 100, 1000, 10_000, 100_000]);
});

test("a logarithmic axis of a single step has one tick", () => {
  assert.deepEqual(scaleOfX("step", true, [499.5, 500.5]).ticks(5), [500]);
});

test("time has ticks at round moments, and a new day is written", () => {
  const evening = new Date(2026, 2, 1, 22, 0).getTime();
  const ticks = scaleOfX("time", false, [evening, evening + 4 * 3_600_000]).ticks(4);
  assert.deepEqual(formatTicksOfX(ticks, "time", false), ["03-01 22:00", "23:00", "2026-03-02", "01:00", "02:00"]);
});

test("spans are written in their own unit", () => {
  const ticks = scaleOfX("relative", false, [0, 7_200_000]).ticks(4);
  assert.deepEqual(formatTicksOfX(ticks, "relative", false), ["0 h", "0.5 h", "1 h", "1.5 h", "2 h"]);
});
