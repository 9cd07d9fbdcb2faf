"""Axes of charts: where ticks stand, what is written at them, and where a value lies between them.

Pure arithmetic on floats of any size; what is drawn of it is in `steplog.svg`.
"""

from __future__ import annotations

import math
import time
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Unit = Literal["step", "time", "relative", "value"]
"""What an axis is over: steps; ms since 1970; ms since a start; values of any kind."""

_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000
_SPANS = [
    *(n * size for size in (1, 10, 100) for n in (1, 2, 5)),
    *(n * _SECOND for n in (1, 2, 5, 10, 15, 30)),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 7, 14, 30, 90, 365)),
]


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
        places: Floats = (values / 2 - low / 2) / (high / 2 - low / 2)
        return places

    def ticks(self, most: int, unit: Unit = "value") -> list[tuple[float, str]]:
        """Return round values within the axis and what to write at them."""
        if self.log:
            return _log_ticks(self.low, self.high, most)
        if unit == "time":
            return _time_ticks(self.low, self.high, most)
        step = _step(self.low, self.high, most, unit)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        found = [n * step for n in range(first, min(last, first + 2 * most) + 1)]
        found = [each for each in found if self.low <= each <= self.high]
        if unit == "relative":
            return [(each, _span(each)) for each in found]
        return list(zip(found, _numbers(found, step), strict=True))


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


def _step(low: float, high: float, most: int, unit: Unit) -> float:
    """Return the distance of ticks: 1, 2 or 5 times a power of ten, or a round span of time."""
    least = high / most - low / most
    if unit == "relative":
        return next((each for each in _SPANS if each >= least), _round_up(least / _DAY) * _DAY)
    step = _round_up(least)
    return max(step, 1.0) if unit == "step" else step


def _round_up(distance: float) -> float:
    power = math.floor(math.log10(distance)) if distance > 0 else -323
    for factor in (1, 2, 5, 10):
        step = float(f"{factor}e{power}")
        if step >= distance > 0:
            return step
    return max(distance, 5e-324)


def _numbers(found: list[float], step: float) -> list[str]:
    largest = max(map(abs, found), default=0.0)
    if largest and (largest >= 1e9 or largest < 1e-4):
        return [_signed(f"{each:.4g}") for each in found]
    digits = min(max(-math.floor(math.log10(step) + 1e-9), 0), 12)
    return [_signed(f"{each + 0.0:,.{digits}f}") for each in found]


def _signed(text: str) -> str:
    return text.replace("-", "\u2212")


def _log_ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    powers = range(first, last + 1, max(1, (last - first) // most + 1))
    found = [float(f"1e{power}") for power in powers]
    if len(found) < 3:
        found = [
            float(f"{digit}e{power}") for power in range(first - 1, last + 1) for digit in (1, 2, 5)
        ]
    if low > 0 and high < 8 * low:
        return Axis(low, high).ticks(most)
    inside = [each for each in found if low * (1 - 1e-12) <= each <= high * (1 + 1e-12) and each]
    inside = inside or [low, high]
    return [
        (each, _signed(f"{each:g}" if 1e-4 <= each < 1e6 else f"{each:.2g}")) for each in inside
    ]


def _span(span_ms: float) -> str:
    """Return a round span of time in as few units as there are in it."""
    left, parts = round(abs(span_ms)), []
    for unit, size in (("d", _DAY), ("h", _HOUR), ("min", _MINUTE)):
        if left >= size:
            parts.append(f"{left // size:,} {unit}")
            left %= size
    if left:
        parts.append(f"{left / _SECOND:g} s")
    return ("\u2212" if span_ms < 0 else "") + " ".join(parts) if parts else "0"


def _time_ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    """Return round times of this machine's zone."""
    try:
        offset = time.localtime(low / 1000).tm_gmtoff * _SECOND
        time.localtime(high / 1000)
    except (OverflowError, ValueError, OSError):  # further away than calendars reach
        return Axis(low, high).ticks(most)
    step = _step(low, high, most, "relative")
    layout = "%H:%M:%S" if step < _MINUTE else "%m-%d %H:%M" if step < _DAY else "%Y-%m-%d"
    if step < _DAY and high - low < _DAY // 2 and step >= _MINUTE:
        layout = "%H:%M"
    first, last = math.ceil((low + offset) / step), math.floor((high + offset) / step)
    found = [n * step - offset for n in range(first, last + 1)]
    texts = [time.strftime(layout, time.localtime(each / 1000)) for each in found]
    if step < _SECOND:
        texts = [
            f"{words}.{each % _SECOND:03.0f}" for words, each in zip(texts, found, strict=True)
        ]
    if texts and step < _DAY and layout != "%m-%d %H:%M":
        day = time.strftime("%Y-%m-%d ", time.localtime(found[0] / 1000))
        texts[0] = day + texts[0]
    return list(zip(found, texts, strict=True))
