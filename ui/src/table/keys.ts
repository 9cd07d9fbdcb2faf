// What the keyboard does in the grid of runs.

import type { RefObject } from "preact";

import type { Row } from "../data/api";
import type { Shortcut } from "../keyboard";
import { getView } from "../view";
import type { LineActions } from "./row";

/** What the keys need to know of the grid. Lines below 0 are those of pinned runs. */
export interface GridKeys {
  box: RefObject<HTMLDivElement | null>;
  active: number;
  first: number;
  last: number;
  /** Lines that are on screen together. */
  page: number;
  writes: boolean;
  at(line: number): Row | undefined;
  setActive(line: number): void;
  actions: LineActions;
}

interface Changes {
  remove(runIds: readonly string[]): unknown;
  restore(runIds: readonly string[]): unknown;
}

/** Return the grid's keys; `now` says what it shows when a key is pressed. */
export function gridShortcuts(now: () => GridKeys, changes: Changes): readonly Shortcut[] {
  const go = (target: (keys: GridKeys) => number) => () => {
    const keys = now();
    const line = Math.max(keys.first, Math.min(keys.last, target(keys)));
    keys.setActive(line);
    scrollTo(keys.box.current, line);
  };
  const withRow = (act: (keys: GridKeys, row: Row) => void) => () => {
    const keys = now();
    const row = keys.at(keys.active);
    if (row) act(keys, row);
  };
  const opened = (wanted: boolean) =>
    withRow(({ active, actions }, row) => {
      const line = document.getElementById(`line-${active}`);
      const expander = line?.querySelector(".expander");
      if (row.children && expander?.getAttribute("aria-expanded") === String(!wanted))
        actions.toggle(active);
    });
  const changed = (act: (keys: GridKeys, row: Row) => void) =>
    withRow((keys, row) => void (keys.writes && act(keys, row)));
  const inGrid = (key: string, does: string, act: () => void): Shortcut => ({
    key, does: `In the table: ${does}`, act, within: "#runs:focus, #runs .line",
  });
  return [
    inGrid("ArrowDown", "next run", go(({ active }) => active + 1)),
    inGrid("ArrowUp", "previous run", go(({ active }) => active - 1)),
    inGrid("PageDown", "a page down", go(({ active, page }) => active + page)),
    inGrid("PageUp", "a page up", go(({ active, page }) => active - page)),
    inGrid("Home", "first run", go(({ first }) => first)),
    inGrid("End", "last run", go(({ last }) => last)),
    inGrid("ArrowRight", "show its children", opened(true)),
    inGrid("ArrowLeft", "close its children", opened(false)),
    inGrid("Enter", "open its page", withRow(({ actions }, row) => actions.open(row))),
    inGrid(" ", "select it", withRow(({ actions, active }, row) => actions.select(row, active, false))),
    inGrid("h", "hide or draw it", withRow(({ actions }, row) => actions.hide(row))),
    inGrid("p", "keep it on top, or no longer", withRow(({ actions }, row) => actions.pin(row))),
    inGrid("r", "rename it", changed(({ actions, active }) => actions.rename(active))),
    inGrid("e", "its note and tags", changed(({ actions }, row) => actions.edit(row))),
    inGrid("Delete", "delete or restore it", changed((_, { run_id }) => {
      if (getView().stage === "deleted") changes.restore([run_id]);
      else changes.remove([run_id]);
    })),
  ];
}

/** Scroll a line into sight, below the head that covers the first ones. */
function scrollTo(box: HTMLDivElement | null, line: number): void {
  const [head, lines] = [box?.querySelector(".head"), box?.querySelector(".lines")];
  if (!box || !(head instanceof HTMLElement) || !lines || line < 0) return;
  const row = head.querySelector("[role=row]")?.clientHeight ?? 0;
  const height = parseFloat(getComputedStyle(box).getPropertyValue("--row")) || row;
  const top = line * height;
  const sight = box.clientHeight - head.offsetHeight;
  if (top < box.scrollTop) box.scrollTop = top;
  else if (top + height > box.scrollTop + sight) box.scrollTop = top + height - sight;
}
