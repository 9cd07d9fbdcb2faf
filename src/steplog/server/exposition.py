"""The text that Prometheus reads: format 0.0.4 of its exposition formats.

What is not here: what is measured (`steplog.server.measuring`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_IN_HELP = str.maketrans({"\\": r"\\", "\n": r"\n"})
_IN_LABEL = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Family(NamedTuple):
    """Measurements of one name.

    Attributes:
        name: with its unit.
        kind: how Prometheus is to take it.
        help: one sentence.

    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str


class Sample(NamedTuple):
    """One measurement.

    Attributes:
        name: of its family; of a histogram, with ``_bucket``, ``_sum`` or ``_count`` behind it.
        labels: names and values.

    """

    name: str
    labels: tuple[tuple[str, str], ...] = ()


def text(families: Iterable[Family], values: Mapping[Sample, float]) -> str:
    r"""Return measurements as Prometheus reads them; families without any are left out.

    Args:
        families: in the order in which they are to stand.
        values: of every sample; of one name in the order in which they are to stand.

    Example:
        >>> points = Family("points_total", "counter", "Points.")
        >>> print(text([points], {Sample("points_total", (("where", 'a"b'),)): 3.0}), end="")
        # HELP points_total Points.
        # TYPE points_total counter
        points_total{where="a\"b"} 3

    """
    by_name: dict[str, list[Sample]] = {}
    for sample in values:
        by_name.setdefault(sample.name, []).append(sample)
    return "".join(line + "\n" for each in families for line in _lines(each, by_name, values))


def _lines(
    family: Family, by_name: Mapping[str, list[Sample]], values: Mapping[Sample, float]
) -> Iterator[str]:
    names = [family.name]
    if family.kind == "histogram":
        names = [family.name + ending for ending in ("_bucket", "_sum", "_count")]
    samples = [sample for name in names for sample in by_name.get(name, ())]
    if samples:
        yield f"# HELP {family.name} {family.help.translate(_IN_HELP)}"
        yield f"# TYPE {family.name} {family.kind}"
    for sample in samples:
        labels = ",".join(f'{name}="{value.translate(_IN_LABEL)}"' for name, value in sample.labels)
        yield f"{sample.name}{'{' + labels + '}' if labels else ''} {_number(values[sample])}"


def _number(value: float) -> str:
    """Return a number as Prometheus writes it.

    Example:
        >>> [_number(each) for each in (3.0, 0.25, math.inf, 1e300)]
        ['3', '0.25', '+Inf', '1e+300']

    """
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))
