// One line of the table: what is known of a run, and what can be done with it.
//
// Its buttons are for the pointer only and are left out of the tab order: the grid has a key for
// each of them.

import { useMemo, useRef, useState } from "preact/hooks";

import { emphasiseRun } from "../chart/plot";
import type { Row, Value } from "../data/api";
import type { Column } from "../data/columns";
import { details } from "../data/details";
import { useObservable } from "../data/store";
import { groupRuns } from "../pages/fields";
import { strokeOf, strokeOfGroup } from "../palette";
import { rename } from "../parts/changes";
import { formatMoment, formatSpan, formatTime, formatValue } from "../parts/format";
import { duration, Status } from "../parts/status";
import { encodeView, useView, type View } from "../view";

export interface LineActions {
  activate(line: number): void;
  select(row: Row, line: number, extend: boolean): void;
  open(row: Row): void;
  hide(row: Row): void;
  pin(row: Row): void;
  edit(row: Row): void;
  toggle(line: number): void;
  /** Rename the run of a line, or (null) no longer; the focus comes back to the grid. */
  rename(line: number | null, takesFocus?: boolean): void;
}

export interface LineProps {
  row: Row | undefined;
  /** Below 0 for pinned runs. */
  line: number;
  /** Its number for screen readers: the head is 1. */
  rowIndex: number;
  depth: number;
  columns: readonly Column[];
  isActive: boolean;
  isSelected: boolean;
  /** Whether its line is among those drawn: "no" where it was not chosen. */
  drawn: "yes" | "hidden" | "no";
  isPinned: boolean;
  /** Whether its children are shown; null where there is nothing to open. */
  isOpen: boolean | null;
  isRenamed: boolean;
  writes: boolean;
  view: View;
  /** Always the same object. */
  actions: LineActions;
}

/** A line that is drawn again only when something in it has changed: scrolling leaves most alone. */
export function Line(props: LineProps) {
  return useMemo(() => draw(props), Object.values(props));
}

function draw(props: LineProps) {
  const { row, line, rowIndex, columns, isActive, isSelected } = props;
  const top = line < 0 ? undefined : { top: `calc(var(--row) * ${line})` };
  const identity = {
    id: lineId(line),
    style: top,
    class: isActive ? "line active" : "line",
    "aria-rowindex": rowIndex,
    onPointerDown: () => props.actions.activate(line),
    onPointerEnter: () => row && props.drawn === "yes" && emphasiseRun(row.run_id),
    onPointerLeave: () => emphasiseRun(""),
  };
  if (!row)
    return (
      <div role="row" {...identity} aria-busy="true">
        <div role="gridcell" class="placeholder" />
      </div>
    );
  return (
    <div role="row" {...identity} aria-selected={isSelected} data-run={row.run_id}>
      <Signs {...props} row={row} />
      <Name {...props} row={row} />
      <div role="gridcell"><Status status={row.status} /></div>
      {columns.map((column) => (
        <Cell key={column.name} column={column} value={row.values[column.name]} />
      ))}
      <div role="gridcell" class="soft" title={formatTime(row.start_time)}>
        {formatMoment(row.start_time)}
      </div>
      <div role="gridcell" class="number soft">{span(duration(row))}</div>
    </div>
  );
}

export const lineId = (line: number): string => `line-${line}`;

type KnownProps = LineProps & { row: Row };

function Signs({ row, line, isSelected, drawn, actions }: KnownProps) {
  return (
    <>
      <div role="gridcell" class="fixed check">
        <input
          type="checkbox"
          tabIndex={-1}
          checked={isSelected}
          aria-label={`Select ${row.run_name}`}
          onClick={(event) => actions.select(row, line, event.shiftKey)}
        />
      </div>
      <div role="gridcell" class="fixed swatch">
        {drawn !== "no" && (
          <button
            type="button"
            tabIndex={-1}
            aria-pressed={drawn === "yes"}
            aria-label={`Draw ${row.run_name}`}
            title={drawn === "yes" ? "Drawn; click to hide (h)" : "Hidden; click to draw (h)"}
            onClick={() => actions.hide(row)}
          >
            <Swatch runId={row.run_id} isHidden={drawn === "hidden"} />
          </button>
        )}
      </div>
    </>
  );
}

/** A piece of the line that a run, or its group, is drawn with. */
export function Swatch({ runId, isHidden = false }: { runId: string; isHidden?: boolean }) {
  const { group } = useView();
  const run = useObservable(details).get(runId);
  const [mine] = run && group.length ? groupRuns([run], group) : [];
  const { colour, dash } = mine ? strokeOfGroup(mine.group) : strokeOf(runId);
  return (
    <svg class="swatch" width="18" height="10" aria-hidden="true" opacity={isHidden ? 0.6 : 1}>
      {isHidden ? (
        <circle cx="9" cy="5" r="3.5" fill="none" stroke={colour} />
      ) : (
        <path d="M1 5H17" stroke={colour} stroke-width="3" stroke-dasharray={dash.join(" ")} />
      )}
    </svg>
  );
}

function Name(props: KnownProps) {
  const { row, line, depth, isOpen, isRenamed, actions } = props;
  const indent = { paddingLeft: `${4 + depth * 16}px` };
  if (isRenamed)
    return (
      <div role="gridcell" class="fixed name" style={indent}>
        <NameField row={row} onDone={(byKey) => actions.rename(null, byKey)} />
      </div>
    );
  return (
    <div role="gridcell" class="fixed name" style={indent}>
      {isOpen !== null && (
        <button
          type="button"
          tabIndex={-1}
          class="expander"
          aria-expanded={isOpen}
          aria-label={`Children of ${row.run_name}`}
          title={`${row.children} children`}
          onClick={() => actions.toggle(line)}
        >
          {isOpen ? "▾" : "▸"}
        </button>
      )}
      <NameLink {...props} />
      {row.note && <span class="noted" title={row.note}>¶</span>}
      <HoverButtons {...props} />
    </div>
  );
}

function NameLink({ row, view, actions }: KnownProps) {
  return (
    <a
      href={`#${encodeView({ ...view, page: "run", run: row.run_id })}`}
      tabIndex={-1}
      title={[row.run_name, `in ${row.experiment_name}`, row.note].filter(Boolean).join("\n")}
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        actions.open(row);
      }}
    >
      <bdi>{row.run_name || row.run_id}</bdi>
    </a>
  );
}

/** What shows while the pointer is on the line; a pin that is set always does. */
function HoverButtons({ row, isPinned, writes, actions }: KnownProps) {
  return (
    <span class={isPinned ? "hover pinned" : "hover"}>
      {writes && (
        <button
          type="button"
          tabIndex={-1}
          title="Name, note, tags (e)"
          aria-label={`Edit ${row.run_name}`}
          onClick={() => actions.edit(row)}
        >
          ✎
        </button>
      )}
      <button
        type="button"
        tabIndex={-1}
        class="pin"
        aria-pressed={isPinned}
        title={isPinned ? "No longer on top (p)" : "Keep on top (p)"}
        aria-label={`Pin ${row.run_name}`}
        onClick={() => actions.pin(row)}
      >
        ⚲
      </button>
    </span>
  );
}

function NameField({ row, onDone }: { row: Row; onDone(byKey: boolean): void }) {
  const [name, setName] = useState(row.run_name);
  const finished = useRef(false); // leaving the page is a blur as well
  const finish = (wanted: string, byKey: boolean) => {
    if (finished.current) return;
    finished.current = true;
    onDone(byKey);
    if (wanted.trim() && wanted !== row.run_name) void rename(row.run_id, wanted);
  };
  return (
    <input
      class="rename"
      aria-label={`New name of ${row.run_name}`}
      value={name}
      ref={(input) => input?.focus()}
      onInput={(event) => setName(event.currentTarget.value)}
      onBlur={() => finish(name, false)}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Enter") finish(name, true);
        if (event.key === "Escape") finish(row.run_name, true);
      }}
    />
  );
}

function Cell({ column, value }: { column: Column; value: Value | undefined }) {
  const text = formatValue(value);
  const isNumber = column.kind === "metrics";
  return (
    <div role="gridcell" class={isNumber ? "number" : "text"} title={value === undefined ? "" : String(value)}>
      {isNumber ? text : <bdi>{text}</bdi>}
    </div>
  );
}

function span(ms: number): string {
  return Number.isNaN(ms) ? "" : formatSpan(ms);
}
