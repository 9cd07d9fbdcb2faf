"""Round values to write at an axis, and how they are written: on a terminal, and in pictures."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from itertools import pairwise

_SECONDS = (1, 2, 5, 10, 15, 30)
_SPANS = (
    *_SECONDS,
    *(60 * each for each in _SECONDS),
    *(3_600 * each for each in (1, 2, 3, 6, 12, 24, 48)),
)
"""Spans of time between ticks, in seconds, that a clock knows."""
_UNITS = ((172_800, 86_400, "d"), (7_200, 3_600, "h"), (120, 60, "min"), (0, 1, "s"))


def even(low: float, high: float, count: int) -> list[float]:
    """Return about `count` round values between two others.

    Example:
        >>> even(0.0, 1.0, 5)
        [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]

    """
    # Below the smallest normal float, powers of ten have no digits to be round in.
    return _multiples(low, high, _round_up(max(high / count - low / count, sys.float_info.min)))


def powers(low: float, high: float, count: int) -> list[float]:
    """Return about `count` round values between 10**low and 10**high."""
    low, high = max(low, -323.0), min(high, 308.0)  # what a float can be, with some room around it
    decades = range(math.floor(low), math.floor(high) + 1, max(math.ceil((high - low) / count), 1))
    digits = (1, 2, 5) if high - low < 2 else (1,)
    values = [digit * 10.0**decade for decade in decades for digit in digits]
    inside = [value for value in values if low <= math.log10(value) <= high]
    if len(inside) > 1:
        return inside
    return [value for value in even(10.0**low, 10.0**high, count) if value > 0]


def whole(first: int, last: int, count: int) -> range:
    """Return about `count` round steps, the first and the last included if they are round."""
    distance = max(int(_round_up(max(last - first, 1) / count)), 1)
    return range(-(-first // distance) * distance, last + 1, distance)


def spans(low: float, high: float, count: int, origin: float = 0.0) -> list[float]:
    """Return about `count` values that a clock calls round, in ms.

    Args:
        low: of the axis, in ms.
        high: of the axis.
        count: about how many.
        origin: a moment that is round itself, such as a midnight.

    """
    wanted = (high - low) / count / 1000
    if wanted < 1:
        return even(low, high, count)
    distance = next((each for each in _SPANS if each >= wanted), None)
    if distance is None:
        distance = 86_400 * math.ceil(_round_up(wanted / 86_400))
    return [origin + each for each in _multiples(low - origin, high - origin, distance * 1000.0)]


def moments(low: float, high: float, count: int) -> list[float]:
    """Return about `count` moments that the clock here calls round, in ms since 1970."""
    try:
        day = time.localtime(low / 1000)
        midnight = time.mktime((*day[:3], 0, 0, 0, 0, 0, -1)) * 1000
    except (OverflowError, ValueError, OSError):
        return []
    return spans(low, high, count, midnight)


def texts(values: Sequence[float]) -> list[str]:
    """Return round values with the digits that tell them apart, and no more."""
    largest = max(map(abs, values), default=0.0)
    # Next to each other among the largest floats, some of the round values are the same.
    apart = min((b - a for a, b in pairwise(values) if b > a), default=largest) or 1.0
    digits = math.floor(math.log10(apart) + 1e-9)
    wanted = max(math.floor(math.log10(largest or 1.0)) - digits, 0)
    plain = [f"{value:.{max(-digits, 0)}f}" for value in values]
    short = [f"{value:.{wanted}e}" for value in values]
    # Powers of ten only where they are much shorter: most people read 100000 with more ease.
    return plain if _longest(plain) <= _longest(short) + 2 else short


def span_texts(values: Sequence[float]) -> list[str]:
    """Return spans of time, given in ms, in the one unit that suits them.

    Example:
        >>> span_texts([0.0, 1_800_000.0, 7_200_000.0])
        ['0 h', '0.5 h', '2 h']

    """
    largest = max(map(abs, values), default=0.0) / 1000
    unit, name = next((unit, name) for least, unit, name in _UNITS if largest >= least)
    return [f"{value / 1000 / unit:.4g} {name}" for value in values]


def moment_texts(values: Sequence[float]) -> list[str]:
    """Return moments by the clock here, and by the day where another one begins."""
    found: list[str] = []
    before = ""
    for value in values:
        try:
            local = time.localtime(value / 1000)
        except (OverflowError, ValueError, OSError):
            found.append(f"{value:.0f}")
            continue
        day, clock = time.strftime("%Y-%m-%d", local), time.strftime("%H:%M", local)
        if local.tm_sec:
            clock = time.strftime("%H:%M:%S", local)
        if value % 1000:
            clock = f"{time.strftime('%H:%M:%S', local)}.{value % 1000:03.0f}"
        new = day if clock == "00:00" else f"{day[5:]} {clock}"
        found.append(new if day != before or clock == "00:00" else clock)
        before = day
    return found


def _round_up(distance: float) -> float:
    """The next of 1, 2, 5, 10, 20, … that is not below a distance, as far as floats go."""
    magnitude = 10.0 ** math.floor(math.log10(distance))
    enough = distance * (1 - 1e-9)
    rounded = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= enough)
    return min(rounded, sys.float_info.max)


def _multiples(low: float, high: float, distance: float) -> list[float]:
    # The ends count as inside although a multiple of 0.2 may miss them by a rounding error.
    first, last = math.ceil(low / distance - 1e-9), math.floor(high / distance + 1e-9)
    return [i * distance for i in range(first, last + 1)]


def _longest(some: Sequence[str]) -> int:
    return max(map(len, some), default=0)
