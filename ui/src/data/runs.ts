// The runs of the table: as many rows as were scrolled to, of a list that the server filters and
// sorts, however long it is.

import { getTable, type ApiError, type Row, type TableAnswer, type TableQuery } from "./api";
import { clock } from "./clock";
import { Observable } from "./store";
import type { View } from "../view";

/** Rows that are asked for together. */
export const PAGE = 100;

/** What decides which rows there are, and what stands in them. */
export type ListQuery = Omit<TableQuery, "offset" | "limit" | "snapshot">;

/** Return the query that a view stands for; its columns are those given, beside the view's own. */
export function listQuery(view: View, columns: readonly string[] = []): ListQuery {
  return {
    ...(view.experiments.length ? { experiment_ids: view.experiments } : {}),
    ...(view.nested ? { parent: "" } : {}),
    filter: view.filter,
    order_by: view.order ? [view.order] : [],
    stage: view.stage,
    columns: [...new Set([...view.columns, ...columns])],
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
  private query: ListQuery | null = null;
  private pages = new Map<number, Row[]>();
  private snapshot: string | undefined;
  private asked = new Set<number>();
  private shown: [number, number] = [0, 0];
  private generation = 0;

  constructor() {
    super();
    clock.listen(() => this.refresh());
  }

  /** List other runs; the same query changes nothing. */
  async ask(query: ListQuery): Promise<void> {
    if (JSON.stringify(query) === JSON.stringify(this.query)) return;
    this.query = query;
    this.shown = [0, 0];
    await this.load(true);
  }

  /** Return a row; undefined while it has not been loaded. */
  row(index: number): Row | undefined {
    return this.pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  /** Return the first rows, as far as they have been loaded. */
  first(count: number): Row[] {
    return (this.pages.get(0) ?? []).slice(0, count);
  }

  /** Load rows that are on screen now, from the first to the last. */
  show(first: number, last: number): void {
    this.shown = [Math.floor(first / PAGE), Math.floor(Math.max(first, last) / PAGE)];
    void this.load(false);
  }

  /** Ask again for the rows on screen: something may have changed. */
  async refresh(): Promise<void> {
    if (this.query) await this.load(true);
  }

  /** Load the pages on screen that are missing, or (`anew`) all of them from a fresh list. */
  private async load(anew: boolean): Promise<void> {
    if (anew) {
      this.generation += 1;
      this.asked.clear();
    }
    const [first, last] = this.shown;
    const numbers = [...new Set([...(anew ? [0] : []), ...range(first, last)])].filter(
      (number) => !this.asked.has(number) && (anew || !this.pages.has(number)),
    );
    for (const number of numbers) this.asked.add(number);
    const generation = this.generation;
    const [head, ...others] = numbers;
    if (head === undefined) return;
    await this.loadPage(head, anew, generation);
    await Promise.all(others.map((number) => this.loadPage(number, false, generation)));
  }

  private async loadPage(number: number, anew: boolean, generation: number): Promise<void> {
    const { query } = this;
    if (!query || generation !== this.generation) return;
    const from = anew ? undefined : this.snapshot;
    const paged = { offset: number * PAGE, limit: PAGE, ...(from && { snapshot: from }) };
    try {
      const answer = await getTable({ ...query, ...paged });
      if (generation === this.generation) this.take(number, answer, anew);
    } catch (error) {
      if (generation !== this.generation) return;
      this.asked.delete(number);
      this.error = error as ApiError;
      this.changed();
    }
  }

  private take(number: number, answer: TableAnswer, anew: boolean): void {
    if (anew) this.pages.clear();
    this.pages.set(number, answer.rows);
    this.asked.delete(number);
    this.snapshot = answer.snapshot;
    this.total = answer.total;
    this.keys = answer.keys ?? this.keys;
    this.known = true;
    this.error = null;
    const rows = [...this.pages.values()].flat();
    clock.setRunning("table", rows.some((row) => row.status === "RUNNING"));
    this.changed();
  }
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

export const runs = new RunsList();
