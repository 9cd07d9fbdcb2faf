// Columns of the table: names, orders, and which are shown where none was chosen.

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import {
  columnName,
  columnTitle,
  defaultColumns,
  direction,
  moved,
  nextOrder,
  orderOf,
  PARTS,
  parseColumn,
} from "../src/data/columns";

const key = fc.string({ minLength: 1, unit: "grapheme" });

test("a column's name says what it was made of, for any key and every part", () => {
  fc.assert(
    fc.property(key, fc.constantFrom(...PARTS), (key, part) => {
      const column = parseColumn(columnName("metrics", key, part), [key]);
      const isNamedSo = part === "last";
      assert.deepEqual([column?.key, column?.part], isNamedSo ? [key, "last"] : [key, part]);
    }),
  );
});

test("a metric that is named as a part of another is meant before that part", () => {
  assert.equal(parseColumn("metrics.loss.min", ["loss"])?.part, "min");
  assert.equal(parseColumn("metrics.loss.min", ["loss", "loss.min"])?.key, "loss.min");
  assert.equal(parseColumn("params.loss.min", [])?.key, "loss.min");
  assert.equal(parseColumn("attributes.x", []), null);
  assert.equal(parseColumn("metrics.", []), null);
});

test("the title of a column names its part where that is not the last value", () => {
  const title = (name: string) => columnTitle(parseColumn(name, ["loss"])!);
  assert.equal(title("metrics.loss"), "loss");
  assert.equal(title("metrics.loss.nan_count"), "loss NaN");
  assert.equal(title("params.lr"), "lr");
});

test("columns shown unasked stay while they say something, and skip the system's metrics", () => {
  const keys = { metrics: ["system/cpu", "loss"], params: ["a", "b", "c"], tags: [] };
  const shown = defaultColumns(keys, []);
  assert.deepEqual(shown, ["metrics.loss", "params.a", "params.b"]);
  const more = { ...keys, metrics: ["accuracy", ...keys.metrics] };
  assert.equal(defaultColumns(more, shown), shown);
  assert.deepEqual(defaultColumns({ ...more, params: ["b"] }, shown), ["metrics.accuracy", "params.b"]);
  assert.equal(defaultColumns({ metrics: [], params: [], tags: [] }, shown), shown);
});

test("clicks on a title sort up, down, and not at all", () => {
  const by = orderOf(parseColumn("metrics.train/loss.min", ["train/loss"])!)!;
  assert.equal(by, "metrics.`train/loss.min`");
  const first = nextOrder("", by);
  const second = nextOrder(first, by);
  assert.deepEqual([direction(first, by), direction(second, by)], ["ascending", "descending"]);
  assert.equal(nextOrder(second, by), "");
  assert.equal(direction(first, "params.x"), null);
  assert.equal(orderOf(parseColumn("params.a`b", [])!), 'params."a`b"');
});

test("a moved element stands where the other one was, and none is lost", () => {
  assert.deepEqual(moved(["a", "b", "c"], "a", "c"), ["b", "c", "a"]);
  assert.deepEqual(moved(["a", "b", "c"], "c", "a"), ["c", "a", "b"]);
  assert.deepEqual(moved(["a", "b"], "x", "a"), ["a", "b"]);
});
