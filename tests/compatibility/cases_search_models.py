"""`search_logged_models`: filters, datasets, orders and pages."""

from __future__ import annotations

from typing import Any

from compatibility.cases import UNKNOWN_EXPERIMENT, attempt, case, experiment_id, tick
from compatibility.cases_models import new_model

_experiment_ids: dict[str, str] = {}

TRAIN, TEST = ("train", "d1"), ("test", "d2")  # datasets: name and digest

# name, type, params, tags, metrics as (key, value, step, dataset)
MODELS: list[tuple[str, str, dict[str, str], dict[str, str], list[tuple[Any, ...]]]] = [
    ("alpha", "cnn", {"lr": "0.1"}, {"team": "red"}, [("acc", 0.5, 0), ("acc", 0.9, 1)]),
    ("beta", "CNN", {"lr": "0.01"}, {"team": "Red"}, [("acc", 0.7, 0, *TRAIN)]),
    ("gamma", "mlp", {"lr": "0.1"}, {}, [("acc", 0.8, 0, *TEST), ("val acc", 1, 0)]),
    ("delta", "", {}, {"team": "blue"}, []),
]


def models(mlflow: Any) -> str:
    """Return the id of the experiment with the models, which are made by the first call."""
    if mlflow.__name__ not in _experiment_ids:
        client = mlflow.MlflowClient()
        made = str(client.create_experiment("the models"))
        _experiment_ids[mlflow.__name__] = made
        for name, model_type, params, tags, metrics in MODELS:
            tick()
            run_id = client.create_run(made, run_name=name).info.run_id
            model = client.create_logged_model(made, name, run_id, tags, params, model_type)
            for key, value, step, *dataset in metrics:
                names = dict(zip(("dataset_name", "dataset_digest"), dataset, strict=False))
                client.log_metric(
                    run_id, key, value, step + 1, step, model_id=model.model_id, **names
                )
            if metrics:
                client.finalize_logged_model(model.model_id, "READY")
    return _experiment_ids[mlflow.__name__]


def found(mlflow: Any, *filters: str, **arguments: Any) -> dict[str, object]:
    """Return the names of the models that each filter finds, sorted, or the error that it is."""
    client, experiment_id = mlflow.MlflowClient(), models(mlflow)

    def search(text: str) -> object:
        page = client.search_logged_models([experiment_id], text, **arguments)
        return sorted(each.name for each in page)

    return {text: attempt(search, text) for text in filters}


def ordered(mlflow: Any, *orders: list[dict[str, Any]]) -> dict[str, object]:
    """Return the names of the models in each order, or the error that it is."""
    client, experiment_id = mlflow.MlflowClient(), models(mlflow)

    def search(order: list[dict[str, Any]]) -> object:
        page = client.search_logged_models([experiment_id], order_by=order)
        return [each.name for each in page]

    return {str(order): attempt(search, order) for order in orders}


@case
def attributes(mlflow: Any) -> object:
    """Models are found by name and type, with or without the word attributes."""
    return found(
        mlflow,
        "",
        "name = 'alpha'",
        "attributes.name = 'alpha'",
        "name != 'alpha'",
        "name LIKE '%a'",
        "name ILIKE 'ALPHA'",
        "model_type = 'cnn'",
        "model_type ILIKE 'CNN'",
        "name IN ('alpha', 'beta')",
        "name NOT IN ('alpha')",
        "creation_timestamp > 0",
        "creation_time > 0",
        "last_updated_timestamp < 10",
    )


@case
def double_quotes(mlflow: Any) -> object:
    """A text stands in double quotes too."""
    return found(mlflow, 'name = "alpha"', 'params.lr = "0.1"', 'tags.team = "red"')


@case
def status(mlflow: Any) -> object:
    """What a comparison with a status finds."""
    return found(mlflow, "status = 'READY'", "status != 'READY'", "status = 'PENDING'")


@case
def metrics(mlflow: Any) -> object:
    """A model is found where any of its points satisfies the condition."""
    return found(
        mlflow,
        "metrics.acc > 0.75",
        "metrics.acc < 0.6",
        "metrics.acc = 0.9",
        "metrics.acc != 0.9",
        "metrics.`val acc` >= 1",
        "metrics.acc >= 0.5 AND metrics.acc <= 0.5",
        "metrics.nothing > 0",
    )


@case
def params_and_tags(mlflow: Any) -> object:
    """Params and tags of models are compared as texts."""
    return found(
        mlflow,
        "params.lr = '0.1'",
        "params.lr != '0.1'",
        "params.lr LIKE '0%'",
        "tags.team = 'red'",
        "tags.team ILIKE 'RED'",
        "tags.team IN ('red', 'blue')",
        "params.lr = '0.1' AND metrics.acc > 0.85",
        "tags.nothing != 'x'",
    )


@case
def with_datasets(mlflow: Any) -> object:
    """A condition on a metric may be restricted to datasets, by name and digest."""
    return [
        found(mlflow, "metrics.acc > 0.6", "", datasets=datasets)
        for datasets in (
            [{"dataset_name": "train", "dataset_digest": "d1"}],
            [{"dataset_name": "train", "dataset_digest": "d2"}],
            [
                {"dataset_name": "train", "dataset_digest": "d1"},
                {"dataset_name": "test", "dataset_digest": "d2"},
            ],
        )
    ]


@case(over_http=True)
def datasets_without_digest(mlflow: Any) -> object:
    """A dataset may be named without its digest."""
    return found(mlflow, "metrics.acc > 0.6", datasets=[{"dataset_name": "train"}])


@case(over_http=True)
def bad_datasets(mlflow: Any) -> object:
    """A dataset without a name is refused."""
    return found(mlflow, "metrics.acc > 0.6", datasets=[{"dataset_digest": "d1"}])


@case(over_http=True)
def mistakes(mlflow: Any) -> object:
    """Unknown fields, comparators and values are errors that name them."""
    return found(
        mlflow,
        "foo = 'a'",
        "attributes.foo = 'a'",
        "name > 'a'",
        "name = alpha",
        "metrics.acc > 'x'",
        "metrics.acc LIKE 'x'",
        "params.lr = 0.1",
        "params.lr > 'x'",
        "name = 'a' OR name = 'b'",
        "name == 'a'",
        "name",
        "metrics.acc",
        "foo.x = 'a'",
    )


@case
def orders(mlflow: Any) -> object:
    """Models are ordered by attributes and by their latest metrics; those without come last."""
    return ordered(
        mlflow,
        [{"field_name": "name"}],
        [{"field_name": "name", "ascending": False}],
        [{"field_name": "metrics.acc"}],
        [{"field_name": "metrics.acc", "ascending": False}],
        [{"field_name": "creation_timestamp"}],
        [{"field_name": "creation_time", "ascending": False}],
        [{"field_name": "model_type"}, {"field_name": "name"}],
        [{"field_name": "attributes.name"}],
    )


@case
def orders_on_datasets(mlflow: Any) -> object:
    """An order by a metric may be restricted to a dataset."""
    return ordered(
        mlflow,
        [{"field_name": "metrics.acc", "dataset_name": "train"}],
        [{"field_name": "metrics.acc", "dataset_name": "test", "dataset_digest": "d2"}],
        [{"field_name": "metrics.acc", "dataset_name": "test", "dataset_digest": "d9"}],
    )


@case(over_http=True)
def bad_orders(mlflow: Any) -> object:
    """Unknown fields give no order, and an order names a field."""
    return ordered(
        mlflow,
        [{"field_name": "zzz"}],
        [{"field_name": "params.lr"}],
        [{"field_name": "tags.team"}],
        [{}],
        [{"ascending": True}],
        [{"field_name": "metrics.acc", "dataset_digest": "d1"}],
    )


@case
def the_latest_first(mlflow: Any) -> object:
    """Without an order the model that was made last comes first."""
    found = mlflow.MlflowClient().search_logged_models([models(mlflow)])
    times = [each.creation_timestamp for each in found]
    return [len(times), times == sorted(times, reverse=True)]


@case
def pages(mlflow: Any) -> object:
    """Pages follow each other, and the last has no token."""
    client, models_id = mlflow.MlflowClient(), models(mlflow)
    seen = []
    token = None
    while True:
        page = client.search_logged_models(
            [models_id], order_by=[{"field_name": "name"}], max_results=3, page_token=token
        )
        token = page.token
        seen.append([[each.name for each in page], bool(token)])
        if not token:
            return seen


@case(over_http=True)
def bad_pages(mlflow: Any) -> object:
    """Sizes and tokens that cannot be are refused."""
    client, models_id = mlflow.MlflowClient(), models(mlflow)
    return [
        attempt(client.search_logged_models, [models_id], max_results=0),
        attempt(client.search_logged_models, [models_id], max_results=-1),
        attempt(client.search_logged_models, [models_id], page_token="zz"),
    ]


@case(over_http=True, alone=True)
def experiments(mlflow: Any) -> object:
    """Only the models of the experiments that are named are found."""
    client = mlflow.MlflowClient()
    new_model(mlflow, "mine")
    return [
        [each.name for each in client.search_logged_models([experiment_id()])],
        len(client.search_logged_models([experiment_id(), models(mlflow)])),
        attempt(client.search_logged_models, [UNKNOWN_EXPERIMENT]),
        attempt(client.search_logged_models, []),
    ]


@case
def frame(mlflow: Any) -> object:
    """The pandas frame has MLflow's columns."""
    order = [{"field_name": "name"}]
    frame = mlflow.search_logged_models([models(mlflow)], order_by=order)
    return [list(frame.columns), list(frame["name"]), list(frame["status"]), list(frame["params"])]


@case
def empty_frame(mlflow: Any) -> object:
    """A search that finds nothing gives a frame with the same columns."""
    frame = mlflow.search_logged_models([models(mlflow)], "name = 'nothing'")
    return [" ".join(frame.columns), len(frame)]


@case(alone=True)
def as_a_list(mlflow: Any) -> object:
    """A list of models, as many as were asked for; without experiments, of the one in force."""
    new_model(mlflow, "mine")
    return [
        [each.name for each in mlflow.search_logged_models(output_format="list")],
        len(mlflow.search_logged_models([models(mlflow)], max_results=2, output_format="list")),
        attempt(mlflow.search_logged_models, [models(mlflow)], output_format="x"),
    ]
