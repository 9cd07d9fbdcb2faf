"""Points as CSV: every one of them, exactly."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence

from steplog.ranks import NONE
from steplog.stores.base import RunRecord, Series, Store

CSV_COLUMNS = (
    "run_id", "run_name", "key", "model_id", "dataset_name", "dataset_digest", "rank", "step",
    "timestamp", "value",
)  # fmt: skip
_SPELLED = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def csv_lines(
    store: Store,
    records: Mapping[str, RunRecord],
    series: Sequence[Series],
    steps: tuple[int, int] | None = None,
) -> Iterator[bytes]:
    """Yield points as CSV (RFC 4180), some thousands at a time.

    Values are written so that they are read back bit for bit, and names as they are: a spreadsheet
    may take a name that begins with ``=`` for a formula.
    """
    yield ",".join(CSV_COLUMNS).encode() + b"\r\n"
    for each in series:
        key = each.key
        record = records.get(key.run_id)
        name = "" if record is None else record.row.name
        rank = "" if key.rank == NONE else str(key.rank)
        measured = (key.model_id, key.dataset_name, key.dataset_digest)
        about = (key.run_id, name, key.key, *measured, rank)
        for columns in store.points(each.series_id, steps):
            text = io.StringIO()
            writer = csv.writer(text)
            for step, timestamp, value in zip(*(c.tolist() for c in columns), strict=True):
                shown = repr(value)
                writer.writerow((*about, step, timestamp, _SPELLED.get(shown, shown)))
            yield text.getvalue().encode()
