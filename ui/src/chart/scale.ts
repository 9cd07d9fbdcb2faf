// Scales: from values to fractions of an axis and back, and the round values that are written at
// it. Pure.

import type { X } from "../data/wire";
import type { YScale } from "../view";

export interface Scale {
  /** Return where a value is: 0 at the low end of the axis, 1 at the high end. */
  place(value: number): number;
  /** Return the value at a fraction of the axis. */
  value(place: number): number;
  /** Return about so many round values, ascending. */
  ticks(count: number): number[];
}

const DAY = 86_400_000;
const MINUTE = 60_000;
/** Spans of time between ticks, in ms, that a clock knows; longer ones are whole days. */
const CLOCK = [1, 2, 5, 10, 15, 30].map((seconds) => seconds * 1000);
const SPANS = [
  ...CLOCK,
  ...CLOCK.map((each) => each * 60),
  ...[1, 2, 3, 6, 12].map((hours) => hours * 60 * MINUTE),
];

/** Return the scale of the x axis between two values. */
export function scaleOfX(x: X, log: boolean, range: readonly [number, number]): Scale {
  const [low, high] = range;
  if (log && x === "metric") return low > 0 ? logarithmic(range) : symlog(range, Math.max(-low, high) / 1e4);
  if (log) {
    const scale = symlog(range, 1); // the first step is 0, which a logarithm has no place for
    return x === "step" ? { ...scale, ticks: (count) => scale.ticks(count).filter(Number.isInteger) } : scale;
  }
  if (x === "time") return { ...linear(range), ticks: (count) => timeTicks(low, high, count) };
  if (x === "relative") return { ...linear(range), ticks: (count) => spanTicks(low, high, count) };
  return linear(range, x === "step");
}

/** Return the scale of the y axis between two values; a logarithmic one needs both above zero. */
export function scaleOfY(scale: YScale, range: readonly [number, number]): Scale {
  if (scale === "log") return logarithmic(range);
  if (scale === "symlog") return symlog(range, Math.max(-range[0], range[1]) / 1000);
  return linear(range);
}

function linear([low, high]: readonly [number, number], whole = false): Scale {
  // In halves: the distance of two floats may be infinite.
  const span = high / 2 - low / 2 || 1;
  return {
    place: (value) => (value / 2 - low / 2) / span,
    value: (place) => low + place * span * 2,
    ticks: (count) => multiples(low, high, roundDistance((2 * span) / count, whole ? 1 : 0)),
  };
}

function logarithmic([low, high]: readonly [number, number]): Scale {
  const [from, to] = [Math.log10(low), Math.log10(high)];
  const span = to - from || 1;
  return {
    place: (value) => (Math.log10(value) - from) / span,
    value: (place) => 10 ** (from + place * span),
    ticks: (count) => powers(low, high, count),
  };
}

/** Linear around zero, logarithmic far from it on both sides. */
function symlog([low, high]: readonly [number, number], small: number): Scale {
  const change = (value: number) => Math.asinh(value / small);
  const from = change(low);
  const span = change(high) - from || 1;
  const ticks = (count: number) => {
    const both = high > small && low < -small;
    const each = Math.max(both ? Math.round(count / 2) : count, 2);
    const up = high > small ? powers(Math.max(low, small), high, each) : [];
    const down = low < -small ? powers(Math.max(-high, small), -low, each) : [];
    const zero = low <= 0 && high >= 0 ? [0] : [];
    return [...down.reverse().map((value) => -value), ...zero, ...up];
  };
  return {
    place: (value) => (change(value) - from) / span,
    value: (place) => Math.sinh(from + place * span) * small,
    ticks,
  };
}

/** Return the next of 1, 2, 5, 10, 20, … that is not much below a distance, nor below a least one. */
function roundDistance(distance: number, least: number): number {
  const power = 10 ** Math.floor(Math.log10(distance));
  const round = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= distance * 0.75);
  return Math.max(round ?? distance, least);
}

function multiples(low: number, high: number, distance: number, from = 0): number[] {
  const first = Math.ceil((low - from) / distance - 1e-9);
  const last = Math.floor((high - from) / distance + 1e-9);
  if (!(last - first < 1000)) return []; // also where the distance is nothing
  return Array.from({ length: Math.max(last - first + 1, 0) }, (_, i) => from + (first + i) * distance);
}

/** Return powers of ten, with 2 and 5 times of them where there is room; else even values. */
function powers(low: number, high: number, count: number): number[] {
  const [from, to] = [Math.log10(low), Math.log10(high)];
  const every = Math.max(Math.ceil((to - from) / count), 1);
  const digits = to - from < count / 4 ? [1, 2, 5] : [1];
  const found: number[] = [];
  for (let power = Math.floor(from); power <= to; power += 1)
    if (power % every === 0)
      for (const digit of digits) {
        const value = Number(`${digit}e${power}`);
        if (value >= low && value <= high) found.push(value);
      }
  return found.length > 1 ? found : linear([low, high]).ticks(count).filter((value) => value > 0);
}

function spanTicks(low: number, high: number, count: number): number[] {
  const wanted = (high - low) / count;
  const distance =
    wanted < 1000
      ? roundDistance(wanted, 0)
      : (SPANS.find((each) => each >= wanted) ?? DAY * Math.max(roundDistance(wanted / DAY, 1), 1));
  return multiples(low, high, distance);
}

/** Return moments that a clock or calendar of here calls round. */
function timeTicks(low: number, high: number, count: number): number[] {
  const wanted = (high - low) / count;
  const distance = SPANS.find((each) => each >= wanted);
  if (wanted < 1000) return multiples(low, high, roundDistance(wanted, 0));
  const midnight = new Date(low);
  if (Number.isNaN(midnight.getTime())) return [];
  midnight.setHours(0, 0, 0, 0);
  if (distance) return multiples(low, high, distance, midnight.getTime());
  const days = Math.max(Math.ceil(roundDistance(wanted / DAY, 1)), 1);
  const found: number[] = [];
  // Days are counted by the calendar: not all of them have 24 hours.
  for (let day = 0; found.length < 1000; day += days) {
    const at = new Date(midnight);
    at.setDate(midnight.getDate() + day);
    if (!(at.getTime() <= high)) break;
    if (at.getTime() >= low) found.push(at.getTime());
  }
  return found;
}
