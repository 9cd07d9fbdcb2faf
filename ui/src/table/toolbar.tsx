// Above the table: the filter, how many runs there are, which are selected, and what to do with them.

import { useEffect, useState } from "preact/hooks";

import { type ApiError, type Stage } from "../data/api";
import { parseColumn } from "../data/columns";
import { UNASKED } from "../data/details";
import { runs } from "../data/runs";
import { useObservable } from "../data/store";
import { remove, restore } from "../parts/changes";
import { Button, Menu, Select } from "../parts/controls";
import { formatCount } from "../parts/format";
import { setView, useView } from "../view";
import { exampleFilters, toFilter } from "./filter";
import { ColumnPicker } from "./picker";

export function Toolbar({ writes, onCollapse }: { writes: boolean; onCollapse(): void }) {
  const view = useView();
  const { total, known, error } = useObservable(runs);
  return (
    <div class="toolbar">
      <Filter error={error} onCollapse={onCollapse} />
      <div class="tools">
        <strong class="total" role="status">{known ? formatCount(total, "run") : ""}</strong>
        <Selection writes={writes} />
        <span class="space" />
        <ColumnPicker />
        <Button
          pressed={view.nested}
          label="Nested: runs below their parents"
          onClick={() => setView({ nested: !view.nested })}
        >
          Nested
        </Button>
        <Select<Stage>
          label="Stage"
          value={view.stage}
          options={[["active", "Active"], ["deleted", "Deleted"]]}
          onChange={(stage) => setView({ stage, runs: [], hidden: [] })}
        />
      </div>
    </div>
  );
}

/** The filter: taken on Enter, or when the field is left. What the server says of it is below. */
function Filter({ error, onCollapse }: { error: ApiError | null; onCollapse(): void }) {
  const view = useView();
  const [typed, setTyped] = useState(view.filter);
  useEffect(() => setTyped(view.filter), [view.filter]);
  const take = (text: string) => {
    const filter = toFilter(text);
    setTyped(filter);
    if (filter !== view.filter) setView({ filter });
  };
  return (
    <>
      <div class="filter control">
        <input
          id="filter"
          type="text"
          spellcheck={false}
          autocomplete="off"
          aria-label="Filter the runs"
          aria-invalid={error !== null && error.status === 400}
          aria-describedby="filter-error"
          placeholder="Filter: a name, or metrics.loss < 0.3  (/)"
          value={typed}
          onInput={(event) => setTyped(event.currentTarget.value)}
          onBlur={() => take(typed)}
          onKeyDown={(event) => {
            if (event.key === "Enter") take(event.currentTarget.value);
            if (event.key === "Escape") setTyped(view.filter);
            if (event.key === "ArrowDown") document.getElementById("runs")?.focus();
          }}
        />
        {view.filter && (
          <Button kind="icon" label="Remove the filter" onClick={() => take("")}>×</Button>
        )}
        <Menu label="Examples of filters" content="?">
          <Examples onChoose={take} />
        </Menu>
        <Button kind="icon" label="Close the table (t)" onClick={onCollapse}>«</Button>
      </div>
      <p id="filter-error" class={error ? "problem" : ""} role="alert">{error?.message}</p>
    </>
  );
}

function Examples({ onChoose }: { onChoose(filter: string): void }) {
  const shown = runs.standard.flatMap((name) => parseColumn(name, runs.keys.metrics) ?? []);
  const metric = shown.find(({ kind }) => kind === "metrics");
  const param = shown.find(({ kind }) => kind === "params");
  const value = param && runs.first(1)[0]?.values[param.name];
  return (
    <ul class="examples">
      {exampleFilters(metric?.key, param?.key, value).map(([filter, meaning]) => (
        <li key={filter}>
          <button type="button" onClick={() => onChoose(filter)}>
            <code>{filter}</code>
            <span>{meaning}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

/** What is drawn, where the person did not say it, or what is selected and can be done with it. */
function Selection({ writes }: { writes: boolean }) {
  const { runs: chosen, stage } = useView();
  const shown = Math.min(UNASKED, runs.total);
  if (!chosen.length)
    return <span class="soft">{runs.total > UNASKED ? `showing the first ${shown}` : ""}</span>;
  return (
    <span class="selection">
      <span>{chosen.length} selected</span>
      <Button kind="icon" label="Select none" onClick={() => setView({ runs: [], hidden: [] })}>
        ×
      </Button>
      {writes && stage === "active" && (
        <Button kind="danger" onClick={() => void remove(chosen)}>Delete</Button>
      )}
      {writes && stage === "deleted" && (
        <Button onClick={() => void restore(chosen).then((done) => done && setView({ runs: [] }))}>
          Restore
        </Button>
      )}
    </span>
  );
}
