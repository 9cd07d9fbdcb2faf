"""Which values a metric takes, and how they come back (contract: values, NaN, infinities, -0.0)."""

from __future__ import annotations

import warnings
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from compatibility.cases import attempt, case, new_run, points

INF = float("inf")
NAN = float("nan")


def logged(mlflow: Any, values: list[Any]) -> object:
    """Log each value at a step of its own, and return what each call and the history say."""
    with mlflow.start_run() as run:
        outcomes = [
            attempt(mlflow.log_metric, "v", value, step=step, timestamp=1_000 + step)
            for step, value in enumerate(values)
        ]
    return {"outcomes": outcomes, "history": points(mlflow, run.info.run_id, "v")}


def refused(mlflow: Any, values: list[Any]) -> object:
    """Log each value alone and in a batch, and return what was said and whether it left a trace."""
    with mlflow.start_run() as run:
        alone = [attempt(mlflow.log_metric, "v", value, timestamp=1_000) for value in values]
        batch = [
            attempt(mlflow.log_metrics, {"good": 1, "v": value}, timestamp=1_000)
            for value in values
        ]
    return {"alone": alone, "batch": batch, "stored": mlflow.get_run(run.info.run_id).data.metrics}


class Countable:
    """What has a `__float__`, which returns or raises what it is given."""

    def __init__(self, result: float | Exception) -> None:
        self.result = result

    def __float__(self) -> float:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@case
def python_numbers(mlflow: Any) -> object:
    """Integers, booleans, floats, decimals and fractions become floats."""
    return logged(mlflow, [1, 0, -3, True, False, 0.25, 0.1, Decimal("0.1"), Fraction(1, 3)])


@case
def extremes(mlflow: Any) -> object:
    """The least and the greatest floats, and integers that no float holds, are kept as floats."""
    return logged(
        mlflow, [5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 2**63, 2**53 + 1]
    )


@case
def texts(mlflow: Any) -> object:
    """Texts and bytes that say a number are taken as that number."""
    return logged(mlflow, ["1.5", " 2 ", "1e-3", "nan", "1_000", b"1", b"-2.5"])


@case
def numpy_scalars(mlflow: Any) -> object:
    """Scalars of numpy are widened, not rounded again."""
    return logged(
        mlflow,
        [
            np.float16(0.1),
            np.float32(0.1),
            np.float64(0.1),
            np.longdouble(0.5),
            np.int8(-1),
            np.int64(7),
            np.uint64(2**64 - 1),
            np.bool_(True),
        ],
    )


@case
def numpy_arrays(mlflow: Any) -> object:
    """Arrays of one element count as that element, whatever their shape."""
    return logged(mlflow, [np.array(1.5), np.array([2]), np.array([[3.0]]), np.array("3.5")])


@case
def numpy_complex(mlflow: Any) -> object:
    """A complex scalar of numpy loses its imaginary part, with numpy's warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        seen = logged(mlflow, [np.complex128(1 + 2j)])
    return [seen, [type(each.message).__name__ for each in caught if "Complex" in str(each)]]


@case
def objects_with_float(mlflow: Any) -> object:
    """An object with a `__float__` is a number; what that raises comes through, mostly."""
    return refused(mlflow, [Countable(TypeError("no number")), Countable(ZeroDivisionError("by"))])


@case
def an_object_that_is_a_number(mlflow: Any) -> object:
    """What `__float__` returns is the value."""
    return logged(mlflow, [Countable(2.5)])


@case
def arrays_of_none_or_many(mlflow: Any) -> object:
    """An array that is not one number is refused, with MLflow's error."""
    return refused(mlflow, [np.array([1, 2]), np.array([]), np.zeros((2, 2))])


@case
def not_numbers(mlflow: Any) -> object:
    """What no number can be made of is a TypeError, in both calls."""
    return refused(
        mlflow, [[1], {}, (1,), 1 + 2j, np.array([None]), np.datetime64("2020-01-01"), object]
    )


@case
def too_large_an_integer(mlflow: Any) -> object:
    """An integer beyond every float is an OverflowError."""
    return refused(mlflow, [10**400])


@case(over_http=True)
def texts_without_a_number(mlflow: Any) -> object:
    """A text that says no number is refused, and its neighbours with it."""
    return refused(mlflow, ["abc", "", "1,5", "0x10"])


@case(over_http=True)
def no_value(mlflow: Any) -> object:
    """None is a missing value."""
    return refused(mlflow, [None])


@case(over_http=True)
def values_of_entities(mlflow: Any) -> object:
    """In `log_batch` the value of a `Metric` is taken as it is: nothing is converted."""
    client, metric = mlflow.MlflowClient(), mlflow.entities.Metric
    run_id = new_run(mlflow)
    values = [1, 0.5, "1.5", True, None, "abc", [1]]
    outcomes = [
        attempt(client.log_batch, run_id, [metric(f"k{i}", value, 1, 0)])
        for i, value in enumerate(values)
    ]
    return [outcomes, client.get_run(run_id).data.metrics]


@case
def raised_at_once(mlflow: Any) -> object:
    """What cannot be converted is raised by the call itself, also where it does not wait."""
    with mlflow.start_run():
        return [
            attempt(mlflow.log_metric, "k", [1], synchronous=False),
            attempt(mlflow.log_metric, "k", np.array([1, 2]), synchronous=False),
            attempt(mlflow.log_metrics, {"k": {}}, synchronous=False),
            attempt(mlflow.log_metric, "k", 10**400, synchronous=False),
        ]


@case
def nan(mlflow: Any) -> object:
    """NaN comes back as NaN, from the run and from its history."""
    seen = logged(mlflow, [NAN, np.float32("nan"), -NAN])
    return [seen, mlflow.last_active_run().data.metrics]


@case
def infinities(mlflow: Any) -> object:
    """Infinities come back as infinities."""
    seen = logged(mlflow, [INF, -INF, "inf", 1e308 * 10])
    return [seen, mlflow.last_active_run().data.metrics]


@case
def negative_zero(mlflow: Any) -> object:
    """The sign of zero comes back."""
    seen = logged(mlflow, [-0.0, 0.0])
    with mlflow.start_run() as run:
        mlflow.log_metric("z", -0.0)
    return [seen, mlflow.get_run(run.info.run_id).data.metrics]


@case
def nan_beside_zero(mlflow: Any) -> object:
    """NaN and 0.0 at one step and time are two points; NaN twice is one."""
    with mlflow.start_run() as run:
        for value in (0.0, NAN, NAN, 0):
            mlflow.log_metric("v", value, step=1, timestamp=5)
    return sorted(str(value) for _, _, value in points(mlflow, run.info.run_id, "v"))


@case
def infinity_beside_the_greatest_float(mlflow: Any) -> object:
    """Infinity and the greatest float at one step and time are two points."""
    with mlflow.start_run() as run:
        for value in (INF, 1.7976931348623157e308):
            mlflow.log_metric("v", value, step=1, timestamp=5)
    return points(mlflow, run.info.run_id, "v")


@case
def latest_of_nan_and_numbers(mlflow: Any) -> object:
    """At one step and time NaN counts as 0 in the choice of the latest value."""
    with mlflow.start_run() as run:
        for key, values in {"below": (-1, NAN), "above": (NAN, 1), "first": (NAN, -1)}.items():
            for value in values:
                mlflow.log_metric(key, value, step=1, timestamp=5)
    return mlflow.get_run(run.info.run_id).data.metrics


@case
def many_types_in_one_batch(mlflow: Any) -> object:
    """A batch converts each of its values by itself."""
    with mlflow.start_run() as run:
        mlflow.log_metrics(
            {"int": 1, "text": "2.5", "numpy": np.float32(0.1), "array": np.array([3]), "nan": NAN}
        )
    return mlflow.get_run(run.info.run_id).data.metrics
