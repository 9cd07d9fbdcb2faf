"""The named shapes of data: what curves of training runs look like to a store.

Plain Python with a fixed seed, so that every tracker gets the same values, whatever numpy its
environment holds. A shape is a function from a number of points to that many floats.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable
from itertools import repeat
from random import Random


def constant(points: int) -> Iterable[float]:
    """One value again and again, made without memory of its own."""
    return repeat(0.25, points)


def noisy_float32_loss(points: int) -> list[float]:
    """A falling loss with 10 % noise, computed in float32 as most training does."""
    random = Random(1)
    decay = max(points / 5, 1.0)
    return array(
        "f",
        ((0.1 + 2 * math.exp(-i / decay)) * (1 + random.gauss(0, 0.1)) for i in range(points)),
    ).tolist()


def float64_noise(points: int) -> list[float]:
    """Normal noise in which every bit of the float64 is used: the worst case."""
    random = Random(2)
    return [random.gauss(0, 1) for _ in range(points)]


def rounded4(points: int) -> list[float]:
    """The noisy loss, rounded to four decimals before it was logged."""
    return [round(value, 4) for value in noisy_float32_loss(points)]


def accuracy(points: int) -> list[float]:
    """Shares of 1,024 validation samples that were right."""
    random = Random(3)
    return [
        round(1024 * (1 - 0.9 / (1 + i / 1000) ** 0.3) + random.gauss(0, 8)) / 1024
        for i in range(points)
    ]


def lr_cosine(points: int) -> list[float]:
    """A cosine learning rate schedule in float64, without noise."""
    return [1e-3 * 0.5 * (1 + math.cos(math.pi * i / points)) for i in range(points)]


SHAPES: dict[str, Callable[[int], Iterable[float]]] = {
    "constant": constant,
    "noisy-float32-loss": noisy_float32_loss,
    "float64-noise": float64_noise,
    "rounded4": rounded4,
    "accuracy": accuracy,
    "lr-cosine": lr_cosine,
}
