// How the values of an axis are written. Pure.

import type { X } from "../data/wire";
import { formatNumber, formatSpan, formatTime } from "../parts/format";
import type { YScale } from "../view";

/** Return an x exactly: what the pointer is at. */
export function formatX(value: number, x: X): string {
  if (x === "time") return `${formatTime(value)}:${secondsOf(value)}`;
  if (x === "relative") return formatSpan(value);
  if (x === "step") return `step ${Math.floor(value).toLocaleString("en")}`;
  return formatNumber(value);
}

/** Return what is written at the ticks of an x axis. */
export function formatTicksOfX(values: readonly number[], x: X, log: boolean): string[] {
  if (x === "time") return formatTimes(values);
  if (x === "relative") return formatSpans(values);
  return log ? formatPowers(values) : formatTicks(values);
}

/** Return what is written at the ticks of a y axis. */
export function formatTicksOfY(values: readonly number[], y: YScale): string[] {
  return y === "linear" ? formatTicks(values) : formatPowers(values);
}

/** Return ticks of steps or numbers: with as many digits as tell them apart. */
export function formatTicks(values: readonly number[]): string[] {
  const largest = Math.max(...values.map(Math.abs), 0);
  const [unit, suffix] =
    largest >= 1e9 && largest < 1e15 ? [1e9, "G"]
    : largest >= 1e6 && largest < 1e9 ? [1e6, "M"]
    : largest >= 1e4 && largest < 1e6 ? [1e3, "k"]
    : [1, ""];
  const distance = values.length > 1 ? Math.min(...gaps(values)) : largest || 1;
  const digits = Math.min(Math.max(-Math.floor(Math.log10(distance / unit) + 1e-9), 0), 12);
  return values.map((value) => {
    if (value === 0) return "0";
    if (largest >= 1e15 || largest < 1e-4) return minus(value.toExponential(2));
    return minus((value / unit).toFixed(digits)) + suffix;
  });
}

/** Return ticks of a logarithmic axis. */
export function formatPowers(values: readonly number[]): string[] {
  return values.map((value) => {
    const size = Math.abs(value);
    if (value === 0) return "0";
    return minus(size >= 1e5 || size < 1e-3 ? value.toExponential(0) : String(Number(value.toPrecision(3))));
  });
}

/** Return ticks of spans of time in ms. */
function formatSpans(values: readonly number[]): string[] {
  const largest = Math.max(...values.map(Math.abs), 0);
  const [unit, suffix] =
    largest >= 172_800_000 ? [86_400_000, " d"]
    : largest >= 7_200_000 ? [3_600_000, " h"]
    : largest >= 120_000 ? [60_000, " min"]
    : [1000, " s"];
  return values.map((value) => `${minus(String(Number((value / unit).toPrecision(4))))}${suffix}`);
}

/** Return moments by the clock, and by the day where another one begins. */
function formatTimes(values: readonly number[]): string[] {
  let day = "";
  const seconds = values.some((value) => value % 60_000 !== 0);
  return values.map((value) => {
    const [date = "", clock = ""] = formatTime(value).split(" ");
    const isNew = date !== day;
    day = date;
    if (isNew || clock === "00:00") return clock === "00:00" ? date : `${date.slice(5)} ${clock}`;
    return seconds ? `${clock}:${secondsOf(value)}` : clock;
  });
}

function gaps(values: readonly number[]): number[] {
  return values.slice(1).map((value, index) => Math.abs(value - (values[index] as number)) || 1);
}

function secondsOf(ms: number): string {
  return new Date(ms).getSeconds().toString().padStart(2, "0");
}

function minus(text: string): string {
  return text.replace("-", "−");
}
