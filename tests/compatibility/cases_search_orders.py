"""Orders, pages, views and forms of what `search_runs` finds."""

from __future__ import annotations

import base64
import json
import re
from itertools import groupby
from typing import Any

from compatibility.cases import attempt, case, experiment_id, new_run
from compatibility.population import EXPERIMENT, found, ordered, population


def page_token(content: object) -> str:
    """Return a token as stores make them, which says `content`."""
    return base64.b64encode(json.dumps(content).encode()).decode()


# Orders -----------------------------------------------------------------------------------------


@case
def metrics(mlflow: Any) -> object:
    """Numbers come first, then NaN, then runs without the metric, in both directions."""
    return ordered(
        mlflow,
        ["metrics.loss"],
        ["metrics.loss ASC"],
        ["metrics.loss DESC"],
        ["metrics.`a/b`"],
        ["metrics.`val acc` DESC"],
        ["metrics.nothing"],
        ["metric.loss desc"],
    )


@case
def params_and_tags(mlflow: Any) -> object:
    """Texts are ordered as texts; runs without the key come last in both directions."""
    return ordered(
        mlflow,
        ["params.lr"],
        ["params.lr DESC"],
        ["params.Optimizer ASC"],
        ["tags.team"],
        ["tags.team DESC"],
        ["tags.`a.b`"],
        ["parameters.`batch size` DESC"],
    )


@case
def attributes(mlflow: Any) -> object:
    """Runs are ordered by name, status, start and end; running ones have no end."""
    return ordered(
        mlflow,
        ["attributes.start_time"],
        ["start_time ASC"],
        ["start_time DESC"],
        ["run_name"],
        ["attributes.run_name DESC"],
        ["status"],
        ["end_time"],
        ["end_time DESC"],
        ["created"],
        ["attribute.Created DESC"],
    )


@case
def ties(mlflow: Any) -> object:
    """Runs that are equal in one field are ordered by the next, in the end by their start."""
    return ordered(
        mlflow,
        ["metrics.loss", "params.lr DESC"],
        ["status", "start_time ASC"],
        ["params.lr", "metrics.loss DESC", "run_name"],
        ["user_id"],
        [],
    )


@case(over_http=True)
def fields_given_twice(mlflow: Any) -> object:
    """A field that is given twice is an error."""
    return ordered(mlflow, ["metrics.loss", "metrics.loss DESC"], ["run_name", "run_name"])


@case
def bad_orders(mlflow: Any) -> object:
    """What is no field, or no direction, is an error that quotes it."""
    return ordered(
        mlflow,
        ["metrics.loss FOO"],
        ["metrics.loss ASC DESC"],
        ["metrics.a/b"],
        ["metrics.val acc"],
        ["nothing"],
        ["foo.x"],
        ["dataset.name"],
        ["run name"],
        ["`run name`"],
        [""],
        ["ASC"],
        ["metrics.loss, params.lr"],
        ["METRICS.loss"],
        ["experiment_id"],
        ["lifecycle_stage"],
    )


@case
def spellings(mlflow: Any) -> object:
    """A key stands in any quotes, and a direction in any case."""
    return ordered(
        mlflow,
        ["metrics.`loss`"],
        ['metrics."loss" desc'],
        ["  metrics.loss   ASC "],
        ["metrics.loss Desc"],
        ["`metrics`.loss"],
    )


@case(alone=True)
def equal_starts(mlflow: Any) -> object:
    """Runs that started in the same millisecond are ordered by their ids."""
    client = mlflow.MlflowClient()
    runs = [new_run(mlflow, start_time=5) for _ in range(4)]
    seen = [run.info.run_id for run in client.search_runs([experiment_id()])]
    return seen == sorted(runs)


# Pages ------------------------------------------------------------------------------------------


@case
def pages(mlflow: Any) -> object:
    """Pages follow each other without a gap, and the last has no token."""
    client, experiment_id = mlflow.MlflowClient(), population(mlflow)
    seen = []
    token = None
    while True:
        page = client.search_runs([experiment_id], max_results=2, page_token=token)
        token = page.token
        seen.append([[run.info.run_name for run in page], bool(token)])
        if not token:
            return seen


@case
def pages_of_a_filter(mlflow: Any) -> object:
    """Pages follow the filter and the order."""
    client, experiment_id = mlflow.MlflowClient(), population(mlflow)
    arguments = {"filter_string": "metrics.loss < 1", "order_by": ["metrics.loss DESC"]}
    first = client.search_runs([experiment_id], max_results=1, **arguments)
    rest = client.search_runs([experiment_id], page_token=first.token, **arguments)
    return [[run.info.run_name for run in page] for page in (first, rest)]


@case
def a_full_last_page(mlflow: Any) -> object:
    """A page that holds exactly the rest has no token."""
    page = mlflow.MlflowClient().search_runs([population(mlflow)], max_results=6)
    return [len(page), page.token]


@case(over_http=True)
def sizes_that_cannot_be(mlflow: Any) -> object:
    """A page has 1 to 50,000 runs."""
    client, experiment_id = mlflow.MlflowClient(), population(mlflow)
    return {
        str(size): attempt(lambda n: len(client.search_runs([experiment_id], max_results=n)), size)
        for size in (0, -1, 1, 50_000, 50_001, None)
    }


@case(over_http=True)
def bad_tokens(mlflow: Any) -> object:
    """A token that no page had is refused, with the reason."""
    client, experiment_id = mlflow.MlflowClient(), population(mlflow)
    tokens = {
        "no base64": "zz",
        "no json": base64.b64encode(b"hello").decode(),
        "empty": base64.b64encode(b"").decode() or "====",
        "another field": page_token({"foo": 1}),
        "a list": page_token([1]),
        "beyond the end": page_token({"offset": 100}),
        "in the middle": page_token({"offset": 5}),
        "a text": page_token({"offset": "1"}),
    }

    def search(token: str) -> object:
        return [r.info.run_name for r in client.search_runs([experiment_id], page_token=token)]

    return {name: attempt(search, token) for name, token in tokens.items()}


# Views ------------------------------------------------------------------------------------------


@case
def views(mlflow: Any) -> object:
    """Active runs, deleted ones, or all of them."""
    view = mlflow.entities.ViewType
    return [
        found(mlflow, "", "metrics.loss < 0.15", run_view_type=each)
        for each in (view.ACTIVE_ONLY, view.DELETED_ONLY, view.ALL)
    ]


@case(over_http=True)
def bad_views(mlflow: Any) -> object:
    """What another number means as a view."""
    return [found(mlflow, "", run_view_type=view) for view in (0, 4)]


# The fluent function ----------------------------------------------------------------------------


def types(frame: Any) -> dict[str, str]:
    """Return the type of each column of a frame; of times, not in which unit pandas keeps them."""
    return {name: re.sub(r"64\[\ws, ", "64[", str(kind)) for name, kind in frame.dtypes.items()}


@case
def frame(mlflow: Any) -> object:
    """The pandas frame has MLflow's columns in MLflow's order, with its kinds of nothing."""
    frame = mlflow.search_runs([population(mlflow)], order_by=["start_time ASC"])
    columns = list(frame.columns)
    rows = frame.drop(columns=["run_id", "experiment_id", "artifact_uri"]).values.tolist()
    kinds = [kind for kind, _ in groupby(name.partition(".")[0] for name in columns[6:])]
    return {
        "fixed columns": columns[:6],
        "order of the others": kinds,
        "columns": sorted(columns),
        "types": types(frame),
        "rows": [dict(zip(columns[2:3] + columns[4:], row, strict=True)) for row in rows],
    }


@case
def empty_frame(mlflow: Any) -> object:
    """A search that finds nothing gives a frame with the fixed columns."""
    frame = mlflow.search_runs([population(mlflow)], "metrics.loss > 1 AND metrics.loss < 0")
    return [list(frame.columns), len(frame), types(frame)]


@case
def as_a_list(mlflow: Any) -> object:
    """A list of runs, as many as were asked for."""
    names = [
        [
            run.info.run_name
            for run in mlflow.search_runs([population(mlflow)], output_format="list", **arguments)
        ]
        for arguments in (
            {},
            {"max_results": 2},
            {"filter_string": "metrics.loss < 1"},
            {"order_by": ["metrics.loss"]},
            {"run_view_type": 2},
        )
    ]
    return names


@case(alone=True)
def which_experiments(mlflow: Any) -> object:
    """Runs are searched in the experiment in force, in those named, or in all."""
    population(mlflow)
    new_run(mlflow, run_name="mine")

    def names(**arguments: Any) -> object:
        runs = mlflow.search_runs(output_format="list", **arguments)
        return [run.info.run_name for run in runs]

    return [
        names(),
        attempt(names, experiment_names=[EXPERIMENT], max_results=2),
        attempt(names, experiment_names=["nowhere"]),
        attempt(names, experiment_names=[EXPERIMENT, "nowhere"], max_results=1),
        attempt(names, experiment_ids=[population(mlflow)], experiment_names=[EXPERIMENT]),
        attempt(names, search_all_experiments=True, filter_string="run_name = 'mine'"),
        attempt(names, experiment_ids=[]),
    ]


@case
def bad_format(mlflow: Any) -> object:
    """Another format than a frame or a list is a ValueError."""
    return attempt(mlflow.search_runs, [population(mlflow)], output_format="x")
