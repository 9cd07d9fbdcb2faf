// Where charts stand below each other, and which of them are in sight: numbers only. With thousands
// of charts just those in sight are there, and nothing may move when others come.

import type { Section } from "./sections";
import { isOpen } from "./sections";
import type { Size } from "../view";

/** Height of the head of a section in px; `.section-head` in pages.css has the same. */
export const HEAD = 34;
/** Between charts, and below the last ones of a section, in px. */
export const GAP = 10;

/** The least width and the height of a chart in px. */
const SIZES: Readonly<Record<Size, { width: number; height: number }>> = {
  s: { width: 270, height: 210 },
  m: { width: 380, height: 280 },
  l: { width: 600, height: 400 },
};

export interface Grid {
  columns: number;
  /** Of a chart in px. */
  height: number;
}

export interface Placed {
  section: Section;
  isOpen: boolean;
  /** From the top of the first section, in px. */
  top: number;
  height: number;
  rows: number;
}

/** Return how charts of a size fill a width in px: as many in a row as have room. */
export function gridOf(size: Size, width: number): Grid {
  const { width: least, height } = SIZES[size];
  return { columns: Math.max(1, Math.floor((width + GAP) / (least + GAP))), height };
}

/** Return sections with where they stand. */
export function place(
  sections: readonly Section[],
  closed: readonly string[],
  { columns, height }: Grid,
): readonly Placed[] {
  let top = 0;
  return sections.map((section) => {
    const open = isOpen(section.name, closed);
    const rows = open ? Math.ceil(section.keys.length / columns) : 0;
    const own = HEAD + rows * (height + GAP);
    const placed = { section, isOpen: open, top, height: own, rows };
    top += own;
    return placed;
  });
}

/** Return the first and the last row (not included) of a section that lie between two heights. */
export function rowsBetween(
  { top, rows }: Placed,
  { height }: Grid,
  from: number,
  to: number,
): readonly [number, number] {
  const row = (at: number) => (at - top - HEAD) / (height + GAP);
  const limit = (number: number) => Math.max(0, Math.min(rows, number));
  return [limit(Math.floor(row(from))), limit(Math.ceil(row(to)))];
}
