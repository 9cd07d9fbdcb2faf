// How wide the table is: its border is dragged, or moved with the arrow keys, and it can be closed.
// This is how somebody likes to work, not what is shown: it stays in the browser.

import { useEffect, useState } from "preact/hooks";

const LEAST = 240;
const STEP = 24;
const STORED = "steplog.table";

/** Return the width of the table in px (0 where it is closed, null before anybody chose one). */
export function usePane(): readonly [number | null, (width: number | null) => void] {
  const [width, setWidth] = useState<number | null>(stored);
  useEffect(() => {
    const { style } = document.documentElement;
    if (width === null) style.removeProperty("--table-width");
    else style.setProperty("--table-width", width ? `${width}px` : "30px");
    store(width);
  }, [width]);
  return [width, setWidth];
}

interface BorderProps {
  /** In px; null where nobody chose one. */
  width: number | null;
  onResize(width: number): void;
}

export function Border({ width, onResize }: BorderProps) {
  const limit = (width: number) => Math.round(Math.max(LEAST, Math.min(innerWidth - LEAST, width)));
  const now = () => document.querySelector("aside")?.offsetWidth ?? LEAST;
  return (
    <div
      class="border"
      role="separator"
      tabIndex={0}
      aria-orientation="vertical"
      aria-label="Width of the table"
      aria-valuenow={width ?? now()}
      onPointerDown={(event) => {
        event.preventDefault();
        event.currentTarget.setPointerCapture(event.pointerId);
      }}
      onPointerMove={(event) => {
        if (event.currentTarget.hasPointerCapture(event.pointerId)) onResize(limit(event.clientX));
      }}
      onKeyDown={(event) => {
        const step = { ArrowLeft: -STEP, ArrowRight: STEP }[event.key];
        if (step === undefined) return;
        event.preventDefault();
        onResize(limit(now() + step));
      }}
    />
  );
}

function stored(): number | null {
  try {
    const text = localStorage.getItem(STORED);
    return text === null ? null : Number(text) || 0;
  } catch {
    return null; // the browser keeps nothing
  }
}

function store(width: number | null): void {
  try {
    if (width !== null) localStorage.setItem(STORED, String(width));
  } catch {
    // The browser keeps nothing: the width is the usual one next time.
  }
}
