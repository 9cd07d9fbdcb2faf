"""In which fields two targets differ, and what is wrong about that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

ABSENT = "(nothing there)"


class Difference(NamedTuple):
    """One field of what one case saw, which is not the same in steplog as in MLflow."""

    field: str  # the case, and the path from there as one would write it: "runs.tags[1].a"
    mlflow: Any
    steplog: Any

    def __str__(self) -> str:
        return f"{self.field}\n    MLflow:  {self.mlflow!r}\n    steplog: {self.steplog!r}"


def differences(field: str, mlflow: Any, steplog: Any) -> Iterator[Difference]:
    """Yield every field below this one in which two answers differ."""
    if isinstance(mlflow, dict) and isinstance(steplog, dict):
        for key in {**mlflow, **steplog}:
            inner = f"{field}.{key}" if key.isidentifier() else f"{field}[{key!r}]"
            yield from differences(inner, mlflow.get(key, ABSENT), steplog.get(key, ABSENT))
    elif _is_list(mlflow) and _is_list(steplog):
        for index in range(max(len(mlflow), len(steplog))):
            left, right = (each[index : index + 1] or [ABSENT] for each in (mlflow, steplog))
            yield from differences(f"{field}[{index}]", left[0], right[0])
    elif (type(mlflow), repr(mlflow)) != (type(steplog), repr(steplog)):  # -0.0 is not 0.0
        yield Difference(field, mlflow, steplog)


def _is_list(value: Any) -> bool:
    # `plain` makes lists of errors, too, but an error is one thing.
    return isinstance(value, list) and value[:1] not in (["raised"], ["refused"])


def report(found: list[Difference], accepted: list[Difference]) -> str:
    """Return what is wrong: differences that are not accepted, and accepted ones that are gone."""
    # By their text, for NaN is not equal to itself.
    texts, expected = [str(each) for each in found], [str(each) for each in accepted]
    unexpected = [text for text in texts if text not in expected]
    gone = [f"accepted, but so no more: {text}" for text in expected if text not in texts]
    return "\n".join(unexpected + gone)
