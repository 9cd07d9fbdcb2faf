"""The messages by which one steplog asks another for what a store keeps (`steplog.stores.remote`).

Each is the arguments of a method of `steplog.stores.base.Store`; the answers, and the batches that
are brought, are not JSON (`steplog.stores.wire`).
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from steplog.server.messages import Int64, Message

SeriesId = Annotated[int, Meta(ge=0, le=2**32 - 2)]


class About(Message):
    """Which steplog this is, and the version of its wire."""

    steplog: str
    store: Int64


class Journals(Message):
    """Journals, by their ids."""

    journal_ids: list[str]


class SomeRefusals(Message):
    """Whose refusals are wanted: a run's, those in some journals, or all."""

    run_id: str | None = None
    journal_ids: list[str] | None = None


class SomeExperiments(Message):
    """Which experiments are wanted: of these ids, or of this name, or all."""

    ids: list[str] | None = None
    name: str | None = None


class SomeRuns(Message):
    """Which runs are wanted, and whether with the last point of each of their series."""

    run_ids: list[str] | None = None
    experiment_ids: list[str] | None = None
    last: bool | None = None


class SomeModels(Message):
    """Which logged models are wanted."""

    model_ids: list[str]


class SomeDatasets(Message):
    """Of which experiments datasets are wanted, and how many at most."""

    experiment_ids: list[str]
    limit: Int64


class Search(Message):
    """A query: the JSON of `steplog.query.Query`, as a text."""

    query: str


class SomeSeries(Message):
    """Which series are wanted: of these runs, with these keys or patterns, of these models."""

    run_ids: list[str] | None = None
    keys: list[str] | None = None
    model_ids: list[str] | None = None


class WholeRuns(Message):
    """Runs, by their whole ids."""

    run_ids: list[str]


class SomePoints(Message):
    """Points of one series: of these steps and of these times in ms, both ends included."""

    series_id: SeriesId
    first_step: Int64 | None = None
    last_step: Int64 | None = None
    first_time: Int64 | None = None
    last_time: Int64 | None = None


class OneSeries(Message):
    """One series."""

    series_id: SeriesId


class Survey(Message):
    """What is needed of each stretch of a series.

    `needs` has a digit for each: 0 for nothing, 1 for its summary, 2 for its points. `outline` is
    the fingerprint of the outline that the digits belong to.
    """

    series_id: SeriesId
    outline: str
    needs: str


class Writers(Message):
    """Writers that live, by their ids."""

    writer_ids: list[str]


class Sealing(Message):
    """What is to be sealed: a run, or all that ended or grew enough."""

    run_id: str | None = None
