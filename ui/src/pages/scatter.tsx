// The page that places runs by two of their fields.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import type { Value } from "../data/api";
import { runs } from "../data/runs";
import { strokeOf } from "../palette";
import { Button, Check, Dialog, Empty, Problem } from "../parts/controls";
import { formatCount, formatValue } from "../parts/format";
import { encodeView, getView, setView, useView } from "../view";
import { type Axis, makeAxis } from "./axes";
import { NoneDrawn } from "./charts";
import { type Colours, makeColours } from "./colours";
import { FieldPicker } from "./fieldpicker";
import { fieldTitle } from "./fields";
import { Legend, WhichRuns } from "./legend";
import { nearest } from "./nearest";
import { type Sample, useSamples } from "./samples";
import { useUsual } from "./usual";

/** Around the plot in px. */
const LEFT = 66;
const BOTTOM = 46;
const TOP = 14;
const RIGHT = 20;
const ROOM = 0.05;

interface Point {
  sample: Sample;
  x: number;
  y: number;
  colour: string;
}

export function Scatter() {
  const view = useView();
  const usual = useUsual();
  const x = view.scatterX || usual.params[0] || usual.metrics[1] || "";
  const y = view.scatterY || usual.metrics[0] || "";
  const { samples, total, error } = useSamples([x, y, view.colour].filter(Boolean));
  const [isTable, setTable] = useState(false);
  if (!view.all && samples && !samples.length) return <NoneDrawn><p><WhichRuns /></p></NoneDrawn>;
  const { scatterLogX, scatterLogY, colour } = view;
  const colours = colour ? makeColours(colour, samples?.map(({ values }) => values[colour]) ?? []) : null;
  return (
    <div class="comparison">
      <div class="bar" role="toolbar" aria-label="Scatter">
        <WhichRuns />
        <span class="soft" role="status">{counted(samples?.length, total)}</span>
        <span class="space" />
        <FieldPicker label="X" field={x} onChoose={(scatterX) => setView({ scatterX })} />
        <Check label="Log x" checked={scatterLogX} onChange={(scatterLogX) => setView({ scatterLogX })} />
        <FieldPicker label="Y" field={y} onChoose={(scatterY) => setView({ scatterY })} />
        <Check label="Log y" checked={scatterLogY} onChange={(scatterLogY) => setView({ scatterLogY })} />
        <FieldPicker label="Colour" field={colour} none="Run" onChoose={(colour) => setView({ colour })} />
        <Button onClick={() => setTable(true)}>Table</Button>
      </div>
      {error && <Problem error={error} />}
      {samples && x && y && <Plot samples={samples} x={x} y={y} colours={colours} />}
      {samples && !(x && y) && <Empty title="Nothing to place the runs by."><p>These runs have no metrics.</p></Empty>}
      {colours && <Legend colours={colours} title={fieldTitle(colour, runs.keys.metrics)} />}
      {isTable && samples && (
        <Dialog title="Runs" onClose={() => setTable(false)}>
          <SampleTable samples={samples} fields={[x, y]} />
        </Dialog>
      )}
    </div>
  );
}

/** Return how many runs are shown, of how many. */
export function counted(shown: number | undefined, total: number): string {
  if (shown === undefined) return "Loading …";
  const all = formatCount(total, "run");
  return shown < total ? `the first ${shown.toLocaleString("en")} of ${all}` : all;
}

interface PlotProps {
  samples: readonly Sample[];
  x: string;
  y: string;
  colours: Colours | null;
}

function Plot({ samples, x, y, colours }: PlotProps) {
  const { scatterLogX, scatterLogY, colour } = useView();
  const box = useRef<HTMLDivElement>(null);
  const { width, height } = useSize(box);
  const [near, setNear] = useState<Point | null>(null);
  const across = useMemo(() => makeAxis(samples.map(({ values }) => values[x]), scatterLogX, ROOM), [samples, x, scatterLogX]);
  const up = useMemo(() => makeAxis(samples.map(({ values }) => values[y]), scatterLogY, ROOM), [samples, y, scatterLogY]);
  const [inner, tall] = [Math.max(0, width - LEFT - RIGHT), Math.max(0, height - TOP - BOTTOM)];
  const points = samples.flatMap((sample): Point[] => {
    const [a, b] = [across.place(sample.values[x]), up.place(sample.values[y])];
    if (Number.isNaN(a) || Number.isNaN(b)) return [];
    const own = colours?.of(sample.values[colour]);
    const plain = sample.isDrawn ? strokeOf(sample.runId).colour : "var(--ink-faint)";
    return [{ sample, x: LEFT + a * inner, y: TOP + (1 - b) * tall, colour: own ?? plain }];
  });
  const missing = samples.length - points.length;
  const [xTitle, yTitle] = [x, y].map((field) => fieldTitle(field, runs.keys.metrics));
  const find = (event: PointerEvent) => {
    const frame = box.current?.getBoundingClientRect();
    setNear(frame ? nearest(points, event.clientX - frame.left, event.clientY - frame.top) : null);
  };
  return (
    <div class="scatter" ref={box} data-points={points.length}>
      <svg
        width={width}
        height={height}
        role="img"
        aria-label={`${yTitle} over ${xTitle}: ${formatCount(points.length, "run")}`}
        class={near ? "near" : ""}
        onPointerMove={find}
        onPointerDown={find}
        onPointerLeave={() => setNear(null)}
        onClick={() => near && setView({ page: "run", run: near.sample.runId })}
      >
        <Ticks axis={across} isAcross length={inner} depth={tall} />
        <Ticks axis={up} isAcross={false} length={tall} depth={inner} />
        <text class="axis-title" x={LEFT + inner / 2} y={height - 8} text-anchor="middle">{xTitle}</text>
        <text class="axis-title" text-anchor="middle" transform={`translate(14 ${TOP + tall / 2}) rotate(-90)`}>{yTitle}</text>
        {points.map((point) => (
          <circle key={point.sample.runId} cx={point.x} cy={point.y} r={point === near ? 7 : 5} style={{ fill: point.colour }} />
        ))}
        {near && <circle class="ring" cx={near.x} cy={near.y} r="8" />}
      </svg>
      {near && <Tip point={near} fields={[x, y, colour]} width={width} />}
      {missing > 0 && (
        <p class="missing-points">{formatCount(missing, "run")} without a value {scatterLogX || scatterLogY ? "that has a place here" : "of both"}</p>
      )}
    </div>
  );
}

interface TicksProps {
  axis: Axis;
  isAcross: boolean;
  /** Of the axis, and of the lines across the plot, in px. */
  length: number;
  depth: number;
}

function Ticks({ axis, isAcross, length, depth }: TicksProps) {
  const most = isAcross ? Math.max(6, Math.floor(length / (axis.ticks.length || 1) / 6.2)) : 9;
  return (
    <g class="ticks">
      {axis.ticks.map(({ at, text }) => {
        const place = isAcross ? LEFT + at * length : TOP + (1 - at) * length;
        const short = text.length > most ? `${text.slice(0, most - 1)}…` : text;
        return isAcross ? (
          <g key={text} transform={`translate(${place} ${TOP})`}>
            <line y2={depth} />
            <text y={depth + 16} text-anchor="middle">{short}<title>{text}</title></text>
          </g>
        ) : (
          <g key={text} transform={`translate(${LEFT} ${place})`}>
            <line x2={depth} />
            <text x="-8" dy="0.32em" text-anchor="end">{short}<title>{text}</title></text>
          </g>
        );
      })}
    </g>
  );
}

interface TipProps {
  point: Point;
  fields: readonly string[];
  width: number;
}

function Tip({ point, fields, width }: TipProps) {
  const { sample, x, y, colour } = point;
  const isRight = x > width * 0.6;
  return (
    <div
      class="tip"
      style={{ top: `${y}px`, ...(isRight ? { right: `${width - x + 14}px` } : { left: `${x + 14}px` }) }}
    >
      <strong><i style={{ background: colour }} /><bdi>{sample.name}</bdi></strong>
      <FieldValues fields={fields} values={sample.values} />
    </div>
  );
}

interface FieldValuesProps {
  fields: readonly string[];
  values: Readonly<Record<string, Value | undefined>>;
}

/** Fields with their values, each once. */
export function FieldValues({ fields, values }: FieldValuesProps) {
  return (
    <dl>
      {[...new Set(fields)].filter(Boolean).map((field) => (
        <div key={field}>
          <dt><bdi>{fieldTitle(field, runs.keys.metrics)}</bdi></dt>
          <dd><bdi>{formatValue(values[field]) || "–"}</bdi></dd>
        </div>
      ))}
    </dl>
  );
}

interface SampleTableProps {
  samples: readonly Sample[];
  fields: readonly string[];
}

/** The same as a table. */
export function SampleTable({ samples, fields }: SampleTableProps) {
  return (
    <div class="datatable">
      <table>
        <thead>
          <tr>
            <th scope="col">Run</th>
            {fields.map((field) => <th key={field} scope="col">{fieldTitle(field, runs.keys.metrics)}</th>)}
          </tr>
        </thead>
        <tbody>
          {samples.map(({ runId, name, values }) => (
            <tr key={runId}>
              <th scope="row">
                <a href={`#${encodeView({ ...getView(), page: "run", run: runId })}`}><bdi>{name}</bdi></a>
              </th>
              {fields.map((field) => <td key={field}><bdi>{formatValue(values[field])}</bdi></td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Return the size of an element in px. */
export function useSize(box: { readonly current: HTMLElement | null }): { width: number; height: number } {
  const [size, setSize] = useState({ width: 0, height: 0 });
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() =>
      setSize({ width: element.clientWidth, height: element.clientHeight }),
    );
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return size;
}
