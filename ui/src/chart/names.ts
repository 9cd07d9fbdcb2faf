// How the lines of a chart are called, what they are drawn with, and what they are, as a text.

import type { Detail } from "../data/api";
import type { ChartData, Line } from "../data/wire";
import { strokeOf, strokeOfGroup } from "../palette";
import { formatNumber } from "../parts/format";
import type { Drawn, Identity } from "./model";

/** Return a function that names the lines of a chart: no longer than it takes to tell them apart. */
export function identifier(data: ChartData, runs: readonly Detail[]): (line: Line) => Identity {
  const names = new Map(runs.map((run) => [run.run_id, run.run_name || run.run_id.slice(0, 8)]));
  const keys = new Set(data.lines.map(({ key }) => key));
  const several = new Map<string, number>();
  return (line) => {
    if (line.group) {
      const name = groupName(line.group);
      return { name: keys.size > 1 ? `${line.key} ${name}` : name, stroke: strokeOfGroup(line.group) };
    }
    const runId = line.runId ?? "";
    const number = several.get(runId) ?? 0;
    several.set(runId, number + 1);
    const parts = [names.get(runId) ?? runId.slice(0, 8)];
    if (keys.size > 1) parts.push(line.key);
    if (line.datasetName) parts.push(`on ${line.datasetName}`);
    if (line.modelId) parts.push(line.modelId);
    if (line.attempt) parts.push(`attempt ${line.attempt}`);
    if (line.rank > 0) parts.push(`rank ${line.rank}`); // the first goes without saying
    const stroke = strokeOf(runId);
    return { name: parts.join(" "), stroke: number ? { ...stroke, dash: [2 + 2 * number, 3] } : stroke };
  };
}

/** Return what a group is called, such as `lr=0.1, optimizer=adam`. */
export function groupName(group: Readonly<Record<string, string | null>>): string {
  const parts = Object.entries(group).map(
    ([field, value]) => `${field.replace(/^(params|tags|attributes)\./, "")}=${value ?? "–"}`,
  );
  return parts.join(", ") || "all runs";
}

/**
 * Return what a line is at an element of the grid: its value, with what it ranges over where that is
 * more than one point or run, and how many values are none.
 */
export function textAt(drawn: Drawn, index: number): string {
  const { y, min, max, low, high, n, nan, posInf, negInf } = drawn;
  const range = (from: Float64Array, to: Float64Array) =>
    `${formatNumber(from[index] as number)} … ${formatNumber(to[index] as number)}`;
  const value = y[index] as number;
  const texts = Number.isNaN(value) ? [] : [formatNumber(value)];
  if (low && high && !Number.isNaN(low[index] as number)) texts.push(`[${range(low, high)}]`);
  else if ((min[index] as number) < (max[index] as number)) texts.push(`(${range(min, max)})`);
  if (n?.[index]) texts.push(`n=${n[index]}`);
  for (const [counts, odd] of [[nan, NaN], [posInf, Infinity], [negInf, -Infinity]] as const) {
    const many = counts?.[index] ?? 0;
    if (many) texts.push(many > 1 ? `${many} × ${formatNumber(odd)}` : formatNumber(odd));
  }
  return texts.join(" ");
}
