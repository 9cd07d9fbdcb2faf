// What is typed into the filter: either MLflow's filter language, or a part of a run's name.

import type { Value } from "../data/api";

const COMPARISON = /[=<>]|\bi?like\s*['"]|\bin\s*\(|\bis\s+(not\s+)?null\b/i;

/**
 * Return the filter that a text stands for: itself, where it compares something, else one for runs
 * with this text in their names.
 *
 * @example toFilter("adam") === "attributes.run_name ILIKE '%adam%'"
 */
export function toFilter(text: string): string {
  const sought = text.trim();
  if (!sought || COMPARISON.test(sought)) return sought;
  const quote = sought.includes("'") ? '"' : "'";
  return `attributes.run_name ILIKE ${quote}%${sought.replaceAll('"', "_")}%${quote}`;
}

/** Return examples of filters with what they mean, with names that the runs have where there are. */
export function exampleFilters(
  metric = "loss",
  param = "lr",
  value: Value = "0.1",
): readonly (readonly [string, string])[] {
  const [loss, lr] = [quoted(metric), quoted(param)];
  const text = `'${String(value).replaceAll("'", "")}'`;
  return [
    [`metrics.${loss} < 0.3`, "the last value of a metric"],
    [`metrics.${quoted(`${metric}.min`)} < 0.2`, "its minimum; also max, mean, first, count"],
    [`params.${lr} = ${text}`, "a param; params are texts"],
    ["attributes.status = 'RUNNING'", "also run_name, start_time, user_id …"],
    ["tags.x LIKE 'a%'", "% stands for any text; ILIKE ignores case"],
    [`metrics.${loss} < 0.3 AND params.${lr} != ${text}`, "both"],
  ];
}

function quoted(key: string): string {
  return /^[\w.]+$/.test(key) ? key : `\`${key}\``;
}
