// Colours and dashes of lines. Eight colours that people with any kind of colour blindness can tell
// apart (after Okabe and Ito, and Tol's rules on lightness), each readable on light and on dark;
// from the ninth line on they come again with another dash.

export interface Stroke {
  colour: string;
  /** As for a canvas: lengths of strokes and gaps in px; empty for a solid line. */
  dash: readonly number[];
}

const COLOURS = [
  "#0077bb", "#e66100", "#009e73", "#cc3377", "#8a5fd3", "#b8860b", "#33a6c8", "#d1495b",
] as const;
const DASHES: readonly (readonly number[])[] = [[], [6, 3], [2, 2], [9, 3, 2, 3], [14, 4]];

/** Return what the line of this number is drawn with. */
export function stroke(index: number): Stroke {
  const colour = COLOURS[index % COLOURS.length] ?? COLOURS[0];
  const dash = DASHES[Math.floor(index / COLOURS.length) % DASHES.length] ?? [];
  return { colour, dash };
}

const numbers = new Map<string, number>();

/**
 * Return what the line of a run (or group) is drawn with. It keeps its colour while it is shown;
 * colours are given in the order in which names are first seen.
 */
export function strokeOf(name: string): Stroke {
  let number = numbers.get(name);
  if (number === undefined) {
    number = numbers.size;
    numbers.set(name, number);
  }
  return stroke(number);
}

let fields = "";
const groups = new Map<string, number>();

/**
 * Return what the line of a group of runs is drawn with, given what they have in common: the same
 * in every chart. Colours are given anew when runs are grouped by other fields.
 */
export function strokeOfGroup(group: Readonly<Record<string, string | null>>): Stroke {
  const by = JSON.stringify(Object.keys(group));
  if (by !== fields) groups.clear();
  fields = by;
  const name = JSON.stringify(Object.values(group));
  const number = groups.get(name) ?? groups.size;
  groups.set(name, number);
  return stroke(number);
}

/** Give colours anew, in this order: for a fresh selection, so that few lines have few dashes. */
export function assignStrokes(names: readonly string[]): void {
  const kept = names.filter((name) => numbers.has(name));
  if (kept.length === names.length) return;
  const taken = new Set(kept.map((name) => numbers.get(name)));
  for (const name of [...numbers.keys()]) if (!names.includes(name)) numbers.delete(name);
  let next = 0;
  for (const name of names) {
    if (numbers.has(name)) continue;
    while (taken.has(next)) next += 1;
    numbers.set(name, next);
    taken.add(next);
  }
}
