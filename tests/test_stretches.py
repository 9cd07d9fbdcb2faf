"""Stretches of points that no bytes bind: how they grow, and what late points make of them."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt
from hypothesis import example, given, settings
from hypothesis import strategies as st

from steplog.buckets import are_enough, whole_grid
from steplog.points import POINT, Columns, arrange, compare, drop_duplicates, series_starts, union
from steplog.stores import stretches
from steplog.summary import SUMMARY, agree, mark, summarise, summarise_arranged


class Kept:
    """Some series: all their points, and the stretches that the module made of them."""

    def __init__(self) -> None:
        self.points = np.empty(0, POINT)
        self.stretches: dict[int, npt.NDArray[np.void]] = {}

    def columns(self, series: int) -> Columns:
        """Return the points of one series."""
        return Columns.of(self.points[self.points["series"] == series])

    def add(self, new: npt.NDArray[np.void]) -> None:
        """Let points of some series come, as a store does."""
        new = arrange(new)
        numbers, starts = series_starts(new)
        before, self.points = self.points, arrange(np.concatenate([self.points, new]))
        _, totals = summarise_arranged(self.points[np.isin(self.points["series"], numbers)])
        none = np.zeros(1, SUMMARY)
        lasts = np.concatenate([self.stretches.get(n, none)[-1:] for n in numbers.tolist()])
        late = stretches.are_late(lasts, Columns.of(new).take(starts))
        on_time = new[~np.isin(new["series"], numbers[late])]
        grown = stretches.grow(on_time, totals[~late], lasts[~late])
        for index, number in enumerate(numbers[~late].tolist()):
            old = self.stretches.get(number, none[:0])
            old = old[: old.size - int(grown.replaces[index])]
            self.stretches[number] = np.concatenate([old, grown.summaries[grown.owners == index]])
        for index in np.flatnonzero(late).tolist():
            number = int(numbers[index])
            old = self.stretches[number]
            known = Columns.of(before[before["series"] == number])
            woven = stretches.weave(
                old,
                Columns.of(new[new["series"] == number]),
                totals[index : index + 1],
                partial(between, known, old),
            )
            together = np.concatenate([np.delete(old, woven.gone), woven.summaries])
            order = np.lexsort((together["first_timestamp"], together["first_step"]))
            self.stretches[number] = together[order]


def between(columns: Columns, summaries: npt.NDArray[np.void], run: slice) -> Columns:
    """Return the points from the first mark of the first stretch to the last one of the last."""
    first, last = mark(summaries[run][:1], "first"), mark(summaries[run][-1:], "last")
    everywhere = np.zeros(columns.step.size, np.intp)
    before, _ = compare(columns, first.take(everywhere))
    after, _ = compare(last.take(everywhere), columns)
    return columns.take(~before & ~after)


def check(kept: Kept) -> None:
    """Assert that the stretches hold every point once, in order, and fit into cells."""
    for number, summaries in kept.stretches.items():
        columns = kept.columns(number)
        assert summaries["count"].sum() == columns.step.size
        assert summaries["count"].max() <= stretches.MOST_POINTS
        ends = np.cumsum(summaries["count"])
        found = np.concatenate(
            [
                summarise(columns.take(slice(end - count, end)))
                for end, count in zip(ends.tolist(), summaries["count"].tolist(), strict=True)
            ]
        )
        assert agree(found, summaries).all()


BATCHES = st.lists(
    st.tuples(
        st.integers(1, 3_000),  # how many points
        st.integers(0, 6_000),  # the first step
        st.sampled_from([0, 1, 1, 100]),  # what lies between two steps
        st.integers(0, 2**32 - 1),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60)
@given(BATCHES, st.sampled_from(["same", "step", "clock"]))
@example([(3_000, 0, 1, 0), (3_000, 3_000, 1, 0), (1, 1_500, 0, 0)], "step")
@example([(9_000, 0, 0, 0), (9_000, 0, 0, 1)], "same")
@example([(3_000, 0, 1, 0), (3_000, 100, 100, 0), (3_000, 0, 1, 1), (3_000, 0, 1, 2)], "clock")
def test_stretches_hold_every_point_once(
    batches: list[tuple[int, int, int, int]], times: str
) -> None:
    """However points come, early, late or again, stretches hold each once, in order and exactly."""
    kept, clock = Kept(), 0
    for size, first, gap, seed in batches:
        random = np.random.default_rng(seed)
        new = np.zeros(size, POINT)
        new["step"] = first + gap * np.arange(size)
        now = clock + np.arange(size)
        clock += size
        new["timestamp"] = {"same": 0, "step": new["step"] + now % 3, "clock": now}[times]
        new["value"] = random.choice([0.0, -0.0, np.nan, np.inf, 1.5, -2.0, *range(9)], size)
        if not gap:
            new["value"] += random.integers(0, 20_000, size)
        new["series"] = random.integers(1, 4, size)
        kept.add(new)
        check(kept)


@given(st.integers(3, 200_000), st.integers(-(2**40), 2**40), st.sampled_from([1, 7, 1_000]))
@settings(max_examples=30)
def test_a_chart_of_a_thousand_buckets_needs_no_points(size: int, first: int, gap: int) -> None:
    """Whatever the steps, buckets of a whole series hold whole stretches, if they hold enough."""
    kept, steps = Kept(), first + gap * np.arange(size)
    for part in np.array_split(steps, 3):
        new = np.zeros(part.size, POINT)
        new["step"], new["timestamp"], new["series"] = part, part, 1
        kept.add(new)
    summaries = kept.stretches[1]
    grid = whole_grid(int(steps[0]), int(steps[-1]), max(1, size // stretches.LEAST_POINTS))
    begin, end = (grid.locate(summaries[f"{name}_step"].copy()) for name in ("first", "last"))
    assert (begin == end).all()
    assert are_enough(summaries).all()


def test_steps_as_far_apart_as_there_are() -> None:
    """Steps at both ends of int64, and a series of one step, make stretches like any others."""
    kept = Kept()
    new = np.zeros(4, POINT)
    new["step"] = [-(2**63), -1, 0, 2**63 - 1]
    kept.add(new)
    check(kept)
    again = np.zeros(20_000, POINT)
    again["timestamp"] = np.arange(20_000)
    kept.add(again)
    check(kept)
    assert drop_duplicates(union([kept.columns(0)])).step.size == 20_003
