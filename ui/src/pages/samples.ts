// Runs with the values of some fields: those that are drawn, or all that the table lists.

import { useEffect, useMemo, useState } from "preact/hooks";

import { getTable, type Row, type Value } from "../data/api";
import { clock } from "../data/clock";
import { useDrawnRuns } from "../data/details";
import { listQuery } from "../data/runs";
import { useView } from "../view";
import { useKept } from "./chartsections";
import { fieldValue } from "./fields";

/** So many runs of the table are shown at most. */
export const MOST = 1000;
/** The table is asked again after so long, while something runs. */
const AGAIN_MS = 4_000;

export interface Sample {
  runId: string;
  name: string;
  isDrawn: boolean;
  values: Readonly<Record<string, Value | undefined>>;
}

export interface Samples {
  /** Null until they are known. */
  samples: readonly Sample[] | null;
  /** How many runs there are of which these are the first. */
  total: number;
  error: Error | null;
}

/** Return the runs that the view is about, with these fields. */
export function useSamples(fields: readonly string[]): Samples {
  const { all } = useView();
  const drawn = useKept(useDrawnRuns());
  const listed = useListed(all ? fields : null);
  return useMemo(() => {
    if (!all)
      return {
        samples: drawn.map((run) => ({
          runId: run.run_id,
          name: run.run_name || run.run_id,
          isDrawn: true,
          values: valuesOf(fields, (field) => fieldValue(run, field)),
        })),
        total: drawn.length,
        error: null,
      };
    const ids = new Set(drawn.map((run) => run.run_id));
    const samples = listed.rows?.map((row) => ({
      runId: row.run_id,
      name: row.run_name || row.run_id,
      isDrawn: ids.has(row.run_id),
      values: valuesOf(fields, (field) => row.values[field] ?? attribute(row, field)),
    }));
    return { samples: samples ?? null, total: listed.total, error: listed.error };
  }, [all, drawn, listed, fields.join("\n")]);
}

function valuesOf(fields: readonly string[], value: (field: string) => Value | undefined) {
  return Object.fromEntries(fields.map((field) => [field, value(field)]));
}

function attribute(row: Row, field: string): Value | undefined {
  return field.startsWith("attributes.") ? row[field.slice(11) as "run_name"] : undefined;
}

interface Listed {
  rows: readonly Row[] | null;
  total: number;
  error: Error | null;
}

/** Return rows of the table with these fields; those of before stay until others are there. */
function useListed(fields: readonly string[] | null): Listed {
  const view = useView();
  const [listed, setListed] = useState<Listed>({ rows: null, total: 0, error: null });
  const columns = fields?.filter((field) => !field.startsWith("attributes.")) ?? [];
  const query = { ...listQuery(view), columns, offset: 0, limit: MOST };
  const text = fields && JSON.stringify(query);
  useEffect(() => {
    if (text === null) return;
    const abort = new AbortController();
    let asked = 0;
    const load = async () => {
      asked = Date.now();
      try {
        const { rows, total } = await getTable(query, abort.signal);
        setListed({ rows, total, error: null });
      } catch (error) {
        if (!abort.signal.aborted) setListed((old) => ({ ...old, error: error as Error }));
      }
    };
    void load();
    const silence = clock.listen(() => (Date.now() - asked > AGAIN_MS ? load() : undefined));
    return () => {
      silence();
      abort.abort();
    };
  }, [text]);
  return listed;
}
