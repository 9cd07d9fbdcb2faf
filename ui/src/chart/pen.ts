// Draws the lines of a chart with a pen, which may be a canvas or an SVG: what is exported is what is
// seen. Not here: axes.

import { marksOf, shapesOf, type Mark, type Path, type Shapes } from "./shapes";
import type { Drawn, Model } from "./model";

const MARK_GAP_PX = 9;

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

/** Draw all lines, over what is around them. */
export function drawLines(model: Model, placing: Placing, pen: Pen): void {
  const all = model.lines.map((drawn) => [drawn, shapesOf(drawn, model)] as const);
  for (const [drawn, shapes] of all) drawAreas(drawn, shapes, placing, pen);
  for (const [drawn, shapes] of all) drawStrokes(drawn, shapes, model, placing, pen);
}

/** Draw one line and what is around it. */
export function drawLine(drawn: Drawn, model: Model, placing: Placing, pen: Pen): void {
  const shapes = shapesOf(drawn, model);
  drawAreas(drawn, shapes, placing, pen);
  drawStrokes(drawn, shapes, model, placing, pen);
}

function drawAreas({ low, stroke }: Drawn, shapes: Shapes, placing: Placing, pen: Pen): void {
  const { colour } = stroke;
  const faint = low ? 0.08 : 0.18;
  for (const path of shapes.envelope) {
    const placed = place(path, placing);
    pen.area(placed, colour, faint);
    pen.stroke(placed, colour, 0.75, 2.2 * faint, []);
  }
  for (const path of shapes.band) pen.area(place(path, placing), colour, 0.22);
}

function drawStrokes(
  drawn: Drawn,
  shapes: Shapes,
  model: Model,
  placing: Placing,
  pen: Pen,
): void {
  const { colour, dash } = drawn.stroke;
  for (const path of shapes.raw) pen.stroke(place(path, placing), colour, 1, 0.3, dash);
  for (const path of shapes.line) pen.stroke(place(path, placing), colour, 1.5, 1, dash);
  for (const [dots, radius] of [[shapes.rawDots, 1.2], [shapes.dots, 2.2]] as const) {
    const placed = place(dots, placing);
    for (let i = 0; i < placed.length; i += 2)
      pen.dot(placed[i] as number, placed[i + 1] as number, radius, colour);
  }
  drawMarks(marksOf(drawn, model), placing, pen, colour);
}

/** Draw marks; what lies beyond the axis for a long stretch has no more of them than fit. */
function drawMarks(marks: readonly Mark[], placing: Placing, pen: Pen, colour: string): void {
  const last = new Map<Mark["kind"], number>();
  for (const { kind, x } of marks) {
    const left = placing.x(x);
    const isOdd = kind === "nan" || kind === "+inf" || kind === "-inf";
    if (!isOdd && left - (last.get(kind) ?? -Infinity) < MARK_GAP_PX) continue;
    last.set(kind, left);
    pen.mark(kind, left, colour);
  }
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
