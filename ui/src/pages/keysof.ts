// Which metrics runs have, kept up to date: a new one appears by itself.

import { useEffect, useState } from "preact/hooks";

import { getKeys } from "../data/api";
import { clock } from "../data/clock";

/** So many runs can be asked about at once. */
const TOGETHER = 1000;

export interface FoundKeys {
  /** Null until they are known. */
  keys: readonly string[] | null;
  error: Error | null;
}

/** Return the metrics of runs. Those of before stay until the next are there. */
export function useKeys(runIds: readonly string[]): FoundKeys {
  const [found, setFound] = useState<FoundKeys>({ keys: null, error: null });
  useEffect(() => {
    if (!runIds.length) return;
    const abort = new AbortController();
    const load = async () => {
      try {
        const keys = await getKeys(runIds.slice(0, TOGETHER), abort.signal);
        setFound((old) => merged(old, keys.map(({ key }) => key)));
      } catch (error) {
        if (!abort.signal.aborted) setFound(({ keys }) => ({ keys, error: error as Error }));
      }
    };
    void load();
    const silence = clock.listen(load);
    return () => {
      silence();
      abort.abort();
    };
  }, [runIds.join()]);
  return found;
}

function merged(old: FoundKeys, keys: readonly string[]): FoundKeys {
  const same = old.keys?.length === keys.length && keys.every((key, index) => key === old.keys?.[index]);
  return same && !old.error ? old : { keys: same ? old.keys : keys, error: null };
}
