// The page that draws every run as a line across several axes, and chooses runs by parts of them.

import { useMemo, useState } from "preact/hooks";

import { moved } from "../data/columns";
import { runs } from "../data/runs";
import { Button, Dialog, Empty, Problem } from "../parts/controls";
import { formatCount } from "../parts/format";
import { setView, useView } from "../view";
import { makeAxis } from "./axes";
import { Board, type Lane } from "./board";
import { NoneDrawn } from "./charts";
import { makeColours } from "./colours";
import { FieldPicker } from "./fieldpicker";
import { fieldTitle } from "./fields";
import { Legend, WhichRuns } from "./legend";
import { isWithin, parseRanges } from "./ranges";
import { useSamples } from "./samples";
import { counted, SampleTable } from "./scatter";
import { useUsual } from "./usual";

/** So many params, and the metric that runs are judged by, where nobody chose axes. */
const USUAL_PARAMS = 4;

export function Parallel() {
  const view = useView();
  const usual = useUsual();
  const standard = [...usual.params.slice(0, USUAL_PARAMS), ...usual.metrics.slice(0, 1)];
  const fields = view.axes.length ? view.axes : standard;
  const { samples, total, error } = useSamples(fields);
  const [isTable, setTable] = useState(false);
  const lanes = useMemo(() => {
    const ranges = parseRanges(view.ranges);
    return fields.map((field): Lane => {
      const values = samples?.map((sample) => sample.values[field]) ?? [];
      const title = fieldTitle(field, runs.keys.metrics);
      const axis = makeAxis(values, view.logAxes.includes(field));
      return { field, title, axis, range: ranges.find((each) => each.field === field) ?? null };
    });
  }, [samples, fields.join("\n"), view.ranges, view.logAxes]);
  const last = fields.at(-1) ?? "";
  const colours = useMemo(() => makeColours(last, samples?.map(({ values }) => values[last]) ?? []), [samples, last]);
  const inside = samples?.filter(({ values }) =>
    lanes.every(({ field, axis, range }) => !range || isWithin(axis, range, values[field])),
  );
  if (!view.all && samples && !samples.length) return <NoneDrawn><p><WhichRuns /></p></NoneDrawn>;
  const isChosen = inside !== undefined && samples !== null && inside.length < samples.length;
  return (
    <div class="comparison">
      <div class="bar" role="toolbar" aria-label="Parallel coordinates">
        <WhichRuns />
        <span class="soft" role="status">
          {isChosen ? `${inside.length.toLocaleString("en")} of ${formatCount(samples.length, "run")} inside` : counted(samples?.length, total)}
        </span>
        {isChosen && inside.length > 0 && (
          <Button kind="primary" onClick={() => setView({ runs: inside.map(({ runId }) => runId), hidden: [] })}>
            Select these
          </Button>
        )}
        {view.ranges.length > 0 && <Button onClick={() => setView({ ranges: [] })}>Whole axes</Button>}
        <span class="space" />
        {view.axes.length > 0 && <Button onClick={() => setView({ axes: [], logAxes: [], ranges: [] })}>Usual axes</Button>}
        <Button onClick={() => setTable(true)}>Table</Button>
        <FieldPicker
          label="Add axis"
          field=""
          onChoose={(field) => setView({ axes: [...fields.filter((each) => each !== field), field] })}
        />
      </div>
      {error && <Problem error={error} />}
      {samples && fields.length > 0 && (
        <Board
          samples={samples}
          inside={new Set(inside)}
          lanes={lanes}
          colourOf={(sample) => colours.of(sample.values[last])}
          onMove={(field, target) => setView({ axes: moved(fields, field, target) })}
          onRemove={(field) => setView({ axes: fields.filter((each) => each !== field) })}
        />
      )}
      {samples && !fields.length && <Empty title="Nothing to place the runs by."><p>These runs have neither params nor metrics.</p></Empty>}
      {samples && last && <Legend colours={colours} title={fieldTitle(last, runs.keys.metrics)} />}
      {isTable && inside && (
        <Dialog title="Runs" onClose={() => setTable(false)}>
          <SampleTable samples={inside} fields={fields} />
        </Dialog>
      )}
    </div>
  );
}
