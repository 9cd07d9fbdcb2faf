"""Datasets, inputs and outputs of runs."""

from __future__ import annotations

from typing import Any

from compatibility.cases import (
    UNKNOWN_MODEL,
    UNKNOWN_RUN,
    attempt,
    case,
    experiment_id,
    new_run,
    points,
)
from compatibility.cases_models import new_model

alone = case(alone=True)  # what a dataset is, is told to an experiment once


class Table:
    """A dataset as programs define them: a name, a digest, and how to make MLflow's entity."""

    def __init__(self, mlflow: Any, name: str = "table", digest: str = "d1") -> None:
        self.mlflow = mlflow
        self.name = name
        self.digest = digest

    def _to_mlflow_entity(self) -> object:
        return self.mlflow.entities.Dataset(
            self.name, self.digest, "local", '{"path": "table.csv"}', "a: int", '{"rows": 3}'
        )


def dataset_input(mlflow: Any, name: str = "table", digest: str = "d1", **tags: str) -> object:
    """Return the input of a dataset, with tags."""
    entities = mlflow.entities
    return entities.DatasetInput(
        entities.Dataset(name, digest, "local", "here"),
        [entities.InputTag(key, value) for key, value in tags.items()],
    )


def names(mlflow: Any, run_id: str) -> list[list[Any]]:
    """Return name, digest and tags of the datasets of a run, sorted."""
    found = mlflow.get_run(run_id).inputs.dataset_inputs
    return sorted(
        [each.dataset.name, each.dataset.digest, sorted([tag.key, tag.value] for tag in each.tags)]
        for each in found
    )


@alone
def logged(mlflow: Any) -> object:
    """`log_input` keeps the whole dataset, its tags and its context."""
    with mlflow.start_run() as run:
        answer = mlflow.log_input(Table(mlflow), context="training", tags={"fold": "1"})
    found = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    tags = sorted([tag.key, tag.value] for tag in found[0].tags)
    return [answer, len(found), found[0].dataset, tags]


@alone
def several_logged(mlflow: Any) -> object:
    """`log_inputs` takes lists of datasets, contexts and tags."""
    with mlflow.start_run() as run:
        mlflow.log_inputs(
            [Table(mlflow, "a"), Table(mlflow, "b")], ["training", None], [None, {"k": "v"}]
        )
    return names(mlflow, run.info.run_id)


@alone
def logged_wrongly(mlflow: Any) -> object:
    """A context needs a dataset, the lists need one length, and models are not taken here."""
    model = mlflow.entities.LoggedModelInput(new_model(mlflow))
    with mlflow.start_run():
        return [
            attempt(mlflow.log_input, context="training"),
            attempt(mlflow.log_inputs, [Table(mlflow)], [], []),
            attempt(mlflow.log_inputs, [Table(mlflow)], ["a", "b"], [None]),
            attempt(mlflow.log_inputs, [Table(mlflow)], ["a"], [None], [model]),
            attempt(mlflow.log_input, "no dataset"),
        ]


@alone
def nothing_logged(mlflow: Any) -> object:
    """Nothing to log is no error; a run is started all the same."""
    return [
        attempt(mlflow.log_input),
        attempt(mlflow.log_inputs),
        mlflow.active_run() is not None,
    ]


@case(imported=False, alone=True)
def of_mlflow(mlflow: Any) -> object:
    """MLflow's own datasets can be logged, with their schema and their profile."""
    import numpy as np
    from mlflow.data.numpy_dataset import from_numpy

    dataset = from_numpy(np.array([[1, 2], [3, 4]]), targets=np.array([0, 1]), name="numbers")
    with mlflow.start_run() as run:
        mlflow.log_input(dataset, context="eval")
    found = mlflow.get_run(run.info.run_id).inputs.dataset_inputs[0].dataset
    return [found.name, found.digest, found.source_type, found.schema, found.profile]


@alone
def logged_again(mlflow: Any) -> object:
    """A dataset that a run already has keeps its first tags, and its first contents."""
    client, entities, run_id = mlflow.MlflowClient(), mlflow.entities, new_run(mlflow)
    client.log_inputs(run_id, [dataset_input(mlflow, fold="1")])
    client.log_inputs(run_id, [dataset_input(mlflow, fold="2", more="x")])
    changed = entities.Dataset("table", "d1", "other", "elsewhere", "schema", "profile")
    other_run = new_run(mlflow)
    client.log_inputs(other_run, [entities.DatasetInput(changed)])
    source = client.get_run(other_run).inputs.dataset_inputs[0].dataset
    return [names(mlflow, run_id), source]


@alone
def digests(mlflow: Any) -> object:
    """Datasets of one name and different digests are different ones."""
    client, run_id = mlflow.MlflowClient(), new_run(mlflow)
    client.log_inputs(run_id, [dataset_input(mlflow), dataset_input(mlflow, digest="d2")])
    client.log_inputs(run_id, [dataset_input(mlflow, digest="d3", a="1")])
    return names(mlflow, run_id)


@alone
def too_long(mlflow: Any) -> object:
    """Name, digest, and the tags' keys and values have a greatest length."""
    client, run_id = mlflow.MlflowClient(), new_run(mlflow)
    inputs = [
        dataset_input(mlflow, "x" * 501),
        dataset_input(mlflow, digest="x" * 37),
        dataset_input(mlflow, **{"k" * 256: "v"}),
        dataset_input(mlflow, k="v" * 501),
        dataset_input(mlflow, "x" * 500, "x" * 36, **{"k" * 255: "v" * 500}),
    ]
    outcomes = [attempt(client.log_inputs, run_id, [each]) for each in inputs]
    return [outcomes, [[len(name), len(digest)] for name, digest, _ in names(mlflow, run_id)]]


@case(over_http=True, alone=True)
def missing_fields(mlflow: Any) -> object:
    """A dataset needs its name, digest, type and source, a tag its key and value."""
    client, entities, run_id = mlflow.MlflowClient(), mlflow.entities, new_run(mlflow)
    whole = ["table", "d1", "local", "here"]
    outcomes = []
    for missing in range(4):
        fields: list[Any] = [None if i == missing else each for i, each in enumerate(whole)]
        dataset = entities.DatasetInput(entities.Dataset(*fields))
        outcomes.append(attempt(client.log_inputs, run_id, [dataset]))
    for tag in ((None, "v"), ("k", None)):
        dataset = entities.DatasetInput(entities.Dataset(*whole), [entities.InputTag(*tag)])
        outcomes.append(attempt(client.log_inputs, run_id, [dataset]))
    return outcomes


@alone
def runs_that_take_none(mlflow: Any) -> object:
    """A deleted or an unknown run takes no inputs and no outputs."""
    client, deleted = mlflow.MlflowClient(), new_run(mlflow)
    client.delete_run(deleted)
    output = mlflow.entities.LoggedModelOutput(new_model(mlflow), 0)
    return [
        [
            attempt(client.log_inputs, run_id, [dataset_input(mlflow)]),
            attempt(client.log_outputs, run_id, [output]),
        ]
        for run_id in (deleted, UNKNOWN_RUN)
    ]


@alone
def models_as_inputs(mlflow: Any) -> object:
    """A model can be an input of a run, once."""
    client, entities, run_id = mlflow.MlflowClient(), mlflow.entities, new_run(mlflow)
    first, second = new_model(mlflow, "first"), new_model(mlflow, "second")
    client.log_inputs(run_id, models=[entities.LoggedModelInput(first)])
    client.log_inputs(run_id, models=[entities.LoggedModelInput(each) for each in (first, second)])
    with mlflow.start_run(run_id=run_id):
        mlflow.log_input(model=entities.LoggedModelInput(first))
    found = {each.model_id for each in client.get_run(run_id).inputs.model_inputs}
    return [len(client.get_run(run_id).inputs.model_inputs), found == {first, second}]


@alone
def models_as_outputs(mlflow: Any) -> object:
    """A model is an output of a run at a step."""
    run_id = new_run(mlflow)
    first, second = new_model(mlflow, "first"), new_model(mlflow, "second")
    output = mlflow.entities.LoggedModelOutput
    with mlflow.start_run(run_id=run_id):
        answer = mlflow.log_outputs([output(first, 0), output(second, 5)])
    found = mlflow.get_run(run_id).outputs.model_outputs
    return [answer, sorted([[each.model_id == first, each.step] for each in found])]


@alone
def an_output_again(mlflow: Any) -> object:
    """A model that is an output already, at the same step or another."""
    client, run_id, model_id = mlflow.MlflowClient(), new_run(mlflow), new_model(mlflow)
    output = mlflow.entities.LoggedModelOutput
    outcomes = [attempt(client.log_outputs, run_id, [output(model_id, step)]) for step in (1, 1, 2)]
    return [outcomes, [each.step for each in client.get_run(run_id).outputs.model_outputs]]


@alone
def unknown_models(mlflow: Any) -> object:
    """Whether a model that does not exist can be an input or an output."""
    client, entities, run_id = mlflow.MlflowClient(), mlflow.entities, new_run(mlflow)
    outcomes = [
        attempt(client.log_inputs, run_id, models=[entities.LoggedModelInput(UNKNOWN_MODEL)]),
        attempt(client.log_outputs, run_id, [entities.LoggedModelOutput(UNKNOWN_MODEL, 1)]),
    ]
    found = client.get_run(run_id)
    return [outcomes, found.inputs.model_inputs, found.outputs and found.outputs.model_outputs]


@case(over_http=True, alone=True)
def runs_without_any(mlflow: Any) -> object:
    """A run that has no inputs and no outputs, as it was created and as fetched."""
    client = mlflow.MlflowClient()
    run = client.create_run(experiment_id())
    return [[each.inputs, each.outputs] for each in (run, client.get_run(run.info.run_id))]


@alone
def of_a_metric(mlflow: Any) -> object:
    """A metric's dataset becomes an input of the run, without tags, and once."""
    entity = mlflow.entities.Dataset("entity", "d2", "local", "here")
    with mlflow.start_run() as run:
        mlflow.log_metric("acc", 1, timestamp=5, dataset=Table(mlflow))
        mlflow.log_metric("acc", 2, timestamp=6, dataset=Table(mlflow))
        mlflow.log_metrics({"acc": 3, "f1": 4}, timestamp=7, dataset=entity)
    return [names(mlflow, run.info.run_id), points(mlflow, run.info.run_id, "acc")]


@alone
def shown_in_the_history(mlflow: Any) -> object:
    """The history says which dataset each point was measured on."""
    client, run_id = mlflow.MlflowClient(), new_run(mlflow)
    client.log_metric(run_id, "acc", 1, timestamp=5, dataset_name="a", dataset_digest="d1")
    client.log_metric(run_id, "acc", 2, timestamp=6)
    return [
        [each.value, each.dataset_name, each.dataset_digest]
        for each in client.get_metric_history(run_id, "acc")
    ]


@alone
def no_datasets(mlflow: Any) -> object:
    """What is no dataset is refused as `dataset` of a metric."""
    with mlflow.start_run() as run:
        outcomes = [
            attempt(mlflow.log_metric, "acc", 1, dataset="text"),
            attempt(mlflow.log_metrics, {"acc": 1}, dataset=5),
            attempt(mlflow.log_metric, "acc", 1, dataset=object()),
        ]
    return [outcomes, mlflow.get_run(run.info.run_id).data.metrics]


@alone
def half_a_dataset(mlflow: Any) -> object:
    """A metric has both a dataset's name and its digest, or neither."""
    client, metric, run_id = mlflow.MlflowClient(), mlflow.entities.Metric, new_run(mlflow)
    return [
        attempt(metric, "k", 1, 1, 0, dataset_name="a"),
        attempt(metric, "k", 1, 1, 0, dataset_digest="d"),
        attempt(client.log_metric, run_id, "k", 1, dataset_name="a"),
        client.get_run(run_id).data.metrics,
    ]
