// Charts as files: PNG and SVG as they are seen, and the drawn values as CSV.

import { column } from "../data/wire";
import { formatTicksOfX, formatTicksOfY } from "./axis";
import type { Model } from "./model";
import { drawLines, MARKS, type Pen, type Placing } from "./pen";
import { scaleOfX, scaleOfY } from "./scale";
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
  const { x, logX, y } = model.style;
  const [across, upward] = [scaleOfX(x, logX, model.xRange), scaleOfY(y, model.yRange)];
  const inner = { width: WIDTH - INSIDE.left - INSIDE.right, height: HEIGHT - INSIDE.top - INSIDE.bottom };
  const placing = {
    x: (value: number) => INSIDE.left + across.place(value) * inner.width,
    y: (value: number) => INSIDE.top + (1 - upward.place(value)) * inner.height,
  };
  const parts: string[] = [];
  drawLines(model, placing, svgPen(parts, INSIDE.top, HEIGHT - INSIDE.bottom));
  const frame = `x="${INSIDE.left}" y="${INSIDE.top}" width="${inner.width}" height="${inner.height}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="system-ui, sans-serif" font-size="12">`,
    `<title>${escaped(title)}</title><rect width="100%" height="100%" fill="${ground}"/>`,
    `<text x="${INSIDE.left}" y="22" fill="${ink}" font-size="15" font-weight="600">${escaped(title)}</text>`,
    `<clipPath id="inside"><rect ${frame}/></clipPath><rect ${frame} fill="none" stroke="${ink}" stroke-opacity="0.2"/>`,
    ...axes(model, placing, ink),
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

/** Return what is written at the axes, and the lines of the grid. */
function axes(model: Model, placing: Placing, ink: string): string[] {
  const { style, xRange, yRange } = model;
  const xs = scaleOfX(style.x, style.logX, xRange).ticks(8);
  const ys = scaleOfY(style.y, yRange).ticks(6);
  const textsX = formatTicksOfX(xs, style.x, style.logX);
  const textsY = formatTicksOfY(ys, style.y);
  const bottom = HEIGHT - INSIDE.bottom;
  const across = xs.map((value, index) => {
    const text = escaped(textsX[index] ?? "");
    return `<text x="${round(placing.x(value))}" y="${bottom + 18}" fill="${ink}" text-anchor="middle">${text}</text>`;
  });
  const upward = ys.map((value, index) => {
    const [y, text] = [round(placing.y(value)), escaped(textsY[index] ?? "")];
    return (
      `<text x="${INSIDE.left - 8}" y="${y + 4}" fill="${ink}" text-anchor="end">${text}</text>` +
      `<path d="M${INSIDE.left} ${y}H${WIDTH - INSIDE.right}" stroke="${ink}" stroke-opacity="0.12"/>`
    );
  });
  return [...across, ...upward];
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
