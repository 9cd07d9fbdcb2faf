// Above the charts: over what they are drawn, how, for which runs together, and of which metrics.

import { formatX } from "../chart/axis";
import type { Detail } from "../data/api";
import type { Aggregate, Band, X } from "../data/wire";
import { Button, Check, Field, Menu, Select } from "../parts/controls";
import { formatCount } from "../parts/format";
import { setView, useView, type Size, type Smoothing, type YScale } from "../view";
import { GroupMenu } from "./groupmenu";
import { problemOf } from "./sections";

const AXES: readonly (readonly [X, string])[] = [
  ["step", "Step"],
  ["time", "Wall time"],
  ["relative", "Since start"],
  ["metric", "A metric"],
];
const SCALES: readonly (readonly [YScale, string])[] = [
  ["linear", "Linear"],
  ["log", "Log"],
  ["symlog", "Sym. log"],
];
const SMOOTHINGS: readonly (readonly [Smoothing, string])[] = [
  ["none", "None"],
  ["ema", "Exponential"],
  ["gaussian", "Gaussian"],
];
const SIZES: readonly (readonly [Size, string])[] = [["s", "S"], ["m", "M"], ["l", "L"]];
/** Where the x axis becomes a metric that nobody named: the first of these that is there. */
const USUAL_X = ["epoch", "epochs", "trainer/epoch", "tokens", "samples"];

interface ToolbarProps {
  runs: readonly Detail[];
  /** All metrics of the runs. */
  keys: readonly string[];
  /** How many of them have a chart. */
  shown: number;
}

export function ChartsToolbar({ runs, keys, shown }: ToolbarProps) {
  const view = useView();
  const problem = problemOf(view.keys);
  return (
    <div class="bar" role="toolbar" aria-label="Charts">
      <Field
        id="keys"
        label="Metrics"
        placeholder="Filter metrics (m)"
        value={view.keys}
        error={problem}
        onChange={(text) => setView({ keys: text })}
      />
      <span class="soft" role="status">{counted(shown, keys.length)}</span>
      <span class="space" />
      <Zoom />
      <XAxis keys={keys} />
      <Select<YScale> label="Y" value={view.y} options={SCALES} onChange={(y) => setView({ y })} />
      <Smoother />
      <GroupMenu runs={runs} extra={<Bands />} />
      <Menu label="More choices" content="More ▾">
        <div class="choices">
          <Check label="Log x" checked={view.logX} onChange={(logX) => setView({ logX })} />
          <Check label="Clip outliers" checked={view.clip} onChange={(clip) => setView({ clip })} />
          {runs.some(hasRanks) && (
            <Check
              label="Ranks apart"
              checked={view.ranksApart}
              onChange={(ranksApart) => setView({ ranksApart })}
            />
          )}
          <div class="sizes" role="group" aria-label="Size of charts">
            <span class="soft">Size</span>
            {SIZES.map(([size, title]) => (
              <Button key={size} pressed={view.size === size} onClick={() => setView({ size })}>
                {title}
              </Button>
            ))}
          </div>
        </div>
      </Menu>
      {problem && (
        <p class="problem" role="alert">
          This is no regular expression, so all charts are shown: {problem}
        </p>
      )}
    </div>
  );
}

function hasRanks(run: Detail): boolean {
  return run.series.some(({ rank }) => rank > 0);
}

function counted(shown: number, all: number): string {
  return shown === all ? formatCount(all, "chart") : `${shown.toLocaleString("en")} of ${formatCount(all, "chart")}`;
}

function XAxis({ keys }: { keys: readonly string[] }) {
  const { x, xKey } = useView();
  const choose = (x: X) => {
    const usual = USUAL_X.find((key) => keys.includes(key)) ?? keys[0] ?? "";
    setView({ x, xKey: x === "metric" ? xKey || usual : "", xMin: NaN, xMax: NaN });
  };
  return (
    <>
      <Select<X> label="X" value={x} options={AXES} onChange={choose} />
      {x === "metric" && (
        <Field
          label="Metric of the x axis"
          value={xKey}
          suggestions={keys}
          error={keys.includes(xKey) ? undefined : "These runs have no such metric."}
          late
          onChange={(text) => text !== xKey && setView({ xKey: text, xMin: NaN, xMax: NaN })}
        />
      )}
    </>
  );
}

function Smoother() {
  const { smoothing, strength } = useView();
  return (
    <>
      <Select<Smoothing>
        label="Smoothing"
        value={smoothing}
        options={SMOOTHINGS}
        onChange={(smoothing) => setView({ smoothing })}
      />
      {smoothing !== "none" && (
        <input
          type="range"
          class="slider"
          aria-label="Strength of smoothing"
          title={`Strength ${strength}`}
          min="0"
          max="1"
          step="0.05"
          value={String(strength)}
          onInput={(event) => setView({ strength: Number(event.currentTarget.value) })}
        />
      )}
    </>
  );
}

/** How a group is drawn: its line, and the band around it. */
function Bands() {
  const { aggregate, band } = useView();
  return (
    <div class="choices">
      <Select<Aggregate>
        label="Line"
        value={aggregate}
        options={[["mean", "Mean"], ["median", "Median"]]}
        onChange={(aggregate) => setView({ aggregate })}
      />
      <Select<Band>
        label="Band"
        value={band}
        options={[
          ["minmax", "Min – max"],
          ["std", "Standard deviation"],
          ["sem", "Standard error"],
          ["ci95", "95 % confidence"],
        ]}
        onChange={(band) => setView({ band })}
      />
    </div>
  );
}

/** What is zoomed to, and the way out. */
function Zoom() {
  const { x, xMin, xMax } = useView();
  if (Number.isNaN(xMin) && Number.isNaN(xMax)) return null;
  return (
    <Button label="Show all of x" onClick={() => setView({ xMin: NaN, xMax: NaN })}>
      <span class="window">{windowText(xMin, xMax, x)}</span> <span aria-hidden="true">×</span>
    </Button>
  );
}

/** Return a window in words, such as `step 100 – 200`; an end that is NaN is open. */
function windowText(low: number, high: number, x: X): string {
  const [from, to] = [low, high].map((end) => (Number.isNaN(end) ? "…" : formatX(end, x)));
  return `${from} – ${to?.replace(/^step /, "")}`;
}
