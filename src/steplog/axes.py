"""Axes of charts: where a value lies between their ends, and which ticks there are.

Pure arithmetic on floats of any size. Which values are round, and how they are written, is in
`steplog.ticks`; what is drawn, in `steplog.svg`.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from steplog import ticks

Floats = npt.NDArray[np.float64]
Unit = Literal["step", "time", "relative", "value"]
"""What an axis is over: steps; ms since 1970; ms since a start; values of any kind."""


class Axis(NamedTuple):
    """An axis from `low` to `high`, both finite, `low` below `high`."""

    low: float
    high: float
    log: bool = False

    def place(self, values: Floats) -> Floats:
        """Return where values lie, from 0 at the low end to 1 at the high end.

        NaN stays NaN. On a logarithmic axis values have to be positive.
        """
        low, high = self.low, self.high
        if self.log:
            values, low, high = np.log10(values), math.log10(low), math.log10(high)
        # Halves, because the distance of two floats may be infinite.
        # Logarithms of neighbours may be the same.
        places: Floats = (values / 2 - low / 2) / ((high / 2 - low / 2) or 1.0)
        return places

    def ticks(self, most: int, unit: Unit = "value") -> list[tuple[float, str]]:
        """Return about `most` round values within the axis, and what to write at them."""
        low, high = self.low, self.high
        if self.log:
            powers = ticks.powers(math.log10(low), math.log10(high), most)
            return [(each, _signed(f"{each:.9g}")) for each in powers]
        if unit == "step":
            steps = ticks.whole(math.ceil(low), math.floor(high), most)
            return [(float(each), _signed(f"{each:,}")) for each in steps]
        if unit == "time" and (moments := ticks.moments(low, high, most)):
            return list(zip(moments, ticks.moment_texts(moments), strict=True))
        if unit == "relative":
            found = ticks.spans(low, high, most)
            texts = ticks.span_texts(found)
        else:
            found = ticks.even(low, high, most)
            texts = ticks.texts(found)
        return list(zip(found, map(_signed, texts), strict=True))


def axis(low: float, high: float, *, log: bool = False, whole: bool = False) -> Axis:
    """Return an axis that reaches over a range, with some room where it is a single value.

    Args:
        low: smallest finite value.
        high: largest finite value.
        log: the axis is logarithmic, and both are positive.
        whole: end at `low` and `high` themselves, as an axis of steps does.

    """
    most = 1.7976931348623157e308
    if log:
        if low == high:
            low, high = low / 2, high * 2
        return Axis(max(low, 5e-324), min(high, most), True) if low < high else Axis(1, 10, True)
    room = 0.0 if whole else high / 25 - low / 25
    if low == high:
        room = abs(low) / 10 or 1.0
    low, high = max(low - room, -most), min(high + room, most)
    return Axis(low, high) if low < high else Axis(low - 1, high + 1)


def _signed(text: str) -> str:
    return text.replace("-", "\u2212")
