// How the values of an axis are written. Pure.

import type { X } from "../data/wire";
import { formatNumber, formatSpan, formatTime } from "../parts/format";

/** Return an x exactly: what the pointer is at. */
export function formatX(value: number, x: X): string {
  if (x === "time") return `${formatTime(value)}:${seconds(value)}`;
  if (x === "relative") return formatSpan(value);
  if (x === "step") return `step ${Math.floor(value).toLocaleString("en")}`;
  return formatNumber(value);
}

/** Return ticks of steps or numbers: with as many digits as tell them apart. */
export function formatTicks(values: readonly (number | null)[]): string[] {
  const known = values.filter((value): value is number => value !== null);
  const largest = Math.max(...known.map(Math.abs), 0);
  const [unit, suffix] =
    largest >= 1e9 && largest < 1e15 ? [1e9, "G"]
    : largest >= 1e6 && largest < 1e9 ? [1e6, "M"]
    : largest >= 1e4 && largest < 1e6 ? [1e3, "k"]
    : [1, ""];
  const distance = known.length > 1 ? Math.min(...gaps(known)) : largest || 1;
  const digits = Math.min(Math.max(-Math.floor(Math.log10(distance / unit) + 1e-9), 0), 12);
  return values.map((value) => {
    if (value === null) return "";
    if (value === 0) return "0";
    if (largest >= 1e15 || largest < 1e-4) return minus(value.toExponential(2));
    return minus((value / unit).toFixed(digits)) + suffix;
  });
}

/** Return ticks of a logarithmic axis. */
export function formatPowers(values: readonly (number | null)[]): string[] {
  return values.map((value) => {
    if (value === null) return "";
    const size = Math.abs(value);
    if (value === 0) return "0";
    return minus(size >= 1e5 || size < 1e-3 ? value.toExponential(0) : String(Number(value.toPrecision(3))));
  });
}

/** Return ticks of spans of time in ms. */
export function formatSpans(values: readonly (number | null)[]): string[] {
  const largest = Math.max(...values.map((value) => Math.abs(value ?? 0)));
  const [unit, suffix] =
    largest >= 172_800_000 ? [86_400_000, " d"]
    : largest >= 7_200_000 ? [3_600_000, " h"]
    : largest >= 120_000 ? [60_000, " min"]
    : [1000, " s"];
  return values.map((value) =>
    value === null ? "" : `${minus(String(Number((value / unit).toPrecision(4))))}${suffix}`,
  );
}

function gaps(values: readonly number[]): number[] {
  return values.slice(1).map((value, index) => Math.abs(value - (values[index] as number)) || 1);
}

function seconds(ms: number): string {
  return new Date(ms).getSeconds().toString().padStart(2, "0");
}

function minus(text: string): string {
  return text.replace("-", "−");
}
