"""In which fields two targets differ, and which of these differences are accepted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

ABSENT = "(nothing there)"


class Difference(NamedTuple):
    """One field of what one case saw, which is not the same in steplog as in MLflow."""

    case: str
    path: str  # to the field, as one would write it in Python: "[1].metrics.loss"
    mlflow: Any
    steplog: Any

    def __str__(self) -> str:
        return f"{self.case}{self.path}\n    MLflow:  {self.mlflow!r}\n    steplog: {self.steplog!r}"


def differences(case: str, mlflow: Any, steplog: Any, path: str = "") -> Iterator[Difference]:
    """Yield every field in which two answers of one case differ."""
    if is_error(mlflow) != is_error(steplog):
        yield Difference(case, path, mlflow, steplog)
    elif isinstance(mlflow, dict) and isinstance(steplog, dict):
        for key in {**mlflow, **steplog}:
            inner = f"{path}.{key}" if key.isidentifier() else f"{path}[{key!r}]"
            yield from differences(case, mlflow.get(key, ABSENT), steplog.get(key, ABSENT), inner)
    elif isinstance(mlflow, list) and isinstance(steplog, list):
        for index in range(max(len(mlflow), len(steplog))):
            left, right = (each[index : index + 1] or [ABSENT] for each in (mlflow, steplog))
            yield from differences(case, left[0], right[0], f"{path}[{index}]")
    elif (type(mlflow), repr(mlflow)) != (type(steplog), repr(steplog)):  # -0.0 is not 0.0
        yield Difference(case, path, mlflow, steplog)


def is_error(value: Any) -> bool:
    """Tell whether this is what `plain` makes of an error; it differs as one thing, or by field."""
    return isinstance(value, list) and len(value) == 4 and value[0] == "raised"
