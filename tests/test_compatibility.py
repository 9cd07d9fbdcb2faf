"""The real MLflow shows the same on steplog as on its own stores, but for what is accepted.

The cases are in `tests/compatibility/`; `compatibility/differences.py` lists what is accepted.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from compatibility.cases import load
from compatibility.comparison import differences, report
from compatibility.differences import ACCEPTED, TARGETS
from compatibility.targets import reference, see

CASES = load()
See = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="session")
def seen(tmp_path_factory: pytest.TempPathFactory) -> See:
    """Return what the cases saw on a target, by case. They are done once, whoever asks first."""
    directory = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        directory = directory.parent  # which all workers share

    def seen(target: str) -> dict[str, Any]:
        place = directory / f"compatibility-{target.replace(' ', '-')}"
        saved = place.with_suffix(".json")
        with place.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not saved.exists():
                saved.write_text(json.dumps(see(target, place)), "utf-8")
        read: dict[str, Any] = json.loads(saved.read_text("utf-8"))
        return read

    return seen


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("target", ["mlflow", "mlflow server"])
def test_the_reference(target: str, seen: See) -> None:
    """No case fails on MLflow itself, but in the ways that it caught."""
    answers = seen(target).items()
    crashed = [answer for _, answer in answers if isinstance(answer, dict) and "crashed" in answer]
    assert not crashed


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_compatibility(target: str, seen: See) -> None:
    """Every case sees on steplog what it sees on MLflow, field by field."""
    found = [
        difference
        for name, answer in seen(target).items()
        for difference in differences(name, seen(reference(target, CASES[name]))[name], answer)
    ]
    if wrong := report(found, ACCEPTED[target]):
        pytest.fail(f"on {target!r}:\n{wrong}", pytrace=False)


def test_the_cases() -> None:
    """There are enough cases, and each says in a sentence what is compared."""
    assert len(CASES) > 350
    assert not [name for name, case in CASES.items() if not case.function.__doc__]


def test_the_comparison() -> None:
    """Fields are compared by type and bits, and what is accepted must occur just so."""
    mlflow = {"same": [1, "a"], "zero": 0.0, "type": 1, "more": [1], "error": ["raised", "E", "A"]}
    steplog = {"same": [1, "a"], "zero": -0.0, "type": 1.0, "more": [1, 2], "error": None}
    found = list(differences("a.case", mlflow, steplog))
    assert [each.field for each in found] == [
        "a.case.zero",
        "a.case.type",
        "a.case.more[1]",
        "a.case.error",
    ]
    assert not list(differences("a.case", {"nan": float("nan")}, {"nan": float("nan")}))
    assert not report(found, found)
    assert report(found, found[1:]) == str(found[0])
    assert report(found[1:], found) == f"accepted, but so no more: {found[0]}"


def test_what_is_accepted() -> None:
    """A difference is accepted once, for one reason."""
    for accepted in ACCEPTED.values():
        fields = [each.field for each in accepted]
        assert len(fields) == len(set(fields))
