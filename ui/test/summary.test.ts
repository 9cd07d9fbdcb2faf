// The table of a run's series: order and filter.

import assert from "node:assert/strict";
import { test } from "node:test";

import type { Summary } from "../src/data/api";
import { matching, sortedSeries } from "../src/pages/summary";

const series = (key: string, last: number | string): Summary => ({
  key, attempt: 0, rank: -1, count: 1, nan_count: 0, first: 0, first_step: 0, last, last_step: 0, last_timestamp: 0,
});
const all = [series("b", 2), series("a", "NaN"), series("c", "Infinity"), series("d", -1)];
const keys = (order: string) => sortedSeries(all, order).map(({ key }) => key).join("");

test("series are sorted by any column, NaN last both ways, infinities as numbers", () => {
  assert.equal(keys(""), "abcd");
  assert.equal(keys("key DESC"), "dcba");
  assert.equal(keys("last ASC"), "dbca");
  assert.equal(keys("last DESC"), "cbda");
  assert.equal(keys("nonsense"), "abcd");
});

test("keys are found by a regular expression, or by the text where it is none", () => {
  const found = (expression: string) => matching([series("a(b", 1), series("AB", 1)], expression).length;
  assert.deepEqual([found("^a"), found("b$"), found("a("), found(""), found("x")], [2, 2, 1, 2, 0]);
});
