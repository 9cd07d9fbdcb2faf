// Runs side by side: what each of them (or each group of them) has of every param, tag and metric,
// and how far a metric is from that of the baseline. Not here: how it is drawn (`compare.tsx`).

import { toNumber, type Detail, type Summary, type Value } from "../data/api";
import type { Kind, Part } from "../data/columns";
import { isBetter } from "../data/direction";
import { formatNumber, formatValue } from "../parts/format";
import { metricValue } from "./fields";
import { byNature } from "./sections";

/** What is compared: one run, or the runs of a group. */
export interface Subject {
  id: string;
  name: string;
  runs: readonly Detail[];
}

export interface Cell {
  text: string;
  /** More of it: all digits, how many runs, all values. */
  title: string;
  /** The number, or the mean of those of a group; NaN where it is none. */
  value: number;
  /** Difference to the baseline in percent; NaN where there is none. */
  change: number;
  /** Whether that is for the better; null where it is neither, or nobody knows. */
  isBetter: boolean | null;
  /** Just as in the baseline. */
  isSame: boolean;
}

export interface Fact {
  kind: Kind;
  key: string;
  /** One for each subject. */
  cells: readonly Cell[];
  differs: boolean;
}

/** Return what subjects have of these kinds, params first; metrics by this part of them. */
export function factsOf(
  subjects: readonly Subject[],
  baseline: Subject | undefined,
  part: Part,
  kinds: readonly Kind[],
): readonly Fact[] {
  return kinds.flatMap((kind) => {
    const values = tableOf(subjects, kind, part);
    return [...values.keys()].sort(byNature).map((key): Fact => {
      const own = values.get(key) ?? [];
      const cells = own.map((each) => cellOf(kind, each));
      const texts = own.map((each) => JSON.stringify([...new Set(each)].sort()));
      const base = baseline ? subjects.indexOf(baseline) : -1;
      return {
        kind,
        key,
        differs: new Set(texts).size > 1,
        cells: cells.map((cell, index) => ({
          ...cell,
          isSame: index !== base && texts[index] === texts[base],
          ...(kind === "metrics" && index !== base && changeOf(key, cell.value, cells[base]?.value ?? NaN)),
        })),
      };
    });
  });
}

/** Return, by key, the values that the runs of each subject have. */
function tableOf(
  subjects: readonly Subject[],
  kind: Kind,
  part: Part,
): ReadonlyMap<string, (readonly Value[])[]> {
  const table = new Map<string, Value[][]>();
  const put = (key: string, subject: number, value: Value | undefined) => {
    let row = table.get(key);
    if (!row) table.set(key, (row = subjects.map(() => [])));
    if (value !== undefined) row[subject]?.push(value);
  };
  for (const [index, { runs }] of subjects.entries())
    for (const run of runs)
      if (kind === "metrics") {
        for (const [key, own] of byKey(run.series)) put(key, index, metricValue(own, key, part));
      } else
        for (const [key, value] of Object.entries(run[kind]))
          if (!/^(mlflow|steplog)\./.test(key)) put(key, index, value);
  return table;
}

function byKey(series: readonly Summary[]): ReadonlyMap<string, readonly Summary[]> {
  const found = new Map<string, Summary[]>();
  for (const each of series) {
    const own = found.get(each.key);
    if (own) own.push(each);
    else found.set(each.key, [each]);
  }
  return found;
}

const NOTHING = { value: NaN, change: NaN, isBetter: null, isSame: false } as const;

function cellOf(kind: Kind, values: readonly Value[]): Cell {
  const [first] = values;
  const different = [...new Set(values)];
  if (first === undefined) return { ...NOTHING, text: "", title: "" };
  if (kind === "metrics" && values.length > 1) return cellOfMany(values.map(toNumber));
  if (different.length === 1)
    return { ...NOTHING, text: formatValue(first), title: String(first), value: toNumber(first) };
  const title = different.map(String).sort(byNature).join("\n");
  return { ...NOTHING, text: `${different.length} values`, title };
}

/** Return mean and standard deviation of the finite numbers, and how many there are of all. */
function cellOfMany(values: readonly number[]): Cell {
  const finite = values.filter(Number.isFinite);
  const n = finite.length;
  if (!n) return { ...NOTHING, text: formatNumber(values[0] ?? NaN), title: `n = 0 of ${values.length}` };
  const mean = finite.reduce((sum, each) => sum + each / n, 0);
  const squares = finite.reduce((sum, each) => sum + (each - mean) ** 2, 0);
  const spread = Math.sqrt(squares / (n - 1));
  const counted = n === values.length ? `n = ${n}` : `n = ${n}, and ${values.length - n} not finite`;
  const text = n > 1 ? `${formatNumber(mean)} ± ${formatSpread(spread)}` : formatNumber(mean);
  return { ...NOTHING, text, title: `mean ${mean}\nstandard deviation ${spread}\n${counted}`, value: mean };
}

/** Return two digits of a standard deviation. */
function formatSpread(spread: number): string {
  return formatNumber(Number(spread.toPrecision(2)));
}

function changeOf(key: string, value: number, base: number): Pick<Cell, "change" | "isBetter"> {
  const change = value === base ? 0 : (100 * (value - base)) / Math.abs(base);
  if (!Number.isFinite(change)) return { change: NaN, isBetter: null };
  return { change, isBetter: isBetter(key, change) };
}

/** Return a difference in percent with its sign, such as `+3.2 %`. */
export function formatChange(change: number): string {
  if (Number.isNaN(change)) return "";
  if (change === 0) return "±0 %";
  const size = Math.abs(change);
  const digits = size < 10 ? 1 : 0;
  const text = size < 0.05 ? "<0.1" : size >= 1e6 ? ">1M" : Number(size.toFixed(digits)).toLocaleString("en");
  return `${change > 0 ? "+" : "−"}${text} %`;
}

/** Return everything as texts: a head, and a row for each fact. */
export function toTexts(subjects: readonly Subject[], facts: readonly Fact[]): string[][] {
  const exact = ({ text, value, title }: Cell) => (Number.isNaN(value) || text.includes("±") ? text : title || text);
  return [
    ["", ...subjects.map(({ name }) => name)],
    ...facts.map(({ key, cells }) => [key, ...cells.map(exact)]),
  ];
}

/** Return rows as comma-separated values, as RFC 4180 writes them. */
export function toCsv(rows: readonly (readonly string[])[]): string {
  const quoted = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return rows.map((row) => `${row.map(quoted).join(",")}\r\n`).join("");
}

/** Return rows as a table of Markdown, the first one as its head. */
export function toMarkdown(rows: readonly (readonly string[])[]): string {
  const written = (text: string) =>
    text.replace(/[\\`*_{}[\]<>#|~]/g, "\\$&").replace(/\s*[\r\n]+\s*/g, " ");
  const [head, ...rest] = rows.map((row) => `| ${row.map(written).join(" | ")} |\n`);
  const rule = `|${rows[0]?.map((_, index) => (index ? " ---: |" : " --- |")).join("") ?? ""}\n`;
  return `${head ?? ""}${rule}${rest.join("")}`;
}
