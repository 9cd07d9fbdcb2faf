// The runs table: the toolbar above, the grid of runs, and the border that makes it wider.

import { useEffect, useMemo, useState } from "preact/hooks";

import type { Row } from "../data/api";
import { listQuery, runs, RunsList } from "../data/runs";
import { useShortcuts } from "../keyboard";
import { Button } from "../parts/controls";
import { RunEditor } from "../parts/editor";
import { useView, type View } from "../view";
import { Grid } from "./grid";
import { Border, usePane } from "./pane";
import { Toolbar } from "./toolbar";
import { Tree } from "./tree";

const tree = new Tree(runs);
const pinned = new RunsList("pinned");

export function RunsTable({ writes }: { writes: boolean }) {
  const view = useView();
  const [width, setWidth] = usePane();
  const [edited, setEdited] = useState<Row | null>(null);
  const isClosed = width === 0;
  useFollowers(view);
  useShortcuts(
    useMemo(
      () => [{ key: "t", does: "Close or open the table", act: () => setWidth(isClosed ? null : 0) }],
      [isClosed],
    ),
  );
  if (isClosed)
    return <Button kind="icon" label="Open the table (t)" onClick={() => setWidth(null)}>»</Button>;
  return (
    <>
      <Toolbar writes={writes} onCollapse={() => setWidth(0)} />
      <Grid tree={tree} pinned={pinned} writes={writes} onEdit={setEdited} />
      <Border width={width} onResize={setWidth} />
      {edited && (
        <RunEditor runId={edited.run_id} name={edited.run_name} onClose={() => setEdited(null)} />
      )}
    </>
  );
}

/** Have the pinned runs, and children that are shown, with the columns and order of all. */
function useFollowers(view: View): void {
  const query = listQuery(view, runs.standard);
  const text = JSON.stringify(query);
  const { filter, experiments, nested, stage } = view;
  useEffect(() => tree.close(), [JSON.stringify([filter, experiments, nested, stage])]);
  useEffect(() => tree.follow(query), [text]);
  useEffect(() => {
    if (!view.pinned.length) return;
    const ids = view.pinned.map((id) => `'${id.replace(/\W/g, "")}'`).join(", ");
    const { order_by, columns } = query;
    void pinned.ask({ filter: `attributes.run_id IN (${ids})`, order_by, columns, stage });
  }, [text, view.pinned.join()]);
}
