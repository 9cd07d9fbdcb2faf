"""Keys, values, steps, timestamps, params and tags are judged as MLflow judges them.

Most tests ask the installed MLflow, so that they hold the texts as well as the verdicts. What only
differs on purpose has tests of its own.
"""

from __future__ import annotations

import math
import random
import sys
import warnings
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from steplog import rules
from steplog.exceptions import MlflowException, SteplogWarning

LONG_KEY = "x" * 251
BAD_KEYS = [
    *("a@b", "a(b", "a=b", "a,b", "a\tb", "a\nb", "a~", "50%", "a&b", "#a", "a\\b", "😀", "é@"),
    *("", ".", "..", "./a", "a/..", "../a", "/a", "a//b", "a/", "a/./b", "a/../b", "//", "..."),
    *(LONG_KEY, None, 5, 1.0, True, ("a",), b"a"),
]
GOOD_KEYS = ["a", "a b", " ", "a/b/c", "a.b", "a-b", "a_b", "a:b", "é", "日本", "a\n", "x" * 250]
VALUES: list[Any] = [
    *(0.5, -0.0, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 1, 2**63, True, False),
    *(Decimal("0.1"), Fraction(1, 3), "1.5", " 2 ", "nan", "inf", "1e309", b"1", "1_0"),
    *(np.float16(0.1), np.float32(0.1), np.float64(0.1), np.longdouble(2), np.int8(3), np.bool_(1)),
    *(np.array(1.5), np.array([2]), np.array([[3.0]]), np.array("3.5")),
    *(np.array([1.0, 2.0]), np.array([]), np.array([None]), np.array("abc")),
    *(None, "abc", "", 10**400, [1], {}, 1j, object, np.datetime64("2020-01-01")),
]
Outcome = tuple[object, ...]


@pytest.fixture(scope="module")
def mlflow() -> SimpleNamespace:
    """The parts of MLflow that judge what is logged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.tracking.metric_value_conversion_utils import (
            convert_metric_value_to_float_if_possible,
        )
        from mlflow.utils import validation
    return SimpleNamespace(convert=convert_metric_value_to_float_if_possible, rules=validation)


def outcome(judge: Callable[[], object]) -> Outcome:
    """What a call gives, or the name, code and text of what it raises; NaN equals NaN."""
    try:
        return ("gave", repr(judge()))
    except Exception as error:
        return (type(error).__name__, getattr(error, "error_code", None), str(error))


def outcomes(
    mlflow: SimpleNamespace, key: Any, value: Any, timestamp: Any = 1000, step: Any = 3
) -> tuple[Outcome, Outcome]:
    """What we and what MLflow make of one point, as the third of a batch."""

    def theirs() -> object:
        number = mlflow.convert(value)
        mlflow.rules._validate_metric(key, number, timestamp, step, path="metrics[2]")
        return (key, number, timestamp, step)

    ours = outcome(lambda: rules.check_metric(key, value, timestamp, step, "metrics[2]."))
    return ours, outcome(theirs)


@pytest.mark.parametrize("key", [*GOOD_KEYS, *BAD_KEYS], ids=ascii)
def test_keys_are_judged_as_by_mlflow(mlflow: SimpleNamespace, key: Any) -> None:
    """A metric's key is accepted or refused with the very error of MLflow."""
    ours, theirs = outcomes(mlflow, key, 0.5)
    assert ours == theirs


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_values_are_converted_as_by_mlflow(mlflow: SimpleNamespace, value: Any) -> None:
    """A value becomes the same float, or raises the same error, as in MLflow."""
    ours, theirs = outcomes(mlflow, "loss", value)
    assert ours == theirs


@pytest.mark.parametrize("timestamp", [0, 2**63 - 1, -1, -1.5, "5", None, [1]], ids=ascii)
def test_timestamps_are_judged_as_by_mlflow(mlflow: SimpleNamespace, timestamp: Any) -> None:
    """A timestamp is a whole number, not negative, or raises MLflow's error."""
    ours, theirs = outcomes(mlflow, "loss", 0.5, timestamp=timestamp)
    assert ours == theirs


@pytest.mark.parametrize("step", [0, -1, 2**63 - 1, -(2**63), 2**53 + 1, "7", None, [1]], ids=ascii)
def test_steps_are_judged_as_by_mlflow(mlflow: SimpleNamespace, step: Any) -> None:
    """A step is a whole number, or raises MLflow's error."""
    ours, theirs = outcomes(mlflow, "loss", 0.5, step=step)
    assert ours == theirs


def test_the_first_fault_is_reported_in_the_order_of_mlflow(mlflow: SimpleNamespace) -> None:
    """With several faults at once, the same one is reported as by MLflow."""
    faults = {"key": "a@b", "value": None, "timestamp": -1, "step": "7"}
    good = {"key": LONG_KEY, "value": 0.5, "timestamp": 1, "step": 1}
    for count in range(2 ** len(faults)):
        chosen = {
            name: fault if count >> bit & 1 else good[name]
            for bit, (name, fault) in enumerate(faults.items())
        }
        ours, theirs = outcomes(mlflow, **chosen)
        assert ours == theirs, chosen
    ours, theirs = outcomes(mlflow, "a@b", [1])
    assert ours == theirs


@pytest.mark.parametrize(
    "step",
    [True, 4.0, np.int8(4), np.int64(4), np.uint64(4), np.float32(4), np.array(4), Decimal(4)],
    ids=repr,
)
def test_whole_numbers_of_any_type_are_steps(step: Any) -> None:
    """A step or timestamp that is a whole number of another type becomes an int."""
    _, _, timestamp_ms, whole = rules.check_metric("loss", 0.5, step, step)
    assert (type(timestamp_ms), type(whole)) == (int, int)
    assert timestamp_ms == whole == step


@pytest.mark.parametrize(
    ("step", "shown"),
    [
        (1.5, "1.5"),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (2**63, "9223372036854775808"),
        (-(2**63) - 1, "-9223372036854775809"),
        (2.0**63, "9.223372036854776e+18"),
        (np.float32(1.5), '"1.5"'),
        (b"7", "\"b'7'\""),
    ],
    ids=repr,
)
def test_steps_that_mlflow_corrupts_are_refused(step: Any, shown: str) -> None:
    """What MLflow would store as something that it cannot read back is refused in its words."""
    with pytest.raises(MlflowException) as caught:
        rules.check_metric("loss", 0.5, 1000, step)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    assert caught.value.message == (
        f"Invalid value {shown} for parameter 'step' supplied: metric 'loss' (value=0.5). "
        "Step must be a valid long (64-bit integer)."
    )


class Tensor:
    """Stands for `torch.Tensor`, which takes a gigabyte to install."""

    def __init__(self, items: list[float]) -> None:
        self.items = items

    def detach(self) -> Tensor:
        """As in torch."""
        return self

    cpu = detach

    def item(self) -> float:
        """As in torch."""
        if len(self.items) != 1:
            raise RuntimeError(
                f"a Tensor with {len(self.items)} elements cannot be converted to Scalar"
            )
        return self.items[0]


def test_torch_tensors_are_taken_without_importing_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tensor of one element is its value, another one raises MLflow's error."""
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(Tensor=Tensor))
    assert rules.check_metric("loss", Tensor([0.5]), 0, 0)[1] == 0.5
    with pytest.raises(MlflowException) as caught:
        rules.check_metric("loss", Tensor([1.0, 2.0]), 0, 0)
    assert caught.value.message == (
        "Failed to convert metric value to float: "
        "a Tensor with 2 elements cannot be converted to Scalar"
    )


@pytest.mark.parametrize("key", [*GOOD_KEYS, *BAD_KEYS], ids=ascii)
def test_keys_of_params_and_tags_are_judged_as_by_mlflow(mlflow: SimpleNamespace, key: Any) -> None:
    """A param's, a tag's and an experiment tag's key meet the very rules and texts of MLflow."""
    for ours, theirs, path in (
        (rules.check_param, mlflow.rules._validate_param, "params[2]"),
        (rules.check_tag, mlflow.rules._validate_tag, "tags[2]"),
    ):

        def stored(judge: Any = theirs, path: str = path) -> tuple[str, str]:
            entity = judge(key, "v", path)
            return (entity.key, entity.value)

        assert outcome(lambda: ours(key, "v", f"{path}.")) == outcome(stored)  # noqa: B023

    def stored_of_experiment() -> tuple[str, str]:
        mlflow.rules._validate_experiment_tag(key, "v")
        return (key, "v")

    ours_of_experiment = outcome(lambda: rules.check_experiment_tag(key, "v"))
    assert ours_of_experiment == outcome(stored_of_experiment)


def test_values_of_params_and_tags_become_text() -> None:
    """Whatever the value, its ``str()`` is stored."""
    assert rules.check_params([("a", None), ("b", 0.1), ("c", "")]) == {
        "a": "None",
        "b": "0.1",
        "c": "",
    }
    assert rules.check_tags([("a", True), ("a", [1])]) == {"a": "[1]"}


@pytest.mark.parametrize(
    ("check", "limit", "what"),
    [(rules.check_param, 6000, "Param value"), (rules.check_tag, 8000, "value")],
)
def test_long_values_are_cut_with_a_warning(
    check: Callable[[str, object], tuple[str, str]], limit: int, what: str
) -> None:
    """A value over the limit is cut to it, with MLflow's words in a warning."""
    assert check("k", "x" * limit) == ("k", "x" * limit)
    text = f"{what} '{'x' * 100}...' ({limit + 1} characters) is truncated to {limit} characters"
    with pytest.warns(SteplogWarning) as caught:
        assert check("k", "x" * (limit + 1)) == ("k", "x" * limit)
    assert str(caught[0].message) == f"{text} to meet the length limit."


def test_long_values_are_refused_where_cutting_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """With MLFLOW_TRUNCATE_LONG_VALUES=false a value over the limit is an error."""
    monkeypatch.setenv("MLFLOW_TRUNCATE_LONG_VALUES", "false")
    with pytest.raises(MlflowException, match="'Param value' exceeds the maximum length of 6000 "):
        rules.check_param("k", "x" * 6001)
    with pytest.raises(MlflowException, match=r"^'tags\[0\].value' exceeds the maximum length of "):
        rules.check_tags([("k", "x" * 8001)])


def test_long_values_of_experiment_tags_are_refused() -> None:
    """An experiment's tag is never cut."""
    with pytest.raises(MlflowException, match="'value' exceeds the maximum length of 20000 char"):
        rules.check_experiment_tag("k", "x" * 20001)


def test_repeated_params_are_refused(mlflow: SimpleNamespace) -> None:
    """A param given twice in one batch is MLflow's error, even with equal values."""
    pairs = [("a", "1"), ("b", "1"), ("a", "1")]
    params = [SimpleNamespace(key=key) for key, _ in pairs]
    ours = outcome(lambda: rules.check_params(pairs))
    assert ours == outcome(lambda: mlflow.rules._validate_param_keys_unique(params))


@pytest.mark.parametrize("run_id", ["a", "0f_-", "x" * 256, "", "bad id!", "-a", "x" * 257, None])
def test_run_ids_are_judged_as_by_mlflow(mlflow: SimpleNamespace, run_id: Any) -> None:
    """A run id is accepted or refused with the very error of MLflow."""
    ours = outcome(lambda: rules.check_run_id(run_id))
    assert ours == outcome(lambda: mlflow.rules._validate_run_id(run_id))


@pytest.mark.parametrize("name", ["a", "x" * 500, "é/@", "", None, 5, "x" * 501], ids=ascii)
def test_experiment_names_are_judged_as_by_mlflow(mlflow: SimpleNamespace, name: Any) -> None:
    """An experiment's name is accepted or refused with the very error of MLflow."""

    def theirs() -> object:
        mlflow.rules._validate_experiment_name(name)
        return name

    assert outcome(lambda: rules.check_experiment_name(name)) == outcome(theirs)


@pytest.mark.parametrize("experiment_id", ["0", "123", 7, 1.5, "abc", [1]], ids=repr)
def test_experiment_ids_are_judged_as_by_mlflow(
    mlflow: SimpleNamespace, experiment_id: Any
) -> None:
    """An experiment's id is text or int of decimal digits, or MLflow's error."""

    def theirs() -> object:
        mlflow.rules._validate_experiment_id_type(experiment_id)
        return str(mlflow.rules._parse_experiment_id(experiment_id))

    assert outcome(lambda: rules.check_experiment_id(experiment_id)) == outcome(theirs)


def test_the_advice_on_params_is_that_of_mlflow(mlflow: SimpleNamespace) -> None:
    """The long text that log_param appends equals MLflow's."""
    assert mlflow.rules.PARAM_VALIDATION_MSG == rules.PARAM_ADVICE


def test_text_is_always_utf8() -> None:
    """Text that is not UTF-8 is escaped, all other text stays as it is."""
    assert rules.text("日本 é 😀\0\n") == "日本 é 😀\0\n"
    assert rules.check_tag("source", "caf\udce9.py") == ("source", "caf\\udce9.py")


def test_experiment_ids_depend_on_name_and_attempt_only() -> None:
    """The id of a name is the same on every host and in every release; attempts differ."""
    assert rules.derive_experiment_id("Default") == "0"
    assert rules.derive_experiment_id("digits") == "837629287184834082"
    ids = {rules.derive_experiment_id(name, n) for name in ("Default", "é") for n in range(50)}
    assert len(ids) == 100
    assert {len(experiment_id) for experiment_id in ids - {"0"}} == {18}
    assert all(rules.check_experiment_id(experiment_id) == experiment_id for experiment_id in ids)


def test_run_ids_and_names_have_the_form_of_mlflow() -> None:
    """Run ids are 32 hex digits, names are predicate-noun-number of at most 20 characters."""
    ids = {rules.new_run_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(len(run_id) == 32 and int(run_id, 16) >= 0 for run_id in ids)
    for name in {rules.generate_run_name() for _ in range(1000)}:
        predicate, noun, number = name.split("-")
        assert predicate.isalpha() and noun.isalpha() and 0 <= int(number) <= 1000
        assert len(name) <= 20


def test_making_names_leaves_the_random_state_alone() -> None:
    """A seeded training draws the same numbers with and without a run name in between."""
    before = random.getstate()
    rules.generate_run_name()
    rules.new_run_id()
    assert random.getstate() == before
