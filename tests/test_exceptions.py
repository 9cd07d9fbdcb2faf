"""Errors carry MLflow's code and text, and a warning never becomes an error."""

from __future__ import annotations

import pickle
import sys
import warnings

import pytest

from steplog import exceptions
from steplog.exceptions import MlflowException, SteplogWarning, StoreError, warn


def test_every_error_is_an_mlflow_exception_with_a_code_of_its_own() -> None:
    """Each class of the tree says what kind of error it is; code and text survive pickling."""
    codes = {
        "MlflowException": "INTERNAL_ERROR",
        "StoreError": "TEMPORARILY_UNAVAILABLE",
        "StoreDamaged": "DATA_LOSS",
        "FormatTooNew": "INVALID_STATE",
        "JournalDamaged": "DATA_LOSS",
    }
    for name, code in codes.items():
        error = getattr(exceptions, name)("what happened")
        assert isinstance(error, MlflowException)
        assert (str(error), error.message, error.error_code) == (error.message, error.args[0], code)
    error = pickle.loads(pickle.dumps(MlflowException("gone", "RESOURCE_DOES_NOT_EXIST")))
    assert (error.message, error.error_code) == ("gone", "RESOURCE_DOES_NOT_EXIST")
    assert StoreError("locked", "RESOURCE_EXHAUSTED").error_code == "RESOURCE_EXHAUSTED"


def test_a_warning_is_of_its_own_category() -> None:
    """Whoever wants to silence steplog can."""
    with pytest.warns(SteplogWarning, match="disk is full"):
        warn("The disk is full.")


def test_a_warning_never_raises(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where warnings are errors the text goes to stderr, and nowhere when there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn("The disk is full.")
        monkeypatch.setattr(sys, "stderr", None)
        warn("The disk is full.")
    assert capsys.readouterr().err == "SteplogWarning: The disk is full.\n"
