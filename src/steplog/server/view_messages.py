"""The messages of steplog's own endpoints, by which its page asks for what it shows.

They are made as those of MLflow's API are (`steplog.server.messages`), and described with them in
``/openapi.json``. Their prefix holds the number of their version: a field may be added to one that
is released, nothing else.
"""

from __future__ import annotations

from steplog.server.messages import Double, Int64, Message, Text


class Session(Message):
    """Who asks, and what is asked.

    `role` says what the caller may do: ``read``, ``write`` or ``admin``.
    """

    version: str
    mlflow_version: str
    store: str
    role: str
    experiment_id: str | None = None


# The table of runs ------------------------------------------------------------------------------


class TableQuery(Message):
    """Which runs the table shows, from `offset` on, and what of each.

    `columns` are ``metrics.KEY`` for the last value, ``metrics.KEY.PART`` with one of ``min``,
    ``max``, ``mean``, ``first``, ``count``, ``nan_count`` and ``best``, ``params.KEY`` and
    ``tags.KEY``. `parent` is the id of a run whose children are wanted, or empty for those that
    have no parent. `snapshot` is that of an earlier answer, so that rows do not move while
    somebody scrolls.
    """

    experiment_ids: list[str] | None = None
    filter: str | None = None
    order_by: list[str] | None = None
    stage: str | None = None
    columns: list[str] | None = None
    offset: Int64 | None = None
    limit: Int64 | None = None
    snapshot: str | None = None
    parent: str | None = None


class Row(Message):
    """One run of the table; times are in ms since 1970, `status` may also be LOST.

    `children` is told only where `parent` was asked for.
    """

    run_id: str
    run_name: str
    experiment_id: str
    experiment_name: str
    status: str
    start_time: Int64
    user_id: str
    stage: str
    values: dict[str, Double | str]
    children: int
    end_time: Int64 | None = None
    note: str | None = None
    parent: str | None = None


class Keys(Message):
    """What some of the runs have, to choose columns from."""

    metrics: list[str]
    params: list[str]
    tags: list[str]


class Table(Message):
    """Some rows of a list of `total` runs; `keys` come with the first of them."""

    total: int
    snapshot: str
    rows: list[Row]
    keys: Keys | None = None


# Everything about some runs ----------------------------------------------------------------------


class RunIds(Message):
    """Some runs."""

    run_ids: list[str]


class SeriesSummary(Message):
    """What is known of one series; numbers of values that are not NaN are left out without any.

    `rank` is that of the process that logged it in a distributed job, -1 where it was in none.
    """

    key: str
    attempt: int
    count: int
    nan_count: int
    first: Double
    first_step: Int64
    last: Double
    last_step: Int64
    last_timestamp: Int64
    min: Double | None = None
    min_step: Int64 | None = None
    max: Double | None = None
    max_step: Int64 | None = None
    mean: Double | None = None
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None
    rank: int = -1


class DatasetUse(Message):
    """A dataset that a run used, and what for."""

    name: str
    digest: str
    source_type: str
    source: str
    context: str | None = None
    schema: str | None = None
    profile: str | None = None


class ModelUse(Message):
    """A logged model that a run used (``input``) or made (``output``)."""

    model_id: str
    role: str
    step: Int64
    name: str
    status: str


class Detail(Message):
    """Everything about a run but its points."""

    run_id: str
    run_name: str
    experiment_id: str
    experiment_name: str
    status: str
    start_time: Int64
    user_id: str
    stage: str
    children: int
    params: dict[str, str]
    tags: dict[str, str]
    datasets: list[DatasetUse]
    models: list[ModelUse]
    series: list[SeriesSummary]
    artifact_uri: str
    end_time: Int64 | None = None
    note: str | None = None
    parent: str | None = None


class Details(Message):
    """Runs in the order in which they were asked for; unknown ones are left out."""

    runs: list[Detail]


class Key(Message):
    """A metric of some runs: how many have it, and how many points of it there are together."""

    key: str
    runs: int
    points: int


class FoundKeys(Message):
    """The metrics of some runs, ordered by key."""

    keys: list[Key]


# Charts and points -------------------------------------------------------------------------------


class ChartQuery(Message):
    """What a chart is to show; see `steplog.charts.ChartQuery`.

    `since` is the cursor of an earlier answer to the same query.
    """

    run_ids: list[str]
    keys: list[str]
    x: str | None = None
    x_key: str | None = None
    x_min: float | None = None
    x_max: float | None = None
    buckets: Int64 | None = None
    group_by: list[str] | None = None
    aggregate: str | None = None
    band: str | None = None
    ranks: str | None = None
    since: str | None = None


class ChartQueries(Message):
    """Some charts, 64 at most."""

    charts: list[ChartQuery]


class PointsQuery(Message):
    """Every point of these metrics of these runs, within some steps."""

    run_ids: list[str]
    keys: list[Text]
    x_min: Int64 | None = None
    x_max: Int64 | None = None
