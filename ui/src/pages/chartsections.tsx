// Charts of metrics in sections. However many there are, only those in sight are alive; the others
// are the height that they will take.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { MetricChart } from "../chart/chart";
import type { Detail } from "../data/api";
import { Button, Dialog } from "../parts/controls";
import { formatCount } from "../parts/format";
import { setView, toggled, useView } from "../view";
import { GAP, type Grid, gridOf, HEAD, place, type Placed, rowsBetween } from "./layout";
import { PLAIN, toSections } from "./sections";
import { useSight } from "./sight";

interface ChartSectionsProps {
  runs: readonly Detail[];
  /** Of the metrics; one chart for each. */
  keys: readonly string[];
}

export function ChartSections({ runs, keys }: ChartSectionsProps) {
  const { closed, size, chart } = useView();
  const box = useRef<HTMLDivElement>(null);
  const { width, from, to } = useSight(box);
  const shown = useKept(runs);
  const sections = useMemo(() => toSections(keys), [useKept(keys)]);
  const grid = gridOf(size, width);
  const placed = place(sections, closed, grid);
  const last = placed.at(-1);
  return (
    <>
      <div ref={box} class="sections" style={{ height: `${last ? last.top + last.height : 0}px` }}>
        {width > 0 &&
          placed
            .filter(({ top, height }) => top < to && top + height > from)
            .map((each) => (
              <SectionOfCharts
                key={each.section.name}
                placed={each}
                grid={grid}
                rows={rowsBetween(each, grid, from, to)}
                runs={shown}
              />
            ))}
      </div>
      {chart && keys.includes(chart) && (
        <Enlarged title={chart} keys={sections.flatMap(({ keys }) => keys)} runs={shown} />
      )}
    </>
  );
}

/** Return the list of before for as long as its elements are the same. */
export function useKept<T>(list: readonly T[]): readonly T[] {
  const kept = useRef(list);
  const same =
    kept.current.length === list.length && list.every((each, index) => each === kept.current[index]);
  if (!same) kept.current = list;
  return kept.current;
}

interface SectionProps {
  placed: Placed;
  grid: Grid;
  /** The first row to draw and the last, not included. */
  rows: readonly [number, number];
  runs: readonly Detail[];
}

function SectionOfCharts({ placed, grid, rows: [first, last], runs }: SectionProps) {
  const { closed } = useView();
  const { section, isOpen, top, height } = placed;
  const title = section.name === PLAIN ? "Metrics" : section.name;
  const shown = section.keys.slice(first * grid.columns, last * grid.columns);
  return (
    <section class="section" aria-label={title} style={{ top: `${top}px`, height: `${height}px` }}>
      <h2 class="section-head">
        <button
          type="button"
          aria-expanded={isOpen}
          onClick={() => setView({ closed: toggled(closed, section.name) })}
        >
          <span class="sign" aria-hidden="true">{isOpen ? "▾" : "▸"}</span>
          <bdi>{title}</bdi>
          <span class="soft">{formatCount(section.keys.length, "chart")}</span>
        </button>
      </h2>
      {shown.length > 0 && (
        <div
          class="section-grid"
          style={{
            top: `${HEAD + first * (grid.height + GAP)}px`,
            gap: `${GAP}px`,
            gridTemplateColumns: `repeat(${grid.columns}, minmax(0, 1fr))`,
          }}
        >
          {shown.map((key) => (
            <Cell key={key} name={key} grid={grid} runs={runs} />
          ))}
        </div>
      )}
    </section>
  );
}

interface CellProps {
  name: string;
  grid: Grid;
  runs: readonly Detail[];
}

/** One chart, which is drawn again only for a reason of its own, not whenever something scrolls. */
function Cell({ name, grid: { height }, runs }: CellProps) {
  return useMemo(
    () => (
      <MetricChart
        title={name}
        keys={[name]}
        runs={runs}
        height={height}
        onEnlarge={() => setView({ chart: name })}
      />
    ),
    [name, height, runs],
  );
}

interface EnlargedProps {
  title: string;
  /** Of all charts, in their order: the one before and the one after can be had. */
  keys: readonly string[];
  runs: readonly Detail[];
}

/** A chart as large as the window. */
function Enlarged({ title, keys, runs }: EnlargedProps) {
  const height = useHeight();
  const index = keys.indexOf(title);
  const go = (by: number) => setView({ chart: keys[index + by] ?? title });
  return (
    <Dialog title={title} onClose={() => setView({ chart: "" })}>
      <div class="enlarged">
        <MetricChart key={title} title={title} keys={[title]} runs={runs} height={height} />
        <p class="line-of-buttons">
          <Button disabled={index <= 0} onClick={() => go(-1)}>← Previous</Button>
          <span class="soft">{index + 1} of {keys.length}</span>
          <Button disabled={index >= keys.length - 1} onClick={() => go(1)}>Next →</Button>
        </p>
      </div>
    </Dialog>
  );
}

/** Return how high a chart can be that fills the window, in px. */
function useHeight(): number {
  const measure = () => Math.max(200, Math.round(innerHeight * 0.94) - 106);
  const [height, setHeight] = useState(measure);
  useEffect(() => {
    const take = () => setHeight(measure());
    addEventListener("resize", take);
    return () => removeEventListener("resize", take);
  }, []);
  return height;
}
