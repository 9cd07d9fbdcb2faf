"""Charts as SVG: what a path says is read back, and compared with the points."""

from __future__ import annotations

import math
import re
import time
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steplog.axes import Unit, axis
from steplog.buckets import fold_points, gather
from steplog.svg import BOTTOM, LEFT, RIGHT, TOP, Curve, Floats, draw

SPACE = "{http://www.w3.org/2000/svg}"
NASTY = '<script>alert("1")</script>&\x00\x1b\u202e\ud800🎉' + "k" * 250


def curve(values: list[float], buckets: int, name: str = "run") -> tuple[Floats, Curve]:
    """Fold values, one a step, into buckets of equal width; x is the middle of each."""
    width = -(-len(values) // buckets)
    index = np.arange(len(values)) // width
    size = int(index[-1]) + 1
    folded = gather(*fold_points(index, np.array(values, float)), size)
    columns = {each: folded[each].astype(np.float64) for each in folded.dtype.names or ()}
    return np.arange(size, dtype=np.float64) * width + width / 2, Curve(name, columns)


def paths(svg: str, kind: str) -> list[list[tuple[float, float]]]:
    """Return the points of each unbroken stretch of the paths of a class."""
    tree = ElementTree.fromstring(svg)
    found = []
    for path in tree.iter(f"{SPACE}path"):
        if path.get("class") == kind:
            for piece in path.get("d", "").split("M")[1:]:
                numbers = [float(each) for each in re.findall(r"-?[\d.]+", piece.split("h")[0])]
                found.append(list(zip(numbers[::2], numbers[1::2], strict=True)))
    return found


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(2, 3_000),
    buckets=st.integers(1, 60),
    where=st.floats(0, 1),
    height=st.sampled_from([1e-3, 60.0, -60.0, 1e300, -1.7e308, 1.7e308]),
)
def test_a_spike_of_one_step_is_drawn(
    length: int, buckets: int, where: float, height: float
) -> None:
    """However many points a bucket holds, the single highest or lowest one is at the edge."""
    values = [0.0] * length
    values[int(where * (length - 1))] = height
    x, line = curve(values, buckets)
    svg = draw("loss", x, [line])
    drawn = [y for kind in ("line", "envelope") for piece in paths(svg, kind) for _, y in piece]
    distance = BOTTOM - TOP
    assert max(drawn) - min(drawn) == pytest.approx(distance * 1 / 1.08, abs=0.05)
    assert all(TOP - 0.01 <= y <= BOTTOM + 0.01 for y in drawn) or abs(height) > 1e300


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(), min_size=1, max_size=60),
    buckets=st.integers(1, 60),
    log=st.booleans(),
)
def test_any_values_make_a_drawing(values: list[float], buckets: int, log: bool) -> None:
    """Whatever floats there are, all coordinates are numbers within the drawing."""
    x, line = curve(values, buckets)
    svg = draw("loss", x, [line], log=log)
    assert not re.search(r'd="[^"]*(nan|inf)', svg)
    for kind in ("line", "envelope"):
        for piece in paths(svg, kind):
            assert all(LEFT - 0.01 <= at <= RIGHT + 0.01 for at, _ in piece)
            assert all(TOP - 0.01 <= y <= BOTTOM + 0.01 for _, y in piece)


def test_nothing_bridges_a_nan() -> None:
    """NaN and infinities are marks at their step, and the line ends before and begins after."""
    x, line = curve([1.0, 2.0, math.nan, 2.0, math.inf, 3.0, 4.0], 7)
    svg = draw("loss", x, [line])
    assert [len(piece) for piece in paths(svg, "line")] == [2, 1, 2]
    marks = re.findall(r'class="mark".*?d="M([\d.]+).*?<title>run (\S+)</title>', svg)
    places = LEFT + (np.array([2, 4]) / 6) * (RIGHT - LEFT)
    assert [what for _, what in marks] == ["NaN", "+Inf"]
    assert [float(at) for at, _ in marks] == pytest.approx(places.tolist(), abs=0.1)


def test_names_stay_texts() -> None:
    """A title and names of any letters are well-formed text, and no markup."""
    x, line = curve([1.0, 2.0], 2, NASTY)
    svg = draw(NASTY, x, [line, line])
    svg.encode()
    tree = ElementTree.fromstring(svg)
    assert {each.tag.removeprefix(SPACE) for each in tree.iter()} <= {
        "svg", "title", "desc", "text", "path",
    }  # fmt: skip
    assert tree.get("role") == "img"
    assert (tree.findtext(f"{SPACE}title") or "").startswith("<script>")


def test_ticks_are_round() -> None:
    """Steps have thousands separators, spans their units, and powers of ten a logarithmic axis."""
    _, line = curve([1e-3, 1.0, 1e3], 3)
    x = np.array([0.0, 500_000.0, 1_000_000.0])
    assert ">200,000</text>" in draw("loss", x, [line])
    assert ">5 min</text>" in draw("loss", x, [line], over="relative")
    assert ">0.1</text>" in draw("loss", x, [line], log=True)
    assert ">0.1 s</text>" in draw("loss", x / 5_000, [line], over="relative")
    assert ".100</text>" in draw("loss", x / 5_000, [line], over="time")
    day = time.strftime("%Y-%m-%d", time.localtime(43_200))
    assert f">{day}<" in draw("loss", x + _midnight(day), [line], over="time")


def _midnight(day: str) -> float:
    return time.mktime(time.strptime(day, "%Y-%m-%d")) * 1000


@settings(max_examples=300, deadline=None)
@given(
    ends=st.tuples(
        st.floats(allow_nan=False, allow_infinity=False),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    unit=st.sampled_from(["step", "time", "relative", "value"]),
    log=st.booleans(),
    most=st.integers(2, 12),
)
def test_any_axis_has_few_ticks_that_can_be_read(
    ends: tuple[float, float], unit: Unit, log: bool, most: int
) -> None:
    """Whatever it is over, an axis has not many ticks, all within it, none of endless letters."""
    low, high = sorted(map(abs, ends)) if log else sorted(ends)
    if unit != "value":  # steps and times in ms have 64 bits
        low, high = max(low, -(2.0**63)), min(max(high, -(2.0**63)), 2.0**63)
        low = min(low, high)
    made = axis(max(low, 5e-324), max(high, 5e-324), log=True) if log else axis(low, high)
    found = made.ticks(most, "value" if log else unit)
    assert len(found) <= 3 * most + 6
    near = made.place(np.array([value for value, _ in found]))
    assert ((near >= -1e-6) & (near <= 1 + 1e-6)).all()
    if abs(low) < 1e15 > abs(high):
        assert all(len(text) <= 26 for _, text in found)


def test_a_chart_says_how_much_it_shows() -> None:
    """The number of points, and of those that stand for them, is written at a chart."""
    assert "3 of 3 points" in draw("loss", *_one(curve([1.0, 2.0, 3.0], 3)))
    assert "2 means of 4 points" in draw("loss", *_one(curve([1.0, 2.0, 3.0, 4.0], 2)))


def _one(made: tuple[Floats, Curve]) -> tuple[Floats, list[Curve]]:
    return made[0], [made[1]]
