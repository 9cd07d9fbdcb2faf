// What the pages that place runs have in common: which runs those are, and what colours mean.

import { formatNumber } from "../parts/format";
import { Select } from "../parts/controls";
import { setView, useView } from "../view";
import { type Colours, scaleColour } from "./colours";

export function WhichRuns() {
  const { all } = useView();
  return (
    <Select<"drawn" | "all">
      label="Runs"
      value={all ? "all" : "drawn"}
      options={[["drawn", "Drawn runs"], ["all", "All listed"]]}
      onChange={(value) => setView({ all: value === "all" })}
    />
  );
}

/** What the colours of runs mean: a scale, or a colour for each value. */
export function Legend({ colours: { few, low, high }, title }: { colours: Colours; title: string }) {
  const stops = Array.from({ length: 9 }, (_, index) => scaleColour(index / 8)).join(", ");
  return (
    <div class="colour-legend">
      <bdi class="soft">{title}</bdi>
      {few ? (
        <ul>
          {few.map(([name, colour]) => (
            <li key={name} title={name}><i style={{ background: colour }} /><bdi>{name}</bdi></li>
          ))}
        </ul>
      ) : (
        <>
          <span>{formatNumber(low)}</span>
          <span class="scale" style={{ background: `linear-gradient(90deg in oklch, ${stops})` }} />
          <span>{formatNumber(high)}</span>
        </>
      )}
    </div>
  );
}
