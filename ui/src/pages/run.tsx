// The page of one run: what is known of it, and all of its charts.

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";

import {
  getDetails,
  getTable,
  type DatasetUse,
  type Detail,
  type ModelUse,
  type Summary,
  type TableAnswer,
} from "../data/api";
import { details } from "../data/details";
import { useObservable } from "../data/store";
import { remove, rename, restore } from "../parts/changes";
import { copyText } from "../parts/clipboard";
import { Button, Empty } from "../parts/controls";
import { NoteEditor, Pairs, Tags } from "../parts/editor";
import { formatCount, formatSpan, formatTime } from "../parts/format";
import { duration, Status } from "../parts/status";
import { encodeView, getView, pageBefore, setView, useView } from "../view";
import { ChartSections } from "./chartsections";
import { matching } from "./summary";
import { SummaryTable } from "./summarytable";
import { ChartsToolbar } from "./toolbar";

export function RunPage({ runId, writes }: { runId: string; writes: boolean }) {
  const { keys: expression } = useView();
  const known = useObservable(details);
  const run = known.get(runId);
  if (known.isGone(runId)) return <Unknown runId={runId} />;
  if (!run) return <p class="waiting">Loading …</p>;
  const keys = distinct(run.series);
  const shown = distinct(matching(run.series, expression));
  return (
    <article class="run">
      <Top run={run} writes={writes} />
      <ChartsToolbar runs={[run]} keys={keys} shown={shown.length} />
      <div class="columns">
        <SummaryTable run={run} />
        <div class="facts">
          <Part title="Params" count={Object.keys(run.params).length}>
            <Pairs pairs={Object.entries(run.params).sort(([a], [b]) => (a < b ? -1 : 1))} />
          </Part>
          <section>
            <h2>Tags</h2>
            <Tags run={run} writes={writes} />
          </section>
        </div>
      </div>
      <ChartSections runs={[run]} keys={shown} />
      <Datasets datasets={run.datasets} />
      <Models models={run.models} />
    </article>
  );
}

/** Return the keys of series, each once: a metric may have several. */
function distinct(series: readonly Summary[]): readonly string[] {
  return [...new Set(series.map(({ key }) => key))];
}

function Unknown({ runId }: { runId: string }) {
  return (
    <Empty title="There is no such run.">
      <p>
        The store has no run <code>{runId}</code>. It may be in another store, or it was deleted for
        good.
      </p>
      <p>
        <Button kind="primary" onClick={() => setView({ page: "charts", run: "" })}>
          Show all runs
        </Button>
      </p>
    </Empty>
  );
}

function Top({ run, writes }: { run: Detail; writes: boolean }) {
  const [isNoting, setNoting] = useState(false);
  const back = () => setView({ page: pageBefore(), run: "" });
  const isDeleted = run.stage === "deleted";
  return (
    <header class="run-top">
      <p class="line-of-buttons">
        <Button onClick={back}>← Runs</Button>
        <span class="space" />
        {writes && <Button onClick={() => setNoting(true)}>{run.note ? "Edit note" : "Add note"}</Button>}
        {writes && !isDeleted && (
          <Button kind="danger" onClick={() => void remove([run.run_id])}>Delete</Button>
        )}
        {writes && isDeleted && <Button onClick={() => void restore([run.run_id])}>Restore</Button>}
      </p>
      <Title run={run} writes={writes} />
      {isDeleted && <p class="deleted">This run is deleted.</p>}
      <Facts run={run} />
      {run.note && <p class="note"><bdi>{run.note}</bdi></p>}
      {isNoting && <NoteEditor run={run} onClose={() => setNoting(false)} />}
    </header>
  );
}

function Title({ run, writes }: { run: Detail; writes: boolean }) {
  const [name, setName] = useState<string | null>(null);
  const finish = () => {
    if (name?.trim() && name !== run.run_name) void rename(run.run_id, name);
    setName(null);
  };
  if (name !== null)
    return (
      <form class="title" onSubmit={(event) => { event.preventDefault(); finish(); }}>
        <input
          class="rename"
          aria-label="New name"
          value={name}
          ref={(input) => input?.focus()}
          onInput={(event) => setName(event.currentTarget.value)}
          onKeyDown={(event) => event.key === "Escape" && setName(null)}
        />
        <button type="submit" class="button primary">Rename</button>
        <Button onClick={() => setName(null)}>Cancel</Button>
      </form>
    );
  return (
    <div class="title">
      <h1><bdi>{run.run_name || run.run_id}</bdi></h1>
      {writes && (
        <Button kind="icon" label="Rename" onClick={() => setName(run.run_name)}>✎</Button>
      )}
      <Status status={run.status} />
    </div>
  );
}

function Facts({ run }: { run: Detail }) {
  const took = duration(run);
  return (
    <dl class="run-facts">
      <Fact name="Experiment"><bdi>{run.experiment_name}</bdi></Fact>
      {run.user_id && <Fact name="User"><bdi>{run.user_id}</bdi></Fact>}
      <Fact name="Started">{formatTime(run.start_time)}</Fact>
      {!Number.isNaN(took) && <Fact name="Duration">{formatSpan(took)}</Fact>}
      <Fact name="Run id">
        <code>{run.run_id}</code>
        <Copy text={run.run_id} />
      </Fact>
      {run.parent && <Fact name="Parent"><RunLink runId={run.parent} /></Fact>}
      <Children run={run} />
      {run.artifact_uri && <Fact name="Artifacts"><code class="cut" title={run.artifact_uri}>{run.artifact_uri}</code></Fact>}
    </dl>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Copy({ text }: { text: string }) {
  const [isDone, setDone] = useState(false);
  const copy = async () => {
    await copyText(text);
    setDone(true);
  };
  return (
    <Button kind="icon" label="Copy the run id" onClick={() => void copy()}>
      {isDone ? "copied" : "copy"}
    </Button>
  );
}

function RunLink({ runId, name }: { runId: string; name?: string }) {
  const [found, setFound] = useState(name);
  useEffect(() => {
    if (name === undefined)
      getDetails([runId]).then(([run]) => setFound(run?.run_name), () => undefined);
  }, [runId, name]);
  const view = { page: "run", run: runId } as const;
  return (
    <a
      href={`#${encodeView({ ...getView(), ...view })}`}
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        setView(view);
      }}
    >
      <bdi>{found || runId}</bdi>
    </a>
  );
}

/** So many children are named. */
const NAMED = 50;
const NONE = { rows: [], total: 0 };

function Children({ run }: { run: Detail }) {
  const { run_id: parent, stage, status } = run;
  const [{ rows, total }, setFound] = useState<Pick<TableAnswer, "rows" | "total">>(NONE);
  useEffect(() => {
    const query = { filter: "", order_by: [], stage, columns: [], parent, offset: 0, limit: NAMED };
    getTable(query).then(setFound, () => undefined);
  }, [parent, stage, status]);
  if (!total) return null;
  return (
    <Fact name="Children">
      <ul class="children">
        {rows.map((row) => (
          <li key={row.run_id}><RunLink runId={row.run_id} name={row.run_name} /></li>
        ))}
        {total > rows.length && <li class="soft">{formatCount(total, "run")} in all</li>}
      </ul>
    </Fact>
  );
}

interface PartProps {
  title: string;
  count: number;
  children: ComponentChildren;
}

/** A titled part of the page; where there is nothing in it, it says so. */
function Part({ title, count, children }: PartProps) {
  return (
    <section>
      <h2>{title}</h2>
      {count ? children : <p class="soft">None.</p>}
    </section>
  );
}

function Datasets({ datasets }: { datasets: readonly DatasetUse[] }) {
  if (!datasets.length) return null;
  return (
    <Part title="Datasets" count={datasets.length}>
      <table class="list">
        <thead>
          <tr>
            <th>Name</th><th>Digest</th><th>Context</th><th>Source</th><th>More</th>
          </tr>
        </thead>
        <tbody>
          {datasets.map((each) => (
            <tr key={`${each.name} ${each.digest} ${each.context}`}>
              <td><bdi>{each.name}</bdi></td>
              <td><code>{each.digest}</code></td>
              <td>{each.context}</td>
              <td title={each.source}>{each.source_type} <bdi>{each.source}</bdi></td>
              <td>
                {each.schema && <More title="schema" text={each.schema} />}
                {each.profile && <More title="profile" text={each.profile} />}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Part>
  );
}

function More({ title, text }: { title: string; text: string }) {
  return (
    <details>
      <summary>{title}</summary>
      <pre>{text}</pre>
    </details>
  );
}

function Models({ models }: { models: readonly ModelUse[] }) {
  if (!models.length) return null;
  return (
    <Part title="Models" count={models.length}>
      <table class="list">
        <thead>
          <tr><th>Name</th><th>Role</th><th class="number">Step</th><th>Status</th><th>Model id</th></tr>
        </thead>
        <tbody>
          {models.map((each) => (
            <tr key={`${each.model_id} ${each.role} ${each.step}`}>
              <td><bdi>{each.name}</bdi></td>
              <td>{each.role}</td>
              <td class="number">{each.step}</td>
              <td>{each.status.toLowerCase()}</td>
              <td><code>{each.model_id}</code></td>
            </tr>
          ))}
        </tbody>
      </table>
    </Part>
  );
}
