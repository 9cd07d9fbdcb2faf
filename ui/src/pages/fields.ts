// Fields of runs: what they can be grouped by, compared in, and placed by. A field is named as
// everywhere, such as `params.lr`, `tags.team`, `attributes.status` or `metrics.loss.min`.

import { toNumber, type Detail, type Summary, type Value } from "../data/api";
import { columnTitle, parseColumn, type Part } from "../data/columns";
import { lowerIsBetter } from "../data/direction";
import type { GroupValues } from "../palette";
import { byNature } from "./sections";

/** What a run itself has, and runs can be grouped by. */
export const ATTRIBUTES: Readonly<Record<string, string>> = {
  "attributes.run_name": "Run name",
  "attributes.experiment_id": "Experiment",
  "attributes.user_id": "User",
  "attributes.status": "Status",
};

/** Return what a field is called. */
export function fieldTitle(field: string, metrics: readonly string[] = []): string {
  const column = parseColumn(field, metrics);
  return column ? columnTitle(column) : (ATTRIBUTES[field] ?? field);
}

/** Return the value of a field of a run; undefined where it has none. */
export function fieldValue(run: Detail, field: string): Value | undefined {
  if (field.startsWith("attributes."))
    return run[field.slice("attributes.".length) as "run_name" | "user_id"];
  const column = parseColumn(field, run.series.map(({ key }) => key));
  if (!column) return undefined;
  if (column.kind === "params") return run.params[column.key];
  if (column.kind === "tags") return run.tags[column.key];
  return metricValue(run.series, column.key, column.part);
}

/**
 * Return one number of a metric of a run, also where it has several series of it: then the last by
 * step and time, the smallest, the largest …
 */
export function metricValue(
  series: readonly Summary[],
  key: string,
  part: Part,
): Value | undefined {
  const own = series.filter((each) => each.key === key);
  if (part === "best") return metricValue(own, key, lowerIsBetter(key) ? "min" : "max");
  if (part === "count" || part === "nan_count")
    return own.length ? own.reduce((sum, each) => sum + each[part], 0) : undefined;
  if (part === "last") return latest(own)?.last;
  const values = own.flatMap((each) => each[part] ?? []);
  if (part === "min" || part === "max") {
    const sorted = values.sort((a, b) => toNumber(a) - toNumber(b));
    return part === "min" ? sorted[0] : sorted.at(-1);
  }
  return values[0];
}

function latest(series: readonly Summary[]): Summary | undefined {
  const isLater = (a: Summary, b: Summary) =>
    a.last_step - b.last_step || a.last_timestamp - b.last_timestamp;
  return [...series].sort(isLater).at(-1);
}

export interface Choice {
  field: string;
  /** How many different values the runs have, those without one counted as one. */
  values: number;
}

/** Return the fields that runs can be grouped by, those in which they differ first. */
export function groupChoices(runs: readonly Detail[]): readonly Choice[] {
  const names = (of: (run: Detail) => object, kind: string) =>
    [...new Set(runs.flatMap((run) => Object.keys(of(run))))]
      .filter((name) => !/^(mlflow|steplog)\./.test(name))
      .sort(byNature)
      .map((name) => `${kind}.${name}`);
  const fields = [
    ...names((run) => run.params, "params"),
    ...names((run) => run.tags, "tags"),
    ...Object.keys(ATTRIBUTES),
  ];
  return fields
    .map((field) => ({ field, values: new Set(runs.map((run) => fieldValue(run, field))).size }))
    .sort((a, b) => Number(b.values > 1) - Number(a.values > 1));
}

export interface Group {
  group: GroupValues;
  runs: readonly Detail[];
}

/** Return runs in groups that agree in all of these fields, in the order of their values. */
export function groupRuns(runs: readonly Detail[], fields: readonly string[]): readonly Group[] {
  const groups = new Map<string, { group: Record<string, string | null>; runs: Detail[] }>();
  for (const run of runs) {
    const values = fields.map((field) => [field, textOf(fieldValue(run, field))] as const);
    const identity = JSON.stringify(values);
    const group = groups.get(identity);
    if (group) group.runs.push(run);
    else groups.set(identity, { group: Object.fromEntries(values), runs: [run] });
  }
  return [...groups.values()].sort((a, b) => {
    const compared = fields.map((field) => compareTexts(a.group[field] ?? null, b.group[field] ?? null));
    return compared.find((each) => each !== 0) ?? 0;
  });
}

function textOf(value: Value | undefined): string | null {
  return value === undefined ? null : String(value);
}

/** Compare values of params: numbers by size, then texts as people count, then what is missing. */
export function compareTexts(a: string | null, b: string | null): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  const [x, y] = [toNumber(a), toNumber(b)];
  if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
  return (Number.isNaN(x) ? 0 : x - y) || byNature(a, b);
}
