// How numbers, times and names are written.

import type { Value } from "../data/api";

/** Return about five digits of a number, all digits of whole ones. */
export function formatNumber(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "−Inf";
  if (Number.isInteger(value) && Math.abs(value) < 1e7) return minus(value.toLocaleString("en"));
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e7)) return minus(value.toExponential(4));
  return minus(Number(value.toPrecision(5)).toString());
}

/** Return a value of the table: a number, the name of one, or a text. */
export function formatValue(value: Value | undefined): string {
  if (value === undefined) return "";
  if (typeof value === "number") return formatNumber(value);
  if (value === "NaN" || value === "Infinity" || value === "-Infinity")
    return formatNumber(Number(value));
  return value;
}

/** Return a moment of local time, such as 2026-03-01 14:05. */
export function formatTime(ms: number): string {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return `${ms} ms`;
  const two = (number: number) => String(number).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** Return a moment in few letters: without the year where it is this one, today without the day. */
export function formatMoment(ms: number, now = Date.now()): string {
  const whole = formatTime(ms);
  const [day] = formatTime(now).split(" ");
  if (day && whole.startsWith(day)) return whole.slice(day.length + 1);
  return day && whole.startsWith(day.slice(0, 5)) ? whole.slice(5) : whole;
}

/** Return a span of time in its two largest units, such as 2 h 05 min. */
export function formatSpan(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 60) return `${minus(seconds.toFixed(1))} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  const two = (number: number) => String(number).padStart(2, "0");
  if (minutes < 60) return `${minutes} min ${two(Math.round(seconds) % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${two(minutes % 60)} min`;
  return `${Math.floor(hours / 24).toLocaleString("en")} d ${two(hours % 24)} h`;
}

/** Return a number of things, such as "1 run" and "2,000 runs". */
export function formatCount(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

function minus(text: string): string {
  return text.replace("-", "−");
}
