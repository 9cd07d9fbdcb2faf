// Draws the lines of a chart with a pen, which may be a canvas or an SVG: what is exported is what is
// seen. Not here: axes.

import { marksOf, shapesOf, type Mark, type Path } from "./shapes";
import type { Drawn, Model } from "./model";

/** What can draw. Coordinates are those of the page or picture, in px. */
export interface Pen {
  area(path: Path, colour: string, opacity: number): void;
  stroke(path: Path, colour: string, width: number, opacity: number, dash: readonly number[]): void;
  dot(x: number, y: number, radius: number, colour: string): void;
  mark(kind: Mark["kind"], x: number, colour: string): void;
}

/** From units of the data to px. */
export interface Placing {
  x(value: number): number;
  y(value: number): number;
}

/** Draw all lines; the one that is highlighted is drawn last, and the others are faint. */
export function drawLines(model: Model, placing: Placing, pen: Pen, highlight: string): void {
  const known = model.lines.some(({ line }) => line.id === highlight);
  const order = [...model.lines].sort(
    (a, b) => Number(a.line.id === highlight) - Number(b.line.id === highlight),
  );
  for (const drawn of order)
    drawLine(drawn, model, placing, pen, known && drawn.line.id !== highlight ? 0.25 : 1);
}

function drawLine(drawn: Drawn, model: Model, placing: Placing, pen: Pen, opacity: number): void {
  const { colour, dash } = drawn.stroke;
  const shapes = shapesOf(drawn, model);
  const faint = drawn.low ? 0.08 : 0.18;
  for (const path of shapes.envelope) {
    const placed = place(path, placing);
    pen.area(placed, colour, faint * opacity);
    pen.stroke(placed, colour, 0.75, 2.2 * faint * opacity, []);
  }
  for (const path of shapes.band) pen.area(place(path, placing), colour, 0.22 * opacity);
  for (const path of shapes.raw)
    pen.stroke(place(path, placing), colour, 1, 0.3 * opacity, dash);
  for (const path of shapes.line) pen.stroke(place(path, placing), colour, 1.5, opacity, dash);
  const dots = place(shapes.dots, placing);
  for (let i = 0; i < dots.length; i += 2)
    pen.dot(dots[i] as number, dots[i + 1] as number, 2.2, colour);
  for (const { kind, x } of marksOf(drawn, model)) pen.mark(kind, placing.x(x), colour);
}

function place(path: Path, placing: Placing): number[] {
  const placed = new Array<number>(path.length);
  for (let i = 0; i < path.length; i += 2) {
    placed[i] = placing.x(path[i] as number);
    placed[i + 1] = placing.y(path[i + 1] as number);
  }
  return placed;
}

/** Corners of the small shapes that marks are, around their place; they are 6 px wide. */
export const MARKS: Readonly<Record<Mark["kind"], { top: boolean; path: Path; closed: boolean }>> = {
  nan: { top: true, path: [-3, 0, 3, 6, 0, 3, 3, 0, -3, 6], closed: false },
  "+inf": { top: true, path: [-3, 6, 0, 0, 3, 6], closed: true },
  "-inf": { top: false, path: [-3, -6, 0, 0, 3, -6], closed: true },
  unplaced: { top: false, path: [-3, -6, 0, 0, 3, -6], closed: false },
  above: { top: true, path: [-3, 4, 0, 0, 3, 4], closed: false },
  below: { top: false, path: [-3, -4, 0, 0, 3, -4], closed: false },
};
