// Long lists: which of their rows are on screen. Rows all have one height.

import type { RefObject } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";

/** Rows beyond each edge, so that a little scrolling shows no gap. */
const BEYOND = 8;
const STEP = 4;

/**
 * Return the first and the last row (not included) to draw of those in a box that scrolls.
 *
 * @param rowHeight in px
 */
export function useSpan(
  box: RefObject<HTMLElement | null>,
  rowHeight: number,
  count: number,
): readonly [number, number] {
  const [seen, setSeen] = useState({ top: 0, rows: 40 });
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const measure = () => {
      const line = Math.floor(element.scrollTop / rowHeight);
      const top = line - (line % STEP);
      const rows = Math.ceil(element.clientHeight / rowHeight) + STEP;
      setSeen((seen) => (seen.top === top && seen.rows === rows ? seen : { top, rows }));
    };
    measure();
    element.addEventListener("scroll", measure, { passive: true });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => {
      element.removeEventListener("scroll", measure);
      observer.disconnect();
    };
  }, [rowHeight]);
  const last = Math.min(count, seen.top + seen.rows + BEYOND);
  return [Math.max(0, Math.min(seen.top, count) - BEYOND), last];
}
