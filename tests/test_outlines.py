"""What a store keeps in memory of long series and of tails, compared with what its file says."""

from __future__ import annotations

import random
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


@pytest.mark.parametrize("seed", range(4))
def test_tails_that_are_kept_are_those_that_are_there(seed: int, tmp_path: Path) -> None:
    """Whatever other processes append and seal, series that are read in turn, of two runs with
    many each, have the points that they have for who has just opened the store.
    """
    drawn = random.Random(seed)
    store, other = open_store(str(tmp_path)), open_store(str(tmp_path))
    feed = Feed(other)
    keys = [SeriesKey(run, "loss", rank=rank) for run in (RUN, "b" * 32) for rank in range(4)]
    for _ in range(30):
        for key in drawn.sample(keys, 3):
            step = drawn.randrange(50)
            feed.log(key, *[(step + n, drawn.randrange(2), 0.5) for n in range(drawn.randrange(9))])
        if drawn.random() < 0.2:
            other.seal(drawn.choice([RUN, "b" * 32]))
        fresh = open_store(str(tmp_path))
        found = store.series([RUN, "b" * 32])
        for series in drawn.sample(found, min(len(found), 6)) * 2:
            read, again = (
                [column.tolist() for piece in each.points(series.series_id) for column in piece]
                for each in (store, fresh)
            )
            assert read == again
        fresh.close()
    store.close()
    other.close()
