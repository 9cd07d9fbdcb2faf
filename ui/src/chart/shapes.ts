// The shapes of a line, in units of the chart's data: areas, strokes, dots and marks. Pure.
//
// The envelope of a bucket covers all of the bucket's width, from its smallest to its largest point:
// whatever single point is an extreme lies inside of what is drawn at its x.

import type { Drawn, Model } from "./model";

/** x and y in turn: x0, y0, x1, y1, … */
export type Path = readonly number[];

export interface Shapes {
  /** Closed areas from smallest to largest value; of buckets, stepping from one to the next. */
  envelope: readonly Path[];
  /** Closed areas of the band of a group. */
  band: readonly Path[];
  /** The line as it is, and smoothed; broken where values are not finite. */
  raw: readonly Path[];
  line: readonly Path[];
  /** Points that have no neighbour to be joined with: of the line, and of the line as it is. */
  dots: Path;
  rawDots: Path;
}

/** Where a value that no axis has a place for stands, and what it is. */
export interface Mark {
  kind: "nan" | "+inf" | "-inf" | "unplaced" | "above" | "below";
  x: number;
}

export function shapesOf(drawn: Drawn, model: Model): Shapes {
  const line = strokes(drawn.smooth, drawn, model);
  const raw = drawn.smooth === drawn.y ? [] : strokes(drawn.y, drawn, model);
  const alone = (paths: readonly Path[]) => paths.filter((path) => path.length === 2).flat();
  const { min, max, low, high } = drawn;
  return {
    envelope:
      !model.exact ? areas(min, max, model)
      : min === drawn.y ? []
      : ribbons(min, max, drawn, model),
    band: low && high ? ribbons(low, high, drawn, model) : [],
    raw,
    line,
    dots: alone(line),
    rawDots: alone(raw),
  };
}

/** Return what stands at the edges of the chart instead of at a value. */
export function marksOf(drawn: Drawn, model: Model): Mark[] {
  const [low, high] = model.yRange;
  const log = model.style.y === "log";
  const marks: Mark[] = [];
  for (let i = 0; i < model.at.length; i += 1) {
    const x = model.at[i] as number;
    if (drawn.nan?.[i]) marks.push({ kind: "nan", x });
    if (drawn.posInf?.[i]) marks.push({ kind: "+inf", x });
    if (drawn.negInf?.[i]) marks.push({ kind: "-inf", x });
    if (log && (drawn.min[i] as number) <= 0) marks.push({ kind: "unplaced", x });
    if (!model.style.clip) continue;
    if ((drawn.max[i] as number) > high) marks.push({ kind: "above", x });
    if ((drawn.min[i] as number) < low && !(log && (drawn.min[i] as number) <= 0))
      marks.push({ kind: "below", x });
  }
  return marks;
}

/** Return areas between two edges that step from bucket to bucket. */
function areas(low: Float64Array, high: Float64Array, model: Model): Path[] {
  const found: Path[] = [];
  let upper: number[] = [];
  let lower: number[] = [];
  let end = NaN;
  const close = () => {
    if (!upper.length) return;
    const path = upper;
    for (let i = lower.length - 2; i >= 0; i -= 2)
      path.push(lower[i] as number, lower[i + 1] as number);
    found.push(path);
    [upper, lower] = [[], []];
  };
  const floor = model.style.y === "log" ? model.yRange[0] : -Infinity;
  for (let i = 0; i < model.at.length; i += 1) {
    const [bottom, top] = [Math.max(low[i] as number, floor), high[i] as number];
    if (!(bottom <= top)) {
      close();
      continue;
    }
    const [from, to] = [model.left[i] as number, model.right[i] as number];
    if (from !== end) close();
    upper.push(from, top, to, top);
    lower.push(from, bottom, to, bottom);
    end = to;
  }
  close();
  return found;
}

/** Return areas between two edges that go straight from x to x; an upright line where one is alone. */
function ribbons(low: Float64Array, high: Float64Array, drawn: Drawn, model: Model): Path[] {
  const found: Path[] = [];
  let indices: number[] = [];
  const floor = model.style.y === "log" ? model.yRange[0] : -Infinity;
  const edge = (ends: Float64Array) =>
    indices.flatMap((i) => [model.at[i] as number, Math.max(ends[i] as number, floor)]);
  const close = () => {
    if (!indices.length) return;
    const upper = edge(high);
    indices.reverse();
    found.push([...upper, ...edge(low)]);
    indices = [];
  };
  for (let i = 0; i < model.at.length; i += 1) {
    const [bottom, top] = [low[i] as number, high[i] as number];
    if (bottom <= top && top >= floor) indices.push(i);
    else if (bottom <= top || (drawn.count[i] as number) > 0) close();
  }
  close();
  return found;
}

/** Return a line through what is there; it goes past empty buckets, and breaks at odd values. */
function strokes(y: Float64Array, drawn: Drawn, model: Model): Path[] {
  const found: number[][] = [];
  let path: number[] = [];
  const log = model.style.y === "log";
  for (let i = 0; i < y.length; i += 1) {
    const value = y[i] as number;
    if (Number.isFinite(value) && (!log || value > 0)) path.push(model.at[i] as number, value);
    else if ((drawn.count[i] as number) > 0) {
      if (path.length) found.push(path);
      path = [];
    }
  }
  if (path.length) found.push(path);
  return found;
}
