// Runs side by side.

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import type { Detail, Summary, Value } from "../src/data/api";
import { factsOf, formatChange, toCsv, toMarkdown, toTexts, type Subject } from "../src/pages/comparing";

const series = (key: string, last: Value): Summary => ({
  key, attempt: 0, rank: -1, count: 1, nan_count: 0, first: last, first_step: 0, last, last_step: 0, last_timestamp: 0,
});

const run = (run_id: string, params: Record<string, string>, metrics: Record<string, Value>): Detail => ({
  run_id, run_name: run_id, experiment_id: "0", experiment_name: "Default", status: "FINISHED",
  start_time: 0, user_id: "", stage: "active", children: 0, params, tags: {}, datasets: [], models: [],
  series: Object.entries(metrics).map(([key, last]) => series(key, last)), artifact_uri: "",
});

const alone = (one: Detail): Subject => ({ id: one.run_id, name: one.run_name, runs: [one] });

test("metrics are compared with the baseline in percent of its size, params only as texts", () => {
  const a = alone(run("a", { lr: "0.1", opt: "sgd" }, { loss: 2, acc: -4, zero: 0 }));
  const b = alone(run("b", { lr: "0.2", opt: "sgd" }, { loss: 1, acc: -2, zero: 1 }));
  const facts = factsOf([a, b], a, "last", ["params", "metrics"]);
  assert.deepEqual(facts.map(({ key, differs }) => [key, differs]), [
    ["lr", true], ["opt", false], ["acc", true], ["loss", true], ["zero", true],
  ]);
  const [lr, opt, acc, loss, zero] = facts.map(({ cells }) => cells[1]);
  assert.deepEqual([lr?.change, opt?.isSame], [NaN, true]);
  assert.deepEqual([loss?.change, loss?.isBetter], [-50, true]);
  assert.deepEqual([acc?.change, acc?.isBetter], [50, true]);
  assert.equal(zero?.change, NaN, "nothing is a percentage of 0");
});

test("what is missing and what is NaN has no difference, and NaN is the same as NaN", () => {
  const a = alone(run("a", {}, { loss: "NaN", acc: 1 }));
  const b = alone(run("b", {}, { loss: "NaN" }));
  const [acc, loss] = factsOf([a, b], a, "last", ["metrics"]);
  assert.deepEqual([acc?.differs, acc?.cells[1]?.text, acc?.cells[1]?.change], [true, "", NaN]);
  assert.deepEqual([loss?.differs, loss?.cells[1]?.text, loss?.cells[1]?.isSame], [false, "NaN", true]);
});

test("a group has the mean of its finite numbers, their deviation, and how many they are", () => {
  const group = { id: "g", name: "g", runs: [1, 3, "NaN"].map((loss, n) => run(`r${n}`, { seed: `${n}` }, { loss })) };
  const [seed, loss] = factsOf([group], group, "last", ["params", "metrics"]);
  assert.deepEqual([seed?.cells[0]?.text, seed?.cells[0]?.title], ["3 values", "0\n1\n2"]);
  assert.equal(loss?.cells[0]?.text, "2 ± 1.4");
  assert.match(loss?.cells[0]?.title ?? "", /n = 2, and 1 not finite/);
});

test("a difference has a sign, and few digits", () => {
  assert.deepEqual(
    [3.21, -12.7, 0, 0.001, -0.001, 2e8, NaN].map(formatChange),
    ["+3.2 %", "−13 %", "±0 %", "+<0.1 %", "−<0.1 %", "+>1M %", ""],
  );
});

test("a table of Markdown has as many columns in every row, whatever stands in it", () => {
  const texts = fc.array(fc.tuple(fc.string(), fc.string()), { minLength: 1 });
  fc.assert(
    fc.property(texts, (rows) => {
      const lines = toMarkdown(rows).trimEnd().split("\n");
      assert.equal(lines.length, rows.length + 1);
      for (const line of lines) assert.equal(line.replace(/\\./g, "").split("|").length, 4);
    }),
  );
});

test("values are copied with all digits, and commas and quotes survive", () => {
  const a = alone(run('a "b", c', { note: "x,\ny" }, { loss: 0.123456789 }));
  const rows = toTexts([a], factsOf([a], a, "last", ["params", "metrics"]));
  assert.equal(toCsv(rows), ',"a ""b"", c"\r\nnote,"x,\ny"\r\nloss,0.123456789\r\n');
});
