// Short messages over the page: what was done and how to undo it, or what went wrong.

import { useEffect } from "preact/hooks";

import { Observable, useObservable } from "../data/store";
import { useShortcuts, type Shortcut } from "../keyboard";
import { Button } from "./controls";

const SHOWN_MS = 12_000;

export interface Notice {
  text: string;
  isError?: boolean;
  undo?: () => void;
}

/** The message that is shown; a new one takes its place. */
class Board extends Observable {
  notice: Notice | null = null;

  show(notice: Notice | null): void {
    this.notice = notice;
    this.changed();
  }

  undo(): void {
    const { notice } = this;
    this.show(null);
    notice?.undo?.();
  }
}

const board = new Board();
const NONE: readonly Shortcut[] = [];
const UNDO: readonly Shortcut[] = [
  { key: "u", does: "Undo what was just done", act: () => board.undo() },
];

export const notify = (notice: Notice): void => board.show(notice);

/** Where the messages appear; once in the page. */
export function Notices() {
  const { notice } = useObservable(board);
  useShortcuts(notice?.undo ? UNDO : NONE);
  useEffect(() => {
    if (!notice || notice.isError) return;
    const timer = setTimeout(() => board.show(null), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [notice]);
  return (
    <div class="notices" role={notice?.isError ? "alert" : "status"}>
      {notice && (
        <p class={notice.isError ? "notice bad" : "notice"}>
          <span>{notice.text}</span>
          {notice.undo && <Button onClick={() => board.undo()}>Undo</Button>}
          <Button kind="icon" label="Close" onClick={() => board.show(null)}>
            ×
          </Button>
        </p>
      )}
    </div>
  );
}
