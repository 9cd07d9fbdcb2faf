"""The plain page: runs and their curves as HTML without any script, made where the store is.

For who has no use for the full page, or a package that was built without it; and, as one file that
needs nothing else, for who sends a run to somebody (`exported`). Links are relative, so that they
hold below any path. What HTML is made of is in `steplog.markup`, curves are in `steplog.svg`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal
from urllib.parse import parse_qsl, urlencode

from steplog.backend import shown_status
from steplog.charts import ChartQuery, SeriesLine, chart
from steplog.entities import Summary
from steplog.exceptions import MlflowException
from steplog.filters import parse_runs_filter, parse_runs_order
from steplog.markup import STYLE, badge, fragment, moment, name, number, pairs, span, table, text
from steplog.operations import SeriesKey
from steplog.query import Query
from steplog.reading import summaries
from steplog.stores.base import RunRecord, Store
from steplog.svg import Curve, draw

__all__ = ["STYLE", "compare_page", "document", "exported", "run_page", "run_piece", "runs_page"]

ROWS = 50
METRIC_COLUMNS = 5
CHARTS = 60
"""So many of a run's charts are on one page; an exported file has them all."""
COMPARED = 50
"""So many runs are compared on one page: a chart of more is no longer read, and takes megabytes."""
BUCKETS = 300
_X = Literal["step", "time", "relative"]
_OVER: Mapping[str, tuple[_X, str]] = {
    "step": ("step", "step"),
    "time": ("time", "time"),
    "relative": ("relative", "time since the start"),
}
_NO_RUNS = """<div class="empty"><h2>No runs yet</h2>
<p>They appear here when a program logs to this store:</p>
<p><code>steplog.set_tracking_uri("STORE")</code>, then
<code>with steplog.start_run(): steplog.log_metric("loss", 0.5, step=0)</code>.</p>
<p>A program that uses MLflow does so when <code>MLFLOW_TRACKING_URI</code> is the address of this
server.</p></div>
"""


def runs_page(
    store: Store,
    live: frozenset[str],
    query: str,
    *,
    experiment_ids: tuple[str, ...] | None = None,
    missing: str = "",
) -> str:
    """Return the list of runs as a document.

    Args:
        store: where they are.
        live: ids of the writers that live.
        query: of the address, quoted: ``filter``, ``order`` and ``offset``.
        experiment_ids: those that may be seen; None for all.
        missing: why the package lacks the full page; the empty text where it has one.

    """
    asked = _asked(query)
    filter_text, offset = asked.get("filter", ""), _whole(asked.get("offset", ""))
    trouble = _lacking(missing) if missing else ""
    found: list[str] = []
    try:
        order = parse_runs_order([asked["order"]] if asked.get("order") else None)
        conditions = parse_runs_filter(filter_text)
        found = store.search(Query("runs", conditions, order, experiment_ids))
    except MlflowException as error:
        trouble += f'<p role="alert">{text(error.message)}</p>\n'
    shown = found[offset : offset + ROWS]
    records = {each.row.run_id: each for each in store.runs(shown, last=True)} if shown else {}
    body = _runs(store, [records[each] for each in shown if each in records], live, asked)
    if not found:
        body = "" if 'role="alert"' in trouble and not missing else _NO_RUNS
        if filter_text:
            body = '<p class="empty">No run matches this filter. <a href="?plain">Show all</a></p>'
    return document("Runs", f"<h1>Runs</h1>\n{trouble}{_form(asked)}{body}{_pager(asked, found)}")


def _lacking(reason: str) -> str:
    return (
        '<div role="alert"><p>This package lacks the full page; here are the same runs. With Node '
        "20 or newer, install it again to have the page built. Why it was not:</p>\n"
        f"<pre>{text(reason)}</pre></div>\n"
    )


def run_page(
    store: Store,
    live: frozenset[str],
    run_id: str,
    query: str,
    *,
    experiment_ids: tuple[str, ...] | None = None,
) -> str:
    """Return one run as a document.

    Args:
        store: where it is.
        live: ids of the writers that live.
        run_id: its id, whole.
        query: of the address, quoted: ``x`` (``step``, ``time`` or ``relative``), ``log`` and
            ``offset``, the number of the first chart.
        experiment_ids: those that may be seen; None for all.

    """
    records = _records(store, [run_id], experiment_ids)
    back = '<nav><a href="?plain">← All runs</a></nav>\n'
    if not records:
        return document("No such run", f"{back}<h1>There is no such run.</h1>")
    asked = {**_asked(query), "run": run_id}
    [record] = records
    keys = [each.key for each in store.keys([run_id])]
    first = _whole(asked.get("offset", ""))
    shown = _section(
        asked, keys, first, _charts(store, records, keys[first : first + CHARTS], asked)
    )
    return document(record.row.name, back + _run(store, record, live, shown))


def compare_page(
    store: Store,
    live: frozenset[str],
    run_ids: Sequence[str],
    query: str,
    *,
    experiment_ids: tuple[str, ...] | None = None,
) -> str:
    """Return some runs in the same charts, as a document; arguments are those of `run_page`."""
    found = _records(store, run_ids, experiment_ids)
    records = found[:COMPARED]
    ids = [each.row.run_id for each in records]
    asked = _asked(query)
    asked.pop("run", None)
    keys = [each.key for each in store.keys(ids)] if ids else []
    first = _whole(asked.get("offset", ""))
    shown = _section(
        asked, keys, first, _charts(store, records, keys[first : first + CHARTS], asked), ids
    )
    names = sorted({each for record in records for each in record.params})
    differing = [key for key in names if len({record.params.get(key) for record in records}) > 1]
    rows = [
        [_run_link(record), badge(shown_status(record, live))]
        + [name(record.params.get(key, "")) for key in differing]
        for record in records
    ]
    heads = ["run", "status", *(name(key) for key in differing)]
    more = len(found) - len(records)
    left_out = f'<p role="alert">{more:,} more were asked for, and left out.</p>\n' if more else ""
    body = (
        '<nav><a href="?plain">← All runs</a></nav>\n'
        f"<h1>{len(records):,} runs</h1>\n{left_out}{table(heads, rows)}{shown}"
    )
    return document("Compared runs", body)


def exported(store: Store, record: RunRecord, live: frozenset[str]) -> str:
    """Return one run as a document that needs no other file, and that nothing can be run in."""
    keys = [each.key for each in store.keys([record.row.run_id])]
    charts = "".join(_charts(store, [record], keys, {}))
    shown = f'<section><h2>Metrics</h2><div class="charts">{charts}</div></section>\n'
    head = (
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n"
        f"<style>{STYLE}</style>\n"
    )
    return document(record.row.name, _run(store, record, live, shown if keys else ""), head)


def run_piece(store: Store, record: RunRecord, live: frozenset[str]) -> str:
    """Return one run as a piece of a notebook."""
    keys = [each.key for each in store.keys([record.row.run_id])][:CHARTS]
    charts = "".join(_charts(store, [record], keys, {}))
    return fragment(_run(store, record, live, f'<div class="charts">{charts}</div>'))


_LINKED = '<link rel="icon" href="icon.svg">\n<link rel="stylesheet" href="plain.css">\n'


def document(title: str, body: str, head: str = _LINKED) -> str:
    """Return a whole document.

    Args:
        title: any text.
        body: markup.
        head: markup: where the style is.

    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{text(title)} – steplog</title>\n{head}</head>\n"
        f'<body class="steplog-page">\n<main class="steplog">\n{body}</main>\n</body>\n</html>\n'
    )


# Parts of pages -----------------------------------------------------------------------------------


def _run(store: Store, record: RunRecord, live: frozenset[str], charts: str) -> str:
    """Return everything about a run; charts are made by who knows how many."""
    row, known = record.row, summaries(store, record.row.run_id)
    experiments = store.experiments([row.experiment_id])
    facts = [
        badge(shown_status(record, live)),
        f"{name(experiments[0].row.name)}" if experiments else "",
        f"started {moment(row.start_time)}",
        f"took {_took(record, live)}" if _took(record, live) else "",
        name(row.user_id) if row.user_id else "",
        f"<code>{text(row.run_id)}</code>",
    ]
    note = record.tags.get("mlflow.note.content", "")
    tags = {key: value for key, value in record.tags.items() if not key.startswith("mlflow.")}
    series = [
        [
            name(_series_name(each.key, each)),
            *map(number, (each.last, each.first, each.min)),
            _step(each.min_step),
            number(each.max),
            _step(each.max_step),
            number(each.mean),
            f"{each.count:,}",
            f"{each.nan_count:,}" if each.nan_count else "",
        ]
        for each in known
    ]
    heads = ("metric", "last", "first", "min", "at step", "max", "at step", "mean", "points", "NaN")
    summary = (
        f"<section><h2>Summary</h2>{table(heads, series, numbers=range(1, 10))}</section>\n"
        if series
        else '<p class="empty">No metrics yet. In this run, '
        '<code>steplog.log_metric("loss", 0.5, step=0)</code> makes one.</p>\n'
    )
    return (
        f"<h1>{name(row.name)}</h1>\n"
        f'<p class="facts">{" ".join(f"<span>{each}</span>" for each in facts if each)}</p>\n'
        + (f"<p>{name(note)}</p>\n" if note else "")
        + charts
        + summary
        + pairs("Params", record.params)
        + pairs("Tags", tags)
    )


def _section(
    asked: Mapping[str, str], keys: Sequence[str], first: int, charts: Iterable[str],
    run_ids: Sequence[str] = (),
) -> str:  # fmt: skip
    """Return charts below the links that choose their axes."""
    if not keys:
        return ""

    def link(words: str, changes: Mapping[str, str], current: bool) -> str:
        here = ' aria-current="true"' if current else ""
        return f'<a href="{_address(asked, changes, run_ids)}"{here}>{words}</a>'

    x, log = _axes(asked)
    overs = " ".join(link(words, {"x": each}, each == x) for each, (_, words) in _OVER.items())
    scales = f"{link('linear', {'log': ''}, not log)} {link('log', {'log': '1'}, log)}"
    pages = [
        link(f"{at + 1:,}–{min(at + CHARTS, len(keys)):,}", {"offset": str(at)}, at == first)
        for at in range(0, len(keys) if len(keys) > CHARTS else 0, CHARTS)
    ]
    more = f"<span>charts <span class='choice'>{' '.join(pages)}</span></span>" if pages else ""
    return (
        "<section><h2>Metrics</h2>\n"
        f'<nav class="facts"><span>over <span class="choice">{overs}</span></span>'
        f'<span>scale <span class="choice">{scales}</span></span>{more}</nav>\n'
        f'<div class="charts">{"".join(charts)}</div></section>\n'
    )


def _charts(
    store: Store, records: Sequence[RunRecord], keys: Iterable[str], asked: Mapping[str, str]
) -> Iterator[str]:
    """Yield one chart a metric, with every run that has it."""
    x, log = _axes(asked)
    names = {each.row.run_id: each.row.name for each in records}
    for key in keys:
        query = ChartQuery(tuple(names), (key,), x=x, buckets=BUCKETS)
        made = chart(store, query)
        curves = [
            Curve(_line_name(line.key, names if len(names) > 1 else {}), line.columns)
            for line in made.lines
            if isinstance(line, SeriesLine)
        ]
        middle = made.x if made.exact else made.x + made.width / 2
        yield draw(key, middle, curves, over=_OVER[x][0], log=log)


def _line_name(key: SeriesKey, names: Mapping[str, str]) -> str:
    own = _series_name("", key)
    return f"{names.get(key.run_id, '')} {own}".strip() or key.key


def _series_name(key: str, series: Summary | SeriesKey) -> str:
    """Return a name with what tells a series from others of the same key."""
    parts = [
        key,
        series.dataset_name and f"on {series.dataset_name}",
        series.model_id and f"of {series.model_id}",
        series.attempt and f"attempt {series.attempt}",
        series.rank > 0 and f"rank {series.rank}",
    ]
    return " ".join(part for part in parts if part)


def _runs(
    store: Store, records: Sequence[RunRecord], live: frozenset[str], asked: Mapping[str, str]
) -> str:
    """Return the table of runs, within a form that compares those that are chosen."""
    if not records:
        return ""
    named = {each.row.experiment_id: each.row.name for each in store.experiments()}
    often = Counter(key for record in records for key in {last.key for last in record.last})
    keys = [key for key, _ in often.most_common(METRIC_COLUMNS) if not ('"' in key and "`" in key)]
    heads = [
        _sorting("run", "attributes.run_name", asked),
        '<span class="faint">compare</span>',
        "experiment",
        _sorting("status", "attributes.status", asked),
        _sorting("started", "attributes.start_time", asked),
        "took",
        *(_sorting(key, f"metrics.{_quoted(key)}", asked) for key in keys),
    ]
    rows = []
    for record in records:
        row, last = record.row, {each.key: each.value for each in record.last}
        tick = (
            f'<input type="checkbox" name="run" value="{text(row.run_id)}" '
            f'aria-label="Compare {text(row.name)}">'
        )
        rows.append(
            [
                _run_link(record),
                tick,
                name(named.get(row.experiment_id, "")),
                badge(shown_status(record, live)),
                f"<time>{moment(row.start_time)}</time>",
                _took(record, live),
                *(number(last.get(key)) for key in keys),
            ]
        )
    return (
        '<form method="get" class="whole"><input type="hidden" name="plain" value="">\n'
        f"{table(heads, rows, numbers=range(5, 6 + len(keys)))}"
        "<p><button>Compare the chosen runs</button></p></form>\n"
    )


def _run_link(record: RunRecord) -> str:
    address = text("?" + urlencode({"plain": "", "run": record.row.run_id}))
    return f'<a href="{address}">{name(record.row.name or record.row.run_id)}</a>'


def _sorting(words: str, field: str, asked: Mapping[str, str]) -> str:
    """Return the head of a column that runs can be sorted by."""
    current = asked.get("order", "")
    turned = f"{field} DESC" if current == f"{field} ASC" else f"{field} ASC"
    arrow = {f"{field} ASC": " ↑", f"{field} DESC": " ↓"}.get(current, "")
    address = _address(asked, {"order": turned, "offset": ""})
    return f'<a href="{address}">{name(words)}{arrow}</a>'


def _quoted(key: str) -> str:
    return f'"{key}"' if "`" in key else f"`{key}`"


def _form(asked: Mapping[str, str]) -> str:
    order = text(asked.get("order", ""))
    return (
        '<form method="get" role="search"><input type="hidden" name="plain" value="">'
        f'<input type="hidden" name="order" value="{order}"><label>Filter '
        f'<input name="filter" value="{text(asked.get("filter", ""))}" spellcheck="false" '
        'placeholder="metrics.loss &lt; 0.1 and params.lr = &#x27;0.5&#x27;"></label>'
        "<button>Apply</button></form>\n"
    )


def _pager(asked: Mapping[str, str], found: Sequence[str]) -> str:
    if not found:
        return ""
    offset, total = _whole(asked.get("offset", "")), len(found)
    links = [
        f'<a href="{_address(asked, {"offset": str(max(at, 0))})}">{words}</a>'
        for words, at, there in (
            ("← previous", offset - ROWS, offset > 0),
            ("next →", offset + ROWS, offset + ROWS < total),
        )
        if there
    ]
    last = min(offset + ROWS, total)
    shown = f"{offset + 1:,}–{last:,} of " if total > ROWS and offset < total else ""
    return f'<p class="facts faint">{shown}{total:,} runs</p><nav>{" ".join(links)}</nav>\n'


def _took(record: RunRecord, live: frozenset[str]) -> str:
    """Return how long a run took, or has taken so far; nobody knows when a lost one ended."""
    row = record.row
    if row.end_time is not None:
        return span(row.end_time - row.start_time)
    running = shown_status(record, live) == "RUNNING"
    return span(time.time() * 1000 - row.start_time) if running else ""


def _step(step: int | None) -> str:
    return "" if step is None else f"{step:,}"


# What the address says ----------------------------------------------------------------------------


def _asked(query: str) -> dict[str, str]:
    return dict(parse_qsl(query, keep_blank_values=True))


def _axes(asked: Mapping[str, str]) -> tuple[_X, bool]:
    """Return what charts are over, and whether values are on a logarithmic axis."""
    x = asked.get("x", "step")
    return (_OVER[x][0] if x in _OVER else "step"), bool(asked.get("log"))


def _address(
    asked: Mapping[str, str], changes: Mapping[str, str], run_ids: Sequence[str] = ()
) -> str:
    """Return the address of the same page with some changes, to stand in an attribute."""
    kept = {key: value for key, value in {**asked, **changes}.items() if value and key != "plain"}
    runs = [("run", each) for each in run_ids]
    return text("?" + urlencode([("plain", ""), *kept.items(), *runs]))


def _records(
    store: Store, run_ids: Sequence[str], experiment_ids: tuple[str, ...] | None
) -> list[RunRecord]:
    """Return the runs with exactly these ids, in their order, as far as they may be seen."""
    found = {each.row.run_id: each for each in store.runs(list(run_ids))} if run_ids else {}
    records = [found[each] for each in dict.fromkeys(run_ids) if each in found]
    return [
        each
        for each in records
        if experiment_ids is None or each.row.experiment_id in experiment_ids
    ]


def _whole(digits: str) -> int:
    return int(digits) if digits.isdecimal() and len(digits) < 10 else 0
