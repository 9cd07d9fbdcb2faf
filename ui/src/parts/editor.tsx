// Changing what people say about a run: its name, its note, its tags.

import { useEffect, useState } from "preact/hooks";

import { getDetails, NOTE, type Detail } from "../data/api";
import { Button, Dialog, Field, Problem } from "./controls";
import { removeTag, rename, writeNote, writeTag } from "./changes";

interface RunEditorProps {
  runId: string;
  name: string;
  onClose(): void;
}

/** A window with all of it. */
export function RunEditor({ runId, name, onClose }: RunEditorProps) {
  const [run, setRun] = useState<Detail | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const load = () => getDetails([runId]).then(([found]) => setRun(found ?? null), setError);
  useEffect(() => void load(), [runId]);
  return (
    <Dialog title={run?.run_name ?? name} onClose={onClose}>
      {error && <Problem error={error} />}
      {run && (
        <div class="editor">
          <Field
            label="Name"
            value={run.run_name}
            late
            onChange={(text) => {
              if (text.trim() && text !== run.run_name) void rename(runId, text).then(load);
            }}
          />
          <NoteField key={run.note} run={run} onDone={load} />
          <h2>Tags</h2>
          <Tags run={run} writes onDone={load} />
        </div>
      )}
    </Dialog>
  );
}

/** A window for the note alone. */
export function NoteEditor({ run, onClose }: { run: Detail; onClose(): void }) {
  return (
    <Dialog title="Note" onClose={onClose}>
      <div class="editor">
        <NoteField run={run} onDone={onClose} />
      </div>
    </Dialog>
  );
}

function NoteField({ run, onDone }: { run: Detail; onDone(): void }) {
  const before = run.note ?? "";
  const [note, setNote] = useState(before);
  return (
    <>
      <label class="note-field">
        <span>Note</span>
        <textarea rows={5} value={note} onInput={(event) => setNote(event.currentTarget.value)} />
      </label>
      <p class="buttons">
        <Button
          kind="primary"
          disabled={note === before}
          onClick={() => void writeNote(run.run_id, note, before).then((done) => done && onDone())}
        >
          Save note
        </Button>
      </p>
    </>
  );
}

interface TagsProps {
  run: Detail;
  writes: boolean;
  onDone?(): void;
}

/** The tags of a run; those that MLflow and steplog set come last, and stay as they are. */
export function Tags({ run, writes, onDone }: TagsProps) {
  const all = Object.entries(run.tags).filter(([key]) => key !== NOTE);
  const isInternal = ([key]: [string, string]) => /^(mlflow|steplog)\./.test(key);
  const own = all.filter((tag) => !isInternal(tag)).sort(byKey);
  const internal = all.filter(isInternal).sort(byKey);
  const done = (work: Promise<boolean>) => void work.then(() => onDone?.());
  return (
    <>
      <table class="pairs">
        <tbody>
          {own.map(([key, value]) => (
            <tr key={key}>
              <th scope="row"><bdi>{key}</bdi></th>
              <td>
                {writes ? (
                  <Field
                    label={`Value of ${key}`}
                    value={value}
                    late
                    onChange={(text) => {
                      if (text !== value) done(writeTag(run.run_id, key, text));
                    }}
                  />
                ) : (
                  <bdi>{value}</bdi>
                )}
              </td>
              {writes && (
                <td class="act">
                  <Button
                    kind="icon"
                    label={`Remove tag ${key}`}
                    onClick={() => done(removeTag(run.run_id, key))}
                  >
                    ×
                  </Button>
                </td>
              )}
            </tr>
          ))}
        </tbody>
      </table>
      {writes && <NewTag onAdd={(key, value) => done(writeTag(run.run_id, key, value))} />}
      {!own.length && !writes && <p class="soft">None.</p>}
      {internal.length > 0 && (
        <details>
          <summary>{internal.length} set by the tracker</summary>
          <Pairs pairs={internal} />
        </details>
      )}
    </>
  );
}

function NewTag({ onAdd }: { onAdd(key: string, value: string): void }) {
  const [key, setKey] = useState("");
  const [value, setValue] = useState("");
  return (
    <form
      class="new-tag"
      onSubmit={(event) => {
        event.preventDefault();
        if (!key.trim()) return;
        onAdd(key.trim(), value);
        setKey("");
        setValue("");
      }}
    >
      <Field label="Tag" value={key} onChange={setKey} />
      <Field label="Value" value={value} onChange={setValue} />
      <button type="submit" class="button" disabled={!key.trim()}>Add</button>
    </form>
  );
}

/** Names and their values, as a table. */
export function Pairs({ pairs }: { pairs: readonly (readonly [string, string])[] }) {
  return (
    <table class="pairs">
      <tbody>
        {pairs.map(([key, value]) => (
          <tr key={key}>
            <th scope="row"><bdi>{key}</bdi></th>
            <td><div class="long"><bdi>{value}</bdi></div></td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function byKey([a]: readonly [string, string], [b]: readonly [string, string]): number {
  return a < b ? -1 : 1;
}
