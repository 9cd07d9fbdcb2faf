// The table of all series of a run, without their points: rows on screen only, for there may be
// thousands.

import { useMemo, useRef } from "preact/hooks";

import type { Detail, Summary } from "../data/api";
import { direction, nextOrder } from "../data/columns";
import { formatNumber, formatValue } from "../parts/format";
import { useSpan } from "../parts/spans";
import { setView, useView } from "../view";
import { matching, sortedSeries, type SummaryColumn } from "./summary";

/** Height of a row in px; .summary in table.css has the same. */
const ROW = 26;

const COLUMNS: readonly (readonly [SummaryColumn | "key", string])[] = [
  ["key", "Metric"],
  ["last", "Last"],
  ["first", "First"],
  ["min", "Min"],
  ["max", "Max"],
  ["mean", "Mean"],
  ["count", "Points"],
  ["nan_count", "NaN"],
];

export function SummaryTable({ run }: { run: Detail }) {
  const { keys, summary } = useView();
  const box = useRef<HTMLDivElement>(null);
  const series = useMemo(
    () => sortedSeries(matching(run.series, keys), summary),
    [run.series, keys, summary],
  );
  const [first, last] = useSpan(box, ROW, series.length);
  return (
    <section class="summary">
      <div class="summary-top">
        <h2>Metrics</h2>
        <span class="soft">
          {series.length < run.series.length ? `${formatNumber(series.length)} of ` : ""}
          {formatNumber(run.series.length)}
        </span>
      </div>
      <div ref={box} class="summary-rows" tabIndex={0} role="region" aria-label="Metrics of the run">
        <table aria-rowcount={series.length + 1}>
          <thead>
            <tr>{COLUMNS.map(([column, title]) => <Title key={column} {...{ column, title, summary }} />)}</tr>
          </thead>
          <tbody>
            <Gap rows={first} />
            {series.slice(first, last).map((each, index) => (
              <SeriesRow key={identity(each)} series={each} index={first + index} />
            ))}
            <Gap rows={series.length - last} />
          </tbody>
        </table>
        {!series.length && <p class="waiting">{run.series.length ? "No metric is like this." : "No metric was logged."}</p>}
      </div>
    </section>
  );
}

function Title({ column, title, summary }: { column: string; title: string; summary: string }) {
  const sorted = direction(summary, column);
  return (
    <th scope="col" aria-sort={sorted ?? undefined} class={column === "key" ? "" : "number"}>
      <button type="button" class="title" onClick={() => setView({ summary: nextOrder(summary, column) })}>
        {title}
        {sorted && <span aria-hidden="true">{sorted === "ascending" ? " ↑" : " ↓"}</span>}
      </button>
    </th>
  );
}

/** The height of rows that are not drawn. */
function Gap({ rows }: { rows: number }) {
  if (rows <= 0) return null;
  return <tr aria-hidden="true"><td colSpan={COLUMNS.length} style={{ height: `${rows * ROW}px` }} /></tr>;
}

function SeriesRow({ series, index }: { series: Summary; index: number }) {
  const about = origin(series);
  return (
    <tr aria-rowindex={index + 2}>
      <th scope="row" title={[series.key, about].filter(Boolean).join("\n")}>
        <bdi>{series.key}</bdi>
        {about && <span class="soft"> {about}</span>}
      </th>
      <At value={series.last} step={series.last_step} />
      <At value={series.first} step={series.first_step} />
      <At value={series.min} step={series.min_step} />
      <At value={series.max} step={series.max_step} />
      <td class="number" title={String(series.mean ?? "")}>{formatValue(series.mean)}</td>
      <td class="number">{formatNumber(series.count)}</td>
      <td class={series.nan_count ? "number bad" : "number soft"}>{formatNumber(series.nan_count)}</td>
    </tr>
  );
}

/** A value, and the step at which it was logged. */
function At({ value, step }: { value: Summary["last"] | undefined; step: number | undefined }) {
  return (
    <td class="number" title={value === undefined ? "" : `${value} at step ${step}`}>
      {formatValue(value)}
      {step !== undefined && <small> @{formatNumber(step)}</small>}
    </td>
  );
}

/** Return what a series was measured on, besides its run. */
function origin({ model_id, dataset_name, attempt, rank }: Summary): string {
  const parts = [
    dataset_name && `on ${dataset_name}`,
    model_id && `model ${model_id.slice(0, 10)}`,
    attempt ? `attempt ${attempt}` : "",
    rank > 0 ? `rank ${rank}` : "",
  ];
  return parts.filter(Boolean).join(", ");
}

function identity(series: Summary): string {
  const { key, model_id, dataset_name, dataset_digest, attempt, rank } = series;
  return JSON.stringify([key, model_id, dataset_name, dataset_digest, attempt, rank]);
}
