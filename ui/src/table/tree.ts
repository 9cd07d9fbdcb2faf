// The lines of the table: the list of runs, with the children of each opened run below it.
//
// Each opened run has a list of its own, as long and as lazily loaded as the main one.

import { RunsList, type ListQuery } from "../data/runs";
import { Observable } from "../data/store";

/** Where the run of a line comes from. */
export interface Place {
  list: RunsList;
  index: number;
  depth: number;
}

/** A list, and below some of its runs their children. */
class Branch {
  readonly open = new Map<string, Branch>();
  /** Of its run in the list above, when that was last seen there. */
  index = 0;

  constructor(
    readonly list: RunsList,
    readonly depth: number,
  ) {}

  /** Return the number of lines. */
  get size(): number {
    let size = this.list.total;
    for (const branch of this.open.values()) size += branch.size;
    return size;
  }

  /** Return what stands in a line. */
  at(line: number): Place {
    let above = 0;
    for (const branch of this.inOrder()) {
      const first = branch.index + above + 1;
      if (line < first) break;
      if (line < first + branch.size) return branch.at(line - first);
      above += branch.size;
    }
    return { list: this.list, index: line - above, depth: this.depth };
  }

  /** Return the line of a run of this very list. */
  lineOf(index: number): number {
    let line = index;
    for (const branch of this.open.values()) if (branch.index < index) line += branch.size;
    return line;
  }

  private inOrder(): Branch[] {
    for (const [runId, branch] of this.open) {
      const index = this.list.indexOf(runId);
      if (index >= 0) branch.index = index;
    }
    return [...this.open.values()].sort((a, b) => a.index - b.index);
  }
}

/** All lines of the table. */
export class Tree extends Observable {
  private readonly root: Branch;
  private query: ListQuery | null = null;
  private readonly opened = new Map<string, Branch>();

  constructor(list: RunsList) {
    super();
    this.root = new Branch(list, 0);
    list.subscribe(() => this.changed());
  }

  get size(): number {
    return this.root.size;
  }

  at(line: number): Place {
    return this.root.at(line);
  }

  /** Return the line of a run of the main list; null where it is not loaded. */
  lineOf(runId: string): number | null {
    const index = this.root.list.indexOf(runId);
    return index < 0 ? null : this.root.lineOf(index);
  }

  isOpen(runId: string): boolean {
    return this.opened.has(runId);
  }

  /** Load what is on screen, from the first line to the last. */
  show(first: number, last: number): void {
    const spans = new Map<RunsList, [number, number]>();
    for (let line = first; line <= last; line += 1) {
      const { list, index } = this.at(line);
      const span = spans.get(list);
      if (span) span[1] = index;
      else spans.set(list, [index, index]);
    }
    for (const [list, [from, to]] of spans) list.show(from, to);
  }

  /** Have the children shown as the runs themselves are: with these columns, in this order. */
  follow(query: ListQuery): void {
    this.query = query;
    for (const [runId, { list }] of this.opened) void list.ask(childrenOf(query, runId));
  }

  /** Show the children of the run in a line below it, or no longer. */
  toggle(line: number): void {
    const { list, index, depth } = this.at(line);
    const runId = list.row(index)?.run_id;
    const above = this.branchOf(list);
    if (!runId || !above || !this.query) return;
    const before = above.open.get(runId);
    if (before) {
      above.open.delete(runId);
      this.forget(runId, before);
    } else {
      const children = new RunsList(`children of ${runId}`);
      const branch = new Branch(children, depth + 1);
      branch.index = index;
      above.open.set(runId, branch);
      this.opened.set(runId, branch);
      children.subscribe(() => this.changed());
      void children.ask(childrenOf(this.query, runId));
    }
    this.changed();
  }

  /** Close all. */
  close(): void {
    if (!this.opened.size) return;
    for (const [runId, branch] of this.root.open) this.forget(runId, branch);
    this.root.open.clear();
    this.changed();
  }

  private branchOf(list: RunsList): Branch | undefined {
    return [this.root, ...this.opened.values()].find((branch) => branch.list === list);
  }

  private forget(runId: string, branch: Branch): void {
    for (const [child, below] of branch.open) this.forget(child, below);
    branch.list.close();
    this.opened.delete(runId);
  }
}

/** Return the query for all children of a run: also those that the filter does not let through. */
function childrenOf({ order_by, stage, columns }: ListQuery, parent: string): ListQuery {
  return { filter: "", order_by, stage, columns, parent };
}
