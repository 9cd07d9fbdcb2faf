// The menu of columns: which there are, which are shown, and in which order.

import { useState } from "preact/hooks";

import { columnName, columnTitle, moved, parseColumn, PARTS, type Kind } from "../data/columns";
import { runs } from "../data/runs";
import { Button, Check, Field, Menu } from "../parts/controls";
import { setView, toggled, useView } from "../view";

/** So many names are listed; more are found by searching. */
const LISTED = 60;

const TITLES: Readonly<Record<Kind, string>> = { metrics: "Metrics", params: "Params", tags: "Tags" };
const PART_NAMES: Readonly<Partial<Record<string, string>>> = { nan_count: "NaN", count: "n" };

export function ColumnPicker() {
  return (
    <Menu label="Columns" content="Columns ▾">
      <Picker />
    </Menu>
  );
}

function Picker() {
  const [sought, setSought] = useState("");
  return (
    <div class="picker">
      <Chosen />
      <Field label="Find" value={sought} onChange={setSought} />
      {(["metrics", "params", "tags"] as const).map((kind) => (
        <Group key={kind} kind={kind} sought={sought.toLowerCase()} />
      ))}
    </div>
  );
}

/** The columns that are shown, to be moved and removed. */
function Chosen() {
  const shown = useShown();
  const swap = (name: string, by: number) => {
    const target = shown[shown.indexOf(name) + by];
    if (target !== undefined) setView({ columns: moved(shown, name, target) });
  };
  return (
    <ol class="chosen">
      {shown.map((name, index) => {
        const column = parseColumn(name, runs.keys.metrics);
        const title = column ? columnTitle(column) : name;
        return (
          <li key={name}>
            <bdi title={name}>{title}</bdi>
            <Button kind="icon" label={`Move ${title} left`} disabled={!index} onClick={() => swap(name, -1)}>
              ↑
            </Button>
            <Button
              kind="icon"
              label={`Move ${title} right`}
              disabled={index === shown.length - 1}
              onClick={() => swap(name, 1)}
            >
              ↓
            </Button>
            <Button
              kind="icon"
              label={`Remove ${title}`}
              onClick={() => setView({ columns: shown.filter((each) => each !== name) })}
            >
              ×
            </Button>
          </li>
        );
      })}
    </ol>
  );
}

function Group({ kind, sought }: { kind: Kind; sought: string }) {
  const found = runs.keys[kind].filter((key) => key.toLowerCase().includes(sought));
  if (!found.length) return null;
  return (
    <section>
      <h2>{TITLES[kind]}</h2>
      <ul>
        {found.slice(0, LISTED).map((key) => (
          <li key={key}>{kind === "metrics" ? <Metric name={key} /> : <Named kind={kind} name={key} />}</li>
        ))}
      </ul>
      {found.length > LISTED && <p class="soft">{found.length - LISTED} more: search for them.</p>}
    </section>
  );
}

/** Return the columns that are shown, whether they were chosen or not. */
function useShown(): readonly string[] {
  const { columns } = useView();
  return columns.length ? columns : runs.standard;
}

function Named({ kind, name }: { kind: Kind; name: string }) {
  const columns = useShown();
  const column = columnName(kind, name);
  return (
    <Check
      label={name}
      checked={columns.includes(column)}
      onChange={() => setView({ columns: toggled(columns, column) })}
    />
  );
}

function Metric({ name }: { name: string }) {
  const columns = useShown();
  return (
    <div class="metric" role="group" aria-label={name}>
      <bdi title={name}>{name}</bdi>
      {PARTS.map((part) => {
        const column = columnName("metrics", name, part);
        return (
          <Button
            key={part}
            pressed={columns.includes(column)}
            onClick={() => setView({ columns: toggled(columns, column) })}
          >
            {PART_NAMES[part] ?? part}
          </Button>
        );
      })}
    </div>
  );
}
