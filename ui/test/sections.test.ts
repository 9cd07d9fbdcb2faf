// Metrics in sections, and where their charts stand.

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { gridOf, HEAD, place, rowsBetween } from "../src/pages/layout";
import { isOpen, PLAIN, problemOf, SYSTEM, toSections } from "../src/pages/sections";

const keys = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 12, unit: fc.constantFrom(..."abc/12") }), {
  maxLength: 60,
});

test("sections come by prefix, plain keys first, those of the system last, numbers as people count", () => {
  const sections = toSections(["system/cpu", "valid/loss", "layer10/w", "layer2/w", "lr", "/odd"]);
  assert.deepEqual(
    sections.map(({ name, keys }) => [name, ...keys]),
    [[PLAIN, "/odd", "lr"], ["layer2", "layer2/w"], ["layer10", "layer10/w"], ["valid", "valid/loss"], [SYSTEM, "system/cpu"]],
  );
});

test("every key stands in exactly one section, whatever it is called", () => {
  fc.assert(
    fc.property(keys, (all) => {
      const found = toSections(all).flatMap((section) => section.keys);
      assert.deepEqual([...found].sort(), [...all].sort());
    }),
  );
});

test("only the section of the system is closed by itself, and a name in the list turns each over", () => {
  assert.deepEqual([isOpen("valid", []), isOpen(SYSTEM, [])], [true, false]);
  assert.deepEqual([isOpen("valid", ["valid"]), isOpen(SYSTEM, [SYSTEM])], [false, true]);
});

test("a regular expression that is none is said, not thrown", () => {
  assert.equal(problemOf("loss$"), undefined);
  assert.match(problemOf("(") ?? "", /expression/i);
});

test("sections stand below each other without gaps, and each row in sight is drawn, few others", () => {
  const window = fc.record({ from: fc.nat(9000), height: fc.integer({ min: 1, max: 2000 }) });
  const size = fc.constantFrom("s" as const, "m" as const, "l" as const);
  fc.assert(
    fc.property(keys, size, fc.integer({ min: 1, max: 2500 }), window, (all, size, width, { from, height }) => {
      const grid = gridOf(size, width);
      const placed = place(toSections(all), [], grid);
      let bottom = 0;
      for (const each of placed) {
        assert.equal(each.top, bottom);
        bottom += each.height;
        const [first, last] = rowsBetween(each, grid, from, from + height);
        const rowTop = (row: number) => each.top + HEAD + (row * (each.height - HEAD)) / Math.max(1, each.rows);
        for (let row = 0; row < each.rows; row += 1) {
          const isInSight = rowTop(row) < from + height && rowTop(row + 1) > from;
          if (isInSight) assert.ok(first <= row && row < last);
        }
        assert.ok(last - first <= Math.ceil(height / grid.height) + 1);
      }
    }),
  );
});
