// Columns of the table: names, orders, and which are shown where none was chosen.

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import {
  columnName,
  columnTitle,
  defaultColumns,
  differingParams,
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

test("columns shown unasked are a telling metric and params that differ, as long as they are", () => {
  const keys = { metrics: ["grad", "system/loss", "train/loss"], params: ["a", "b", "c"], tags: [] };
  assert.deepEqual(defaultColumns(keys, [], []), ["metrics.train/loss", "params.a", "params.b"]);
  const shown = defaultColumns(keys, ["c"], []);
  assert.deepEqual(shown, ["metrics.train/loss", "params.c", "params.a"]);
  assert.equal(defaultColumns(keys, ["b", "c"], shown), shown);
  assert.equal(defaultColumns(keys, [], shown), shown);
  assert.deepEqual(defaultColumns(keys, ["b"], shown), ["metrics.train/loss", "params.b", "params.a"]);
  const fewer = { ...keys, metrics: ["grad"], params: ["c"] };
  assert.deepEqual(defaultColumns(fewer, [], shown), ["metrics.grad", "params.c"]);
  assert.equal(defaultColumns({ metrics: [], params: [], tags: [] }, [], shown), shown);
});

test("params differ where a value is another one or missing", () => {
  const run = (params: Record<string, string>) => ({ params });
  assert.deepEqual(differingParams([run({ a: "1", b: "2" }), run({ b: "2", a: "3", c: "4" })]), ["a", "c"]);
  assert.deepEqual(differingParams([run({ a: "1" })]), []);
});

test("clicks on a title sort up, down, and not at all", () => {
  const by = orderOf(parseColumn("metrics.train/loss.min", ["train/loss"])!)!;
  assert.equal(by, "metrics.`train/loss.min`");
  const first = nextOrder("", by);
  const second = nextOrder(first, by);
  assert.deepEqual([direction(first, by), direction(second, by)], ["ascending", "descending"]);
  assert.equal(nextOrder(second, by), "");
  assert.equal(direction(first, "params.x"), null);
  const best = (key: string) => orderOf(parseColumn(`metrics.${key}.best`, [key])!);
  assert.deepEqual([best("loss"), best("acc")], ["metrics.`loss.min`", "metrics.`acc.max`"]);
  assert.equal(orderOf(parseColumn("params.a`b", [])!), 'params."a`b"');
});

test("a moved element stands where the other one was, and none is lost", () => {
  assert.deepEqual(moved(["a", "b", "c"], "a", "c"), ["b", "c", "a"]);
  assert.deepEqual(moved(["a", "b", "c"], "c", "a"), ["c", "a", "b"]);
  assert.deepEqual(moved(["a", "b"], "x", "a"), ["a", "b"]);
});
