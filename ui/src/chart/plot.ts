// The plot: a canvas with axes and lines, and over it a crosshair and what is being zoomed to. The
// crosshairs of all plots that have the same x axis follow one another.
//
// Not here: what lines look like (`pen.ts`), the values of axes (`scale.ts`, `axis.ts`).

import { formatTicksOfX, formatTicksOfY } from "./axis";
import type { Model } from "./model";
import { drawLine, drawLines, MARKS, type Pen, type Placing } from "./pen";
import { scaleOfX, scaleOfY, type Scale } from "./scale";
import type { Path } from "./shapes";

export interface Listener {
  /** The pointer is at an element of the grid (here or in a chart beside), or nowhere. */
  hover(index: number | null, here: boolean, left: number, top: number): void;
  /** A stretch of x was chosen by dragging. */
  zoom(low: number, high: number): void;
  zoomOut(): void;
}

type Pointer = Pick<PointerEvent, "clientX" | "clientY">;

/** The inside of a plot, in px of the page. */
interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

const FONT = "11px system-ui, sans-serif";
const [TOP, RIGHT, BOTTOM, TICK_GAP] = [8, 12, 22, 7];
const [PX_PER_TICK_X, PX_PER_TICK_Y] = [80, 34];
const TEXT_PX = 13;
/** A shorter drag is a click. */
const DRAG_PX = 4;
/** How far from the crosshair a point still counts as being there. */
const NEAR_PX = 14;
/** How much of the other lines is left where one stands out. */
const FAINT = 0.28;

type Context = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

const plots = new Set<Plot>();

/** Have the line of a run stand out in all plots; the empty text for none. */
export function emphasiseRun(runId: string): void {
  for (const plot of plots) plot.emphasiseRun(runId);
}

export class Plot {
  private readonly canvas = document.createElement("canvas");
  private readonly over = document.createElement("div");
  private readonly crosshair = document.createElement("i");
  private readonly selection = document.createElement("b");
  private model: Model | null = null;
  private scales: readonly [Scale, Scale] | null = null;
  private box: Box = { left: 0, top: 0, width: 1, height: 1 };
  private highlight = "";
  /** Where the crosshair is. */
  private index: number | null = null;
  /** All lines as they were drawn last: with one that stands out they are only copied. */
  private lines: OffscreenCanvas | null = null;
  private frame = 0;
  private dragged: number | null = null;
  /** Where the pointer is, while it is inside. */
  private pointer: Pointer | null = null;

  constructor(
    private readonly root: HTMLElement,
    private readonly listener: Listener,
    private size: { width: number; height: number },
  ) {
    this.over.className = "inside";
    this.crosshair.hidden = this.selection.hidden = true;
    this.over.append(this.crosshair, this.selection);
    root.prepend(this.canvas, this.over);
    this.over.addEventListener("pointermove", (event) => this.onMove(event));
    this.over.addEventListener("pointerdown", (event) => this.onDown(event));
    this.over.addEventListener("pointerup", (event) => this.onUp(event));
    this.over.addEventListener("pointercancel", () => this.onCancel());
    this.over.addEventListener("pointerleave", () => this.onLeave());
    this.over.addEventListener("dblclick", () => this.listener.zoomOut());
    plots.add(this);
  }

  draw(model: Model): void {
    this.model = model;
    const { x, logX, y } = model.style;
    this.scales = [scaleOfX(x, logX, model.xRange), scaleOfY(y, model.yRange)];
    this.repaint(true);
  }

  /** Draw one line above the others, by its id; the empty text for none. */
  emphasise(id: string): void {
    if (id === this.highlight) return;
    this.highlight = id;
    this.repaint();
  }

  /** Draw the line of a run (or of its group) above the others; the empty text for none. */
  emphasiseRun(runId: string): void {
    const drawn = this.model?.lines.find(({ line }) => line.runIds.includes(runId));
    this.emphasise(drawn?.line.id ?? "");
  }

  resize(width: number, height: number): void {
    this.size = { width, height };
    this.repaint(true);
  }

  /** Draw again at the next frame; the lines too where they have changed. */
  repaint(lines = false): void {
    if (lines) this.lines = null;
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.paint());
  }

  /** Move the crosshair by so many elements of the grid, as the pointer would. */
  step(by: number): void {
    const { model, scales, box } = this;
    if (!model?.at.length || !scales) return;
    const last = model.at.length - 1;
    const before = this.index ?? (by > 0 ? -1 : last + 1);
    const index = Math.min(Math.max(before + by, 0), last);
    this.pointAt(scales[0].place(model.at[index] as number) * box.width, box.height / 2);
  }

  /** Zoom to what is between two fractions of the axis; out, where they are beyond its ends. */
  zoomTo(from: number, to: number): void {
    const [low, high] = [this.scales?.[0].value(from) ?? NaN, this.scales?.[0].value(to) ?? NaN];
    if (low < high) this.listener.zoom(low, high);
  }

  /** Take the crosshairs of all plots away. */
  leave(): void {
    for (const plot of plots) plot.follow(null);
  }

  /** Return the first and the last element of the grid that are as good as where this one is. */
  around(index: number): readonly [number, number] {
    const { model, scales, box } = this;
    if (!model || !scales) return [index, index];
    const left = (i: number) => scales[0].place(model.at[i] as number) * box.width;
    const here = left(index);
    let [from, to] = [index, index];
    while (from > 0 && here - left(from - 1) <= NEAR_PX) from -= 1;
    while (to < model.at.length - 1 && left(to + 1) - here <= NEAR_PX) to += 1;
    return [from, to];
  }

  /** Return where a value is, in px from the top of the plot's inside. */
  place(value: number): number {
    return this.scales ? (1 - this.scales[1].place(value)) * this.box.height : 0;
  }

  destroy(): void {
    plots.delete(this);
    cancelAnimationFrame(this.frame);
    this.canvas.remove();
    this.over.remove();
  }

  // The pointer --------------------------------------------------------------------------------

  private onMove(event: PointerEvent): void {
    this.pointer = event;
    const { left, top } = this.inside(event);
    if (this.dragged !== null) {
      this.selection.hidden = Math.abs(left - this.dragged) < DRAG_PX;
      this.selection.style.left = `${Math.min(left, this.dragged)}px`;
      this.selection.style.width = `${Math.abs(left - this.dragged)}px`;
    }
    this.pointAt(left, top);
  }

  private onDown(event: PointerEvent): void {
    if (event.button !== 0) return;
    this.dragged = this.inside(event).left;
    this.over.setPointerCapture(event.pointerId);
  }

  private onUp(event: PointerEvent): void {
    const from = this.dragged;
    this.dragged = null;
    this.selection.hidden = true;
    const to = this.inside(event).left;
    if (from === null || Math.abs(to - from) < DRAG_PX) return;
    const place = (left: number) => Math.min(Math.max(left / this.box.width, 0), 1);
    this.zoomTo(place(Math.min(from, to)), place(Math.max(from, to)));
  }

  /** The browser has taken the drag for something else, such as scrolling by touch. */
  private onCancel(): void {
    this.dragged = null;
    this.selection.hidden = true;
  }

  private onLeave(): void {
    this.pointer = null;
    if (this.dragged === null) this.leave();
  }

  private inside(event: Pointer): { left: number; top: number } {
    const { left, top } = this.over.getBoundingClientRect();
    return { left: event.clientX - left, top: event.clientY - top };
  }

  private pointAt(left: number, top: number): void {
    if (!this.scales || !this.model) return;
    const value = this.scales[0].value(left / this.box.width);
    const { x, logX } = this.model.style;
    for (const plot of plots) {
      const style = plot.model?.style;
      if (plot !== this && style?.x === x && style.logX === logX) plot.follow(value);
    }
    const index = this.cross(value);
    this.listener.hover(index, true, left, top);
  }

  /** Show the crosshair where another plot has it; nowhere for null. */
  private follow(value: number | null): void {
    const index = value === null ? null : this.cross(value);
    if (value === null) {
      this.crosshair.hidden = true;
      this.index = null;
    }
    this.listener.hover(index, false, 0, 0);
  }

  /** Move the crosshair to the element of the grid that is nearest to a value; return which. */
  private cross(value: number): number | null {
    const { model, scales } = this;
    if (!model?.at.length || !scales) return null;
    const index = nearest(model.at, value, scales[0]);
    this.index = index;
    const place = scales[0].place(model.at[index] as number);
    this.crosshair.hidden = place < 0 || place > 1;
    this.crosshair.style.transform = `translateX(${place * this.box.width}px)`;
    return index;
  }

  // The picture --------------------------------------------------------------------------------

  private paint(): void {
    const { model, scales, canvas } = this;
    const ctx = canvas.getContext("2d");
    if (!model || !scales || !ctx) return;
    const ratio = devicePixelRatio || 1;
    const { width, height } = this.size;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    ctx.scale(ratio, ratio);
    ctx.font = FONT;
    this.paintAxes(ctx, model, scales);
    const placing = this.placing(scales);
    const isFresh = !this.lines;
    const highlit = model.lines.find(({ line }) => line.id === this.highlight);
    ctx.globalAlpha = highlit ? FAINT : 1;
    this.lines ??= this.paintLines(model, placing, ratio);
    ctx.drawImage(this.lines, 0, 0, width, height);
    if (highlit) drawLine(highlit, model, placing, this.pen(ctx));
    if (!isFresh || !this.pointer) return;
    const { left, top } = this.inside(this.pointer); // something else lies under it now
    this.pointAt(left, top);
  }

  private paintLines(model: Model, placing: Placing, ratio: number): OffscreenCanvas {
    const { width, height } = this.canvas;
    const layer = new OffscreenCanvas(Math.max(width, 1), Math.max(height, 1));
    const ctx = layer.getContext("2d");
    if (!ctx) return layer;
    ctx.scale(ratio, ratio);
    drawLines(model, placing, this.pen(ctx));
    return layer;
  }

  private placing([across, upward]: readonly [Scale, Scale]): Placing {
    const { left, top, width, height } = this.box;
    return {
      x: (value) => left + across.place(value) * width,
      y: (value) => top + (1 - upward.place(value)) * height,
    };
  }

  /** Return a pen that draws within the axes. */
  private pen(ctx: Context): Pen {
    const { left, top, width, height } = this.box;
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    return canvasPen(ctx, top, top + height);
  }

  private paintAxes(
    ctx: CanvasRenderingContext2D,
    model: Model,
    [across, upward]: readonly [Scale, Scale],
  ): void {
    const { color, outlineColor } = getComputedStyle(this.root);
    const { width, height } = this.size;
    const inner = Math.max(height - TOP - BOTTOM, 1);
    const ys = upward.ticks(Math.max(inner / PX_PER_TICK_Y, 2));
    const textsY = formatTicksOfY(ys, model.style.y);
    const widest = Math.max(...textsY.map((text) => ctx.measureText(text).width), 14);
    const left = Math.ceil(widest) + TICK_GAP + 4;
    this.box = { left, top: TOP, width: Math.max(width - left - RIGHT, 1), height: inner };
    const { box, over } = this;
    Object.assign(over.style, { left: `${left}px`, top: `${TOP}px`, width: `${box.width}px`, height: `${inner}px` });
    const xs = across.ticks(Math.max(box.width / PX_PER_TICK_X, 2));
    const textsX = formatTicksOfX(xs, model.style.x, model.style.logX);
    ctx.strokeStyle = outlineColor;
    ctx.fillStyle = color;
    ctx.lineWidth = 1;
    ctx.beginPath();
    ctx.textAlign = "right";
    ctx.textBaseline = "middle";
    let above = Infinity; // ticks far from zero lie close together on a symmetric axis
    ys.forEach((value, index) => {
      const y = Math.round(TOP + (1 - upward.place(value)) * inner) + 0.5;
      ctx.moveTo(left, y);
      ctx.lineTo(left + box.width, y);
      if (above - y < TEXT_PX) return;
      above = y;
      ctx.fillText(textsY[index] ?? "", left - TICK_GAP, y);
    });
    ctx.textAlign = "center";
    ctx.textBaseline = "top";
    let free = 0;
    xs.forEach((value, index) => {
      const x = Math.round(left + across.place(value) * box.width) + 0.5;
      ctx.moveTo(x, TOP);
      ctx.lineTo(x, TOP + inner + 4);
      const half = ctx.measureText(textsX[index] ?? "").width / 2;
      const at = Math.min(x, width - half - 1);
      if (at - half < free) return;
      free = at + half + 8;
      ctx.fillText(textsX[index] ?? "", at, TOP + inner + TICK_GAP);
    });
    ctx.stroke();
  }
}

/** Return the element of an ascending grid that is drawn nearest to a value. */
function nearest(at: Float64Array, value: number, scale: Scale): number {
  let [low, high] = [0, at.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((at[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  const place = scale.place(value);
  const distance = (index: number) => Math.abs(scale.place(at[index] as number) - place);
  return low > 0 && distance(low - 1) <= distance(low) ? low - 1 : low;
}

/** Return a pen that draws on a canvas between two heights. */
function canvasPen(ctx: Context, top: number, bottom: number): Pen {
  let traced: Path | null = null;
  const trace = (path: Path) => {
    if (path === traced) return; // an area and its edge are one path
    traced = path;
    ctx.beginPath();
    for (let i = 0; i < path.length; i += 2) ctx.lineTo(path[i] as number, path[i + 1] as number);
  };
  return {
    area(path, colour, opacity) {
      trace(path);
      ctx.globalAlpha = opacity;
      ctx.fillStyle = colour;
      ctx.fill();
    },
    stroke(path, colour, width, opacity, dash) {
      trace(path);
      ctx.globalAlpha = Math.min(opacity, 1);
      ctx.strokeStyle = colour;
      ctx.lineWidth = width;
      ctx.lineJoin = "round";
      ctx.setLineDash([...dash]);
      ctx.stroke();
    },
    dot(x, y, radius, colour) {
      ctx.globalAlpha = 1;
      ctx.fillStyle = colour;
      traced = null;
      ctx.beginPath();
      ctx.arc(x, y, radius, 0, 2 * Math.PI);
      ctx.fill();
    },
    mark(kind, x, colour) {
      const mark = MARKS[kind];
      const y = mark.top ? top + 1 : bottom - 1;
      trace(mark.path.map((each, index) => each + (index % 2 ? y : x)));
      ctx.globalAlpha = 1;
      ctx.setLineDash([]);
      ctx.lineWidth = 1.5;
      ctx.strokeStyle = ctx.fillStyle = colour;
      if (mark.closed) ctx.fill();
      ctx.stroke();
    },
  };
}
