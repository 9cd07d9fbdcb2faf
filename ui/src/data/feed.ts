// The feed of charts: every chart on screen says here what it shows, and is handed its data, first
// whole and then as it changes. Charts that are asked for at the same time travel together.

import { getCharts } from "./api";
import { clock } from "./clock";
import { type ChartData, type ChartQuery, decode } from "./wire";

/** So many charts travel in one request: few enough that the first ones are drawn early. */
const TOGETHER = 4;

export interface Subscriber {
  /** Called with the chart when it is there, and with another object whenever it has changed. */
  receive(data: ChartData): void;
  /** Called with what went wrong; the chart that was received stays. */
  fail(error: Error): void;
}

interface Subscription {
  query: ChartQuery;
  subscriber: Subscriber;
  data: ChartData | null;
  abort: AbortController | null;
}

class Feed {
  private readonly subscriptions = new Set<Subscription>();
  private waiting: Subscription[] = [];

  constructor() {
    clock.listen(() => this.refresh());
  }

  /** Hand a chart to a subscriber until the function that is returned is called. */
  subscribe(query: ChartQuery, subscriber: Subscriber): () => void {
    const subscription: Subscription = { query, subscriber, data: null, abort: null };
    this.subscriptions.add(subscription);
    if (!this.waiting.length) queueMicrotask(() => void this.fetchWaiting());
    this.waiting.push(subscription);
    return () => {
      this.subscriptions.delete(subscription);
      subscription.abort?.abort();
    };
  }

  /** Ask for what has changed of all charts, and again for those that failed. */
  async refresh(): Promise<void> {
    const settled = [...this.subscriptions].filter(
      (each) => !each.abort && !this.waiting.includes(each),
    );
    await this.fetch(settled);
  }

  private async fetchWaiting(): Promise<void> {
    const waiting = this.waiting.filter((each) => this.subscriptions.has(each));
    this.waiting = [];
    await this.fetch(waiting);
  }

  private async fetch(subscriptions: Subscription[]): Promise<void> {
    const parts: Subscription[][] = [];
    for (let start = 0; start < subscriptions.length; start += TOGETHER)
      parts.push(subscriptions.slice(start, start + TOGETHER));
    await Promise.all(parts.map((part) => this.fetchTogether(part)));
  }

  private async fetchTogether(part: Subscription[]): Promise<void> {
    const abort = new AbortController();
    for (const each of part) each.abort = abortTogether(part, abort);
    try {
      const queries = part.map(({ query, data }) => ({ ...query, since: data?.cursor }));
      const bytes = await getCharts(queries, abort.signal);
      const charts = decode(bytes, part.map((each) => each.data));
      part.forEach((each, index) => this.deliver(each, charts[index]));
    } catch (error) {
      if (!abort.signal.aborted)
        for (const each of part)
          if (this.subscriptions.has(each)) each.subscriber.fail(error as Error);
    } finally {
      for (const each of part) each.abort = null;
    }
  }

  private deliver(subscription: Subscription, data: ChartData | undefined): void {
    if (!data || !this.subscriptions.has(subscription)) return;
    const changed = data !== subscription.data;
    subscription.data = data;
    if (changed) subscription.subscriber.receive(data);
  }
}

/** Return a controller that aborts a request once every chart in it is no longer wanted. */
function abortTogether(part: Subscription[], request: AbortController): AbortController {
  const mine = new AbortController();
  mine.signal.addEventListener("abort", () => {
    if (part.every((each) => !each.abort || each.abort.signal.aborted)) request.abort();
  });
  return mine;
}

export const feed = new Feed();
