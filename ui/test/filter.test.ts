// What is typed into the filter.

import assert from "node:assert/strict";
import { test } from "node:test";

import { exampleFilters, toFilter } from "../src/table/filter";

test("a text that compares nothing is sought in names", () => {
  assert.equal(toFilter(" adam "), "attributes.run_name ILIKE '%adam%'");
  assert.equal(toFilter("run in paris is like home"), "attributes.run_name ILIKE '%run in paris is like home%'");
  assert.equal(toFilter("it's"), 'attributes.run_name ILIKE "%it\'s%"');
  assert.equal(toFilter("   "), "");
});

test("what compares something is left as it is, and so is what was made of a name", () => {
  const grammar = [
    "metrics.loss < 0.3",
    "params.lr = '0.1'",
    "name ilike 'a%'",
    "attributes.run_id IN ('a', 'b')",
    "params.x IS NOT NULL",
    toFilter("adam"),
    ...exampleFilters("train/loss", "learning rate").map(([filter]) => filter),
  ];
  for (const text of grammar) assert.equal(toFilter(text), text);
});

test("the examples name what the runs have", () => {
  const [first, , third] = exampleFilters("val loss", "lr");
  assert.equal(first?.[0], "metrics.`val loss` < 0.3");
  assert.equal(third?.[0], "params.lr = '0.1'");
});
