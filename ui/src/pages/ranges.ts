// Parts of axes that runs are chosen by: from the address, and back. Pure.

import type { Value } from "../data/api";
import type { Axis } from "./axes";

/** Both ends, inside: numbers of a numeric axis, names of another. */
export interface Range {
  field: string;
  low: Value;
  high: Value;
}

/** Return the ranges that a view names; what is none is left out. */
export function parseRanges(texts: readonly string[]): readonly Range[] {
  return texts.flatMap((text) => {
    try {
      const [field, low, high] = JSON.parse(text) as unknown[];
      const isEnd = (end: unknown): end is Value => typeof end === "number" || typeof end === "string";
      return typeof field === "string" && isEnd(low) && isEnd(high) ? [{ field, low, high }] : [];
    } catch {
      return [];
    }
  });
}

/** Return ranges with that of one field put in the place of the one before, or (null) removed. */
export function withRange(texts: readonly string[], field: string, range: Range | null): readonly string[] {
  const others = parseRanges(texts).filter((each) => each.field !== field);
  return [...others, ...(range ? [range] : [])].map((each) =>
    JSON.stringify([each.field, each.low, each.high]),
  );
}

/** Return the range of an axis between two places of it; null where it holds no name. */
export function rangeBetween(axis: Axis, field: string, a: number, b: number): Range | null {
  const [from, to] = [Math.max(0, Math.min(a, b)), Math.min(1, Math.max(a, b))];
  if (!axis.names) return { field, low: axis.at(from), high: axis.at(to) };
  const inside = axis.names.filter((name) => {
    const place = axis.place(name);
    return place >= from && place <= to;
  });
  const [low, high] = [inside[0], inside.at(-1)];
  return low === undefined || high === undefined ? null : { field, low, high };
}

/** Return the places of both ends of a range; of names, around them. */
export function placesOf(axis: Axis, { low, high }: Range): readonly [number, number] {
  const half = axis.names ? 0.5 / axis.names.length : 0;
  const clamp = (place: number, standard: number) =>
    Number.isNaN(place) ? standard : Math.max(0, Math.min(1, place));
  return [clamp(axis.place(low) - half, 0), clamp(axis.place(high) + half, 1)];
}

/** Tell whether a value lies in a range of its axis; what is missing never does. */
export function isWithin(axis: Axis, range: Range, value: Value | undefined): boolean {
  const place = axis.place(value);
  const [from, to] = placesOf(axis, range);
  return place >= from - 1e-9 && place <= to + 1e-9;
}

/** Return how far below or above a point a line lies that passes places at axes; NaN beside them. */
export function distanceAt(
  places: readonly number[],
  xs: readonly number[],
  x: number,
  y: number,
): number {
  const next = xs.findIndex((each) => each > x);
  const [left, right] = next < 0 ? [xs.length - 2, xs.length - 1] : [next - 1, next];
  const [x0, x1, y0, y1] = [xs[left], xs[right], places[left], places[right]];
  if (x0 === undefined || x1 === undefined || y0 === undefined || y1 === undefined)
    return Math.abs((places[0] ?? NaN) - y);
  return Math.abs(y0 + ((y1 - y0) * (x - x0)) / (x1 - x0) - y);
}
