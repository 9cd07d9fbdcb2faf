"""The language of searches: filters and orders, as MLflow's users write them.

These functions make of a text what `steplog.query` says the meaning of. Pure: nothing here knows a
store. A search without an order has none here either: what decides then, and between what an order
leaves equal, is said in `steplog.query` too.

The language is that of MLflow 3.17's SQL store, with its error codes and texts. MLflow's own
tokeniser, `sqlparse`, reads the text, so that what one accepts the other accepts, oddities
included. Where MLflow answers a mistake of the user with a Python error or INTERNAL_ERROR, it is
INVALID_PARAMETER_VALUE here; sets of names in messages are sorted. The few other differences are
listed, each with its reason, in `tests/test_filters_and_mlflow.py`, which runs both parsers over
thousands of texts.
"""

from __future__ import annotations

from steplog.filters.models import parse_models_filter, parse_models_order
from steplog.filters.runs import (
    parse_experiments_filter,
    parse_experiments_order,
    parse_runs_filter,
    parse_runs_order,
)

__all__ = [
    "parse_experiments_filter",
    "parse_experiments_order",
    "parse_models_filter",
    "parse_models_order",
    "parse_runs_filter",
    "parse_runs_order",
]
