// The page as a whole: the header, the table of runs on the left, and one of the pages beside it.

import { useEffect, useMemo, useState } from "preact/hooks";

import { getExperiments, getSession, type ApiError, type Experiment, type Session } from "./data/api";
import { clock } from "./data/clock";
import { chosenRuns, details } from "./data/details";
import { listQuery, runs } from "./data/runs";
import { useObservable } from "./data/store";
import { useShortcuts } from "./keyboard";
import { assignStrokes } from "./palette";
import { Charts } from "./pages/charts";
import { Compare } from "./pages/compare";
import { NoRuns } from "./pages/noruns";
import { Parallel } from "./pages/parallel";
import { RunPage } from "./pages/run";
import { Scatter } from "./pages/scatter";
import { Button, Problem } from "./parts/controls";
import { ExperimentMenu } from "./parts/experiments";
import { KeyboardHelp } from "./parts/help";
import { Notices } from "./parts/notices";
import { RunsTable } from "./table/table";
import { setView, useView, type Page, type View } from "./view";

const PAGES: readonly (readonly [Page, string])[] = [
  ["charts", "Charts"],
  ["compare", "Compare"],
  ["scatter", "Scatter"],
  ["parallel", "Parallel"],
];

export function App() {
  const view = useView();
  const [session, setSession] = useState<Session | null>(null);
  const [experiments, setExperiments] = useState<Experiment[]>([]);
  const [error, setError] = useState<Error | null>(null);
  const [help, setHelp] = useState(false);
  useObservable(runs);
  useEffect(() => {
    getSession().then(setSession, setError);
    const load = () => getExperiments().then(setExperiments, () => undefined);
    void load();
    return clock.listen(load);
  }, []);
  useEffect(() => void runs.ask(listQuery(view, runs.standard)), [view, runs.standard]);
  const chosen = chosenRuns(view);
  assignStrokes(chosen); // before anything is drawn with them
  useEffect(() => details.want(chosen), [chosen.join()]);
  useShortcuts(useMemo(() => appShortcuts(() => setHelp(true)), []));
  const writes = session !== null && session.role !== "read";
  return (
    <>
      <Header session={session} experiments={experiments} onHelp={() => setHelp(true)} />
      {error && <Problem error={error} />}
      <main class={view.page === "run" ? "single" : "split"}>
        {view.page !== "run" && (
          <aside aria-label="Runs">
            <RunsTable writes={writes} />
          </aside>
        )}
        <div class="page">{content(view, writes, runs.error)}</div>
      </main>
      <Notices />
      {help && <KeyboardHelp onClose={() => setHelp(false)} />}
    </>
  );
}

function content(view: View, writes: boolean, error: ApiError | null) {
  if (view.page === "run") return <RunPage key={view.run} runId={view.run} writes={writes} />;
  if (!runs.known) return error ? null : <p class="waiting">Loading …</p>;
  if (!runs.total && !view.runs.length) return <NoRuns />;
  if (view.page === "compare") return <Compare />;
  if (view.page === "scatter") return <Scatter />;
  if (view.page === "parallel") return <Parallel />;
  return <Charts />;
}

interface HeaderProps {
  session: Session | null;
  experiments: readonly Experiment[];
  onHelp(): void;
}

function Header({ session, experiments, onHelp }: HeaderProps) {
  const view = useView();
  const live = clock.isLive();
  return (
    <header class="top">
      <a class="brand" href="#" onClick={(event) => { event.preventDefault(); setView({ page: "charts" }); }}>
        <img src="icon.svg" alt="" width="20" height="20" />
        <strong>steplog</strong>
        {session && <span class="store">{session.store}</span>}
      </a>
      {view.page !== "run" && <h1 class="visually-hidden">Runs: {view.page}</h1>}
      <ExperimentMenu experiments={experiments} />
      <nav aria-label="Pages">
        {PAGES.map(([page, title]) => (
          <Button key={page} pressed={view.page === page} onClick={() => setView({ page })}>
            {title}
          </Button>
        ))}
      </nav>
      <span class={live ? "live on" : "live"} role="status">
        {live ? "live" : ""}
      </span>
      <Button kind="icon" label="Keyboard shortcuts" onClick={onHelp}>
        ?
      </Button>
    </header>
  );
}

function appShortcuts(onHelp: () => void) {
  const pages = PAGES.map(([page, title], index) => ({
    key: String(index + 1),
    does: `Page ${title}`,
    act: () => setView({ page }),
  }));
  return [
    { key: "?", does: "Show the shortcuts", act: onHelp },
    ...pages,
    { key: "/", does: "Filter the runs", act: () => focus("filter") },
    { key: "m", does: "Filter the charts", act: () => focus("keys") },
  ];
}

function focus(id: string): void {
  document.getElementById(id)?.focus();
}
