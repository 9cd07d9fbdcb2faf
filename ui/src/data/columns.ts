// Columns of the table: what their names mean, what they are called, and how the server sorts by
// them. A column is named as the server is asked for it, such as `metrics.loss.min`.

import { lowerIsBetter } from "./direction";

/** What can be shown of a metric, the usual one first. */
export const PARTS = [
  "last", "min", "max", "mean", "best", "first", "count", "nan_count",
] as const;
export type Part = (typeof PARTS)[number];
export type Kind = "metrics" | "params" | "tags";

export interface Keys {
  metrics: readonly string[];
  params: readonly string[];
  tags: readonly string[];
}

export interface Column {
  name: string;
  kind: Kind;
  key: string;
  /** Of a metric; `last` for params and tags. */
  part: Part;
}

const DEFAULT_PARAMS = 2;
/** Metrics that people look at first. */
const TELLING = /loss|acc|reward|score/i;
const KINDS: readonly string[] = ["metrics", "params", "tags"];

/**
 * Return what a column shows; null for a name that is none.
 *
 * @param metrics names of metrics: one that is named `loss.min` is meant before the minimum of loss
 */
export function parseColumn(name: string, metrics: readonly string[]): Column | null {
  const dot = name.indexOf(".");
  const [kind, key] = [name.slice(0, dot), name.slice(dot + 1)];
  if (!KINDS.includes(kind) || !key) return null;
  const whole: Column = { name, kind: kind as Kind, key, part: "last" };
  if (kind !== "metrics" || metrics.includes(key)) return whole;
  const end = key.lastIndexOf(".");
  const part = key.slice(end + 1) as Part;
  if (end < 1 || part === "last" || !PARTS.includes(part)) return whole;
  return { ...whole, key: key.slice(0, end), part };
}

/** Return the name of the column that shows this. */
export function columnName(kind: Kind, key: string, part: Part = "last"): string {
  return part === "last" ? `${kind}.${key}` : `${kind}.${key}.${part}`;
}

/** Return what stands over a column: the key, and which part of it where that is not the last. */
export function columnTitle({ key, part }: Column): string {
  return part === "last" ? key : `${key} ${part === "nan_count" ? "NaN" : part}`;
}

/**
 * Return a few columns that say something of most runs; those of before while they still do.
 *
 * @param differing params in which the drawn runs differ
 */
export function defaultColumns(
  keys: Keys,
  differing: readonly string[],
  before: readonly string[],
): readonly string[] {
  const metrics = keys.metrics.filter((key) => !key.startsWith("system/"));
  const metric = metrics.find((key) => TELLING.test(key)) ?? metrics[0];
  const params = [...new Set([...differing, ...keys.params])].slice(0, DEFAULT_PARAMS);
  const fresh = [
    ...(metric === undefined ? [] : [columnName("metrics", metric)]),
    ...params.map((key) => columnName("params", key)),
  ];
  const isThere = (name: string) => {
    const column = parseColumn(name, keys.metrics);
    return column !== null && keys[column.kind].includes(column.key);
  };
  const tells = !differing.length || before.some((name) => differing.includes(name.slice(7)));
  const isKept = tells && before.every(isThere) && before.length >= fresh.length;
  return isKept || !fresh.length ? before : fresh;
}

/** Return the names of params that are not the same in all of these runs, sorted. */
export function differingParams(runs: readonly { params: Readonly<Record<string, string>> }[]) {
  const names = new Set(runs.flatMap(({ params }) => Object.keys(params)));
  const isSame = (name: string) => runs.every(({ params }) => params[name] === runs[0]?.params[name]);
  return [...names].filter((name) => !isSame(name)).sort();
}

/** Return by what the server sorts a column; null where its language cannot say it. */
export function orderOf({ kind, key, part }: Column): string | null {
  const sorted = part === "best" ? (lowerIsBetter(key) ? "min" : "max") : part;
  const whole = sorted === "last" ? key : `${key}.${sorted}`;
  const quote = ["`", '"'].find((each) => !key.includes(each));
  return quote === undefined ? null : `${kind}.${quote}${whole}${quote}`;
}

/** Return how an order sorts by this: null where it sorts by something else. */
export function direction(order: string, by: string): "ascending" | "descending" | null {
  if (order === `${by} ASC`) return "ascending";
  return order === `${by} DESC` ? "descending" : null;
}

/** Return the next order at a click: ascending, descending, then none. */
export function nextOrder(order: string, by: string): string {
  const now = direction(order, by);
  if (now === null) return `${by} ASC`;
  return now === "ascending" ? `${by} DESC` : "";
}

/** Return a list with one element moved to where another one is. */
export function moved<T>(list: readonly T[], element: T, target: T): readonly T[] {
  const [from, to] = [list.indexOf(element), list.indexOf(target)];
  if (from < 0 || to < 0) return list;
  const others = list.filter((each) => each !== element);
  return [...others.slice(0, to), element, ...others.slice(to)];
}
