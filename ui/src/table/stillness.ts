// The table holds still: rows stay where they are when new runs come on top, while somebody points
// at them, works in the table, or has scrolled away from its top.

import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";

import type { View } from "../view";
import type { Tree } from "./tree";

/** What stood where, when the table was last drawn. */
interface Seen {
  runId: string | null;
  line: number;
  pins: number;
}

/** How far what was scrolled: for who comes back from the page of a run. */
let remembered = { listed: "", top: 0 };

/**
 * Hold the rows of a box that scrolls.
 *
 * @param rowHeight in px
 * @param pins number of pinned runs: those are above the lines, and a new one moves them
 * @param onShift called with the line from which on all runs stand `by` lines further down
 */
export function useStillness(
  box: RefObject<HTMLElement | null>,
  rowHeight: number,
  tree: Tree,
  pins: number,
  { filter, order, stage, nested, experiments }: View,
  onShift: (from: number, by: number) => void,
): void {
  const seen = useRef<Seen>({ runId: null, line: 0, pins });
  const held = useRef<number | null>(null);
  const listed = JSON.stringify([filter, order, stage, nested, experiments]);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    seen.current.runId = null;
    if (remembered.listed === listed) element.scrollTop = remembered.top;
    else release(element);
    const remember = () => void (remembered = { listed, top: element.scrollTop });
    element.addEventListener("scroll", remember, { passive: true });
    return () => element.removeEventListener("scroll", remember);
  }, [listed]);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const { runId, line, pins: pinsBefore } = seen.current;
    const now = runId === null || order ? null : tree.lineOf(runId);
    const shift = now === null ? 0 : now - line;
    if (shift) onShift(line, shift);
    const by = (shift + pins - pinsBefore) * rowHeight;
    const isAway = element.scrollTop > 0 && element.scrollTop !== held.current;
    if (by && (isAway || isWatched(element))) {
      scrollOn(element, by);
      if (!isAway) held.current = element.scrollTop;
    }
    const top = Math.ceil(element.scrollTop / rowHeight);
    const { list, index } = tree.at(top);
    seen.current = { runId: list.row(index)?.run_id ?? null, line: top, pins };
  });
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const leave = () => {
      if (held.current === element.scrollTop && !element.contains(document.activeElement))
        release(element);
      held.current = null;
    };
    element.addEventListener("pointerleave", leave);
    return () => element.removeEventListener("pointerleave", leave);
  }, []);
}

function isWatched(element: HTMLElement): boolean {
  return element.matches(":hover") || element.contains(document.activeElement);
}

/** Scroll down, also where there are too few rows for that. */
function scrollOn(element: HTMLElement, by: number): void {
  const wanted = element.scrollTop + by;
  const lines = element.lastElementChild;
  if (lines instanceof HTMLElement) {
    const before = parseFloat(lines.style.paddingBottom) || 0;
    const missing = wanted + element.clientHeight - lines.offsetTop - lines.offsetHeight;
    if (missing > 0) lines.style.paddingBottom = `${before + missing}px`;
  }
  element.scrollTop = wanted;
}

/** Go back to the first rows. */
function release(element: HTMLElement): void {
  const lines = element.lastElementChild;
  if (lines instanceof HTMLElement) lines.style.paddingBottom = "";
  element.scrollTop = 0;
}
