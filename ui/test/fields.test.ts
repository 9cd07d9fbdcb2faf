// Fields of runs: their values, and groups of runs that agree in some.

import assert from "node:assert/strict";
import { test } from "node:test";

import type { Detail, Summary } from "../src/data/api";
import { isBetter } from "../src/data/direction";
import { fieldTitle, fieldValue, groupChoices, groupRuns, metricValue } from "../src/pages/fields";

const series = (key: string, more: Partial<Summary> = {}): Summary => ({
  key, attempt: 0, rank: -1, count: 1, nan_count: 0, first: 0, first_step: 0, last: 1, last_step: 0, last_timestamp: 0, ...more,
});

const run = (run_id: string, params: Record<string, string>, own: Summary[] = []): Detail => ({
  run_id, run_name: run_id, experiment_id: "0", experiment_name: "Default", status: "FINISHED",
  start_time: 0, user_id: "", stage: "active", children: 0, params, tags: { team: "a", "mlflow.user": "x" },
  datasets: [], models: [], series: own, artifact_uri: "",
});

test("a field is a param, a tag, what the run has itself, or a part of a metric", () => {
  const one = run("r", { lr: "0.1" }, [series("loss", { last: 2, min: 1, max: 3 }), series("loss.min", { last: 9 })]);
  const values = ["params.lr", "tags.team", "attributes.run_name", "metrics.loss", "metrics.loss.max"];
  assert.deepEqual(values.map((field) => fieldValue(one, field)), ["0.1", "a", "r", 2, 3]);
  assert.equal(fieldValue(one, "metrics.loss.min"), 9, "a metric of that name is meant before a part");
  assert.equal(fieldValue(one, "params.none"), undefined);
  assert.equal(fieldTitle("metrics.loss.max"), "loss max");
});

test("of several series of one metric the latest, the smallest and the largest are taken", () => {
  const all = [
    series("acc", { last: 0.5, last_step: 9, min: 0.1, max: 0.9 }),
    series("acc", { last: "NaN", last_step: 10, min: 0.2, max: "Infinity" }),
  ];
  assert.deepEqual(
    (["last", "min", "max", "best"] as const).map((part) => metricValue(all, "acc", part)),
    ["NaN", 0.1, "Infinity", "Infinity"],
  );
  assert.equal(metricValue([series("loss", { min: 0.1, max: 3 })], "loss", "best"), 0.1);
});

test("groups hold the runs that agree, by size of numbers, those without the param last", () => {
  const runs = [run("a", { lr: "0.1" }), run("b", { lr: "1e-3" }), run("c", {}), run("d", { lr: "0.1" })];
  const groups = groupRuns(runs, ["params.lr"]);
  assert.deepEqual(
    groups.map(({ group, runs }) => [group["params.lr"], runs.map(({ run_id }) => run_id).join("")]),
    [["1e-3", "b"], ["0.1", "ad"], [null, "c"]],
  );
});

test("fields in which runs differ are offered first, tags of the tracker never", () => {
  const choices = groupChoices([run("a", { lr: "1", z: "1" }), run("b", { lr: "1", z: "2" })]);
  assert.equal(choices[0]?.field, "params.z");
  assert.ok(choices.every(({ field }) => !field.includes("mlflow")));
});

test("a change is for the better where the name of a metric says which way that is", () => {
  assert.deepEqual([isBetter("valid/loss", -1), isBetter("testRMSE", 1)], [true, false]);
  assert.deepEqual([isBetter("valid/accuracy", 1), isBetter("rouge1", -1)], [true, false]);
  assert.deepEqual([isBetter("grad_norm", 1), isBetter("loss", 0)], [null, null]);
});
