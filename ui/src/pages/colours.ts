// Colours of runs by the value of a field: a scale for many numbers, and one colour each for a few
// values or names.

import type { Value } from "../data/api";
import { stroke } from "../palette";
import { makeAxis } from "./axes";
import { compareTexts } from "./fields";

/** Up to so many different values have a colour each. */
const FEW = 8;
const GREY = "#8b919c";

export interface Colours {
  of(value: Value | undefined): string;
  /** Values with a colour each; null for a scale. */
  few: readonly (readonly [string, string])[] | null;
  /** Ends of the scale. */
  low: number;
  high: number;
}

/** Return the colour at a place of the scale, from 0 to 1: lighter from blue to yellow. */
export function scaleColour(place: number): string {
  const [lightness, hue] = [0.5 + 0.32 * place, 285 - 200 * place];
  return `oklch(${lightness.toFixed(3)} 0.15 ${hue.toFixed(1)})`;
}

/** Return colours for the values of a field; those of a metric are on a scale however few they are. */
export function makeColours(field: string, values: readonly (Value | undefined)[]): Colours {
  const known = [...new Set(values)].filter((value) => value !== undefined);
  const axis = makeAxis(known, false);
  if ((known.length > FEW || (field.startsWith("metrics.") && known.length > 1)) && !axis.names) {
    const of = (value: Value | undefined) => {
      const place = axis.place(value);
      return Number.isNaN(place) ? GREY : scaleColour(place);
    };
    return { of, few: null, low: axis.low, high: axis.high };
  }
  const names = [...new Set(known.map(String))].sort(compareTexts);
  const colours = new Map(names.map((name, index) => [name, stroke(index).colour]));
  const of = (value: Value | undefined) => colours.get(String(value)) ?? GREY;
  return { of, few: [...colours], low: 0, high: 0 };
}
