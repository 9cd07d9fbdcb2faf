// The lines of the table: opened runs with their children below them. A server in this process
// answers for the real one: 250 runs, each with 120 children.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import type { Row, TableQuery } from "../src/data/api";
import type { RunsList } from "../src/data/runs";
import type { Tree } from "../src/table/tree";

const RUNS = 250;
const CHILDREN = 120;
let added = 0;

function row(run_id: string): Row {
  return {
    run_id, run_name: run_id, experiment_id: "0", experiment_name: "", status: "FINISHED",
    start_time: 0, user_id: "", stage: "active", children: CHILDREN, values: {},
  };
}

function answer({ parent, offset, limit }: TableQuery) {
  const total = parent ? CHILDREN : RUNS + added;
  const name = (index: number) => (parent ? `${parent}.${index}` : `run ${index - added}`);
  const count = Math.max(0, Math.min(limit, total - offset));
  const rows = Array.from({ length: count }, (_, index) => row(name(offset + index)));
  return { total, snapshot: `s${added}`, rows };
}

Object.assign(globalThis, {
  document: { hidden: true },
  fetch: (_: string, { body }: { body: string }) =>
    Promise.resolve(Response.json(answer(JSON.parse(body) as TableQuery))),
});

const QUERY = { filter: "", order_by: [], stage: "active", columns: [] } as const;
const settled = () => new Promise((resolve) => setImmediate(() => setImmediate(() => setImmediate(resolve))));

async function made(): Promise<[RunsList, Tree]> {
  const { RunsList } = await import("../src/data/runs");
  const { Tree } = await import("../src/table/tree");
  const list = new RunsList("test");
  after(() => list.close());
  const tree = new Tree(list);
  await list.ask({ ...QUERY, parent: "" });
  tree.follow(QUERY);
  return [list, tree];
}

function nameAt(tree: Tree, line: number): string | undefined {
  const { list, index } = tree.at(line);
  return list.row(index)?.run_id;
}

test("children stand below their run, at any depth, and go with it", async () => {
  const [, tree] = await made();
  tree.toggle(1);
  await settled();
  tree.toggle(3);
  await settled();
  assert.equal(tree.size, RUNS + 2 * CHILDREN);
  assert.equal(nameAt(tree, 2), "run 1.0");
  assert.equal(nameAt(tree, 4), "run 1.1.0");
  assert.equal(tree.at(4).depth, 2);
  assert.equal(nameAt(tree, 4 + CHILDREN), "run 1.2");
  assert.equal(nameAt(tree, 2 + 2 * CHILDREN), "run 2");
  assert.equal(tree.lineOf("run 2"), 2 + 2 * CHILDREN);
  tree.toggle(1);
  assert.equal(tree.size, RUNS);
  assert.equal(tree.isOpen("run 1.1"), false);
});

test("only what is on screen is loaded, of each list", async () => {
  const [, tree] = await made();
  tree.toggle(0);
  await settled();
  assert.equal(nameAt(tree, CHILDREN), undefined);
  tree.show(CHILDREN - 5, CHILDREN + 5);
  await settled();
  assert.equal(nameAt(tree, CHILDREN), `run 0.${CHILDREN - 1}`);
  assert.equal(nameAt(tree, 205 + CHILDREN), undefined);
});

test("a run that comes on top moves the children with their run", async () => {
  const [list, tree] = await made();
  tree.toggle(4);
  await settled();
  added = 1;
  await list.refresh();
  assert.equal(nameAt(tree, 5), "run 4");
  assert.equal(nameAt(tree, 6), "run 4.0");
  added = 0;
});
