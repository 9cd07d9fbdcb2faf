"""The filters of `search_runs`: what is found, and how each mistake is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compatibility.cases import UNKNOWN_EXPERIMENT, attempt, case, experiment_id, new_run
from compatibility.population import found, population


@case
def no_filter(mlflow: Any) -> object:
    """Without a filter all active runs are found, the last started first."""
    return found(mlflow, "", " ")


@case
def metrics(mlflow: Any) -> object:
    """A metric is compared by its latest value, with six comparators."""
    return found(
        mlflow,
        "metrics.loss > 0.15",
        "metrics.loss >= 0.2",
        "metrics.loss < 0.2",
        "metrics.loss <= 0.2",
        "metrics.loss = 0.2",
        "metrics.loss != 0.2",
        "metric.loss = 0.1",
        "metrics.loss = 77",
    )


@case
def numbers(mlflow: Any) -> object:
    """A number is an integer, a decimal, or has an exponent or a sign."""
    return found(
        mlflow,
        "metrics.e < 1e-6",
        "metrics.e = 1E-7",
        "metrics.`a/b` < -1",
        "metrics.`a/b` = -2.0",
        "metrics.`a/b` > +0",
        "metrics.loss > .15",
        "metrics.`a/b` >= 0.",
    )


@case
def keys_in_quotes(mlflow: Any) -> object:
    """A key with a space, a slash or a letter of another script stands in quotes."""
    return found(
        mlflow,
        "metrics.`val acc` > 0.6",
        'metrics."val acc" > 0.6',
        "metrics.'val acc' > 0.6",
        "metrics.`a/b` = 1",
        "metrics.`é` = 5",
        "metrics.é = 5",
        "params.`batch size` = '32'",
        "tags.a.b = 'dots'",
        "tags.`a.b` = 'dots'",
        "metrics.`loss` = 0.1",
    )


@case
def nan(mlflow: Any) -> object:
    """A metric that is NaN differs from every number, and matches nothing else."""
    return found(
        mlflow,
        "metrics.loss != 0",
        "metrics.loss = 0",
        "metrics.loss >= -5",
        "metrics.loss <= 5",
    )


@case
def infinities(mlflow: Any) -> object:
    """Infinity is greater than every number but the greatest, minus infinity less."""
    return found(
        mlflow,
        "metrics.loss > 1e300",
        "metrics.low < -1e300",
        "metrics.loss >= 1.7976931348623157e308",
        "metrics.loss = 1.7976931348623157e308",
    )


@case
def params(mlflow: Any) -> object:
    """A param is compared as text, for being equal or like a pattern."""
    return found(
        mlflow,
        "params.lr = '0.1'",
        "params.lr != '0.1'",
        'params.lr = "0.1"',
        "param.lr = '0.1'",
        "parameter.lr = '0.1'",
        "parameters.lr = '0.1'",
        "params.lr = '.1'",
        "params.optimizer = 'adam'",
    )


@case
def patterns(mlflow: Any) -> object:
    """LIKE minds capitals and ILIKE does not; ``%`` and ``_`` stand for anything."""
    return found(
        mlflow,
        "params.Optimizer LIKE 'A%'",
        "params.Optimizer ILIKE 'A%'",
        "params.Optimizer LIKE '_dam'",
        "params.Optimizer LIKE 'dam'",
        "params.lr LIKE '%0%'",
        "params.lr like '0.1'",
        "params.lr ilike '1E%'",
        "tags.note LIKE '100%'",
        "tags.note LIKE '%\\%%'",
        "tags.team LIKE '%'",
    )


@case
def tags(mlflow: Any) -> object:
    """A tag is compared as a param is; its key minds capitals."""
    return found(
        mlflow,
        "tags.team = 'red'",
        "tag.team = 'red'",
        "tags.team != 'red'",
        "tags.team ILIKE 'RED'",
        "tags.Team = 'red'",
        "tags.team = ''",
        'tags.note = "it\'s"',
        "tags.note = 'it''s'",
        "tags.`mlflow.runName` = 'alpha'",
        "tags.mlflow.runName = 'alpha'",
    )


@case
def absence(mlflow: Any) -> object:
    """IS NULL finds the runs that lack a param or a tag, IS NOT NULL the others."""
    return found(
        mlflow,
        "params.lr IS NULL",
        "params.lr IS NOT NULL",
        "tags.team is null",
        "tags.team is not null",
        "params.nothing IS NULL",
        "tags.nothing IS NOT NULL",
        "tags.team IS NULL AND params.lr IS NULL",
    )


@case
def attributes_of_text(mlflow: Any) -> object:
    """Name and status are compared as texts, by several names of the attribute."""
    return found(
        mlflow,
        "attributes.run_name = 'alpha'",
        "attribute.run_name = 'alpha'",
        "attr.run_name = 'alpha'",
        "run.run_name = 'alpha'",
        "run_name = 'alpha'",
        "run_name != 'alpha'",
        "run_name LIKE '%a'",
        "run_name ILIKE 'ALPHA'",
        "attributes.`run name` = 'beta'",
        "attributes.`Run name` = 'beta'",
        "status = 'FINISHED'",
        "attributes.status != 'FINISHED'",
        "status = 'finished'",
        "status LIKE 'F%'",
        "user_id = 'unknown'",
        "artifact_uri LIKE '%artifacts'",
    )


@case
def attributes_of_time(mlflow: Any) -> object:
    """Start and end are compared as numbers, in milliseconds."""
    return found(
        mlflow,
        "start_time > 5000",
        "attributes.start_time <= 5000",
        "start_time = 4000",
        "start_time != 4000",
        "created >= 7000",
        "attributes.Created < 4000",
        "end_time > 4000",
        "end_time < 4000",
        "end_time != 3005",
    )


@case
def ids(mlflow: Any) -> object:
    """A run is found by its id, or by a list of ids."""
    client, experiment_id = mlflow.MlflowClient(), population(mlflow)
    runs = client.search_runs([experiment_id])
    first, second = (run.info.run_id for run in runs[:2])
    filters = {
        "equal": f"run_id = '{first}'",
        "different": f"attributes.run_id != '{first}'",
        "in": f"run_id IN ('{first}', '{second}')",
        "in one": f"attributes.run_id IN ('{first}')",
        "not in": f"run_id NOT IN ('{first}','{second}')",
        "like": f"run_id LIKE '{first[:10]}%'",
        "unquoted": "run_id = abc",
    }
    return {
        name: attempt(
            lambda text: [run.info.run_name for run in client.search_runs([experiment_id], text)],
            text,
        )
        for name, text in filters.items()
    }


@case
def datasets(mlflow: Any) -> object:
    """Runs are found by name, digest and context of a dataset that is their input."""
    return found(
        mlflow,
        "dataset.name = 'train set'",
        "datasets.name = 'test set'",
        "dataset.name != 'train set'",
        "dataset.digest = 'd2'",
        "dataset.context = 'testing'",
        "dataset.context LIKE 't%'",
        "dataset.name ILIKE 'TEST%'",
        "dataset.digest IN ('d1', 'd2')",
        "dataset.name NOT IN ('train set')",
        "dataset.name = 'train set' AND dataset.context = 'testing'",
        "dataset.name = 'nothing'",
    )


@case
def conjunctions(mlflow: Any) -> object:
    """Conditions are joined by AND, in capitals or not, over several lines."""
    return found(
        mlflow,
        "metrics.loss < 0.5 AND params.lr = '0.1'",
        "metrics.loss < 0.5 and params.lr = '0.1' And tags.team = 'blue'",
        "metrics.loss > 0.1\n  AND\tmetrics.loss < 0.3",
        "metrics.loss = 0.2 AND metrics.loss = 0.1",
        "params.lr = '0.1' AND params.lr != '0.1'",
        "tags.team = 'a AND b'",
    )


@case
def spaces(mlflow: Any) -> object:
    """Spaces around a comparator may be missing or many."""
    return found(
        mlflow,
        "metrics.loss>0.15",
        "metrics.loss  <  0.15 ",
        "params.lr='0.1'",
        "run_name='alpha'AND status='FINISHED'",
        "start_time>=7000",
    )


@case
def comparators_that_are_none(mlflow: Any) -> object:
    """A comparator that a field does not take is named in the message, with those it takes."""
    return found(
        mlflow,
        "metrics.loss == 1",
        "metrics.loss <> 1",
        "metrics.loss LIKE '1'",
        "metrics.loss LIKE 1",
        "params.lr > '1'",
        "tags.team >= 'a'",
        "start_time LIKE 1",
        "run_name > 'a'",
        "dataset.name > 'a'",
        "status == 'FINISHED'",
    )


@case
def clauses_that_are_none(mlflow: Any) -> object:
    """What is no comparison joined by AND is an error that quotes the part."""
    return found(
        mlflow,
        "metrics.val acc > 0",
        "metrics.a/b > 0",
        "metrics.loss > 0 OR metrics.loss < 0",
        "NOT metrics.loss > 0",
        "(metrics.loss > 0)",
        "metrics.loss BETWEEN 0 AND 1",
        "metrics.loss > 0;",
        "metrics.loss > 0; metrics.loss < 1",
        "metrics.loss > 0 AND",
        "AND metrics.loss > 0",
        "metrics.loss",
        "metrics.loss >",
        "> 0",
        "0 < metrics.loss",
        "metrics.loss > 0, metrics.loss < 1",
        "hello",
        "'alpha'",
        "metrics.loss > metrics.e",
    )


@case
def values_that_are_none(mlflow: Any) -> object:
    """A number stands bare and a text in quotes; anything else is an error."""
    return found(
        mlflow,
        "metrics.loss > '1'",
        "metrics.loss > nan",
        "metrics.loss > inf",
        "metrics.loss > -inf",
        "metrics.loss > 1_000",
        "metrics.loss > 0x10",
        "metrics.loss > abc",
        "metrics.loss IN (1, 2)",
        "metrics.loss IS NULL",
        "params.lr = 0.1",
        "params.lr = red",
        "params.lr IN ('a')",
        "params.lr IS 'x'",
        "tags.team = red",
        "tags.team = 1",
        "tags.team IN ('red')",
        "start_time = '1000'",
        "start_time > 1.5",
        "run_name = alpha",
        "run_name = 5",
        "run_name IS NULL",
        "status IN ('FINISHED')",
        "run_id IN ()",
        "run_id IN (1)",
        "run_id IN 'a'",
        "dataset.name = x",
    )


@case
def fields_that_are_none(mlflow: Any) -> object:
    """An entity, an attribute or a field of datasets that does not exist is named."""
    return found(
        mlflow,
        "METRICS.loss > 0",
        "foo.x = 1",
        "loss > 0",
        "experiment_id = '1'",
        "lifecycle_stage = 'active'",
        "attributes.nothing = 'a'",
        "dataset.foo = 'a'",
        "metrics. = 1",
        "metrics.`` = 1",
        ".loss = 1",
        "Status = 'FINISHED'",
    )


@case
def quotes(mlflow: Any) -> object:
    """A quote that is not closed, or is inside of a text, is an error or finds nothing."""
    return found(
        mlflow,
        "params.lr = '0.1",
        'params.lr = "0.1',
        "params.lr = 0.1'",
        'tags.note = "it\'s"',
        "tags.note = 'say \"hi\"'",
        "metrics.`loss > 0",
        "params.lr = `0.1`",
        "params.lr = ''",
        "tags.note = 'x' OR '1'='1'",
        "tags.note = 'x'; DROP TABLE runs",
    )


@case
def keys_that_are_not_there(mlflow: Any) -> object:
    """A run without the key is never found, not even by ``!=``."""
    return found(
        mlflow,
        "metrics.nothing > 0",
        "metrics.nothing != 0",
        "params.nothing != 'x'",
        "tags.nothing != 'x'",
        "metrics.Loss > 0",
    )


@case(alone=True)
def experiments(mlflow: Any) -> object:
    """Runs of several experiments are found together; unknown ones have none."""
    client = mlflow.MlflowClient()
    other = mlflow.create_experiment("search_runs.experiments: other")
    client.create_run(other, run_name="elsewhere", start_time=9_000)
    new_run(mlflow, run_name="here", start_time=9_500)

    def names(ids: object) -> object:
        return [run.info.run_name for run in client.search_runs(ids)]

    mine = experiment_id()
    return [
        attempt(names, [other, mine]),
        attempt(names, [other]),
        attempt(names, [int(other)]),
        attempt(names, [other, other]),
        attempt(names, other),
        attempt(names, []),
        attempt(names, [UNKNOWN_EXPERIMENT]),
        attempt(names, ["abc"]),
    ]


@case
def deleted_experiments(mlflow: Any) -> object:
    """Whether the runs of a deleted experiment are found, in each view."""
    client = mlflow.MlflowClient()
    other = mlflow.create_experiment("search_runs.deleted_experiments: other")
    client.create_run(other, run_name="inside")
    client.delete_experiment(other)
    return [
        [run.info.run_name for run in client.search_runs([other], run_view_type=view)]
        for view in (1, 2, 3)
    ]


@case(alone=True)
def what_was_just_logged(mlflow: Any) -> object:
    """A search finds what the call before it has logged, changed or deleted."""
    client, run_id = mlflow.MlflowClient(), new_run(mlflow, run_name="fresh")
    changes: list[tuple[Callable[[], object], str]] = [
        (lambda: client.log_metric(run_id, "m", 1), "metrics.m = 1"),
        (lambda: client.log_metric(run_id, "m", 2, step=1), "metrics.m = 2"),
        (lambda: client.log_metric(run_id, "m", 3), "metrics.m = 3"),
        (lambda: client.log_param(run_id, "p", 1), "params.p = '1'"),
        (lambda: client.set_tag(run_id, "t", 1), "tags.t = '1'"),
        (lambda: client.delete_tag(run_id, "t"), "tags.t = '1'"),
        (lambda: client.set_terminated(run_id, "FAILED"), "status = 'FAILED'"),
    ]
    seen = []
    for change, text in changes:
        change()
        seen.append(len(client.search_runs([experiment_id()], text)))
    return seen


@case
def whole_runs(mlflow: Any) -> object:
    """A run that was found has everything that a fetched one has."""
    client = mlflow.MlflowClient()
    runs = client.search_runs([population(mlflow)], "run_name = 'alpha'")
    return [runs, client.get_run(runs[0].info.run_id).info.run_name]
