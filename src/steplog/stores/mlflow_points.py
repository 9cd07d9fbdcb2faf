"""Points as an MLflow server takes them: requests of many, as compact JSON.

Pure: nothing here knows a server. What comes back is read by `mlflow_records`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from steplog.operations import SeriesKey

MOST_POINTS = 1_000
"""Points of one request: the server takes no more …"""
MOST_BYTES = 900_000
"""… nor more than 1 MB, of which this may be points."""


def encode(
    points: npt.NDArray[np.void], series: Mapping[int, SeriesKey], models: Mapping[str, str]
) -> list[str]:
    """Return the JSON of each point.

    Args:
        points: dtype `steplog.points.POINT`.
        series: number -> what it stands for.
        models: our id of a logged model -> the server's; a point of another one is sent without.

    Example:
        >>> encode(points, {1: SeriesKey("4f2a", "loss")}, {})[0]
        '{"key":"loss","value":0.25,"timestamp":1700000000000,"step":7}'

    """
    numbers = np.unique(points["series"]).tolist()
    heads = {number: _head(series[number], models) for number in numbers}
    columns = (points[name].tolist() for name in ("series", "value", "timestamp", "step"))
    return [
        f'{heads[number]}"value":{_spelled(value)},"timestamp":{timestamp},"step":{step}}}'
        for number, value, timestamp, step in zip(*columns, strict=True)
    ]


def stretches(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield where each request begins and ends, so that the server takes it.

    The cuts depend only on what stands before them: when more has come until the next try, the
    requests before it are the same.
    """
    start, size = 0, 0
    for index, text in enumerate(texts):
        size += len(text) + 1  # what is not ASCII is escaped: a character is a byte
        if index - start == MOST_POINTS or (size > MOST_BYTES and index > start):
            yield start, index
            start, size = index, len(text) + 1
    if start < len(texts):
        yield start, len(texts)


def request(run_id: str, texts: Sequence[str]) -> bytes:
    """Return the body of a request that logs these points; the server's id of the run."""
    return f'{{"run_id":{json.dumps(run_id)},"metrics":[{",".join(texts)}]}}'.encode("ascii")


def _head(key: SeriesKey, models: Mapping[str, str]) -> str:
    fields = {"key": key.key}
    if key.model_id in models:
        fields["model_id"] = models[key.model_id]
    if key.dataset_name:
        fields["dataset_name"] = key.dataset_name
        fields["dataset_digest"] = key.dataset_digest
    return json.dumps(fields, separators=(",", ":")).removesuffix("}") + ","


def _spelled(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return '"NaN"' if math.isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'
