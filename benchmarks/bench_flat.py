"""Whether a call of steplog costs the same with many points, many series, many processes.

Costs are multiples of an empty function called beside it, so that the machine's own drift is not
mistaken for steplog's.
"""

from __future__ import annotations

import multiprocessing
import os
from argparse import Namespace
from collections.abc import Callable, Sequence
from itertools import cycle
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from statistics import median
from time import perf_counter_ns, thread_time_ns

import harness
from timing import Loop, alternate, empty_like, loop

import steplog

SECONDS = 0.5
PATIENCE_SECONDS = 60  # for all processes to have started
SERIES = (1, 10, 100, 1_000, 10_000)


def measure(_peer: str, options: Namespace) -> harness.Measures:
    """Measure along each of the three axes; then how far the axis strays from its beginning."""
    last = 8 if options.huge else 6 if options.quick else 7
    processes = (1, 8) if options.quick else (1, 2, 8, 64)
    steplog.set_tracking_uri(os.getcwd())
    run = steplog.start_run()
    return {
        **_axis("points", {10**power: _after(10**power) for power in range(5, last + 1)}),
        **_axis("series", _among(SERIES)),
        **_axis("processes", {count: _beside(count, run.info.run_id) for count in processes}),
    }


def _axis(name: str, costs: dict[int, float]) -> harness.Measures:
    first = next(iter(costs.values()))
    change = max(abs(cost / first - 1) for cost in costs.values())
    return {
        **{f"cost with {at:,} {name}, × empty": cost for at, cost in costs.items()},
        f"flat over {name}: most change, %": 100 * change,
    }


def _ratio(log: Loop, empty: Loop, seconds: float = SECONDS) -> float:
    cost, nothing = alternate([log, empty], seconds)
    return cost / nothing


def _after(points: int) -> float:
    """Log so many points in all, then measure."""
    log = steplog.log_metric
    for step in range(points * 9 // 10):  # the tenth before them was logged by the last axis value
        log("long", 0.25, step)
    return _ratio(loop(log), loop(empty_like(log)))


def _among(counts: Sequence[int]) -> dict[int, float]:
    """Log to so many series in turn; all counts side by side."""
    log = steplog.log_metric
    keys = [f"series/{number}" for number in range(max(counts))]
    for key in keys:  # the first call of each defines it
        log(key, 0.0, 0)
    loops = [_over(keys[:n], function) for n in counts for function in (log, empty_like(log))]
    costs = alternate(loops, SECONDS * len(counts))
    return {n: costs[2 * i] / costs[2 * i + 1] for i, n in enumerate(counts)}


def _over(keys: list[str], log: Callable[[str, float, int], object]) -> Loop:
    following = cycle(keys)

    def run(start: int, stop: int) -> float:
        begin = perf_counter_ns()
        for step, key in zip(range(start, stop), following):  # noqa: B905, the keys never end
            log(key, 0.25, step)
        return (perf_counter_ns() - begin) / (stop - start)

    return run


def _beside(processes: int, run_id: str) -> float:
    """Log to one run from so many processes at once; each answers for its own thread's time."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    answers: SimpleQueue[float] = context.SimpleQueue()
    children = [
        context.Process(target=_one_of_many, args=(os.getcwd(), run_id, barrier, answers))
        for _ in range(processes)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
        if child.exitcode:
            raise SystemExit(f"one of {processes} processes ended with status {child.exitcode}")
    return median(answers.get() for _ in children)


def _one_of_many(
    directory: str, run_id: str, barrier: Barrier, answers: SimpleQueue[float]
) -> None:
    steplog.set_tracking_uri(directory)
    steplog.start_run(run_id)
    log = steplog.log_metric
    log("loss", 0.25, 0)
    barrier.wait(PATIENCE_SECONDS)
    seconds = max(SECONDS, barrier.parties / 8)  # time for each, though cores are few
    # Time on the processor, not on the wall: waiting for a core is not steplog's cost.
    loops = loop(log, thread_time_ns), loop(empty_like(log), thread_time_ns)
    answers.put(_ratio(*loops, seconds))


if __name__ == "__main__":
    harness.main(measure)
