// The page that compares: params, metrics and tags of the drawn runs, or groups of them, side by
// side, and how far each metric is from that of a baseline.

import { useMemo, useRef } from "preact/hooks";

import { groupName } from "../chart/names";
import { useDrawnRuns } from "../data/details";
import type { Detail } from "../data/api";
import type { Kind, Part } from "../data/columns";
import { assignGroupStrokes, strokeOf, strokeOfGroup, type Stroke } from "../palette";
import { copyText } from "../parts/clipboard";
import { Button, Check, Empty, Field, Menu, Select } from "../parts/controls";
import { notify } from "../parts/notices";
import { useSpan } from "../parts/spans";
import { encodeView, getView, setView, useView } from "../view";
import { NoneDrawn } from "./charts";
import { useKept } from "./chartsections";
import { type Cell, factsOf, type Fact, formatChange, type Subject, toCsv, toMarkdown, toTexts } from "./comparing";
import { groupRuns } from "./fields";
import { GroupMenu } from "./groupmenu";
import { problemOf } from "./sections";
import { matcher } from "./summary";

/** Height of a row in px; .comparison in pages.css has the same. */
const ROW = 28;
/** From so many runs on they are rows, if that makes the table narrower. */
const MANY = 12;
/** So many columns are drawn. */
const COLUMNS = 100;
const TITLES: Readonly<Record<Kind, string>> = { params: "Params", metrics: "Metrics", tags: "Tags" };

/** A run or group with how it is drawn elsewhere. */
interface Drawn extends Subject {
  stroke: Stroke;
}

export function Compare() {
  const view = useView();
  const { part, tags, differing, keys, group } = view;
  const runs = useKept(useDrawnRuns());
  const subjects = useMemo(() => subjectsOf(runs, group), [runs, group]);
  const baseline = subjects.find(({ id }) => id === view.baseline) ?? subjects[0];
  const all = useMemo(
    () => factsOf(subjects, baseline, part, tags ? ["params", "metrics", "tags"] : ["params", "metrics"]),
    [subjects, baseline, part, tags],
  );
  const test = keys && !problemOf(keys) ? matcher(keys) : () => true;
  const onlyDiffering = differing && subjects.length > 1;
  const facts = all.filter((fact) => test(fact.key) && (fact.differs || !onlyDiffering));
  if (!runs.length) return <NoneDrawn />;
  return (
    <div class="comparison">
      <Bar runs={runs} subjects={subjects} facts={facts} all={all.length} />
      {facts.length ? (
        <Matrix subjects={subjects} facts={facts} baseline={baseline} />
      ) : (
        <Nothing agree={all.length > 0 && onlyDiffering && !keys} />
      )}
    </div>
  );
}

function subjectsOf(runs: readonly Detail[], fields: readonly string[]): readonly Drawn[] {
  if (!fields.length)
    return runs.map((run) => ({
      id: run.run_id,
      name: run.run_name || run.run_id,
      runs: [run],
      stroke: strokeOf(run.run_id),
    }));
  const groups = groupRuns(runs, fields);
  assignGroupStrokes(groups.map(({ group }) => group));
  return groups.map(({ group, runs }) => ({
    id: JSON.stringify(Object.values(group)),
    name: groupName(group),
    runs,
    stroke: strokeOfGroup(group),
  }));
}

function Nothing({ agree }: { agree: boolean }) {
  return (
    <Empty title={agree ? "They do not differ." : "Nothing is like this."}>
      <p>
        <Button kind="primary" onClick={() => setView({ differing: false, keys: "" })}>
          Show everything
        </Button>
      </p>
    </Empty>
  );
}

interface BarProps {
  runs: readonly Detail[];
  subjects: readonly Subject[];
  facts: readonly Fact[];
  /** How many facts there are without any filter. */
  all: number;
}

function Bar({ runs, subjects, facts, all }: BarProps) {
  const { keys, part, tags, differing } = useView();
  const copy = (write: typeof toCsv, format: string) => {
    void copyText(write(toTexts(subjects, facts)));
    notify({ text: `Copied as ${format}.` });
  };
  return (
    <div class="bar" role="toolbar" aria-label="Comparison">
      <Field
        id="keys"
        label="Names"
        placeholder="Filter names (m)"
        value={keys}
        error={problemOf(keys)}
        onChange={(text) => setView({ keys: text })}
      />
      <span class="soft" role="status">{facts.length.toLocaleString("en")} of {all.toLocaleString("en")}</span>
      <span class="space" />
      <Check
        label="Only what differs"
        checked={differing}
        onChange={(differing) => setView({ differing })}
      />
      <Check label="Tags" checked={tags} onChange={(tags) => setView({ tags })} />
      <Select<Part>
        label="Metrics"
        value={part}
        options={[["last", "Last"], ["min", "Min"], ["max", "Max"], ["best", "Best"]]}
        onChange={(part) => setView({ part })}
      />
      <GroupMenu runs={runs} />
      <Menu label="Copy" content="Copy ▾">
        <div class="choices">
          <Button onClick={() => copy(toMarkdown, "Markdown")}>As Markdown</Button>
          <Button onClick={() => copy(toCsv, "CSV")}>As CSV</Button>
        </div>
      </Menu>
    </div>
  );
}

interface MatrixProps {
  subjects: readonly Drawn[];
  facts: readonly Fact[];
  baseline: Subject | undefined;
}

/** The table: facts are rows, or, where there are many runs, runs are. */
function Matrix({ subjects, facts, baseline }: MatrixProps) {
  const box = useRef<HTMLDivElement>(null);
  const turned = subjects.length > MANY && facts.length < 4 * subjects.length;
  const lines = turned ? subjects : withTitles(facts);
  const [first, last] = useSpan(box, ROW, lines.length);
  const shown = lines.slice(first, last);
  const columns = turned ? facts.length : subjects.length;
  return (
    <>
      {columns > COLUMNS && (
        <p class="note-line">The first {COLUMNS} of {columns.toLocaleString("en")} columns. Filter to see others.</p>
      )}
      <div ref={box} class="scroll matrix" tabIndex={0} role="region" aria-label="Comparison">
        <table aria-rowcount={lines.length + 1}>
          <thead>
            <tr>
              <td class="corner" />
              {turned
                ? facts.slice(0, COLUMNS).map((fact) => <FactTitle key={`${fact.kind} ${fact.key}`} fact={fact} isColumn />)
                : subjects.slice(0, COLUMNS).map((each) => (
                    <SubjectTitle key={each.id} subject={each} isBaseline={each === baseline} isColumn />
                  ))}
            </tr>
          </thead>
          <tbody>
            <Gap rows={first} />
            {shown.map((line, index) => (
              <Line key={lineKey(line)} {...{ line, subjects, facts, baseline }} index={first + index} />
            ))}
            <Gap rows={lines.length - last} />
          </tbody>
        </table>
      </div>
    </>
  );
}

type LineOf = Fact | Drawn | Kind;

function withTitles(facts: readonly Fact[]): readonly (Fact | Kind)[] {
  return facts.flatMap((fact, index) => (fact.kind === facts[index - 1]?.kind ? [fact] : [fact.kind, fact]));
}

function lineKey(line: LineOf): string {
  if (typeof line === "string") return line;
  return "kind" in line ? `${line.kind} ${line.key}` : line.id;
}

/** The height of rows that are not drawn. */
function Gap({ rows }: { rows: number }) {
  if (rows <= 0) return null;
  return <tr aria-hidden="true"><td style={{ height: `${rows * ROW}px` }} /></tr>;
}

interface LineProps extends MatrixProps {
  line: LineOf;
  /** Of the line, from 0. */
  index: number;
}

function Line({ line, index, subjects, facts, baseline }: LineProps) {
  if (typeof line === "string")
    return (
      <tr class="kind" aria-rowindex={index + 2}>
        <th scope="rowgroup" colSpan={Math.min(COLUMNS, subjects.length) + 1}><span>{TITLES[line]}</span></th>
      </tr>
    );
  if ("kind" in line)
    return (
      <tr aria-rowindex={index + 2}>
        <FactTitle fact={line} />
        {line.cells.slice(0, COLUMNS).map((cell, at) => (
          <ValueCell key={at} cell={cell} kind={line.kind} isBaseline={subjects[at] === baseline} />
        ))}
      </tr>
    );
  const at = subjects.indexOf(line);
  return (
    <tr aria-rowindex={index + 2}>
      <SubjectTitle subject={line} isBaseline={line === baseline} />
      {facts.slice(0, COLUMNS).map(({ kind, key, cells }) => {
        const cell = cells[at];
        return cell && <ValueCell key={`${kind} ${key}`} cell={cell} kind={kind} isBaseline={line === baseline} />;
      })}
    </tr>
  );
}

function FactTitle({ fact, isColumn = false }: { fact: Fact; isColumn?: boolean }) {
  return (
    <th scope={isColumn ? "col" : "row"} title={fact.key}>
      {isColumn && <small>{TITLES[fact.kind].slice(0, -1).toLowerCase()}</small>}
      <bdi>{fact.key}</bdi>
    </th>
  );
}

interface SubjectTitleProps {
  subject: Drawn;
  isBaseline: boolean;
  isColumn?: boolean;
}

/** The head of a run or group: its colour and name, and whether the others are compared with it. */
function SubjectTitle({ subject, isBaseline, isColumn = false }: SubjectTitleProps) {
  const { id, name, runs, stroke } = subject;
  const [only] = runs.length === 1 ? runs : [];
  return (
    <th scope={isColumn ? "col" : "row"} title={name} class={isBaseline ? "subject baseline" : "subject"}>
      <svg width="16" height="8" aria-hidden="true">
        <path d="M0 4h16" stroke={stroke.colour} stroke-width="3" stroke-dasharray={stroke.dash.join(" ")} />
      </svg>
      {only ? (
        <a href={`#${encodeView({ ...getView(), page: "run", run: only.run_id })}`}><bdi>{name}</bdi></a>
      ) : (
        <span class="name"><bdi>{name}</bdi> <span class="soft">n = {runs.length}</span></span>
      )}
      <button
        type="button"
        class="as-baseline"
        aria-pressed={isBaseline}
        title="Compare the others with this"
        onClick={() => setView({ baseline: id })}
      >
        baseline
      </button>
    </th>
  );
}

interface ValueCellProps {
  cell: Cell;
  kind: Kind;
  isBaseline: boolean;
}

function ValueCell({ cell, kind, isBaseline }: ValueCellProps) {
  const { text, title, change, isBetter, isSame } = cell;
  const tone = isBetter === null ? "" : isBetter ? "better" : "worse";
  return (
    <td class={`${kind === "metrics" ? "number" : ""} ${isSame ? "same" : ""} ${isBaseline ? "baseline" : ""}`} title={title}>
      {text ? <bdi>{text}</bdi> : <span class="missing">–</span>}
      {kind === "metrics" && <small class={tone}>{isSame || isBaseline ? "" : formatChange(change)}</small>}
    </td>
  );
}
