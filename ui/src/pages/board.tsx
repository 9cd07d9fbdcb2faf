// The axes of parallel coordinates with the lines of runs between them: lines on a canvas, for there
// may be a thousand; axes, and the line that is pointed at, above it.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { Button, Check, Field, Menu } from "../parts/controls";
import { formatCount, formatValue } from "../parts/format";
import { getView, setView, toggled, useView } from "../view";
import type { Axis } from "./axes";
import { distanceAt, placesOf, type Range, rangeBetween, withRange } from "./ranges";
import type { Sample } from "./samples";
import { FieldValues, useSize } from "./scatter";

/** Around the axes in px; below them is the place of what is missing. */
const TOP = 44;
const BOTTOM = 44;
const MISSING = 22;
const SIDE = 70;
/** A line this near in px is meant. */
const NEAR = 14;
/** A press that moves no further than this in px removes the range; this near an end is the end. */
const CLICK = 4;
const FAINT = 0.16;

export interface Lane {
  field: string;
  title: string;
  axis: Axis;
  range: Range | null;
}

interface BoardProps {
  samples: readonly Sample[];
  /** Those that lie inside of all ranges. */
  inside: ReadonlySet<Sample>;
  lanes: readonly Lane[];
  colourOf(sample: Sample): string;
  onMove(field: string, target: string): void;
  onRemove(field: string): void;
}

export function Board({ samples, inside, lanes, colourOf, onMove, onRemove }: BoardProps) {
  const box = useRef<HTMLDivElement>(null);
  const { width, height } = useSize(box);
  const [near, setNear] = useState<{ sample: Sample; x: number; y: number } | null>(null);
  const tall = Math.max(0, height - TOP - BOTTOM);
  const xs = lanes.map((_, index) => laneX(index, lanes.length, width));
  const heights = useMemo(
    () => new Map(samples.map((sample) => [sample, lanes.map((lane) => heightOf(lane, sample, tall))])),
    [samples, lanes, tall],
  );
  const shown = near && heights.has(near.sample) ? near : null;
  const find = (event: PointerEvent) => {
    const frame = box.current?.getBoundingClientRect();
    if (!frame) return;
    const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
    const among = inside.size ? samples.filter((sample) => inside.has(sample)) : samples;
    let [best, found]: [number, Sample | null] = [NEAR, null];
    for (const sample of among) {
      const distance = distanceAt(heights.get(sample) ?? [], xs, x, y);
      if (distance < best) [best, found] = [distance, sample];
    }
    setNear(found && { sample: found, x, y });
  };
  return (
    <div
      ref={box}
      class={shown ? "board near" : "board"}
      data-lines={samples.length}
      data-inside={inside.size}
      onPointerMove={find}
      onPointerLeave={() => setNear(null)}
      onClick={(event) => {
        const isPlain = event.target instanceof Element && !event.target.closest("button, .panel, .lane");
        if (shown && isPlain) setView({ page: "run", run: shown.sample.runId });
      }}
    >
      <Lines {...{ samples, inside, heights, xs, colourOf, width, height }} />
      {shown && (
        <svg class="highlight" width={width} height={height} aria-hidden="true">
          <path d={pathOf(xs, heights.get(shown.sample) ?? [])} style={{ stroke: colourOf(shown.sample) }} />
        </svg>
      )}
      {lanes.map((lane, index) => (
        <LaneView
          key={lane.field}
          lane={lane}
          lanes={lanes}
          index={index}
          x={xs[index] ?? 0}
          tall={tall}
          someMissing={samples.some((sample) => Number.isNaN(lane.axis.place(sample.values[lane.field])))}
          onMove={onMove}
          onRemove={onRemove}
        />
      ))}
      {shown && <Tip {...shown} lanes={lanes} width={width} />}
    </div>
  );
}

/** Return where the axis of a number stands, of so many. */
function laneX(index: number, count: number, width: number): number {
  if (count < 2) return width / 2;
  return SIDE + (index * (width - 2 * SIDE)) / (count - 1);
}

function heightOf({ field, axis }: Lane, sample: Sample, tall: number): number {
  const place = axis.place(sample.values[field]);
  return TOP + (Number.isNaN(place) ? tall + MISSING : (1 - place) * tall);
}

function pathOf(xs: readonly number[], ys: readonly number[]): string {
  const points = xs.map((x, index) => `${x} ${ys[index]}`);
  return points.length === 1 ? `M${(xs[0] ?? 0) - 20} ${ys[0]}h40` : `M${points.join("L")}`;
}

interface LinesProps {
  samples: readonly Sample[];
  inside: ReadonlySet<Sample>;
  heights: ReadonlyMap<Sample, readonly number[]>;
  xs: readonly number[];
  colourOf(sample: Sample): string;
  width: number;
  height: number;
}

function Lines({ samples, inside, heights, xs, colourOf, width, height }: LinesProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (!element || !context || !width || !height) return;
    const draw = () => {
      const ratio = devicePixelRatio || 1;
      [element.width, element.height] = [Math.round(width * ratio), Math.round(height * ratio)];
      context.scale(ratio, ratio);
      context.lineJoin = "round";
      const one = (sample: Sample, colour: string, alpha: number) => {
        context.strokeStyle = colour;
        context.globalAlpha = alpha;
        context.stroke(new Path2D(pathOf(xs, heights.get(sample) ?? [])));
      };
      const soft = getComputedStyle(element).color;
      for (const sample of samples) if (!inside.has(sample)) one(sample, soft, FAINT);
      context.lineWidth = 1.4;
      const alpha = inside.size > 200 ? 0.45 : 0.8;
      for (const sample of inside) one(sample, colourOf(sample), alpha);
    };
    draw();
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", draw);
    return () => scheme.removeEventListener("change", draw);
  }, [heights, [...inside].map(({ runId }) => runId).join(), xs.join(), height]);
  return (
    <canvas
      ref={canvas}
      role="img"
      aria-label={`Parallel coordinates of ${formatCount(samples.length, "run")}`}
      style={{ width: `${width}px`, height: `${height}px` }}
    />
  );
}

interface LaneProps {
  lane: Lane;
  lanes: readonly Lane[];
  index: number;
  x: number;
  tall: number;
  /** Whether some run has no place on this axis. */
  someMissing: boolean;
  onMove(field: string, target: string): void;
  onRemove(field: string): void;
}

/** An axis: its name above, which can be dragged to another place, its ticks, and its range. */
function LaneView({ lane, lanes, index, x, tall, someMissing, onMove, onRemove }: LaneProps) {
  const { field, title, axis } = lane;
  const isRight = index === lanes.length - 1 && index > 0;
  const every = Math.max(1, Math.ceil((axis.ticks.length * 16) / Math.max(1, tall)));
  return (
    <div class={isRight ? "lane-place right" : "lane-place"} style={{ left: `${x}px` }}>
      <div
        class="lane-title"
        draggable
        onDragStart={(event) => event.dataTransfer?.setData("text/axis", field)}
        onDragOver={(event) => event.preventDefault()}
        onDrop={(event) => {
          event.preventDefault();
          const dragged = event.dataTransfer?.getData("text/axis");
          if (dragged && dragged !== field) onMove(dragged, field);
        }}
      >
        <LaneMenu {...{ lane, lanes, index, onMove, onRemove }} />
      </div>
      <ul class="lane-ticks" aria-label={`Values of ${title}`}>
        {axis.ticks.map(({ at, text }, number) =>
          number % every ? null : <li key={text} title={text} style={{ top: `${TOP + (1 - at) * tall}px` }}><bdi>{text}</bdi></li>,
        )}
        {someMissing && <li class="soft" style={{ top: `${TOP + tall + MISSING}px` }}>no value</li>}
      </ul>
      <Brush lane={lane} tall={tall} />
    </div>
  );
}

function LaneMenu({ lane, lanes, index, onMove, onRemove }: Omit<LaneProps, "x" | "tall" | "someMissing">) {
  const { logAxes, ranges } = useView();
  const { field, title, axis, range } = lane;
  const beside = (by: number) => lanes[index + by]?.field;
  const [before, after] = [beside(-1), beside(1)];
  const take = (end: "low" | "high", text: string) => {
    const value = axis.names ? text : Number(text);
    const isKnown = axis.names ? axis.names.includes(text) : text.trim() !== "" && Number.isFinite(value);
    const whole: Range = range ?? { field, low: axis.names?.[0] ?? axis.low, high: axis.names?.at(-1) ?? axis.high };
    if (isKnown) setView({ ranges: withRange(ranges, field, { ...whole, [end]: value }) });
  };
  const suggestions = axis.names ? { suggestions: axis.names } : {};
  return (
    <Menu label={`Axis ${title}`} content={<span class="field-button" title={title}><bdi>{title}</bdi> ▾</span>}>
      <div class="choices">
        {!axis.names && (
          <Check label="Log" checked={logAxes.includes(field)} onChange={() => setView({ logAxes: toggled(logAxes, field) })} />
        )}
        <Field label="From" value={range ? String(range.low) : ""} late {...suggestions} onChange={(text) => take("low", text)} />
        <Field label="To" value={range ? String(range.high) : ""} late {...suggestions} onChange={(text) => take("high", text)} />
        <p class="line-of-buttons">
          <Button disabled={!before} label="Move left" onClick={() => before && onMove(field, before)}>←</Button>
          <Button disabled={!after} label="Move right" onClick={() => after && onMove(field, after)}>→</Button>
          {range && <Button onClick={() => setView({ ranges: withRange(ranges, field, null) })}>Whole axis</Button>}
          <Button onClick={() => onRemove(field)}>Remove</Button>
        </p>
      </div>
    </Menu>
  );
}

/** The axis itself: dragging along it chooses a range, a click removes it. */
function Brush({ lane, tall }: { lane: Lane; tall: number }) {
  const { field, axis, range } = lane;
  const [drag, setDrag] = useState<readonly [number, number] | null>(null);
  const placeAt = (event: PointerEvent) => {
    const top = (event.currentTarget as Element).getBoundingClientRect().top;
    const y = event.clientY - top;
    return y < CLICK ? 1 : y > tall - CLICK ? 0 : 1 - y / tall;
  };
  const ends = drag ? ([Math.min(...drag), Math.max(...drag)] as const) : range && placesOf(axis, range);
  const finish = () => {
    if (!drag) return;
    setDrag(null);
    const isClick = Math.abs(drag[0] - drag[1]) * tall < CLICK;
    const chosen = isClick ? null : rangeBetween(axis, field, ...drag);
    setView({ ranges: withRange(getView().ranges, field, chosen) });
  };
  return (
    <div
      class="lane"
      title={range ? `${formatValue(range.low)} – ${formatValue(range.high)}` : "Drag to choose a range"}
      style={{ top: `${TOP}px`, height: `${tall}px` }}
      onPointerDown={(event) => {
        event.preventDefault();
        event.currentTarget.setPointerCapture(event.pointerId);
        const place = placeAt(event);
        setDrag([place, place]);
      }}
      onPointerMove={(event) => {
        if (drag) setDrag([drag[0], placeAt(event)]);
      }}
      onPointerUp={finish}
      onPointerCancel={() => setDrag(null)}
    >
      {ends && <span class="range" style={{ top: `${(1 - ends[1]) * 100}%`, height: `${(ends[1] - ends[0]) * 100}%` }} />}
    </div>
  );
}

interface TipProps {
  sample: Sample;
  lanes: readonly Lane[];
  x: number;
  y: number;
  width: number;
}

function Tip({ sample, lanes, x, y, width }: TipProps) {
  const side = x > width * 0.6 ? { right: `${width - x + 16}px` } : { left: `${x + 16}px` };
  return (
    <div class="tip" style={{ top: `${y}px`, ...side }}>
      <strong><bdi>{sample.name}</bdi></strong>
      <FieldValues fields={lanes.map(({ field }) => field)} values={sample.values} />
    </div>
  );
}
