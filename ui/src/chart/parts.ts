// The beginning of a chart in finer data. Buckets are equally wide, so that on a logarithmic x axis
// the first of them would take most of the screen: there the beginning is asked for once more, and
// the beginning of that. Pure.

import { column, COUNTS, type ChartData, type ChartQuery, type Line } from "../data/wire";

/** Data whose buckets may have different widths; `ends` says where each of them ends. */
export interface Joined extends ChartData {
  ends?: Float64Array;
}

/** So many buckets are asked for in finer data. */
const FINER = 8;
/** A bucket narrower than this share of its x is narrow on a logarithmic axis as well. */
const NARROW = 0.01;

/** Return the query for the beginning of some data, where that is too coarse; else null. */
export function finer(query: ChartQuery, data: ChartData): ChartQuery | null {
  const { exact, width, x } = data;
  const first = x[0];
  if (exact || first === undefined || x.length <= FINER || width < NARROW * Math.abs(first)) return null;
  const end = first + FINER * width;
  // The end of a window is inside of it, that of a bucket is not.
  return { ...query, x_max: end - Math.max(Math.abs(end) * Number.EPSILON, Number.MIN_VALUE) };
}

/** Return data with its beginning taken from finer data. */
export function joined(data: ChartData, beginning: Joined | null): Joined {
  if (!beginning?.x.length) return data;
  const end = (data.x[0] as number) + FINER * data.width;
  const from = data.x.findIndex((each) => each >= end);
  const rest = data.x.subarray(from);
  const ends = beginning.ends ?? endsOf(beginning);
  const finerLines = new Map(beginning.lines.map((line) => [line.id, line]));
  const lines = data.lines.map((line) => {
    const before = finerLines.get(line.id);
    const names = new Set([...Object.keys(line.columns), ...Object.keys(before?.columns ?? {})]);
    const columns: Line["columns"] = {};
    for (const name of names as Set<keyof Line["columns"]>) {
      const missing = COUNTS.has(name) ? 0 : NaN;
      const values = new Float64Array(ends.length + rest.length).fill(missing);
      if (before) values.set(column(before, name) ?? []);
      values.set(column(line, name)?.subarray(from) ?? [], ends.length);
      columns[name] = values;
    }
    return { ...line, columns };
  });
  const x = Float64Array.of(...beginning.x, ...rest);
  return { ...data, x, lines, ends: Float64Array.of(...ends, ...rest.map((each) => each + data.width)) };
}

/** Return where the buckets of data end; a single x ends where it begins. */
export function endsOf({ exact, width, x }: ChartData): Float64Array {
  return exact || !width ? x : x.map((each) => each + width);
}
