// The runs of the table: as many rows as were scrolled to, of a list that the server filters and
// sorts, however long it is.

import {
  getTable,
  type ApiError,
  type Detail,
  type Row,
  type TableAnswer,
  type TableQuery,
} from "./api";
import { clock } from "./clock";
import { defaultColumns, differingParams } from "./columns";
import { Observable } from "./store";
import type { View } from "../view";

/** Rows that are asked for together. */
const PAGE = 100;

/** What decides which rows there are, and what stands in them. */
export type ListQuery = Omit<TableQuery, "offset" | "limit" | "snapshot">;

/** Return the query that a view stands for; these columns are shown where it chose none. */
export function listQuery(view: View, standard: readonly string[] = []): ListQuery {
  return {
    ...(view.experiments.length ? { experiment_ids: view.experiments } : {}),
    ...(view.nested ? { parent: "" } : {}),
    filter: view.filter,
    order_by: view.order ? [view.order] : [],
    stage: view.stage,
    columns: view.columns.length ? view.columns : standard,
  };
}

/** Rows of one query. They stay on screen until those of the next query are there. */
export class RunsList extends Observable {
  total = 0;
  /** False until the first answer. */
  known = false;
  /** What is wrong with the query, or with the server. */
  error: ApiError | null = null;
  keys: NonNullable<TableAnswer["keys"]> = { metrics: [], params: [], tags: [] };
  /** Columns for a view that chose none. */
  standard: readonly string[] = [];
  /** Params in which the drawn runs differ; null until those runs are known. */
  private differing: readonly string[] | null = null;
  private query: ListQuery | null = null;
  private pages = new Map<number, Row[]>();
  private snapshot = "";
  private asked = new Set<number>();
  private shown: [number, number] = [0, 0];
  private request = new AbortController();
  private readonly silence = clock.listen(() => this.follow());

  /** @param name tells the clock which list it is that has running runs */
  constructor(private readonly name: string) {
    super();
  }

  /** Stay as it is from now on. */
  close(): void {
    this.silence();
    this.request.abort();
    clock.setRunning(this.name, false);
  }

  /** List other runs, or other columns of them; the same query changes nothing. */
  async ask(query: ListQuery): Promise<void> {
    const before = this.query;
    if (JSON.stringify(query) === JSON.stringify(before)) return;
    this.query = query;
    if (!before || !sameRuns(query, before)) this.shown = [0, 0];
    await this.refresh();
  }

  /** Return a row; undefined while it has not been loaded. */
  row(index: number): Row | undefined {
    return this.pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  /** Return the index of a run among the rows that have been loaded; -1 where it is not there. */
  indexOf(runId: string): number {
    for (const [number, rows] of this.pages) {
      const index = rows.findIndex((row) => row.run_id === runId);
      if (index >= 0) return number * PAGE + index;
    }
    return -1;
  }

  /** Return the first rows, as far as they have been loaded. */
  first(count: number): Row[] {
    return (this.pages.get(0) ?? []).slice(0, count);
  }

  /** Have columns for a view that chose none: those in which the drawn runs differ. */
  suggest(drawn: readonly Detail[]): void {
    this.differing = differingParams(drawn);
    if (this.setStandard()) this.changed();
  }

  private setStandard(): boolean {
    const before = this.standard;
    if (this.differing) this.standard = defaultColumns(this.keys, this.differing, before);
    return this.standard !== before;
  }

  /** Load rows that are on screen now, from the first to the last. */
  show(first: number, last: number): void {
    this.shown = [Math.floor(first / PAGE), Math.floor(Math.max(first, last) / PAGE)];
    for (const number of this.missing(this.pages))
      if (!this.asked.has(number)) void this.loadPage(number);
  }

  /** Ask again for the rows on screen, of a fresh list; those before stay until all are there. */
  async refresh(): Promise<void> {
    if (!this.query) return;
    this.request.abort();
    const request = (this.request = new AbortController());
    try {
      const head = await this.fetchPage(0, request.signal);
      const pages = new Map([[0, head.rows]]);
      for (let missing = this.missing(pages); missing.length; missing = this.missing(pages))
        await Promise.all(
          missing.map(async (number) => {
            const answer = await this.fetchPage(number, request.signal, head.snapshot);
            pages.set(number, answer.rows);
          }),
        );
      this.pages = pages;
      this.take(head);
    } catch (error) {
      if (request.signal.aborted) return;
      this.error = error as ApiError;
      this.changed();
    }
  }

  /** Ask again at each tick, but not what the server has refused. */
  private async follow(): Promise<void> {
    if (this.error?.status !== 400) await this.refresh();
  }

  /** Return the numbers of the pages on screen that are not among these. */
  private missing(pages: ReadonlyMap<number, Row[]>): number[] {
    const [first, last] = this.shown;
    const numbers = Array.from({ length: last - first + 1 }, (_, index) => first + index);
    return numbers.filter((number) => !pages.has(number));
  }

  private async loadPage(number: number): Promise<void> {
    const { snapshot } = this;
    const { signal } = this.request;
    this.asked.add(number);
    try {
      const answer = await this.fetchPage(number, signal, snapshot);
      if (signal.aborted || snapshot !== this.snapshot) return;
      this.pages.set(number, answer.rows);
      this.changed();
    } catch (error) {
      if (signal.aborted) return;
      this.error = error as ApiError;
      this.changed();
    } finally {
      this.asked.delete(number);
    }
  }

  private fetchPage(number: number, signal: AbortSignal, snapshot = ""): Promise<TableAnswer> {
    if (!this.query) throw new Error("no runs were asked for");
    const page = { offset: number * PAGE, limit: PAGE, ...(snapshot && { snapshot }) };
    return getTable({ ...this.query, ...page }, signal);
  }

  private take({ total, snapshot, keys }: TableAnswer): void {
    this.snapshot = snapshot;
    this.total = total;
    this.keys = keys ?? this.keys;
    this.setStandard();
    this.known = true;
    this.error = null;
    const rows = [...this.pages.values()].flat();
    clock.setRunning(this.name, rows.some((row) => row.status === "RUNNING"));
    this.changed();
  }
}

function sameRuns(a: ListQuery, b: ListQuery): boolean {
  const rest = (query: ListQuery) => JSON.stringify({ ...query, columns: [] });
  return rest(a) === rest(b);
}

export const runs = new RunsList("table");
