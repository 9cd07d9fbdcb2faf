// Metrics in sections, in the order in which people expect them, and which of them a person wants.
//
// Not here: how sections are drawn (`pages/chartsections.tsx`).

export interface Section {
  /** What stands before the first "/" of its keys; PLAIN for keys without one. */
  name: string;
  keys: readonly string[];
}

/** The name of the section of keys without a prefix: no prefix can be this. */
export const PLAIN = "/";
/** The prefix of what was measured of the machine: last, and closed by itself. */
export const SYSTEM = "system";

const natural = new Intl.Collator("en", { numeric: true });

/** Compare two names as people count: `layer2` before `layer10`. */
export function byNature(a: string, b: string): number {
  return natural.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0);
}

/**
 * Return keys in sections by prefix: first those without one, last those of the system.
 *
 * @example toSections(["valid/loss", "lr"]) has the sections PLAIN and "valid"
 */
export function toSections(keys: readonly string[]): readonly Section[] {
  const sections = new Map<string, string[]>();
  for (const key of [...keys].sort(byNature)) {
    const name = key.slice(0, Math.max(0, key.indexOf("/"))) || PLAIN;
    const section = sections.get(name);
    if (section) section.push(key);
    else sections.set(name, [key]);
  }
  const rank = (name: string) => (name === PLAIN ? 0 : name === SYSTEM ? 2 : 1);
  return [...sections]
    .map(([name, keys]) => ({ name, keys }))
    .sort((a, b) => rank(a.name) - rank(b.name) || byNature(a.name, b.name));
}

/** Tell whether a section is open, by the names that the view has in `closed`. */
export function isOpen(name: string, closed: readonly string[]): boolean {
  return closed.includes(name) === (name === SYSTEM);
}

/** Return what is wrong with a regular expression; undefined where it is one. */
export function problemOf(expression: string): string | undefined {
  try {
    new RegExp(expression, "i");
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
