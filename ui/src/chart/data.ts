// Follows the data of a chart: what the feed hands out, with a finer beginning where x is logarithmic.

import { useEffect, useMemo, useState } from "preact/hooks";

import { feed } from "../data/feed";
import type { ChartData, ChartQuery } from "../data/wire";
import { finer, joined, type Joined } from "./parts";

interface Part {
  query: ChartQuery | null;
  /** What was answered last, and to which query. */
  answer: { query: ChartQuery; data: ChartData } | null;
  error: Error | null;
  busy: boolean;
}

interface Charted {
  data: Joined | null;
  /** What the data is the answer to; what is asked now may still be under way. */
  query: ChartQuery | null;
  error: Error | null;
  busy: boolean;
}

/** Follow a chart; what was received stays until the next query is answered. */
export function useChart(query: ChartQuery | null, logX: boolean): Charted {
  const whole = usePart(query);
  const first = usePart(logX ? beginningOf(whole) : null);
  const second = usePart(logX ? beginningOf(first) : null);
  const third = usePart(logX ? beginningOf(second) : null);
  const { answer, error } = whole;
  const beginnings = [first, second, third];
  const busy = whole.busy || beginnings.some((part) => part.query && part.busy);
  const parts = [answer?.data ?? null, ...beginnings.map(fitting)];
  const data = useMemo(
    () => parts.reduceRight<Joined | null>((finer, part) => part && joined(part, finer), null),
    parts,
  );
  return { data, query: answer?.query ?? null, error, busy };
}

function beginningOf({ query, answer, busy }: Part): ChartQuery | null {
  return query && answer && !busy ? finer(query, answer.data) : null;
}

/** Return the data of a part that ends where the buckets after it begin now. */
function fitting({ query, answer, busy }: Part): ChartData | null {
  return query && answer && !busy ? answer.data : null;
}

function usePart(query: ChartQuery | null): Part {
  const [answer, setAnswer] = useState<Part["answer"]>(null);
  const [error, setError] = useState<Error | null>(null);
  const text = JSON.stringify(query);
  useEffect(() => {
    if (!query) return setAnswer(null);
    const receive = (data: ChartData) => {
      setAnswer({ query, data });
      setError(null);
    };
    return feed.subscribe(query, { receive, fail: setError });
  }, [text]);
  return { query, answer, error, busy: !error && (!answer || JSON.stringify(answer.query) !== text) };
}
