// The table of a run's series: what it shows, sorted and filtered. Not here: how it is drawn.

import { toNumber, type Summary } from "../data/api";

export const SUMMARY_COLUMNS = ["last", "first", "min", "max", "mean", "count", "nan_count"] as const;
export type SummaryColumn = (typeof SUMMARY_COLUMNS)[number];

/** Return the series whose keys match a regular expression (as a text, where it is none). */
export function matching(series: readonly Summary[], expression: string): readonly Summary[] {
  if (!expression) return series;
  const test = matcher(expression);
  return series.filter(({ key }) => test(key));
}

/** Return a test of names for a regular expression; where it is none, for the text itself. */
export function matcher(expression: string): (name: string) => boolean {
  try {
    const pattern = new RegExp(expression, "i");
    return (name) => pattern.test(name);
  } catch {
    return (name) => name.toLowerCase().includes(expression.toLowerCase());
  }
}

/**
 * Return series in an order such as `last DESC`; by key where it is empty. What has no value, and
 * NaN, comes last either way.
 */
export function sortedSeries(series: readonly Summary[], order: string): readonly Summary[] {
  const [column, way] = order.split(" ");
  const sign = way === "DESC" ? -1 : 1;
  const byKey = (a: Summary, b: Summary) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0);
  if (!SUMMARY_COLUMNS.includes(column as SummaryColumn))
    return [...series].sort((a, b) => (column === "key" ? sign : 1) * byKey(a, b));
  const value = (each: Summary) => toNumber(each[column as SummaryColumn]);
  return [...series].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y)) || byKey(a, b);
    return x === y ? byKey(a, b) : x < y ? -sign : sign;
  });
}
