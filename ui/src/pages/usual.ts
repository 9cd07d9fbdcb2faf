// Fields for pages where nobody chose one: those that say something of the drawn runs.

import { useMemo } from "preact/hooks";

import { columnName } from "../data/columns";
import { useDrawnRuns } from "../data/details";
import { useKept } from "./chartsections";
import { byNature, SYSTEM } from "./sections";

/** Words of metrics that runs are judged by, and of params that say little. */
const JUDGING = /val|test|eval/i;
const SAYING_LITTLE = /seed|\bid\b|_id$|path|dir|name/i;

export interface Usual {
  /** Params in which the runs differ, those that say much first; all where they differ in none. */
  params: readonly string[];
  /** Metrics, those that runs are judged by first. */
  metrics: readonly string[];
}

export function useUsual(): Usual {
  const drawn = useKept(useDrawnRuns());
  return useMemo(() => {
    const values = new Map<string, Set<string>>();
    for (const run of drawn)
      for (const [name, value] of Object.entries(run.params))
        values.set(name, (values.get(name) ?? new Set()).add(value));
    const runsWith = new Map<string, number>();
    for (const run of drawn)
      for (const key of new Set(run.series.map((each) => each.key)))
        if (!key.startsWith(`${SYSTEM}/`)) runsWith.set(key, (runsWith.get(key) ?? 0) + 1);
    const differs = (name: string) =>
      (values.get(name)?.size ?? 0) > 1 ? (SAYING_LITTLE.test(name) ? 1 : 2) : 0;
    const judges = (key: string) => Number(JUDGING.test(key));
    const count = (key: string) => runsWith.get(key) ?? 0;
    const differing = [...values.keys()].filter(differs);
    return {
      params: (differing.length ? differing : [...values.keys()])
        .sort((a, b) => differs(b) - differs(a) || byNature(a, b))
        .map((name) => columnName("params", name)),
      metrics: [...runsWith.keys()]
        .sort((a, b) => count(b) - count(a) || judges(b) - judges(a) || byNature(a, b))
        .map((key) => columnName("metrics", key)),
    };
  }, [drawn]);
}
