// The binary answer of `POST api/steplog/1/charts`: from bytes to charts, and from a change to the
// chart that it changes. The format is described in docs/charts.md.
//
// Not here: asking for it (`data/feed.ts`), what is drawn of it (`chart/`).

export type X = "step" | "time" | "relative" | "metric";
export type Aggregate = "mean" | "median";
export type Band = "minmax" | "std" | "sem" | "ci95";

/** What a chart shows, as the server is asked for it. */
export interface ChartQuery {
  run_ids: readonly string[];
  keys: readonly string[];
  x: X;
  x_key?: string;
  /** The window, both ends inside, in units of x; open where absent. */
  x_min?: number;
  x_max?: number;
  /** At most so many buckets. */
  buckets: number;
  /** `params.NAME`, `tags.NAME`, …; a line for each series where absent. */
  group_by?: readonly string[];
  aggregate?: Aggregate;
  band?: Band;
  /** A line for each rank of a run, or one with a band: then it has the columns of a group. */
  ranks?: "apart" | "together";
}

export type ColumnName =
  | "count" | "nan" | "pos_inf" | "neg_inf"
  | "min" | "max" | "first" | "last" | "mean"
  | "n" | "center" | "low" | "high";

/** A line of a chart: one series, or one group of runs. Its columns are as long as the grid. */
export interface Line {
  /** Tells it from the other lines of the chart, and stays when the chart changes. */
  id: string;
  key: string;
  /** The run of a series; of a group null. */
  runId: string | null;
  /** The runs of a group; of a series its run. */
  runIds: readonly string[];
  /** Value of each field that was grouped by; null where the runs have none. Of a series null. */
  group: Readonly<Record<string, string | null>> | null;
  modelId: string;
  datasetName: string;
  datasetDigest: string;
  attempt: number;
  /** Of the process that logged it in a distributed job; -1 where it was in none. */
  rank: number;
  columns: Partial<Record<ColumnName, Float64Array>>;
}

/** Lines over one grid. Where `exact`, each grid element is one x of points, else a bucket. */
export interface ChartData {
  exact: boolean;
  /** Width of a bucket in units of x: bucket i covers x[i] up to, but without, x[i] + width. */
  width: number;
  x: Float64Array;
  lines: readonly Line[];
  cursor: string;
}

interface HeadLine {
  key: string;
  run_id?: string;
  run_ids?: string[];
  group?: Record<string, string | null>;
  model_id?: string;
  dataset_name?: string;
  dataset_digest?: string;
  attempt?: number;
  rank?: number;
  columns: Partial<Record<ColumnName, [number, number]>>;
}

interface HeadChart {
  exact: boolean;
  width: number;
  from: number;
  size: number;
  x: [number, number];
  lines: HeadLine[];
  cursor: string;
}

/**
 * Return the charts of an answer.
 *
 * @param before the chart whose cursor each query had; null where it had none. A chart that has not
 *   changed comes back as the same object.
 */
export function decode(bytes: ArrayBuffer, before: readonly (ChartData | null)[]): ChartData[] {
  const length = new DataView(bytes).getUint32(0, true);
  const text = new TextDecoder().decode(new Uint8Array(bytes, 4, length));
  const head = JSON.parse(text) as { charts: HeadChart[] };
  const start = 4 + length;
  const column = ([offset, count]: [number, number]) =>
    new Float64Array(bytes, start + 8 * offset, count);
  return head.charts.map((chart, index) => {
    const lines = chart.lines.map((line) => decodeLine(line, column));
    const { exact, width, cursor } = chart;
    const fresh = { exact, width, cursor, x: column(chart.x), lines };
    return chart.from === 0 ? fresh : changed(before[index] ?? null, fresh, chart);
  });
}

/**
 * Return a column of a line, also one that was left out because another says the same.
 *
 * @returns null for what a line of its kind does not have, and for counts that are all zero.
 */
export function column(line: Line, name: ColumnName): Float64Array | null {
  const found = line.columns[name];
  if (found) return found;
  const isSingle = name === "min" || name === "max" || name === "first" || name === "last";
  return (isSingle && (line.columns.mean ?? line.columns.center)) || null;
}

function decodeLine(line: HeadLine, column: (at: [number, number]) => Float64Array): Line {
  const columns: Line["columns"] = {};
  for (const [name, at] of Object.entries(line.columns)) columns[name as ColumnName] = column(at);
  const group = line.group ?? null;
  const runId = group ? null : (line.run_id ?? null);
  const identity = group
    ? Object.entries(group)
    : [runId, line.model_id, line.dataset_name, line.dataset_digest, line.attempt, line.rank];
  return {
    id: JSON.stringify([line.key, identity]),
    key: line.key,
    runId,
    runIds: line.run_ids ?? (runId === null ? [] : [runId]),
    group,
    modelId: line.model_id ?? "",
    datasetName: line.dataset_name ?? "",
    datasetDigest: line.dataset_digest ?? "",
    attempt: line.attempt ?? 0,
    rank: line.rank ?? -1,
    columns,
  };
}

/** Return `before` with everything from grid index `from` on replaced. */
function changed(
  before: ChartData | null,
  fresh: ChartData,
  { from, size }: { from: number; size: number },
): ChartData {
  if (!before || from > before.x.length) throw new Error("a change of a chart that is not known");
  if (from === size && size === before.x.length) {
    before.cursor = fresh.cursor;
    return before;
  }
  const kept = (array: Float64Array | null, rest: Float64Array | null, missing: number) => {
    const joined = new Float64Array(size).fill(missing);
    if (array) joined.set(array.subarray(0, from));
    if (rest) joined.set(rest, from);
    return joined;
  };
  const lines = fresh.lines.map((line, index) => {
    const old = before.lines[index];
    if (old?.id !== line.id) throw new Error("a change of a chart with other lines");
    const columns: Line["columns"] = {};
    const names = new Set([...Object.keys(old.columns), ...Object.keys(line.columns)]);
    for (const name of names as Set<ColumnName>) {
      const missing = COUNTS.has(name) ? 0 : NaN;
      columns[name] = kept(column(old, name), column(line, name), missing);
    }
    return { ...line, columns };
  });
  return { ...fresh, x: kept(before.x, fresh.x, NaN), lines };
}

/** Columns that are 0 where there is nothing; the others are NaN. */
export const COUNTS: ReadonlySet<ColumnName> = new Set(["count", "nan", "pos_inf", "neg_inf", "n"]);
