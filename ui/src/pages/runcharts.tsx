// The charts of one run; those of the system come last, and are closed until somebody opens them.

import type { Detail } from "../data/api";
import { useView } from "../view";
import { ChartSections } from "./chartsections";
import { matching } from "./summary";
import { ChartsToolbar } from "./toolbar";

export function RunCharts({ run }: { run: Detail }) {
  const { keys: expression } = useView();
  const keys = distinct(run.series.map(({ key }) => key));
  const shown = distinct(matching(run.series, expression).map(({ key }) => key));
  if (!keys.length) return null;
  return (
    <section class="charts" aria-label="Charts">
      <ChartsToolbar runs={[run]} keys={keys} shown={shown.length} />
      <ChartSections runs={[run]} keys={shown} />
    </section>
  );
}

function distinct(names: readonly string[]): readonly string[] {
  return [...new Set(names)];
}
