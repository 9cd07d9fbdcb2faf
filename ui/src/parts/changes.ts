// What a person changes about runs: done on the server, then shown. What fails is said.

import { deleteRun, deleteTag, NOTE, renameRun, restoreRun, setTag } from "../data/api";
import { clock } from "../data/clock";
import { details } from "../data/details";
import { runs } from "../data/runs";
import { getView, setView } from "../view";
import { formatCount } from "./format";
import { notify } from "./notices";

const AT_ONCE = 6;

/**
 * Do something on the server and show what came of it; tell whether it was done.
 *
 * @param after is called as soon as it is done, before the page shows it: to say so, and to offer
 *   that it be undone.
 */
async function change(work: () => Promise<unknown>, after?: () => void): Promise<boolean> {
  let done = true;
  try {
    await work();
    after?.();
  } catch (error) {
    done = false;
    notify({ text: (error as Error).message, isError: true });
  }
  await Promise.all([clock.tick(), runs.refresh(), details.refresh(true)]);
  return done;
}

export const rename = (runId: string, name: string) => change(() => renameRun(runId, name));
export const writeTag = (runId: string, key: string, value: string) =>
  change(() => setTag(runId, key, value));
export const removeTag = (runId: string, key: string) => change(() => deleteTag(runId, key));

/** Write a note, or (empty) remove the one that is there. */
export const writeNote = (runId: string, note: string, before: string) =>
  change(async () => {
    if (note) await setTag(runId, NOTE, note);
    else if (before) await deleteTag(runId, NOTE);
  });

/** Delete runs; a message offers to undo that. They are no longer drawn. */
export async function remove(runIds: readonly string[]): Promise<boolean> {
  const { runs: chosen, hidden, pinned } = getView();
  const stay = (ids: readonly string[]) => ids.filter((id) => !runIds.includes(id));
  const undo = () => {
    void restore(runIds);
    setView({ runs: chosen, hidden, pinned });
  };
  return change(
    () => each(runIds, deleteRun),
    () => {
      setView({ runs: stay(chosen), hidden: stay(hidden), pinned: stay(pinned) });
      notify({ text: `${formatCount(runIds.length, "run")} deleted.`, undo });
    },
  );
}

/** Have deleted runs back. */
export const restore = (runIds: readonly string[]): Promise<boolean> =>
  change(
    () => each(runIds, restoreRun),
    () => notify({ text: `${formatCount(runIds.length, "run")} restored.` }),
  );

async function each(runIds: readonly string[], work: (id: string) => Promise<unknown>) {
  for (let start = 0; start < runIds.length; start += AT_ONCE)
    await Promise.all(runIds.slice(start, start + AT_ONCE).map(work));
}
