// The keyboard: which key does what, in one table that the overlay shows as well.
//
// Keys do nothing while something is typed into a field. Parts of the page add their keys while
// they are on screen.

import { useEffect } from "preact/hooks";

export interface Shortcut {
  /** As `KeyboardEvent.key`, such as "/" or "ArrowDown". */
  key: string;
  does: string;
  /** A selector: the key does this only while the focus is inside of what it selects. */
  within?: string;
  act(event: KeyboardEvent): void;
}

/** With how many components have them on screen. */
const active = new Map<readonly Shortcut[], number>();

/** Return the shortcuts that are in force, in the order in which they were added. */
export const shortcuts = (): Shortcut[] => [...active.keys()].flat();

/** Have these shortcuts while the component is on screen. Give the same array every time. */
export function useShortcuts(own: readonly Shortcut[]): void {
  useEffect(() => {
    active.set(own, (active.get(own) ?? 0) + 1);
    return () => {
      const others = (active.get(own) ?? 1) - 1;
      if (others) active.set(own, others);
      else active.delete(own);
    };
  }, [own]);
}

/** Begin; call once. */
export function startKeyboard(): void {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const dialog = document.querySelector("dialog[open]");
    const possible = shortcuts().filter(
      ({ key, within }) =>
        key === event.key && (within ? isWithin(event.target, within) : !dialog),
    );
    const found = possible.findLast(({ within }) => within) ?? possible.at(-1);
    if (!found) return;
    event.preventDefault();
    found.act(event);
  });
}

function isWithin(target: EventTarget | null, selector: string): boolean {
  return target instanceof Element && target.closest(selector) !== null;
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches("input:not([type=checkbox]), textarea, select");
}
