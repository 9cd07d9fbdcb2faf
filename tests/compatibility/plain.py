"""What a case saw, as JSON in which nothing differs from one run of it to the next.

Entities become dicts of all their fields, errors become their kind, code and text, and refused
requests their status and what was said. Ids become RUN 1, RUN 2, … in the order in which they are
met; a time of now becomes NOW; directories and servers lose their names. What cannot be told apart
any more after that (two runs that changed places) a case tells apart itself, by giving its runs
names.
"""

from __future__ import annotations

import base64
import json
import re
import time
from enum import Enum
from typing import Any

from compatibility.cases import UNKNOWN_MODEL, UNKNOWN_RUN, Raised

# The fields of MLflow's entities that are compared: all that concern runs and what they logged.
FIELDS = {
    "Run": "info data inputs outputs",
    "ActiveRun": "info data inputs outputs",
    "RunInfo": (
        "run_id run_name experiment_id user_id status start_time end_time lifecycle_stage "
        "artifact_uri"
    ),
    "RunData": "metrics params tags",
    "RunInputs": "dataset_inputs model_inputs",
    "RunOutputs": "model_outputs",
    "Experiment": (
        "experiment_id name artifact_location lifecycle_stage creation_time last_update_time tags"
    ),
    "Metric": "key value timestamp step model_id dataset_name dataset_digest run_id",
    "Param": "key value",
    "RunTag": "key value",
    "Dataset": "name digest source_type source schema profile",
    "DatasetInput": "dataset tags",
    "InputTag": "key value",
    "LoggedModelInput": "model_id",
    "LoggedModelOutput": "model_id step",
    "LoggedModel": (
        "experiment_id model_id name artifact_location creation_timestamp last_updated_timestamp "
        "model_type source_run_id status status_message tags params metrics"
    ),
    "_DatasetSummary": "experiment_id name digest context",
    "DatasetSummary": "experiment_id name digest context",
}
FIELDS["MetricWithRunId"] = FIELDS["Metric"]

SCALARS = {"int64": int, "int32": int, "float64": float, "float32": float, "bool": bool}
GENERATED_NAME = re.compile(r"[a-z]+-[a-z]+-\d{1,4}")
SET = re.compile(r"\{('[^{}]*')\}")
# What the driver of MLflow's database said, up to the end of the message.
DATABASE_TEXT = re.compile(r"\(sqlite3\.(\w+)\).*", re.DOTALL)

# What `_error` takes away where the error itself is shown, in the text of another one.
REPR_OF_REST_ERROR = re.compile(r"RestException\((['\"])[A-Z_]+: ")


class Plain:
    """Turns what one case saw into JSON. Times since `started` (seconds since 1970) are now."""

    def __init__(self, started: float, places: dict[str, str]) -> None:
        self.started_ms = int(started * 1_000) - 2_000
        self.places = places  # a directory or the address of a server -> what to call it
        self.names: dict[str, str] = {UNKNOWN_RUN: "UNKNOWN RUN", UNKNOWN_MODEL: "UNKNOWN MODEL"}

    def value(self, value: Any) -> Any:
        """Return a value as JSON."""
        kind = type(value).__name__
        if value is None or (isinstance(value, (bool, float)) and kind in ("bool", "float")):
            return value
        if isinstance(value, Enum):
            return f"{kind}.{value.name}"
        if kind == "int":
            return "NOW" if self._is_now(value) else value
        if isinstance(value, str):
            return self.text(value)
        if kind == "Answer" and value["status"] >= 400:
            return ["refused", value["status"], self.value(value["body"])]
        if isinstance(value, dict):
            return {self.text(str(key)): self._field(key, each) for key, each in value.items()}
        if isinstance(value, Raised):
            return self._error(value.error)
        if isinstance(value, (list, tuple)):
            items = [self.value(each) for each in value]
            return (
                {"page": items, "token": self.value(token(value))}
                if hasattr(value, "token")
                else items
            )
        return self._object(kind, value)

    def text(self, text: str) -> str:
        """Return a text without ids, times and places."""
        for place, name in self.places.items():
            text = text.replace(place, name)
        if GENERATED_NAME.fullmatch(text):
            return "GENERATED NAME"
        text = REPR_OF_REST_ERROR.sub(r"MlflowException(\1", text)
        text = DATABASE_TEXT.sub(r"(sqlite3.\1)", text)
        text = re.sub(r"\bm-[0-9a-f]{32}\b", lambda match: self._name("MODEL", match[0]), text)
        text = re.sub(r"\b[0-9a-f]{32}\b", lambda match: self._name("RUN", match[0]), text)
        text = re.sub(r"\b\d{18}\b", lambda match: self._name("EXPERIMENT", match[0]), text)
        text = re.sub(r"\b\d{13}\b", lambda each: "NOW" if self._is_now(each[0]) else each[0], text)
        return SET.sub(lambda each: "{" + ", ".join(sorted(each[1].split(", "))) + "}", text)

    def _name(self, kind: str, found: str) -> str:
        count = sum(name.startswith(f"{kind} ") for name in self.names.values())
        return self.names.setdefault(found, f"{kind} {count + 1}")

    def _is_now(self, value: int | str) -> bool:
        return self.started_ms <= int(value) <= time.time() * 1_000 + 2_000

    def _error(self, error: Exception) -> list[Any]:
        code = getattr(error, "error_code", None)
        text = str(error)
        # Its subclasses say where an error came from; over HTTP, the text says its code first.
        kinds = [each.__name__ for each in type(error).__mro__]
        kind = "MlflowException" if "MlflowException" in kinds else kinds[0]
        return ["raised", kind, code, self.text(text.removeprefix(f"{code}: "))]

    def _object(self, kind: str, value: Any) -> Any:
        if kind in FIELDS:
            names = FIELDS[kind].split()
            return {name: self._field(name, getattr(value, name)) for name in names}
        if kind in SCALARS:
            return self.value(SCALARS[kind](value))
        if kind in ("NaTType", "NAType"):
            return kind
        if kind == "Timestamp":
            ms = int(value.timestamp() * 1_000)
            return "NOW" if self._is_now(ms) else value.isoformat()
        if kind == "RunOperations":
            return kind
        if isinstance(value, bytes):
            return f"bytes {value!r}"
        raise TypeError(f"a case returned {value!r}, of which nothing is known here")

    def _field(self, name: object, value: Any) -> Any:
        if name in ("artifact_location", "artifact_uri") and isinstance(value, str):
            # Below which root they lie is whatever a store was given.
            return re.sub(r"^.*?/(?=EXPERIMENT \d|0(/|$))", "ROOT/", self.text(value))
        return self.value(value)


def token(page: Any) -> Any:
    """Return what a page's token says, where MLflow can read it."""
    if not page.token:
        return None
    return json.loads(base64.b64decode(page.token))
