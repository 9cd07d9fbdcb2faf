// What the parts of the page share: something that tells whoever draws it that it has changed.

import { useEffect, useReducer } from "preact/hooks";

export class Observable {
  private readonly listeners = new Set<() => void>();

  /** Call a function after each change, until the function that is returned is called. */
  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  protected changed(): void {
    for (const listener of [...this.listeners]) listener();
  }
}

/** Draw the component again whenever this changes, and return it. */
export function useObservable<T extends Observable>(observable: T): T {
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  useEffect(() => observable.subscribe(() => redraw(undefined)), [observable]);
  return observable;
}
