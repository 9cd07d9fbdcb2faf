// Choosing a field of runs: a param, a part of a metric, a tag.

import { useState } from "preact/hooks";

import { columnName, type Kind, type Part } from "../data/columns";
import { useDrawnRuns } from "../data/details";
import { runs } from "../data/runs";
import { Button, Field, Menu } from "../parts/controls";
import { byNature } from "./sections";
import { fieldTitle } from "./fields";

/** So many names of a kind are listed; more are found by searching. */
const LISTED = 50;
const TITLES: Readonly<Record<Kind, string>> = { params: "Params", metrics: "Metrics", tags: "Tags" };
const PARTS: readonly Part[] = ["last", "min", "max", "best"];

interface FieldPickerProps {
  label: string;
  /** The field that is chosen; empty where the button shows only the label. */
  field: string;
  onChoose(field: string): void;
  /** A choice beside the fields, with its name. */
  none?: string;
}

export function FieldPicker({ label, field, onChoose, none }: FieldPickerProps) {
  const title = field ? fieldTitle(field, runs.keys.metrics) : none;
  return (
    <Menu
      label={title ? `${label}: ${title}` : label}
      content={
        <span class="field-button" title={field}>
          {title ? <><span class="soft">{label}</span> <bdi>{title}</bdi></> : label} ▾
        </span>
      }
    >
      {(close) => (
        <Choices
          none={none}
          onChoose={(field) => {
            onChoose(field);
            close();
          }}
        />
      )}
    </Menu>
  );
}

interface ChoicesProps {
  none: string | undefined;
  onChoose(field: string): void;
}

function Choices({ none, onChoose }: ChoicesProps) {
  const [sought, setSought] = useState("");
  const names = useNames();
  return (
    <div class="field-choices">
      <Field label="Find" value={sought} onChange={setSought} />
      {none && <p><Button onClick={() => onChoose("")}>{none}</Button></p>}
      {(["params", "metrics", "tags"] as const).map((kind) => {
        const found = names[kind].filter((name) => name.toLowerCase().includes(sought.toLowerCase()));
        if (!found.length) return null;
        return (
          <section key={kind}>
            <h3>{TITLES[kind]}</h3>
            <ul>
              {found.slice(0, LISTED).map((name) => (
                <li key={name}>
                  <Button onClick={() => onChoose(columnName(kind, name))}><bdi>{name}</bdi></Button>
                  {kind === "metrics" &&
                    PARTS.slice(1).map((part) => (
                      <Button
                        key={part}
                        kind="icon"
                        label={`${name} ${part}`}
                        onClick={() => onChoose(columnName(kind, name, part))}
                      >
                        {part}
                      </Button>
                    ))}
                </li>
              ))}
            </ul>
            {found.length > LISTED && <p class="soft">{found.length - LISTED} more: search for them.</p>}
          </section>
        );
      })}
    </div>
  );
}

/** Return the names of params, metrics and tags of the listed and of the drawn runs. */
export function useNames(): Readonly<Record<Kind, readonly string[]>> {
  const drawn = useDrawnRuns();
  const all = (known: readonly string[], own: readonly string[]) =>
    [...new Set([...known, ...own])].filter((name) => !/^(mlflow|steplog)\./.test(name)).sort(byNature);
  const { metrics, params, tags } = runs.keys;
  return {
    metrics: all(metrics, drawn.flatMap((run) => run.series.map(({ key }) => key))),
    params: all(params, drawn.flatMap((run) => Object.keys(run.params))),
    tags: all(tags, drawn.flatMap((run) => Object.keys(run.tags))),
  };
}
