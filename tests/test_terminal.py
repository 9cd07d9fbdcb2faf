"""What a person sees: charts, sparklines and tables as text, on screens of several kinds."""

from __future__ import annotations

import doctest
import io
import math
import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steplog import braille, follow, screen, terminal
from steplog.braille import Curve, line_chart, sparkline
from steplog.entities import Summary
from steplog.operations import SeriesKey
from steplog.screen import PIPED_WIDTH, Screen, clipped, width_of
from steplog.terminal import Cell, Column, table

UNICODE = Screen(width=60)
ASCII = Screen(width=60, unicode=False)
COLOURED = Screen(width=60, colour=True)
SCREENS = [UNICODE, ASCII, COLOURED]

OUTSIDE = {"+Inf", "-Inf", "NaN", "<= 0"}


def curve(*values: float, name: str = "loss") -> Curve:
    return Curve(name, np.arange(len(values)), np.array(values, dtype=np.float64))


def without_colour(text: str) -> str:
    return re.sub(r"\x1b\[\d+m", "", text)


def rows(chart: str) -> list[tuple[str, str]]:
    """The label and the content of each line that has a wall."""
    lines = (re.fullmatch(r" *(.*?) ?[│|](.*)", line) for line in chart.splitlines())
    return [(line[1], line[2]) for line in lines if line]


def plot(chart: str) -> list[str]:
    """What stands between the axes, line by line."""
    lines = [content for label, content in rows(without_colour(chart)) if label not in OUTSIDE]
    return [line.ljust(max(map(len, lines))) for line in lines]


def crosses(chart: str) -> dict[str, int]:
    """How many crosses each row of what has no place on the axis has."""
    marked = (row for row in rows(without_colour(chart)) if row[0] in OUTSIDE)
    return {label: content.count("×") + content.count("x") for label, content in marked}


def with_spike(position: int, points: int = 10_000) -> Curve:
    values = np.zeros(points)
    values[position] = 60.0
    return Curve("loss", np.arange(points), values)


def summary(key: str = "loss", **changes: object) -> Summary:
    fields: dict[str, Any] = dict.fromkeys(Summary._fields)
    fields.update(run_id="a" * 32, key=key, attempt=0, rank=-1, count=1_000, nan_count=0, mean=0.5)
    fields.update(last=0.25, min=0.125, min_step=1_500, max=2.0, max_step=0)
    return Summary(**(fields | changes))


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("position", [0, 1, 4_999, 5_000, 9_998, 9_999])
def test_a_spike_of_one_step_is_a_column_of_full_height(screen: Screen, position: int) -> None:
    """A single extreme among 10,000 points is drawn from the bottom of the chart to its top."""
    columns = zip(*plot(line_chart([with_spike(position)], screen)), strict=True)
    assert any(" " not in column for column in columns)


@pytest.mark.parametrize("position", [0, 31_415, 50_000, 99_999])
def test_a_spike_stands_at_its_step(position: int) -> None:
    """Of 100,000 points one is extreme: the column of full height is that of its step."""
    columns = list(zip(*plot(line_chart([with_spike(position, 100_000)], ASCII)), strict=True))
    (full,) = (place for place, column in enumerate(columns) if " " not in column)
    assert full == round(position / 99_999 * (len(columns) - 1))


@pytest.mark.parametrize("position", [0, 1, 4_999, 5_000, 9_998, 9_999])
def test_a_spike_is_seen_in_a_sparkline(position: int) -> None:
    """A single extreme stands at full height also where a chart is one line."""
    left, right = 0x01 | 0x02 | 0x04 | 0x40, 0x08 | 0x10 | 0x20 | 0x80
    dots = [ord(cell) - 0x2800 for cell in sparkline(with_spike(position), UNICODE)]
    assert any(left & cell == left or right & cell == right for cell in dots)
    assert "|" in sparkline(with_spike(position), ASCII)


def test_a_sparkline_of_ascii_tells_low_middle_and_high() -> None:
    """Steps of a staircase stand at three heights; the way between them is upright."""
    stairs = curve(*[0] * 40, *[1] * 40, *[2] * 40)
    assert sparkline(stairs, ASCII, width=12) == "____|--|^^^^"


def test_a_line_is_drawn_as_a_person_would() -> None:
    """A falling line starts at the top left and ends at the bottom right, between labelled axes."""
    chart = line_chart([curve(4, 3, 2, 1, 0)], Screen(width=30, unicode=False), height=3)
    assert chart.splitlines() == [
        "loss",
        "4 |******",
        "2 |     ************",
        "0 |                ******",
        "  +---------------------- step",
        "   0    1    2     3    4",
    ]


def test_braille_draws_eight_dots_to_a_character() -> None:
    """A line from the lower left to the upper right corner of two characters climbs dot by dot."""
    chart = line_chart([curve(0, 1)], Screen(width=18), height=1)
    assert plot(chart) == ["⣀⣠⠤⠴⠒⠒⠚⠉"]


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize(
    ("value", "label", "log"),
    [
        (math.nan, "NaN", False),
        (math.inf, "+Inf", False),
        (-math.inf, "-Inf", True),
        (0.0, "<= 0", True),
        (-3.0, "<= 0", True),
    ],
)
def test_what_has_no_place_on_the_axis_is_marked(
    screen: Screen, value: float, label: str, log: bool
) -> None:
    """A value that cannot be drawn has a cross, in a row that says what it is."""
    assert crosses(line_chart([curve(1, 2, value, 2, 1)], screen, log=log)) == {label: 1}


def test_a_sparkline_marks_what_is_not_finite() -> None:
    """NaN and infinities are seen in one line of text, too."""
    drawn = sparkline(curve(1, math.nan, 2, 3, -math.inf, 4, 5), UNICODE)
    assert drawn.count("×") == 2


def test_nan_leaves_a_gap() -> None:
    """The line is not drawn across a NaN, as if there had been values."""
    chart = line_chart([curve(1, 1, 1, math.nan, 1, 1, 1)], UNICODE)
    (line,) = (line for line in plot(chart) if line.strip())
    assert re.fullmatch("⠉+⠁ {10,}⠈⠉+", line)


@pytest.mark.parametrize("screen", SCREENS)
def test_a_series_of_nan_alone_is_drawn(screen: Screen) -> None:
    """A chart of nothing but NaN has its crosses and an empty plot."""
    chart = line_chart([curve(*[math.nan] * 5)], screen)
    assert crosses(chart) == {"NaN": 5}
    assert not "".join(plot(chart)).strip()


def test_a_constant_is_a_line_in_the_middle() -> None:
    """A series that never changes is not glued to an edge, and its value is labelled."""
    chart = line_chart([curve(*[3.0] * 10)], UNICODE, height=9)
    drawn = [number for number, line in enumerate(plot(chart)) if line.strip()]
    assert drawn == [4]
    assert ("3.0", plot(chart)[4]) in rows(chart)


def test_a_single_point_is_drawn() -> None:
    """A series of one point is a dot above its step."""
    chart = line_chart([Curve("loss", np.array([7]), np.array([1.0]))], UNICODE)
    assert sum(cell != " " for cell in "".join(plot(chart))) == 1
    assert chart.splitlines()[-1].strip() == "7"


def test_a_logarithmic_axis_is_labelled_by_decades() -> None:
    """Each decade of an exponential decay takes the same room."""
    values = [10.0**-decade for decade in range(5)]
    chart = line_chart([curve(*values)], UNICODE, height=9, log=True)
    labels = {label: number for number, (label, _) in enumerate(rows(chart)) if label}
    assert labels == {"1": 0, "0.1": 2, "0.01": 4, "0.001": 6, "0.0001": 8}


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.0, 1.0, ["1.0", "0.8", "0.6", "0.4", "0.2", "0.0"]),
        (1e9, 1e9 + 4, ["1000000004", "1000000003", "1000000002", "1000000001", "1000000000"]),
        (-2e-7, 2e-7, ["2e-07", "1e-07", "0e+00", "-1e-07", "-2e-07"]),
        (0.91, 0.979, ["0.96", "0.94", "0.92"]),
    ],
)
def test_labels_are_round_and_tell_values_apart(low: float, high: float, labels: list[str]) -> None:
    """Labels of the y axis are round values with the digits that are needed, and no more."""
    chart = line_chart([curve(low, high)], UNICODE)
    assert [label for label, _ in rows(chart) if label] == labels


@pytest.mark.parametrize("screen", [UNICODE, ASCII])
def test_curves_are_told_apart_without_colour(screen: Screen) -> None:
    """Two curves on a screen without colours are drawn in letters, which a legend explains."""
    chart = line_chart([curve(1, 1, name="train"), curve(2, 2, name="val")], screen)
    assert chart.splitlines()[0] == "* train   o val"
    assert set("".join(plot(chart))) == {" ", "*", "o"}


def test_curves_are_told_apart_by_colour() -> None:
    """On a coloured screen each curve has the colour that its name has."""
    chart = line_chart([curve(1, 1, name="train"), curve(2, 2, name="val")], COLOURED)
    legend = dict(re.findall(r"\x1b\[(\d+)m━━ (\w+)", chart))
    assert sorted(legend.values()) == ["train", "val"]
    assert all(re.search(rf"\x1b\[{code}m[⠁-⣿]+\x1b", chart) for code in legend)


def test_no_escape_sequence_without_colour() -> None:
    """A screen without colours gets none: neither in charts nor in tables."""
    text = line_chart([curve(1, math.nan)], UNICODE) + table(
        [Column("a")], [[Cell("b", "red")]], UNICODE
    )
    assert "\x1b" not in text


@given(
    values=st.lists(st.floats(width=64), min_size=1, max_size=30),
    first=st.integers(-(2**63), 2**63 - 1),
    log=st.booleans(),
    screen=st.sampled_from(SCREENS),
)
def test_any_value_and_any_step_can_be_drawn(
    values: list[float], first: int, log: bool, screen: Screen
) -> None:
    """No float64 and no int64 breaks a chart, and no line is wider than the screen."""
    steps = np.unique(np.array([-(2**63), first, 2**63 - 1]))[: len(values)]
    drawn = Curve("loss", steps, np.array(values[: len(steps)]))
    chart = without_colour(line_chart([drawn], screen, log=log))
    assert max(map(width_of, chart.splitlines())) <= screen.width
    assert len(sparkline(drawn, screen)) == 16


def test_names_cannot_command_the_terminal() -> None:
    """An escape sequence in a name is shown, not obeyed, in charts and tables alike."""
    for text in (
        line_chart([curve(1, name="\x1b[2Jloss\n")], UNICODE),
        table([Column("name")], [["\x1b[2Jloss\n"]], UNICODE),
    ):
        assert r"\x1b[2Jloss\n" in text


def test_an_ascii_screen_gets_ascii() -> None:
    """Nothing but ASCII goes to a screen without Unicode, also where a text is shortened."""
    text = table(
        [Column("name"), Column("n", number=True)], [["Größe " * 9, "1"]], Screen(30, False)
    )
    assert text.isascii()
    assert "~" in text


def test_a_table_keeps_numbers_and_shortens_text() -> None:
    """Where a table is too wide, text is cut with an ellipsis and numbers stay whole."""
    columns = [Column("name"), Column("value", number=True)]
    text = table(columns, [["a long name " * 5, "1234567"]], Screen(40))
    assert re.search(r"a long name .*…  1234567$", text)


def test_a_table_leaves_out_optional_columns_from_the_right() -> None:
    """Optional columns go, the last one first, until the others fit; cells follow their columns."""
    columns = [Column("a"), Column("b", optional=True), Column("c", optional=True), Column("d")]
    cells = [["1" * 10, "2" * 10, "3" * 10, "4" * 10]]
    titles = [table(columns, cells, Screen(width)).split("\n")[0].split() for width in (60, 40, 25)]
    assert titles == [["a", "b", "c", "d"], ["a", "b", "d"], ["a", "d"]]
    assert table(columns, cells, Screen(25)).split()[-2:] == ["1" * 10, "4" * 10]


def test_a_summary_table_tells_all_that_is_known() -> None:
    """A series has its curve, last value, extremes with their steps, mean and counts."""
    lost = summary("acc", mean=None, last=math.nan, min=None, min_step=None, max=None)
    lost = lost._replace(max_step=None, count=2, nan_count=2)
    text = terminal.summary_table([summary(), lost], Screen(100), [curve(2, 1), None])
    header, _, first, second = text.splitlines()
    assert " ".join(header.split()) == ("series curve last min at step max at step mean points")
    assert first.split()[0] == "loss"
    assert first.split()[2:] == ["0.25", "0.125", "1,500", "2", "0", "0.5", "1,000"]
    assert second.split() == ["acc", "NaN", "-", "-", "-", "-", "-", "2", "(2", "NaN)"]


def test_series_of_one_key_have_names_of_their_own() -> None:
    """A model, a dataset, an attempt and a rank are part of the name, where there are any."""
    assert terminal.series_name(SeriesKey("r", "loss")) == "loss"
    key = SeriesKey("r", "loss", "m-1", "digits", "abc", 2, 3)
    assert terminal.series_name(key) == "loss model m-1 on digits@abc attempt 2 rank 3"


def test_a_stream_says_what_it_can_show() -> None:
    """Text for a file is not cut and has no colour; Unicode is as the stream's encoding allows."""
    utf8 = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    latin = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    assert Screen.of(utf8) == Screen(PIPED_WIDTH, unicode=True, colour=False)
    assert not Screen.of(latin).unicode


def test_a_line_is_cut_by_the_columns_that_it_takes() -> None:
    """A wide character counts twice, a colour not at all, and colours end where the line does."""
    assert clipped("損失 loss", 6) == "損失 l"
    assert clipped("損失", 3) == "損"
    assert clipped("\x1b[31mloss\x1b[0m!", 3) == "\x1b[31mlos\x1b[0m\x1b[0m"


@pytest.mark.parametrize("module", [braille, follow, screen, terminal])
def test_the_examples_of_the_docstrings_are_true(module: ModuleType) -> None:
    """What the docstrings show is what comes out."""
    assert doctest.testmod(module).failed == 0
