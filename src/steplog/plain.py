"""The plain page: runs and their metrics as HTML without any script, made where the store is.

For who has no use for the full page, or a package that was built without it. What comes from users
is escaped; links are relative, so that they hold below any path.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from html import escape
from urllib.parse import parse_qsl, urlencode

from steplog.backend import shown_status
from steplog.exceptions import MlflowException
from steplog.filters import parse_runs_filter, parse_runs_order
from steplog.query import Query
from steplog.reading import summaries
from steplog.stores.base import RunRecord, Store

ROWS = 50


def runs_page(store: Store, live: frozenset[str], query: str) -> str:
    """Return the list of runs as a document.

    Args:
        store: where they are.
        live: ids of the writers that live.
        query: of the address: ``filter``, ``order`` and ``offset``.

    """
    asked = dict(parse_qsl(query, keep_blank_values=True))
    filter_text, offset = asked.get("filter", ""), _whole(asked.get("offset", ""))
    try:
        order = parse_runs_order([asked["order"]] if asked.get("order") else None)
        found = store.search(Query("runs", parse_runs_filter(filter_text), order))
        trouble = ""
    except MlflowException as error:
        found, trouble = [], f'<p role="alert">{escape(error.message)}</p>'
    page = found[offset : offset + ROWS]
    records = {each.row.run_id: each for each in store.runs(page, last=True)}
    rows = [_run_row(records[run_id], live) for run_id in page if run_id in records]
    head = ("name", "status", "started", "took", "last values")
    form = (
        '<form method="get"><input type="hidden" name="plain" value="">'
        f'<label>Filter <input name="filter" value="{escape(filter_text)}"></label> '
        "<button>Apply</button></form>"
    )
    body = _table(head, rows) if rows else "<p>No runs.</p>"
    return document(
        "Runs", f"<h1>Runs</h1>{form}{trouble}{body}{_pager(asked, offset, len(found))}"
    )


def run_page(store: Store, live: frozenset[str], run_id: str, query: str) -> str:
    """Return one run as a document."""
    records = [each for each in store.runs([run_id]) if each.row.run_id == run_id]
    if not records:
        return document("No such run", "<h1>There is no such run.</h1><p><a href='?plain'>All</a>")
    [record] = records
    rows = [
        [escape(each.key), *(_number(value) for value in (each.last, each.min, each.max))]
        for each in summaries(store, run_id)
    ]
    name = escape(record.row.name)
    return document(
        record.row.name,
        f'<p><a href="?plain">Runs</a></p><h1>{name}</h1>'
        f"<p>{escape(shown_status(record, live))}</p>"
        + _table(("metric", "last", "min", "max"), rows)
        + _table(("param", "value"), [[escape(k), escape(v)] for k, v in record.params.items()]),
    )


def document(title: str, body: str) -> str:
    """Return a whole document."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(title)} – steplog</title>\n<link rel="icon" href="icon.svg">\n'
        f'<link rel="stylesheet" href="plain.css">\n<main>{body}</main>\n</html>\n'
    )


def _run_row(record: RunRecord, live: frozenset[str]) -> list[str]:
    row = record.row
    address = escape("?" + urlencode({"plain": "", "run": row.run_id}))
    took = "" if row.end_time is None else f"{(row.end_time - row.start_time) / 1000:.1f} s"
    last = ", ".join(f"{escape(each.key)} {_number(each.value)}" for each in record.last[:4])
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(row.start_time / 1000))
    link = f'<a href="{address}">{escape(row.name)}</a>'
    return [link, escape(shown_status(record, live)), started, took, last]


def _pager(asked: dict[str, str], offset: int, total: int) -> str:
    links = []
    for text, at in (("earlier", offset - ROWS), ("later", offset + ROWS)):
        if 0 <= at < total:
            links.append(f'<a href="?{escape(urlencode({**asked, "offset": at}))}">{text}</a>')
    return f"<p>{total:,} runs {' '.join(links)}</p>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    heads = "".join(f"<th scope='col'>{each}</th>" for each in head)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0


STYLE = "body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem; color-scheme: light dark }"
