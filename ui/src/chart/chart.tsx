// One chart of the page: asks the feed for its data, and shows it with what a person can do with it.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { getPoints, type Detail } from "../data/api";
import { feed } from "../data/feed";
import type { ChartData, ChartQuery } from "../data/wire";
import { Button, Menu } from "../parts/controls";
import { formatCount } from "../parts/format";
import { setView, useView, type View } from "../view";
import { DataTable } from "./datatable";
import { save, toCsv, toPng, toSvg } from "./export";
import { buildModel, type Model, type Style } from "./model";
import { identifier } from "./names";
import { Plot } from "./plot";
import { Tooltip } from "./tooltip";

const HEIGHT = 280;
/** What is not the plot: the title above it, and legend and notes below it. */
const FRAME = 82;
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
  const inside = height - FRAME;
  const view = useView();
  const root = useRef<HTMLDivElement>(null);
  const width = useWidth(root);
  const { data, error } = useChart(width ? chartQuery(view, keys, runs, width) : null);
  const style = styleOf(view);
  const model = useMemo(
    () => data && buildModel(data, style, identifier(data, runs)),
    [data, JSON.stringify(style), runs.map((run) => run.run_id + run.run_name).join()],
  );
  const plot = usePlot(root, model, width, inside);
  const [table, setTable] = useState(false);
  const state = error ? "error" : !model ? "loading" : model.total ? "ready" : "empty";
  return (
    <figure
      class="chart"
      data-state={state}
      data-points={model?.shown}
      data-total={model?.total}
      data-exact={model?.exact}
      data-lines={model?.lines.length}
      aria-label={title}
      tabIndex={0}
      style={{ height: `${height}px` }}
      onKeyDown={(event) => model && onKey(event, model, plot.current, () => setTable(true))}
    >
      <figcaption>
        <h3 title={title}>{title}</h3>
        {onEnlarge && (
          <Button kind="icon" label="Enlarge" onClick={onEnlarge}>
            ⤢
          </Button>
        )}
        {model && <Actions model={model} title={title} keys={keys} runs={runs} onTable={() => setTable(true)} />}
      </figcaption>
      <div class="plot" ref={root} style={{ height: `${inside}px` }} role="img" aria-label={description(title, model)}>
        {state === "empty" && <p class="over">No point of it lies in this window.</p>}
        {error && <p class="over problem">{error.message}</p>}
      </div>
      {model && <Footer model={model} />}
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
    x: view.x === "metric" && !view.xKey ? "step" : view.x,
    buckets: Math.max(Math.ceil(width / 100) * 100, 200),
    ...(view.x === "metric" && view.xKey && { x_key: view.xKey }),
    ...(!Number.isNaN(view.xMin) && { x_min: view.xMin }),
    ...(!Number.isNaN(view.xMax) && { x_max: view.xMax }),
    ...(view.group.length && { group_by: view.group, aggregate: view.aggregate, band: view.band }),
  };
}

function styleOf(view: View): Style {
  const { logX, y, smoothing, strength, clip, xMin, xMax } = view;
  const x = view.x === "metric" && !view.xKey ? "step" : view.x;
  return { x, logX, y, smoothing, strength, clip, xMin, xMax };
}

/** Follow a chart; what was received stays until the next query is answered. */
function useChart(query: ChartQuery | null): { data: ChartData | null; error: Error | null } {
  const [data, setData] = useState<ChartData | null>(null);
  const [error, setError] = useState<Error | null>(null);
  useEffect(() => {
    if (!query) return;
    const receive = (fresh: ChartData) => {
      setData(fresh);
      setError(null);
    };
    return feed.subscribe(query, { receive, fail: setError });
  }, [JSON.stringify(query)]);
  return { data, error };
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
        if (index === null || !here || !shown.current) {
          tooltip.hide();
          made.emphasise("");
          return;
        }
        const place = (value: number) => made.place(value);
        made.emphasise(tooltip.show(shown.current, index, { left, top }, place));
      },
      zoom: (xMin, xMax) => setView({ xMin, xMax }),
      zoomOut: () => setView({ xMin: NaN, xMax: NaN }),
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

function Footer({ model }: { model: Model }) {
  const raw = model.shown === model.total;
  const notes = [
    raw
      ? `${formatCount(model.total, "point")}, all shown`
      : `${model.shown.toLocaleString("en")} of ${formatCount(model.total, "point")}, every extreme shown`,
    model.nan && `${model.nan.toLocaleString("en")} NaN`,
    model.infinite && `${model.infinite.toLocaleString("en")} infinite`,
    model.clipped && `${model.clipped.toLocaleString("en")} beyond the axis`,
    model.unplaced && `${model.unplaced.toLocaleString("en")} not positive`,
  ].filter(Boolean);
  return (
    <footer>
      {model.lines.length <= LEGEND && (
        <ul class="legend">
          {model.lines.map(({ line, name, stroke }) => (
            <li key={line.id} title={name}>
              <svg width="18" height="8" aria-hidden="true">
                <path d="M0 4h18" stroke={stroke.colour} stroke-width="2" stroke-dasharray={stroke.dash.join(" ")} />
              </svg>
              {name}
            </li>
          ))}
        </ul>
      )}
      <span class="points">{notes.join(" · ")}</span>
    </footer>
  );
}

function description(title: string, model: Model | null): string {
  if (!model) return `${title}, loading`;
  const [low, high] = model.yRange;
  return `${title}: ${formatCount(model.lines.length, "line")} between ${low} and ${high}, ${formatCount(model.total, "point")}`;
}

function onKey(event: KeyboardEvent, model: Model, plot: Plot | null, showTable: () => void): void {
  if (event.target !== event.currentTarget) return;
  const [low, high] = model.xRange;
  const span = high - low;
  const zoom = (factor: number) => {
    const middle = low + span / 2;
    setView({ xMin: middle - (span * factor) / 2, xMax: middle + (span * factor) / 2 });
  };
  const pan = (share: number) => setView({ xMin: low + span * share, xMax: high + span * share });
  const acts: Readonly<Record<string, () => void>> = {
    "+": () => zoom(0.5),
    "-": () => zoom(2),
    "0": () => setView({ xMin: NaN, xMax: NaN }),
    ArrowLeft: () => pan(-0.25),
    ArrowRight: () => pan(0.25),
    t: showTable,
    Home: () => plot?.point(0),
    End: () => plot?.point(model.at.length - 1),
  };
  const act = acts[event.key];
  if (!act) return;
  event.preventDefault();
  event.stopPropagation();
  act();
}
