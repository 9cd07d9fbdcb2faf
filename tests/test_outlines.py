"""The summaries of long series that a store keeps in memory, compared with what its file says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from steplog.operations import SeriesKey
from steplog.stores import open_store, outlines
from steplog.testing import RUN, Feed, Point, bits_of

KEY = SeriesKey(RUN, "loss")


@pytest.mark.parametrize("longest", [0, 10**9])
def test_what_is_kept_is_what_is_there(
    longest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is appended, comes late or is sealed again by another process, a store that has
    read the series before tells the same of it as one that has just been opened.
    """
    monkeypatch.setattr(outlines, "LONG", longest)
    store, other = open_store(str(tmp_path)), open_store(str(tmp_path))
    random = np.random.default_rng(0)

    def logged(start: int, count: int, time: int = 0) -> None:
        steps = range(start, start + count)
        points: list[Point] = [(step, time, random.random()) for step in steps]
        Feed(other).log(KEY, *points)

    def assert_same() -> None:
        [series] = store.series([RUN])
        fresh = open_store(str(tmp_path))
        assert bits_of(store.outline(series.series_id)) == bits_of(fresh.outline(series.series_id))
        read, again = (
            [column for piece in each.points(series.series_id) for column in piece]
            for each in (store, fresh)
        )
        assert [column.tobytes() for column in read] == [column.tobytes() for column in again]
        fresh.close()

    logged(0, 20_000)
    other.seal(RUN)
    assert_same()
    logged(20_000, 20_000)
    assert_same()
    other.seal(RUN)
    assert_same()
    before = other.outline(1).size
    logged(10_000, 50, time=-7)
    logged(20_000, 50)  # repeated: the chunks around are made anew
    assert_same()
    other.seal(RUN)
    assert other.outline(1).size == before, "as many chunks as before, but others"
    assert_same()
    logged(40_000, 9_000)
    logged(39_000, 9_000)
    other.seal(RUN)
    assert_same()
    store.close()
    other.close()
