// What a chart draws, in units of its data: made from what the server sent and from the view. Pure.
//
// Not here: how it becomes shapes (`shapes.ts`), and pixels (`plot.ts`).

import type { Stroke } from "../palette";
import { column, type Line, type X } from "../data/wire";
import type { Smoothing, YScale } from "../view";
import { endsOf, type Joined } from "./parts";
import { scaleOfY } from "./scale";
import { ema, gaussian, reach } from "./smooth";

/** How a chart is drawn, beside what is drawn. */
export interface Style {
  x: X;
  logX: boolean;
  y: YScale;
  smoothing: Smoothing;
  strength: number;
  clip: boolean;
  /** The window that is zoomed to; NaN where it is open. */
  xMin: number;
  xMax: number;
}

/** One line. Arrays are as long as the grid; NaN where there is nothing. */
export interface Drawn {
  line: Line;
  name: string;
  stroke: Stroke;
  /** The mean of each bucket, or the middle of a group. */
  y: Float64Array;
  /** `y`, smoothed; `y` itself where nothing is. */
  smooth: Float64Array;
  /** The smallest and largest of all points of each bucket. */
  min: Float64Array;
  max: Float64Array;
  /** The band of a group of runs or ranks; null for a single one. */
  low: Float64Array | null;
  high: Float64Array | null;
  count: Float64Array;
  nan: Float64Array | null;
  posInf: Float64Array | null;
  negInf: Float64Array | null;
  /** How many runs or ranks a group has at each x; null for a single one. */
  n: Float64Array | null;
}

export interface Model {
  exact: boolean;
  /** Where each grid element begins and ends, and where its line passes. */
  left: Float64Array;
  right: Float64Array;
  at: Float64Array;
  lines: readonly Drawn[];
  xRange: readonly [number, number];
  yRange: readonly [number, number];
  style: Style;
  /** Points in the window, and how many elements stand for them. */
  total: number;
  shown: number;
  nan: number;
  infinite: number;
  /** Points (or buckets) beyond the y axis: outliers, and what is not positive on a log axis. */
  clipped: number;
  unplaced: number;
}

export interface Identity {
  name: string;
  stroke: Stroke;
}

/** Return what is drawn of some data. `identify` says how a line is called and coloured. */
export function buildModel(
  data: Joined,
  style: Style,
  identify: (line: Line) => Identity,
): Model {
  const { exact, x } = data;
  const left = x;
  const right = data.ends ?? endsOf(data);
  const at = right === left ? x : x.map((each, i) => each + ((right[i] as number) - each) / 2);
  const scale = reach(style.strength, (at[at.length - 1] ?? 0) - (at[0] ?? 0));
  const lines = data.lines.map((line) => drawnLine(line, at, scale, style, identify(line)));
  const counted = lines.map(({ count }) => count);
  const sum = (arrays: readonly (Float64Array | null)[]) =>
    arrays.reduce((all, each) => all + (each?.reduce((a, b) => a + b, 0) ?? 0), 0);
  const [yRange, clipped, unplaced] = rangeOfY(lines, style);
  return {
    exact,
    left,
    right,
    at,
    lines,
    xRange: rangeOfX(left, right, style),
    yRange,
    style,
    total: sum(counted),
    shown: counted.reduce((all, each) => all + each.filter((count) => count > 0).length, 0),
    nan: sum(lines.map(({ nan }) => nan)),
    infinite: sum(lines.flatMap(({ posInf, negInf }) => [posInf, negInf])),
    clipped,
    unplaced,
  };
}

function drawnLine(
  line: Line,
  at: Float64Array,
  scale: number,
  style: Style,
  identity: Identity,
): Drawn {
  const none = new Float64Array(at.length).fill(NaN);
  const isBand = Boolean(line.columns.center); // a group of runs, or the ranks of one
  const y = column(line, isBand ? "center" : "mean") ?? none;
  const smoother = { none: () => y, ema, gaussian }[style.smoothing];
  return {
    line,
    ...identity,
    y,
    smooth: smoother(at, y, scale),
    min: column(line, "min") ?? none,
    max: column(line, "max") ?? none,
    low: isBand ? column(line, "low") : null,
    high: isBand ? column(line, "high") : null,
    count: column(line, "count") ?? none,
    nan: column(line, "nan"),
    posInf: column(line, "pos_inf"),
    negInf: column(line, "neg_inf"),
    n: column(line, "n"),
  };
}

function rangeOfX(left: Float64Array, right: Float64Array, style: Style): [number, number] {
  const first = left[0] ?? 0;
  const last = right[right.length - 1] ?? 1;
  const low = Number.isNaN(style.xMin) ? first : style.xMin;
  const high = Number.isNaN(style.xMax) ? last : style.xMax;
  return low < high ? [low, high] : [low - 0.5, low + 0.5];
}

/** Return the range of the y axis, how many elements lie beyond it, and how many have no place. */
function rangeOfY(lines: readonly Drawn[], style: Style): [[number, number], number, number] {
  const log = style.y === "log";
  const ends: number[] = [];
  let unplaced = 0;
  for (const drawn of lines)
    for (let i = 0; i < drawn.y.length; i += 1) {
      // A band that reaches down to zero must not stretch a logarithmic axis.
      for (const array of log ? [drawn.min, drawn.max] : [drawn.min, drawn.max, drawn.low, drawn.high]) {
        const value = array?.[i] ?? NaN;
        if (Number.isFinite(value) && (!log || value > 0)) ends.push(value);
      }
      if (log && (drawn.min[i] as number) <= 0) unplaced += 1;
    }
  if (!ends.length) return [log ? [0.1, 10] : [0, 1], 0, unplaced];
  let [low, high] = [Infinity, -Infinity];
  for (const end of ends) {
    if (end < low) low = end;
    if (end > high) high = end;
  }
  if (style.clip) [low, high] = withoutOutliers(ends, low, high, log);
  const beyond = (i: number, drawn: Drawn) =>
    (drawn.max[i] as number) > high || ((drawn.min[i] as number) < low && (drawn.min[i] as number) > (log ? 0 : -Infinity));
  let clipped = 0;
  if (style.clip)
    for (const drawn of lines)
      for (let i = 0; i < drawn.y.length; i += 1) if (beyond(i, drawn)) clipped += 1;
  return [withRoom(low, high, style.y), clipped, unplaced];
}

/** Return the range between the 2nd and 98th percentile, widened by half, within the whole. */
function withoutOutliers(
  ends: number[],
  low: number,
  high: number,
  log: boolean,
): [number, number] {
  const sorted = Float64Array.from(ends).sort();
  const percentile = (share: number) => sorted[Math.round(share * (sorted.length - 1))] as number;
  const [from, to] = [percentile(0.02), percentile(0.98)];
  // By factors where the axis is logarithmic; by sums elsewhere.
  const room = log ? Math.sqrt(to / from) : to / 2 - from / 2;
  return log
    ? [Math.max(low, from / room), Math.min(high, to * room)]
    : [Math.max(low, from - room), Math.min(high, to + room)];
}

function withRoom(low: number, high: number, scale: YScale): [number, number] {
  if (scale === "symlog" && low < high) {
    // As it looks: a little below zero is far down on this axis.
    const { value } = scaleOfY(scale, [low, high]);
    return [Math.max(value(-0.04), -1.7e308), Math.min(value(1.04), 1.7e308)];
  }
  if (scale === "log") {
    const room = Math.max((high / low) ** 0.04, 1.02);
    return [Math.max(low / room, 5e-324), Math.min(high * room, 1.7e308)];
  }
  const span = high / 2 - low / 2;
  const room = span > 0 ? span * 0.08 : Math.abs(low) * 0.1 || 0.5;
  return [Math.max(low - room, -1.7e308), Math.min(high + room, 1.7e308)];
}
