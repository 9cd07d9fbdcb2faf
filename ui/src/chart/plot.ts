// The plot: axes, zoom and crosshair by uPlot, lines by our pen. All of uPlot is in this file, so
// that another library could take its place.

import UPlot from "uplot";

import type { X } from "../data/wire";
import type { YScale } from "../view";
import { formatPowers, formatSpans, formatTicks } from "./axis";
import type { Model } from "./model";
import { drawLines, MARKS, type Pen } from "./pen";
import type { Path } from "./shapes";

/** What decides how axes are made; another of these needs another plot. */
export interface Axes {
  x: X;
  logX: boolean;
  y: YScale;
}

export interface Listener {
  /** The pointer is at an element of the grid (here or in a chart beside), or nowhere. */
  hover(index: number | null, here: boolean, left: number, top: number): void;
  /** A stretch of x was chosen by dragging. */
  zoom(low: number, high: number): void;
  zoomOut(): void;
}

const DISTRIBUTIONS = { linear: 1, log: 3, symlog: 4 } as const;

export class Plot {
  private readonly plot: UPlot;
  private model: Model | null = null;
  private highlight = "";

  constructor(
    private readonly root: HTMLElement,
    axes: Axes,
    private readonly listener: Listener,
    size: { width: number; height: number },
  ) {
    this.plot = new UPlot(this.options(axes, size), [[], []], root);
  }

  /** Draw a model; its axes must be those that the plot was made for. */
  draw(model: Model): void {
    this.model = model;
    const { plot } = this;
    plot.batch(() => {
      const nothing = new Array<null>(model.at.length).fill(null);
      plot.setData([Array.from(model.at), nothing], false);
      plot.setScale("x", { min: model.xRange[0], max: model.xRange[1] });
      plot.setScale("y", { min: model.yRange[0], max: model.yRange[1] });
    });
    plot.redraw(false, true);
  }

  /** Draw one line above the others, by its id; the empty text for none. */
  emphasise(id: string): void {
    if (id === this.highlight) return;
    this.highlight = id;
    this.plot.redraw(false, false);
  }

  resize(width: number, height: number): void {
    this.plot.setSize({ width, height });
  }

  /** Draw again: colours have changed. */
  repaint(): void {
    this.plot.redraw(false, true);
  }

  /** Move the crosshair to an element of the grid. */
  point(index: number): void {
    const at = this.model?.at[index];
    if (at === undefined) return;
    const left = this.plot.valToPos(at, "x");
    this.plot.setCursor({ left, top: this.plot.over.clientHeight / 2 });
  }

  /** Return where a value is, in px from the top of the plot's inside. */
  place(value: number): number {
    return this.plot.valToPos(value, "y");
  }

  /** The picture as it is now. */
  get canvas(): HTMLCanvasElement {
    return this.plot.ctx.canvas;
  }

  destroy(): void {
    this.plot.destroy();
  }

  private options(axes: Axes, size: { width: number; height: number }): UPlot.Options {
    const format =
      axes.x === "relative" ? formatSpans : axes.logX ? formatPowers : formatTicks;
    const time = axes.x === "time" && !axes.logX;
    return {
      ...size,
      ms: 1,
      legend: { show: false },
      padding: [8, 10, 0, 0],
      scales: {
        x: { time, ...(axes.logX && { distr: 4, asinh: 1 }), range: () => this.range("x") },
        y: {
          distr: DISTRIBUTIONS[axes.y],
          asinh: 1,
          range: () => this.range("y"),
          ...(axes.y === "symlog" && { asinh: 1e-3 }),
        },
      },
      axes: [
        {
          ...axisLook(this.root),
          space: axes.x === "time" ? 70 : 60,
          size: 30,
          ...(!time && { values: (_, values) => format(values) }),
        },
        {
          ...axisLook(this.root),
          size: (_, values) => 14 + 6.4 * Math.max(...(values ?? [""]).map((text) => text.length), 2),
          values: (_, values) => (axes.y === "linear" ? formatTicks : formatPowers)(values),
        },
      ],
      series: [{}, { paths: () => null, points: { show: false } }],
      cursor: {
        sync: { key: `x ${axes.x} ${axes.logX}`, setSeries: false, scales: ["x", null] },
        drag: { x: true, y: false, setScale: false },
        points: { show: false },
        y: false,
        bind: { dblclick: () => () => (this.listener.zoomOut(), null) },
      },
      hooks: {
        draw: [(plot) => this.paint(plot)],
        setCursor: [(plot) => this.hover(plot)],
        setSelect: [(plot) => this.select(plot)],
      },
    };
  }

  private range(scale: "x" | "y"): [number, number] {
    const range = scale === "x" ? this.model?.xRange : this.model?.yRange;
    return range ? [range[0], range[1]] : [0, 1];
  }

  private hover(plot: UPlot): void {
    const { left = -1, top = -1, idx } = plot.cursor;
    const here = plot.cursor.event != null && plot.over.matches(":hover");
    this.listener.hover(left < 0 ? null : (idx ?? null), here, left, top);
  }

  private select(plot: UPlot): void {
    const { left, width } = plot.select;
    if (width < 3) return;
    const [low, high] = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    // A chart that only follows another one is told by the view.
    if (plot.cursor.event != null) this.listener.zoom(low, high);
  }

  private paint(plot: UPlot): void {
    const { model } = this;
    if (!model) return;
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    const placing = {
      x: (value: number) => plot.valToPos(value, "x", true),
      y: (value: number) => plot.valToPos(value, "y", true),
    };
    drawLines(model, placing, canvasPen(ctx, bbox), this.highlight);
    ctx.restore();
  }
}

/** Return a pen that draws on a canvas, whose px are those of the screen. */
function canvasPen(ctx: CanvasRenderingContext2D, bbox: UPlot.BBox): Pen {
  const ratio = devicePixelRatio || 1;
  const trace = (path: Path) => {
    ctx.beginPath();
    for (let i = 0; i < path.length; i += 2)
      ctx.lineTo(path[i] as number, path[i + 1] as number);
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
      ctx.lineWidth = width * ratio;
      ctx.lineJoin = "round";
      ctx.setLineDash(dash.map((length) => length * ratio));
      ctx.stroke();
    },
    dot(x, y, radius, colour) {
      ctx.globalAlpha = 1;
      ctx.fillStyle = colour;
      ctx.beginPath();
      ctx.arc(x, y, radius * ratio, 0, 2 * Math.PI);
      ctx.fill();
    },
    mark(kind, x, colour) {
      const { top, path, closed } = MARKS[kind];
      const y = top ? bbox.top + 1 : bbox.top + bbox.height - 1;
      trace(path.map((each, index) => each * ratio + (index % 2 ? y : x)));
      ctx.globalAlpha = 1;
      ctx.setLineDash([]);
      ctx.lineWidth = 1.5 * ratio;
      ctx.strokeStyle = ctx.fillStyle = colour;
      if (closed) ctx.fill();
      ctx.stroke();
    },
  };
}

/** Colours are looked up when they are used, as the page resolves them: they change with it. */
function axisLook(root: HTMLElement): UPlot.Axis {
  const grid = () => getComputedStyle(root).outlineColor;
  return {
    stroke: () => getComputedStyle(root).color,
    font: "11px system-ui, sans-serif",
    grid: { stroke: grid, width: 1 },
    ticks: { stroke: grid, width: 1, size: 4 },
    gap: 4,
  };
}
