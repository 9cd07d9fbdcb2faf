// The rows of the table: those on screen of a list of any length, under a head that stays, with the
// pinned runs on top. The keyboard moves an active line; the focus stays on the grid itself.

import type { CSSProperties, RefObject } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import type { Row } from "../data/api";
import { parseColumn, type Column } from "../data/columns";
import { chosenRuns } from "../data/details";
import { runs, type RunsList } from "../data/runs";
import { useObservable } from "../data/store";
import { useShortcuts } from "../keyboard";
import { remove, restore } from "../parts/changes";
import { useSpan } from "../parts/spans";
import { getView, setView, toggled, useView, type View } from "../view";
import { Head, widths } from "./head";
import { gridShortcuts, type GridKeys } from "./keys";
import { Line, lineId, type LineActions, type LineProps } from "./row";
import { useStillness } from "./stillness";
import type { Tree } from "./tree";

/** Height of a line in px; --row in base.css. */
const ROW = 30;
const LATER_MS = 60;

interface GridProps {
  tree: Tree;
  pinned: RunsList;
  writes: boolean;
  onEdit(row: Row): void;
}

export function Grid({ tree, pinned, writes, onEdit }: GridProps) {
  const view = useView();
  const box = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState<number | null>(null);
  const [renamed, setRenamed] = useState<number | null>(null);
  const lines = useObservable(tree);
  const pins = usePins(pinned, view);
  const columns = useColumns(view);
  const [first, last] = useSpan(box, ROW, lines.size);
  const at = (line: number) => (line < 0 ? pins[line + pins.length] : rowOf(lines, line));
  const actions = useActions({ box, at, onEdit, tree, setActive, setRenamed });
  useLoading(tree, first, last);
  useStillness(box, ROW, tree, pins.length, view, (from, by) => {
    const moved = (line: number | null) => (line !== null && line >= from ? line + by : line);
    setActive(moved);
    setRenamed(moved);
  });
  useGridShortcuts({
    box, at, actions, setActive, writes,
    active: active ?? 0,
    first: -pins.length,
    last: lines.size - 1,
    page: Math.max(1, Math.floor((box.current?.clientHeight ?? 300) / ROW) - 2),
  });
  const drawn = drawnAs(view);
  const shown = { view, columns, writes, actions, drawn, active, renamed, pins: pins.length };
  const { template, total } = widths(columns);
  return (
    <div
      ref={box}
      id="runs"
      class="grid"
      role="grid"
      tabIndex={0}
      aria-label="Runs"
      aria-multiselectable
      aria-rowcount={1 + pins.length + lines.size}
      aria-colcount={6 + columns.length}
      aria-activedescendant={active === null ? undefined : lineId(active)}
      style={{ "--columns": template, "--total": `${total}px` } as CSSProperties}
      onFocus={() => setActive((line) => line ?? -pins.length)}
    >
      <div class="head" role="rowgroup">
        <Head columns={columns} />
        {pins.map((row, index) => toLine(shown, row, index - pins.length))}
      </div>
      {runs.known && !lines.size && <p class="waiting">No run is listed.</p>}
      <div class="lines" role="rowgroup" style={{ height: `${lines.size * ROW}px` }}>
        {Array.from({ length: Math.max(0, last - first) }, (_, index) => {
          const line = first + index;
          const { list, index: place, depth } = lines.at(line);
          const row = list.row(place);
          const isOpen = view.nested && row?.children ? lines.isOpen(row.run_id) : null;
          return toLine(shown, row, line, depth, isOpen);
        })}
      </div>
    </div>
  );
}

/** What lines have in common. */
interface Shown extends Pick<LineProps, "view" | "columns" | "writes" | "actions"> {
  drawn(runId: string): LineProps["drawn"];
  active: number | null;
  renamed: number | null;
  pins: number;
}

function toLine(
  { drawn, active, renamed, pins, ...rest }: Shown,
  row: Row | undefined,
  line: number,
  depth = 0,
  isOpen: boolean | null = null,
) {
  return (
    <Line
      key={line < 0 ? `pin ${row?.run_id}` : line}
      {...{ ...rest, row, line, depth, isOpen }}
      rowIndex={line + pins + 2}
      isActive={line === active}
      isRenamed={line === renamed && row !== undefined}
      isSelected={row !== undefined && rest.view.runs.includes(row.run_id)}
      isPinned={row !== undefined && rest.view.pinned.includes(row.run_id)}
      drawn={row ? drawn(row.run_id) : "no"}
    />
  );
}

/** Return the rows of the pinned runs, as far as they are known. */
function usePins(pinned: RunsList, view: View): readonly Row[] {
  const rows = useObservable(pinned).first(view.pinned.length);
  return rows.filter((row) => view.pinned.includes(row.run_id));
}

function rowOf(tree: Tree, line: number): Row | undefined {
  const { list, index } = tree.at(line);
  return list.row(index);
}

/** Return the columns that are shown, those that were not chosen too. */
function useColumns(view: View): readonly Column[] {
  const names = view.columns.length ? view.columns : runs.standard;
  const { metrics } = runs.keys;
  return useMemo(() => names.flatMap((name) => parseColumn(name, metrics) ?? []), [names, metrics]);
}

/** Return how a run's line is drawn, by its id. */
function drawnAs(view: View): Shown["drawn"] {
  const [among, hidden] = [new Set(chosenRuns(view)), new Set(view.hidden)];
  return (runId) => (!among.has(runId) ? "no" : hidden.has(runId) ? "hidden" : "yes");
}

/** Load the rows on screen, a moment after they came there: a drag of the scrollbar asks little. */
function useLoading(tree: Tree, first: number, last: number): void {
  const wanted = useRef([first, last] as const);
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  wanted.current = [first, Math.max(first, last - 1)];
  useEffect(() => {
    timer.current ??= setTimeout(() => {
      timer.current = null;
      tree.show(...wanted.current);
    }, LATER_MS);
  }, [tree, first, last]);
  useEffect(() => () => clearTimeout(timer.current ?? undefined), []);
}

interface ActionsNeed {
  box: RefObject<HTMLElement | null>;
  at(line: number): Row | undefined;
  onEdit(row: Row): void;
  tree: Tree;
  setActive(line: number): void;
  setRenamed(line: number | null): void;
}

/** Return what lines can do: the same object all the time. */
function useActions(need: ActionsNeed): LineActions {
  const current = useRef(need);
  current.current = need;
  return useMemo(() => lineActions(() => current.current), []);
}

function lineActions(now: () => ActionsNeed): LineActions {
  let lastSelected: number | null = null;
  return {
    activate: (line) => now().setActive(line),
    select(row, line, extend) {
      const { at, setActive } = now();
      const view = getView();
      const from = extend ? (lastSelected ?? line) : line;
      const [low, high] = [Math.min(from, line), Math.max(from, line)];
      const between = Array.from({ length: high - low + 1 }, (_, index) => at(low + index)?.run_id);
      const adds = !view.runs.includes(row.run_id);
      const others = view.runs.filter((id) => !between.includes(id));
      const added = between.filter((id) => id !== undefined);
      lastSelected = line;
      setActive(line);
      setView({ runs: adds ? [...new Set([...view.runs, ...added])] : others });
    },
    open: (row) => setView({ page: "run", run: row.run_id }),
    hide: (row) => setView({ hidden: toggled(getView().hidden, row.run_id) }),
    pin: (row) => setView({ pinned: toggled(getView().pinned, row.run_id) }),
    edit: (row) => now().onEdit(row),
    toggle: (line) => now().tree.toggle(line),
    rename(line, takesFocus) {
      now().setRenamed(line);
      if (takesFocus) now().box.current?.focus();
    },
  };
}

/** Add the grid's keys to the page's table of keys; they mean whatever the grid shows by then. */
function useGridShortcuts(keys: GridKeys): void {
  const current = useRef(keys);
  current.current = keys;
  const changes = { remove, restore };
  useShortcuts(useMemo(() => gridShortcuts(() => current.current, changes), []));
}
