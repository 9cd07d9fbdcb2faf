// The head of the table: a click on a title sorts on the server, dragging it moves the column.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

import { getTable } from "../data/api";
import { columnTitle, direction, moved, nextOrder, orderOf, type Column } from "../data/columns";
import { listQuery, runs } from "../data/runs";
import { getView, setView, useView } from "../view";

/** So many runs are selected together at most. */
const MOST = 200;

/** Widths of what stands before the chosen columns: box, line, name and status; and behind them. */
const BEFORE = [28, 28, 168, 92];
const BEHIND = [96, 96];
const NAME = 2;

/** Return the widths of all columns for CSS, and the sum of the least ones in px. */
export function widths(columns: readonly Column[]): { template: string; total: number } {
  const all = [...BEFORE, ...columns.map(widthOf), ...BEHIND];
  const template = all.map((px, index) => (index === NAME ? `minmax(${px}px, 1fr)` : `${px}px`));
  return { template: template.join(" "), total: all.reduce((sum, px) => sum + px, 0) };
}

/** Return the width of a column in px: its title fits, unless it is long. */
function widthOf(column: Column): number {
  return Math.max(80, Math.min(150, 22 + 7 * columnTitle(column).length));
}

export function Head({ columns }: { columns: readonly Column[] }) {
  const [dragged, setDragged] = useState<string | null>(null);
  const names = columns.map(({ name }) => name);
  const drop = (target: string) => {
    if (dragged !== null && dragged !== target) setView({ columns: moved(names, dragged, target) });
    setDragged(null);
  };
  return (
    <div role="row" class="titles" aria-rowindex={1}>
      <SelectAll />
      <div role="columnheader" class="fixed swatch">
        <span class="visually-hidden">Line</span>
      </div>
      <Title kind="fixed name" by="attributes.run_name">Name</Title>
      <Title by="attributes.status">Status</Title>
      {columns.map((column) => (
        <Title
          key={column.name}
          by={orderOf(column)}
          kind={column.kind === "metrics" ? "number" : "text"}
          title={`${column.kind.slice(0, -1)} ${columnTitle(column)}`}
          drag={{ start: () => setDragged(column.name), drop: () => drop(column.name) }}
        >
          <bdi>{columnTitle(column)}</bdi>
        </Title>
      ))}
      <Title by="attributes.start_time">Started</Title>
      <Title kind="number" by={null}>Duration</Title>
    </div>
  );
}

interface TitleProps {
  children: ComponentChildren;
  /** As in MLflow's order_by; null where the server cannot sort by it. */
  by: string | null;
  kind?: string;
  title?: string;
  drag?: { start(): void; drop(): void };
}

function Title({ children, by, kind = "text", title, drag }: TitleProps) {
  const { order } = useView();
  const sorted = by === null ? null : direction(order, by);
  const arrow = sorted && <span aria-hidden="true">{sorted === "ascending" ? "↑ " : "↓ "}</span>;
  return (
    <div
      role="columnheader"
      class={kind}
      title={title}
      aria-sort={sorted ?? undefined}
      draggable={drag !== undefined}
      onDragStart={(event) => {
        event.dataTransfer?.setData("text/plain", title ?? ""); // without it some do not drag
        drag?.start();
      }}
      onDragOver={(event) => drag && event.preventDefault()}
      onDrop={drag?.drop}
    >
      {by === null ? (
        <span class="title">{children}</span>
      ) : (
        <button type="button" class="title" onClick={() => setView({ order: nextOrder(order, by) })}>
          {arrow}
          {children}
        </button>
      )}
    </div>
  );
}

function SelectAll() {
  const view = useView();
  const count = Math.min(runs.total, MOST);
  const label = runs.total > MOST ? `Select the first ${MOST} runs` : "Select all runs";
  const isAll = count > 0 && view.runs.length >= count;
  return (
    <div role="columnheader" class="fixed check">
      <input
        type="checkbox"
        aria-label={label}
        title={label}
        checked={isAll}
        indeterminate={view.runs.length > 0 && !isAll}
        onClick={() => void (isAll ? setView({ runs: [] }) : selectAll())}
      />
    </div>
  );
}

async function selectAll(): Promise<void> {
  const { rows } = await getTable({ ...listQuery(getView()), columns: [], offset: 0, limit: MOST });
  setView({ runs: rows.map((row) => row.run_id) });
}
