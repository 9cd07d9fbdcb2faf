// The status of a run: a sign, a word, and what it means.

import type { Status as StatusName } from "../data/api";

const STATUSES: Readonly<Record<StatusName, readonly [string, string, string]>> = {
  RUNNING: ["●", "Running", "It is being written."],
  FINISHED: ["✓", "Finished", "It ended well."],
  FAILED: ["✕", "Failed", "It ended with an error."],
  KILLED: ["■", "Killed", "It was stopped."],
  SCHEDULED: ["○", "Scheduled", "It has not begun."],
  LOST: ["?", "Lost", "It never ended, and no process that wrote it is alive: killed, or its machine is gone."],
};

export function Status({ status }: { status: StatusName }) {
  const [sign, word, meaning] = STATUSES[status] ?? ["", status, ""];
  return (
    <span class={`status ${status.toLowerCase()}`} title={meaning}>
      <span aria-hidden="true">{sign}</span> {word}
    </span>
  );
}

/** Return how long a run took, or has been running, in ms; NaN where nobody knows. */
export function duration(run: { status: StatusName; start_time: number; end_time?: number }): number {
  if (run.end_time !== undefined) return Math.max(0, run.end_time - run.start_time);
  return run.status === "RUNNING" ? Math.max(0, Date.now() - run.start_time) : NaN;
}
