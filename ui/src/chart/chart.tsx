// One chart of the page: asks the feed for its data, and shows it with what a person can do with it.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { getPoints, type Detail } from "../data/api";
import type { ChartQuery } from "../data/wire";
import { useShortcuts } from "../keyboard";
import { Button, Menu } from "../parts/controls";
import { formatCount, formatNumber } from "../parts/format";
import { setView, useView, type View } from "../view";
import { useChart } from "./data";
import { DataTable } from "./datatable";
import { save, toCsv, toPng, toSvg } from "./export";
import { buildModel, type Model, type Style } from "./model";
import { identifier } from "./names";
import { CHART_KEYS, setKeyed, zoomOut } from "./keys";
import { emphasiseRun, Plot } from "./plot";
import { Tooltip } from "./tooltip";

const HEIGHT = 280;
/** What is not the plot: the title above it and the notes below it, and the legend. */
const FRAME = 64;
const LEGEND_HEIGHT = 18;
/** More lines than this have no legend: the table of runs has their colours. */
const LEGEND = 8;

interface MetricChartProps {
  title: string;
  keys: readonly string[];
  runs: readonly Detail[];
  /** Height of the whole in px. */
  height?: number;
  /** Where given, a button shows the chart larger. */
  onEnlarge?: () => void;
}

/** A line for each series of these runs, or for each group of them, as the view says. */
export function MetricChart({ title, keys, runs, height = HEIGHT, onEnlarge }: MetricChartProps) {
  const view = useView();
  const figure = useRef<HTMLElement>(null);
  const root = useRef<HTMLDivElement>(null);
  const width = useWidth(root);
  const asked = width ? chartQuery(view, keys, runs, width) : null;
  const { data, query, error, busy } = useChart(asked, view.logX);
  const style = styleOf(view, query);
  const model = useMemo(
    () => (data ? buildModel(data, style, identifier(data, runs)) : null),
    [data, JSON.stringify(style), runs.map((run) => run.run_id + run.run_name).join()],
  );
  const hasLegend = !model || model.lines.length <= LEGEND;
  const inside = height - FRAME - (hasLegend ? LEGEND_HEIGHT : 0);
  const plot = usePlot(root, model, width, inside);
  const [table, setTable] = useState(false);
  const showTable = () => setTable(true);
  useShortcuts(CHART_KEYS);
  useEffect(() => {
    if (figure.current) setKeyed(figure.current, { plot: plot.current, showTable });
  });
  const state = error ? "error" : !model ? "loading" : model.total ? "ready" : "empty";
  return (
    <figure
      ref={figure}
      class="chart"
      data-state={state}
      data-points={model?.shown}
      data-total={model?.total}
      data-exact={model?.exact}
      data-lines={model?.lines.length}
      aria-busy={busy}
      aria-label={title}
      tabIndex={0}
      style={{ height: `${height}px` }}
      onBlur={() => plot.current?.leave()}
    >
      <figcaption>
        <h3 title={title}>{title}</h3>
        {onEnlarge && (
          <Button kind="icon" label="Enlarge" onClick={onEnlarge}>
            ⤢
          </Button>
        )}
        {model && <Actions model={model} title={title} keys={keys} runs={runs} onTable={showTable} />}
      </figcaption>
      <div class="plot" ref={root} style={{ height: `${inside}px` }} role="img" aria-label={description(title, model)}>
        {state === "empty" && <p class="over">{whyEmpty(view)}</p>}
        {error && <p class="over problem">{error.message}</p>}
      </div>
      {model && <Footer model={model} hasLegend={hasLegend} />}
      {table && model && <DataTable model={model} title={title} onClose={() => setTable(false)} />}
    </figure>
  );
}

/** Return what the server is asked for. */
function chartQuery(
  view: View,
  keys: readonly string[],
  runs: readonly Detail[],
  width: number,
): ChartQuery {
  return {
    run_ids: runs.map((run) => run.run_id),
    keys,
    ...axisOf(view),
    buckets: Math.max(Math.ceil(width / 100) * 100, 200),
    ...(!Number.isNaN(view.xMin) && { x_min: view.xMin }),
    ...(!Number.isNaN(view.xMax) && { x_max: view.xMax }),
    ...(view.group.length
      ? { group_by: view.group, aggregate: view.aggregate, band: view.band }
      : { ranks: view.ranksApart ? "apart" : "together" }),
  };
}

/** Return how a chart is drawn: on the axis that its data is for, which may not yet be the view's. */
function styleOf(view: View, answered: ChartQuery | null): Style {
  const { logX, y, smoothing, strength, clip, xMin, xMax } = view;
  const asked = axisOf(view);
  const x = answered?.x ?? asked.x;
  const isOther = x !== asked.x || answered?.x_key !== asked.x_key;
  return { x, logX, y, smoothing, strength, clip, xMin: isOther ? NaN : xMin, xMax: isOther ? NaN : xMax };
}

function axisOf({ x, xKey }: View): Pick<ChartQuery, "x" | "x_key"> {
  if (x !== "metric") return { x };
  return xKey ? { x, x_key: xKey } : { x: "step" };
}

function useWidth(root: { current: HTMLElement | null }): number {
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const element = root.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    setWidth(element.clientWidth);
    return () => observer.disconnect();
  }, []);
  return width;
}

/** Keep a plot in the root that draws the model. */
function usePlot(
  root: { current: HTMLElement | null },
  model: Model | null,
  width: number,
  height: number,
) {
  const plot = useRef<Plot | null>(null);
  const shown = useRef<Model | null>(model);
  shown.current = model;
  useEffect(() => {
    const element = root.current;
    if (!element || !width) return;
    const tooltip = new Tooltip(element);
    const made = new Plot(element, {
      hover: (index, here, left, top) => {
        if (!here) tooltip.hide();
        if (index === null) made.emphasise("");
        if (index === null || !here || !shown.current) return;
        const place = (value: number) => made.place(value);
        const near = tooltip.show(shown.current, index, made.around(index), { left, top }, place);
        emphasiseRun(near?.line.runIds[0] ?? "");
        made.emphasise(near?.line.id ?? "");
      },
      zoom: (xMin, xMax) => setView({ xMin, xMax }),
      zoomOut,
    }, { width, height });
    plot.current = made;
    if (shown.current) made.draw(shown.current);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const repaint = () => made.repaint();
    scheme.addEventListener("change", repaint);
    return () => {
      scheme.removeEventListener("change", repaint);
      tooltip.remove();
      made.destroy();
      plot.current = null;
    };
  }, [width > 0]);
  useEffect(() => {
    if (width) plot.current?.resize(width, height);
  }, [width, height]);
  useEffect(() => {
    if (model) plot.current?.draw(model);
  }, [model]);
  return plot;
}

interface ActionsProps {
  model: Model;
  title: string;
  keys: readonly string[];
  runs: readonly Detail[];
  onTable(): void;
}

function Actions({ model, title, keys, runs, onTable }: ActionsProps) {
  const svg = () => {
    const { color, backgroundColor } = getComputedStyle(document.body);
    return toSvg(model, title, color, backgroundColor);
  };
  const all = () =>
    getPoints(runs.map((run) => run.run_id), keys).then((blob) => save(blob, title, "csv"));
  return (
    <Menu label={`Actions of ${title}`} content="⋯">
      <Button onClick={onTable}>Show as a table</Button>
      <Button onClick={() => void toPng(svg()).then((png) => save(png, title, "png"))}>Save PNG</Button>
      <Button onClick={() => save(svg(), title, "svg")}>Save SVG</Button>
      <Button onClick={() => save(toCsv(model), title, "csv")}>Save CSV of what is drawn</Button>
      <Button onClick={() => void all()}>Save CSV of all points</Button>
    </Menu>
  );
}

/** Below the plot: what the colours mean, and how much of what there is was drawn. */
function Footer({ model, hasLegend }: { model: Model; hasLegend: boolean }) {
  const notes = notesOn(model);
  return (
    <footer>
      {hasLegend && (
        <ul class="legend">
          {model.lines.map(({ line, name, stroke }) => (
            <li key={line.id} title={name}>
              <svg width="18" height="8" aria-hidden="true">
                <path d="M0 4h18" stroke={stroke.colour} stroke-width="2" stroke-dasharray={stroke.dash.join(" ")} />
              </svg>
              <bdi>{name}</bdi>
            </li>
          ))}
        </ul>
      )}
      <p class="points" title={`${notes}. Every extreme lies within what is drawn.`}>{notes}</p>
    </footer>
  );
}

function notesOn(model: Model): string {
  const number = (count: number) => count.toLocaleString("en");
  const { shown, total, nan, infinite, clipped, unplaced } = model;
  return [
    `${number(shown)} of ${formatCount(total, "point")}`,
    nan && `${number(nan)} NaN`,
    infinite && `${number(infinite)} infinite`,
    clipped && `${number(clipped)} beyond the axis`,
    unplaced && `${number(unplaced)} not positive`,
  ].filter(Boolean).join(" · ");
}

function whyEmpty({ xMin, xMax, x, xKey }: View): string {
  if (!Number.isNaN(xMin) || !Number.isNaN(xMax)) return "No point lies in this window. A double click shows everything.";
  if (x === "metric" && xKey) return `It has no point at or after the first one of ${xKey}.`;
  return "It has no points.";
}

function description(title: string, model: Model | null): string {
  if (!model) return `${title}, loading`;
  const [low, high] = model.yRange.map(formatNumber);
  const lines = formatCount(model.lines.length, "line");
  return `${title}: ${lines} between ${low} and ${high}, ${formatCount(model.total, "point")}`;
}
