// Axes of the pages that place runs by their fields: numbers (linear or logarithmic), or names.

import { formatTicksOfY } from "../chart/axis";
import { toNumber, type Value } from "../data/api";
import { compareTexts } from "./fields";

export interface Tick {
  /** From 0 to 1. */
  at: number;
  text: string;
}

export interface Axis {
  /** What it has of names, in their order; null where it has numbers. */
  names: readonly string[] | null;
  /** Its ends, of numbers. */
  low: number;
  high: number;
  log: boolean;
  ticks: readonly Tick[];
  /** Return where a value is, from 0 to 1; NaN where it has no place on this axis. */
  place(value: Value | undefined): number;
  /** Return the number that is at a place; of names the index. */
  at(place: number): number;
}

/** So many ticks an axis has about. */
const TICKS = 6;

/**
 * Return an axis on which these values have a place. It has numbers where all of them are some.
 *
 * @param log is left aside where nothing is above 0
 * @param room is left free at both ends, as a share of the whole
 */
export function makeAxis(values: readonly (Value | undefined)[], log: boolean, room = 0): Axis {
  const known = [...new Set(values)].filter((value) => value !== undefined);
  const isNumber = (value: Value) => !Number.isNaN(toNumber(value)) || value === "NaN";
  if (!known.every(isNumber)) return axisOfNames(known.map(String).sort(compareTexts));
  const finite = known.map(toNumber).filter(Number.isFinite);
  const positive = finite.filter((value) => value > 0);
  return log && positive.length ? axisOfPowers(positive, room) : axisOfNumbers(finite, room);
}

function axisOfNames(names: readonly string[]): Axis {
  const indices = new Map(names.map((name, index) => [name, index]));
  const middle = (index: number) => (index + 0.5) / names.length;
  const every = Math.ceil(names.length / 40);
  return {
    names,
    low: 0,
    high: names.length - 1,
    log: false,
    ticks: names
      .map((text, index) => ({ text, at: middle(index) }))
      .filter((_, index) => index % every === 0),
    place: (value) => middle(value === undefined ? NaN : (indices.get(String(value)) ?? NaN)),
    at: (place) => place * names.length - 0.5,
  };
}

function axisOfNumbers(values: readonly number[], room: number): Axis {
  const [low, high] = widened(values, room);
  const step = niceStep((high - low) / TICKS);
  const first = Math.ceil(low / step);
  const count = Math.max(0, Math.floor(high / step) - first + 1);
  const numbers = Array.from({ length: count }, (_, index) => (first + index) * step);
  const place = (value: Value | undefined) => {
    const number = toNumber(value);
    // The largest numbers there are lie beyond the ends, whose distance must be a number as well.
    return Number.isFinite(number) ? clamp((number - low) / (high - low)) : NaN;
  };
  const texts = formatTicksOfY(numbers, "linear");
  const ticks = numbers.map((number, index) => ({ at: place(number), text: texts[index] ?? "" }));
  return { names: null, low, high, log: false, ticks, place, at: (at) => low + at * (high - low) };
}

function axisOfPowers(values: readonly number[], room: number): Axis {
  const [low, high] = widened(values.map(Math.log10), room);
  const place = (value: Value | undefined) => {
    const number = toNumber(value);
    return number > 0 && number < Infinity ? clamp((Math.log10(number) - low) / (high - low)) : NaN;
  };
  const numbers = powers(low, high);
  const texts = formatTicksOfY(numbers, "log");
  const ticks = numbers.map((number, index) => ({ at: place(number), text: texts[index] ?? "" }));
  const at = (place: number) => 10 ** (low + place * (high - low));
  return { names: null, low: 10 ** low, high: 10 ** high, log: true, ticks, place, at };
}

const clamp = (place: number) => Math.max(0, Math.min(1, place));

/** Return powers of ten between two exponents, and 2 and 5 times them where those are few. */
function powers(low: number, high: number): readonly number[] {
  const factors = high - low < 2 ? [1, 2, 5] : [1];
  const every = Math.max(1, Math.ceil((high - low) / (TICKS + 2)));
  const found: number[] = [];
  for (let exponent = Math.floor(low); exponent <= high; exponent += every)
    for (const factor of factors) {
      const number = factor * 10 ** exponent;
      if (Math.log10(number) >= low - 1e-9 && Math.log10(number) <= high + 1e-9) found.push(number);
    }
  return found;
}

/** Return both ends of an axis for these values: never the same, and never infinite. */
function widened(values: readonly number[], room: number): readonly [number, number] {
  if (!values.length) return [0, 1];
  const low = values.reduce((least, value) => Math.min(least, value), Infinity);
  const high = values.reduce((most, value) => Math.max(most, value), -Infinity);
  const span = high / 2 - low / 2;
  const more = span > 0 ? span * (2 * room) : Math.abs(low) * 0.1 || 0.5;
  return [Math.max(low - more, -8e307), Math.min(high + more, 8e307)];
}

/** Return 1, 2 or 5 times a power of ten that is about so large. */
function niceStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  const factor = [1, 2, 5, 10].find((each) => each * power >= step * 0.999) ?? 10;
  return factor * power;
}
