// The page of charts: one for each metric of the drawn runs.

import type { ComponentChildren } from "preact";

import type { Detail } from "../data/api";
import { chosenRuns, useDrawnRuns } from "../data/details";
import { assignGroupStrokes } from "../palette";
import { Button, Empty, Problem } from "../parts/controls";
import { setView, useView } from "../view";
import { ChartSections } from "./chartsections";
import { groupRuns } from "./fields";
import { useKeys } from "./keysof";
import { problemOf } from "./sections";
import { matcher } from "./summary";
import { ChartsToolbar } from "./toolbar";

export function Charts() {
  const view = useView();
  const { keys: expression, group, hidden } = view;
  const drawn = useDrawnRuns();
  if (group.length) assignGroupStrokes(groupRuns(drawn, group).map((each) => each.group));
  // Asked for while the details of the runs are under way.
  const { keys, error } = useKeys(chosenRuns(view).filter((id) => !hidden.includes(id)));
  const isWrong = problemOf(expression) !== undefined;
  const shown = isWrong || !expression ? (keys ?? []) : (keys ?? []).filter(matcher(expression));
  return (
    <div class="charts">
      <ChartsToolbar runs={drawn} keys={keys ?? []} shown={shown.length} />
      {error && <Problem error={error} />}
      <div class="scroll">
        {drawn.length && shown.length ? (
          <ChartSections runs={drawn} keys={shown} />
        ) : (
          <Nothing runs={drawn} keys={keys} failed={error !== null} />
        )}
      </div>
    </div>
  );
}

interface NothingProps {
  runs: readonly Detail[];
  keys: readonly string[] | null;
  failed: boolean;
}

/** What stands where no chart is. */
function Nothing({ runs, keys, failed }: NothingProps) {
  const view = useView();
  if (!runs.length) return <NoneDrawn />;
  if (!keys) return failed ? null : <p class="waiting">Loading …</p>;
  if (keys.length)
    return (
      <Empty title="No metric is like this.">
        <p>
          None of {keys.length.toLocaleString("en")} metrics matches <code>{view.keys}</code>.
        </p>
        <p><Button kind="primary" onClick={() => setView({ keys: "" })}>Show all metrics</Button></p>
      </Empty>
    );
  const isRunning = runs.some(({ status }) => status === "RUNNING");
  return (
    <Empty title={isRunning ? "Waiting for the first point …" : "No metric was logged."}>
      <p>
        {isRunning
          ? "The charts appear here by themselves."
          : "These runs have params and tags at most. Select others in the table."}
      </p>
    </Empty>
  );
}

/** What a page says that draws runs, where none is drawn. */
export function NoneDrawn({ children }: { children?: ComponentChildren }) {
  const view = useView();
  const chosen = chosenRuns(view);
  if (chosen.some((id) => !view.hidden.includes(id))) return <p class="waiting">Loading …</p>;
  return (
    <Empty title="No run is drawn.">
      <p>{chosen.length ? "All selected runs are hidden." : "Select runs in the table to see them here."}</p>
      {chosen.length > 0 && (
        <p><Button kind="primary" onClick={() => setView({ hidden: [] })}>Draw them again</Button></p>
      )}
      {children}
    </Empty>
  );
}
