"""How the cost of one call is measured: loops for the typical cost, single calls for the rare one.

A loop of calls costs its iteration too, which is in both sides of every ratio. Loops of the
functions to be compared alternate, so that a machine which slows down slows all of them.
"""

from __future__ import annotations

import inspect
from array import array
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter, perf_counter_ns

Loop = Callable[[int, int], float]

KEY, VALUE = "loss", 0.25
LOOP_NS = 20e6  # so long a loop lasts, or a thousand calls where those are quicker


def loop(
    log: Callable[[str, float, int], object], clock: Callable[[], int] = perf_counter_ns
) -> Loop:
    """Return a function: nanoseconds a call of log(key, value, step), at the steps start … stop."""

    def run(start: int, stop: int) -> float:
        begin = clock()
        for step in range(start, stop):
            log(KEY, VALUE, step)
        return (clock() - begin) / (stop - start)

    return run


def empty_like(function: Callable[..., object]) -> Callable[..., None]:
    """Make a Python function that does nothing, with the parameters of this one."""
    parameters = ", ".join(
        str(parameter.replace(annotation=parameter.empty, default=parameter.empty))
        + ("" if parameter.default is parameter.empty else "=None")
        for parameter in inspect.signature(function).parameters.values()
    )
    namespace: dict[str, Callable[..., None]] = {}
    exec(f"def empty({parameters}): pass", namespace)
    return namespace["empty"]


def alternate(loops: Sequence[Loop], seconds: float) -> list[float]:
    """Run loops in turn after a warm-up; the median cost of a call of each, in nanoseconds."""
    start, warm = 0, perf_counter() + seconds / 4
    while perf_counter() < warm:
        costs = [run(start, start + 10) for run in loops]
        start += 10
    calls = [max(2, min(1000, int(LOOP_NS / cost))) for cost in costs]
    rounds, end = [], perf_counter() + seconds
    while perf_counter() < end:
        rounds.append([run(start, start + n) for run, n in zip(loops, calls, strict=True)])
        start += max(calls)
    return [median(costs) for costs in zip(*rounds, strict=True)]


def single_calls(log: Callable[[str, float, int], object], seconds: float) -> list[int]:
    """Time calls one by one, less what taking the time costs; sorted, in nanoseconds."""
    clock, costs, step = perf_counter_ns, array("q"), 1_000_000_000  # steps not logged before
    own = round(median(-(clock() - clock()) for _ in range(10_001)))
    end = clock() + int(seconds * 1e9)
    after = 0
    while after < end:
        before = clock()
        log(KEY, VALUE, step)
        after = clock()
        costs.append(after - before - own)
        step += 1
    return sorted(costs)


def quantile(costs: Sequence[int], share: float) -> float:
    """Value below which this share of sorted costs lies."""
    return float(costs[min(len(costs) - 1, int(share * len(costs)))])
