// The charts of one run: its metrics, and below them what was measured of the system.

import type { Detail } from "../data/api";

export function RunCharts({ run }: { run: Detail }) {
  return <section class="run-charts"><h2>Charts</h2><p class="soft">{run.series.length}</p></section>;
}
