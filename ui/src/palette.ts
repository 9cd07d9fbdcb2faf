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

/** Which number each name has; it keeps it while it is shown. */
class Numbers {
  private readonly numbers = new Map<string, number>();

  of(name: string): number {
    const number = this.numbers.get(name) ?? this.numbers.size;
    this.numbers.set(name, number);
    return number;
  }

  /** Give numbers to these names and no others: the lowest that are free, in this order. */
  assign(names: readonly string[]): void {
    const { numbers } = this;
    if (names.every((name) => numbers.has(name))) return;
    for (const name of [...numbers.keys()]) if (!names.includes(name)) numbers.delete(name);
    const taken = new Set(numbers.values());
    let next = 0;
    for (const name of names) {
      if (numbers.has(name)) continue;
      while (taken.has(next)) next += 1;
      numbers.set(name, next);
      taken.add(next);
    }
  }
}

const runs = new Numbers();
const groups = new Numbers();

/** What the runs of a group have in common, by field; null for none. */
export type GroupValues = Readonly<Record<string, string | null>>;

/**
 * Return what the line of a run is drawn with. It keeps its colour while it is shown; colours are
 * given in the order in which runs are first seen.
 */
export const strokeOf = (runId: string): Stroke => stroke(runs.of(runId));

/** Return what the line of a group of runs is drawn with: the same in every chart. */
export const strokeOfGroup = (group: GroupValues): Stroke =>
  stroke(groups.of(JSON.stringify(group)));

/** Give colours anew, in this order: for a fresh selection, so that few lines have few dashes. */
export const assignStrokes = (runIds: readonly string[]): void => runs.assign(runIds);
export const assignGroupStrokes = (all: readonly GroupValues[]): void =>
  groups.assign(all.map((group) => JSON.stringify(group)));
