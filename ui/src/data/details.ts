// What is known of the runs that are shown: everything but their points. And which runs those are.

import { getDetails, type Detail } from "./api";
import { clock } from "./clock";
import { runs } from "./runs";
import { Observable, useObservable } from "./store";
import { useView, type View } from "../view";

/** So many runs of the table are drawn where none was chosen. */
export const UNASKED = 10;
const TOGETHER = 200;

/** Runs by id. Those that are wanted are kept up to date while they run. */
class Details extends Observable {
  private readonly known = new Map<string, Detail>();
  private readonly asked = new Set<string>();
  private readonly gone = new Set<string>();
  private wanted: readonly string[] = [];

  constructor() {
    super();
    clock.listen(() => this.refresh());
  }

  get(runId: string): Detail | undefined {
    return this.known.get(runId);
  }

  /** Tell whether the server does not know this run (any more). */
  isGone(runId: string): boolean {
    return this.gone.has(runId);
  }

  /** Keep these runs, and no others, up to date. */
  want(runIds: readonly string[]): void {
    if (runIds.join() === this.wanted.join()) return;
    this.wanted = runIds;
    const missing = runIds.filter((id) => !this.known.has(id) && !this.asked.has(id));
    void this.load(missing);
    this.tellClock();
  }

  /** Ask again for the wanted runs that are running or unknown, or (`all`) for all of them. */
  async refresh(all = false): Promise<void> {
    if (all) for (const id of this.known.keys()) if (!this.wanted.includes(id)) this.known.delete(id);
    const stale = (id: string) =>
      all || (this.known.get(id)?.status ?? "RUNNING") === "RUNNING";
    await this.load(this.wanted.filter((id) => stale(id) && !this.asked.has(id)));
  }

  private async load(runIds: readonly string[]): Promise<void> {
    for (let start = 0; start < runIds.length; start += TOGETHER)
      await this.loadTogether(runIds.slice(start, start + TOGETHER));
  }

  private async loadTogether(runIds: readonly string[]): Promise<void> {
    for (const id of runIds) this.asked.add(id);
    try {
      const found = await getDetails(runIds);
      for (const detail of found) this.known.set(detail.run_id, detail);
      for (const id of runIds) {
        if (found.some((detail) => detail.run_id === id)) this.gone.delete(id);
        else this.gone.add(id);
      }
      this.tellClock();
      this.changed();
      runs.suggest(this.wanted.flatMap((id) => this.known.get(id) ?? []));
    } catch {
      // The table says that the server cannot be reached; these are asked for again at the next tick.
    } finally {
      for (const id of runIds) this.asked.delete(id);
    }
  }

  private tellClock(): void {
    const running = this.wanted.some((id) => this.known.get(id)?.status === "RUNNING");
    clock.setRunning("details", running);
  }
}

export const details = new Details();

/** Return the ids of the runs that a view is about: those chosen, or the first of the table. */
export function chosenRuns(view: View): readonly string[] {
  if (view.page === "run") return view.run ? [view.run] : [];
  return view.runs.length ? view.runs : runs.first(UNASKED).map((row) => row.run_id);
}

/** Return the runs that are drawn, as far as they are known, in the order of the selection. */
export function useDrawnRuns(): readonly Detail[] {
  const view = useView();
  useObservable(runs);
  const known = useObservable(details);
  const hidden = new Set(view.page === "run" ? [] : view.hidden);
  return chosenRuns(view)
    .filter((id) => !hidden.has(id))
    .flatMap((id) => known.get(id) ?? []);
}
