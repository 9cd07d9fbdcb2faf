// Charts as files: PNG and SVG as they are seen, and the drawn values as CSV.

import { column } from "../data/wire";
import { formatPowers, formatSpans, formatTicks } from "./axis";
import { formatTime } from "../parts/format";
import type { Model } from "./model";
import { drawLines, MARKS, type Pen } from "./pen";
import type { Path } from "./shapes";

const [WIDTH, HEIGHT] = [960, 480];
const INSIDE = { left: 70, top: 40, right: 20, bottom: 40 };
const LEGEND_ROW = 18;
const COLUMNS = ["count", "nan", "pos_inf", "neg_inf", "min", "max", "first", "last", "mean", "n", "center", "low", "high"] as const;

/** Give a file to the person. Its name is made of a title that may hold anything. */
export function save(content: Blob | string, title: string, ending: string): void {
  const blob = typeof content === "string" ? new Blob([content]) : content;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${title.replace(/[^\p{L}\p{N}._-]+/gu, "_").slice(0, 100) || "chart"}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Return what is drawn as CSV: a row for each line and grid element that has points. */
export function toCsv(model: Model): string {
  const rows = [["line", "key", "run_id", "x", "x_end", ...COLUMNS].join(",")];
  for (const { line, name, count } of model.lines)
    for (let i = 0; i < model.at.length; i += 1) {
      if (!count[i]) continue;
      const values = COLUMNS.map((each) => {
        const value = column(line, each)?.[i];
        return value === undefined || Number.isNaN(value) ? "" : String(value);
      });
      const about = [name, line.key, line.runId ?? ""].map(quoted);
      rows.push([...about, model.left[i], model.right[i], ...values].join(","));
    }
  return `${rows.join("\r\n")}\r\n`;
}

/** Return a chart as an SVG document of its own. */
export function toSvg(model: Model, title: string, ink: string, ground: string): string {
  const height = HEIGHT + LEGEND_ROW * Math.ceil(Math.min(model.lines.length, 30) / 3);
  const [from, to] = model.xRange;
  const [low, high] = model.yRange;
  const across = scaled(from, to, model.style.logX ? "symlog" : "linear", 1);
  const upward = scaled(low, high, model.style.y, 1e-3);
  const inner = { width: WIDTH - INSIDE.left - INSIDE.right, height: HEIGHT - INSIDE.top - INSIDE.bottom };
  const placing = {
    x: (value: number) => INSIDE.left + across(value) * inner.width,
    y: (value: number) => INSIDE.top + (1 - upward(value)) * inner.height,
  };
  const parts: string[] = [];
  drawLines(model, placing, svgPen(parts, INSIDE.top, HEIGHT - INSIDE.bottom), "");
  const frame = `x="${INSIDE.left}" y="${INSIDE.top}" width="${inner.width}" height="${inner.height}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="system-ui, sans-serif" font-size="12">`,
    `<title>${escaped(title)}</title><rect width="100%" height="100%" fill="${ground}"/>`,
    `<text x="${INSIDE.left}" y="22" fill="${ink}" font-size="15" font-weight="600">${escaped(title)}</text>`,
    `<clipPath id="inside"><rect ${frame}/></clipPath><rect ${frame} fill="none" stroke="${ink}" stroke-opacity="0.2"/>`,
    ...ticksOf(model, placing, ink),
    `<g clip-path="url(#inside)">`,
    ...parts,
    "</g>",
    ...legend(model, ink),
    "</svg>",
  ].join("\n");
}

/** Return a chart as a PNG: the picture of its SVG, twice as fine. */
export async function toPng(svg: string): Promise<Blob> {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.width * 2, image.height * 2];
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The picture is too large.")))),
  );
}

function scaled(low: number, high: number, scale: string, small: number) {
  const change =
    scale === "log" ? Math.log10 : scale === "symlog" ? (v: number) => Math.asinh(v / small) : (v: number) => v;
  const [from, to] = [change(low), change(high)];
  return (value: number) => (change(value) / 2 - from / 2) / (to / 2 - from / 2 || 1);
}

function ticksOf(model: Model, placing: { x(v: number): number; y(v: number): number }, ink: string): string[] {
  const { style, xRange, yRange } = model;
  const xs = style.logX ? decades(xRange) : even(xRange, 8);
  const ys = style.y === "linear" ? even(yRange, 6) : decades(yRange);
  const timed = (values: number[]) => values.map(formatTime);
  const writeX = style.x === "time" ? timed : style.x === "relative" ? formatSpans : style.logX ? formatPowers : formatTicks;
  const textsX = writeX(xs);
  const textsY = (style.y === "linear" ? formatTicks : formatPowers)(ys);
  const bottom = HEIGHT - INSIDE.bottom;
  return [
    ...xs.map((x, i) => `<text x="${round(placing.x(x))}" y="${bottom + 18}" fill="${ink}" text-anchor="middle">${escaped(textsX[i] ?? "")}</text>`),
    ...ys.map((y, i) => `<text x="${INSIDE.left - 8}" y="${round(placing.y(y)) + 4}" fill="${ink}" text-anchor="end">${escaped(textsY[i] ?? "")}</text><path d="M${INSIDE.left} ${round(placing.y(y))}H${WIDTH - INSIDE.right}" stroke="${ink}" stroke-opacity="0.12"/>`),
  ];
}

function even([low, high]: readonly [number, number], count: number): number[] {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const distance = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw * 0.99) ?? raw;
  const first = Math.ceil(low / distance);
  return Array.from({ length: Math.floor(high / distance) - first + 1 }, (_, i) => (first + i) * distance);
}

function decades([low, high]: readonly [number, number]): number[] {
  const found: number[] = low <= 0 && high >= 0 ? [0] : [];
  for (let power = -300; power <= 300; power += 1)
    for (const sign of [-1, 1]) {
      const value = sign * 10 ** power;
      if (value >= low && value <= high) found.push(value);
    }
  found.sort((a, b) => a - b);
  const each = Math.ceil(found.length / 10);
  return found.filter((_, index) => index % each === 0);
}

function legend(model: Model, ink: string): string[] {
  return model.lines.slice(0, 30).map(({ name, stroke }, index) => {
    const [x, y] = [INSIDE.left + (index % 3) * 290, HEIGHT + LEGEND_ROW * Math.floor(index / 3)];
    return `<path d="M${x} ${y}h22" stroke="${stroke.colour}" stroke-width="2" stroke-dasharray="${stroke.dash.join(" ")}"/><text x="${x + 28}" y="${y + 4}" fill="${ink}">${escaped(name.slice(0, 40))}</text>`;
  });
}

function svgPen(parts: string[], top: number, bottom: number): Pen {
  const data = (path: Path) => {
    let text = "";
    for (let i = 0; i < path.length; i += 2)
      text += `${i ? "L" : "M"}${round(path[i] as number)} ${round(path[i + 1] as number)}`;
    return text;
  };
  return {
    area: (path, colour, opacity) =>
      void parts.push(`<path d="${data(path)}Z" fill="${colour}" fill-opacity="${opacity.toFixed(2)}"/>`),
    stroke: (path, colour, width, opacity, dash) =>
      void parts.push(`<path d="${data(path)}" fill="none" stroke="${colour}" stroke-width="${width}" stroke-opacity="${Math.min(opacity, 1).toFixed(2)}"${dash.length ? ` stroke-dasharray="${dash.join(" ")}"` : ""}/>`),
    dot: (x, y, radius, colour) =>
      void parts.push(`<circle cx="${round(x)}" cy="${round(y)}" r="${radius}" fill="${colour}"/>`),
    mark: (kind, x, colour) => {
      const mark = MARKS[kind];
      const y = mark.top ? top + 1 : bottom - 1;
      const path = mark.path.map((each, index) => each + (index % 2 ? y : x));
      parts.push(`<path d="${data(path)}" fill="${mark.closed ? colour : "none"}" stroke="${colour}" stroke-width="1.5"/>`);
    },
  };
}

const round = (value: number) => Math.round(value * 100) / 100;
const quoted = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** Return text for XML, which knows no control characters. */
function escaped(text: string): string {
  return text
    .replace(/[&<>"]/g, (each) => `&#${each.charCodeAt(0)};`)
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd");
}
