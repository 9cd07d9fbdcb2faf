// The view: everything that decides what the page shows, as one value that lives in the address.
//
// A link shows the same view to whoever opens it. What equals the default is left out of the
// address. Not here: anything that came from the server.

import { useEffect, useReducer } from "preact/hooks";

import type { Stage } from "./data/api";
import type { Part } from "./data/columns";
import type { Aggregate, Band, X } from "./data/wire";

export type Page = "charts" | "compare" | "scatter" | "parallel" | "run";
export type YScale = "linear" | "log" | "symlog";
export type Smoothing = "none" | "ema" | "gaussian";
export type Size = "s" | "m" | "l";

export interface View {
  page: Page;
  /** Experiments whose runs are listed; none means all. */
  experiments: readonly string[];
  /** In MLflow's filter language. */
  filter: string;
  /** As MLflow's order_by, such as `metrics.loss.min ASC`; empty for newest first. */
  order: string;
  stage: Stage;
  /** Runs without a parent only; children are opened below them. */
  nested: boolean;
  /** Columns of the table beside the fixed ones, such as `metrics.loss.min`. */
  columns: readonly string[];
  /** Runs that are drawn; none means the first ten of the table. */
  runs: readonly string[];
  /** Of those, the ones that are not drawn for now. */
  hidden: readonly string[];
  /** Runs that stay on top of the table. */
  pinned: readonly string[];
  /** The run that others are compared with; empty for the first one. */
  baseline: string;
  /** The run of page `run`. */
  run: string;
  /** How its table of series is sorted, such as `last DESC`; empty for by key. */
  summary: string;
  /** A regular expression: only charts of metrics that match. */
  keys: string;
  /** Sections of charts that were closed; and `system`, which is closed by itself, if opened. */
  closed: readonly string[];
  /** How large charts are. */
  size: Size;
  /** The metric whose chart fills the window; empty for none. */
  chart: string;
  x: X;
  /** The metric that is the x axis where x is `metric`. */
  xKey: string;
  /** What is zoomed to, in units of x; NaN for everything. */
  xMin: number;
  xMax: number;
  logX: boolean;
  y: YScale;
  smoothing: Smoothing;
  /** 0 to 1: from nothing to as much as is sensible. */
  strength: number;
  /** Leave outliers out of the y axis. */
  clip: boolean;
  /** Draw groups of runs that agree in these fields, such as `params.lr`; empty for single runs. */
  group: readonly string[];
  aggregate: Aggregate;
  band: Band;
  /** Draw a line for each rank of a distributed job; else one for all, with a band. */
  ranksApart: boolean;
  /** What page `compare` shows of each metric. */
  part: Part;
  /** Only what differs between the runs. */
  differing: boolean;
  /** Tags as well. */
  tags: boolean;
  /** Pages `scatter` and `parallel` show the runs of the table, not only those that are drawn. */
  all: boolean;
  /** Fields of the axes of page `scatter`. */
  scatterX: string;
  scatterY: string;
  scatterLogX: boolean;
  scatterLogY: boolean;
  /** The field that its points are coloured by; empty for the run. */
  colour: string;
  /** Fields of the axes of page `parallel`. */
  axes: readonly string[];
  /** Those of them that are logarithmic. */
  logAxes: readonly string[];
  /** Of those that only a part is shown of: each a JSON list of the field and both ends. */
  ranges: readonly string[];
}

export const DEFAULTS: View = {
  page: "charts",
  experiments: [],
  filter: "",
  order: "",
  stage: "active",
  nested: false,
  columns: [],
  runs: [],
  hidden: [],
  pinned: [],
  baseline: "",
  run: "",
  summary: "",
  keys: "",
  closed: [],
  size: "m",
  chart: "",
  x: "step",
  xKey: "",
  xMin: NaN,
  xMax: NaN,
  logX: false,
  y: "linear",
  smoothing: "none",
  strength: 0.6,
  clip: false,
  group: [],
  aggregate: "mean",
  band: "minmax",
  ranksApart: false,
  part: "last",
  differing: true,
  tags: false,
  all: false,
  scatterX: "",
  scatterY: "",
  scatterLogX: false,
  scatterLogY: false,
  colour: "",
  axes: [],
  logAxes: [],
  ranges: [],
};

/** What a field of limited choice may be; anything else in an address counts as the default. */
const CHOICES: Partial<Record<keyof View, readonly string[]>> = {
  page: ["charts", "compare", "scatter", "parallel", "run"],
  stage: ["active", "deleted"],
  size: ["s", "m", "l"],
  x: ["step", "time", "relative", "metric"],
  part: ["last", "min", "max", "best"],
  y: ["linear", "log", "symlog"],
  smoothing: ["none", "ema", "gaussian"],
  aggregate: ["mean", "median"],
  band: ["minmax", "std", "sem", "ci95"],
};

/** Return the part of an address behind `#` that stands for a view. */
export function encodeView(view: View): string {
  const parameters = new URLSearchParams();
  for (const name of Object.keys(DEFAULTS) as (keyof View)[]) {
    const value = view[name];
    if (Array.isArray(value)) for (const each of value) parameters.append(name, String(each));
    else if (!Object.is(value, DEFAULTS[name])) parameters.set(name, String(value));
  }
  return parameters.toString();
}

/** Return the view that an address stands for; what cannot be understood is the default. */
export function decodeView(hash: string): View {
  const parameters = new URLSearchParams(hash.replace(/^#/, ""));
  const view: Record<string, unknown> = { ...DEFAULTS };
  for (const [name, standard] of Object.entries(DEFAULTS)) {
    const given = parameters.getAll(name);
    const [first] = given;
    if (first === undefined) continue;
    if (Array.isArray(standard)) view[name] = given.filter((each) => each !== "");
    else view[name] = decodeValue(name as keyof View, first, standard);
  }
  return view as unknown as View;
}

function decodeValue(name: keyof View, text: string, standard: unknown): unknown {
  if (typeof standard === "boolean") return text === "true";
  if (typeof standard === "number") {
    const number = Number(text);
    return Number.isFinite(number) ? number : standard;
  }
  return CHOICES[name]?.includes(text) === false ? standard : text;
}

let current: View = DEFAULTS;
let left: Page = "charts";
const listeners = new Set<() => void>();

/** Take the view from the address, now and whenever the person goes back or forward. */
export function startView(): void {
  const take = () => {
    current = decodeView(location.hash);
    for (const listener of listeners) listener();
  };
  addEventListener("popstate", take);
  addEventListener("hashchange", take);
  take();
}

export const getView = (): View => current;

/** Return the page from which a run was opened: where its page leads back to. */
export const pageBefore = (): Page => left;

/** Change some of the view. Another page or run can be left again with the browser's back. */
export function setView(change: Partial<View>): void {
  const before = current;
  current = { ...current, ...change };
  const address = `#${encodeView(current)}`;
  const moves = before.page !== current.page || before.run !== current.run;
  if (before.page !== "run") left = before.page;
  if (address !== location.hash)
    history[moves ? "pushState" : "replaceState"](null, "", address);
  for (const listener of listeners) listener();
}

/** Return the view, and draw the component again when it changes. */
export function useView(): View {
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    const listener = () => redraw(undefined);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
  return current;
}

/** Return a list with an element added, or without it where it is there. */
export function toggled(list: readonly string[], element: string): readonly string[] {
  return list.includes(element) ? list.filter((each) => each !== element) : [...list, element];
}
