"""Programs that log through other frameworks' connections to MLflow, each as its manual writes it.

Run as ``python frameworks.py URI FILE [NAME…]``: it trains with each of them, in an experiment of
its own of the MLflow tracking URI, and writes into the file, as JSON, what MLflow's client reads
back. Every training is seeded. Where a framework is not installed, there is a text that says so.
Nothing here knows of steplog.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np

FRAMEWORKS: dict[str, tuple[tuple[str, ...], Callable[[str, str], None]]] = {}
"""Name -> the packages it needs, and the function that trains, given a URI and an experiment."""


def framework(
    *packages: str,
) -> Callable[[Callable[[str, str], None]], Callable[[str, str], None]]:
    """Add a function to the frameworks, under its name."""

    def add(function: Callable[[str, str], None]) -> Callable[[str, str], None]:
        FRAMEWORKS[function.__name__] = (packages, function)
        return function

    return add


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return 300 images of handwritten digits, and which digits they are."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return images[:300], labels[:300]


# The trainings --------------------------------------------------------------------------------


@framework("sklearn")
def sklearn_autolog(uri: str, experiment: str) -> None:
    """Log a model with its dataset, and what is computed of it afterwards."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import accuracy_score
    from sklearn.model_selection import train_test_split

    mlflow.sklearn.autolog()
    train_x, test_x, train_y, test_y = train_test_split(*digits(), random_state=0)
    with mlflow.start_run():
        model = RandomForestClassifier(n_estimators=10, random_state=0).fit(train_x, train_y)
        model.score(test_x, test_y)
        accuracy_score(test_y, model.predict(test_x))
    mlflow.sklearn.autolog(disable=True)


@framework("sklearn")
def sklearn_search(uri: str, experiment: str) -> None:
    """Log a search over hyperparameters: a run for each of them, below that of the search."""
    from sklearn.linear_model import SGDClassifier
    from sklearn.model_selection import GridSearchCV

    mlflow.sklearn.autolog(log_models=False, max_tuning_runs=None)
    model = SGDClassifier(max_iter=5, tol=None, random_state=0)
    grid = {"alpha": [1e-4, 1e-2], "loss": ["hinge", "log_loss", "perceptron"]}
    GridSearchCV(model, grid, cv=2).fit(*digits())
    mlflow.sklearn.autolog(disable=True)


@framework("lightgbm", "sklearn")
def lightgbm_autolog(uri: str, experiment: str) -> None:
    """Log two metrics of two datasets for each of fifty iterations."""
    import lightgbm

    mlflow.lightgbm.autolog(log_models=False)
    images, labels = digits()
    train = lightgbm.Dataset(images[:200], labels[:200])
    valid = lightgbm.Dataset(images[200:], labels[200:], reference=train)
    parameters = {
        "objective": "multiclass",
        "num_class": 10,
        "metric": ["multi_logloss", "multi_error"],
        "num_leaves": 4,
        "seed": 0,
        "deterministic": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    lightgbm.train(parameters, train, 50, [train, valid], ["train", "valid"])
    mlflow.lightgbm.autolog(disable=True)


@framework("optuna", "optuna_integration")
def optuna_callback(uri: str, experiment: str) -> None:
    """Log a run for each of ten trials, and from inside of each."""
    import optuna
    from optuna_integration.mlflow import MLflowCallback

    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    callback = MLflowCallback(tracking_uri=uri, metric_name="distance")

    @callback.track_in_mlflow()  # type: ignore[untyped-decorator]
    def objective(trial: optuna.Trial) -> float:
        x, kind = trial.suggest_float("x", -10, 10), trial.suggest_categorical("kind", ["a", "b"])
        for step in range(5):
            mlflow.log_metric("progress", x / (step + 1), step=step)
        return (x - 2) ** 2 + (kind == "a")

    study = optuna.create_study(
        study_name=experiment, sampler=optuna.samplers.TPESampler(seed=0), direction="minimize"
    )
    study.optimize(objective, n_trials=10, callbacks=[callback])


@framework("torch", "lightning")
def lightning_logger(uri: str, experiment: str) -> None:
    """Log steps and epochs with Lightning's own logger, which uses the client by run id."""
    from lightning.pytorch.loggers import MLFlowLogger

    train_with_lightning(MLFlowLogger(experiment_name=experiment, tracking_uri=uri))


@framework("torch", "lightning")
def lightning_autolog(uri: str, experiment: str) -> None:
    """Log what MLflow itself finds out about a training with Lightning."""
    mlflow.pytorch.autolog(log_models=False, checkpoint=False, log_every_n_step=1)
    train_with_lightning(False)
    mlflow.pytorch.autolog(disable=True)


def train_with_lightning(logger: Any) -> None:
    """Train one layer for three epochs of six steps."""
    import lightning
    import torch
    from torch.nn.functional import cross_entropy

    class Model(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self, rate: float) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.layer = torch.nn.Linear(64, 10)

        def training_step(self, batch: Any, index: int) -> Any:
            loss = cross_entropy(self.layer(batch[0]), batch[1])
            self.log("train/loss", loss, on_step=True, on_epoch=True)
            return loss

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("valid/loss", cross_entropy(self.layer(batch[0]), batch[1]))

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), self.hparams["rate"])

    lightning.seed_everything(0, verbose=False)
    images, labels = digits()
    data = torch.utils.data.TensorDataset(torch.tensor(images / 16).float(), torch.tensor(labels))
    batches = torch.utils.data.DataLoader(data, batch_size=50)
    trainer = lightning.Trainer(
        max_epochs=3,
        accelerator="cpu",
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=logger,
    )
    trainer.fit(Model(rate=0.1), batches, batches)


@framework("torch", "transformers", "accelerate")
def transformers_callback(uri: str, experiment: str) -> None:
    """Log a small language model's training by the callback that `Trainer` adds itself."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

    torch.manual_seed(0)
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=17,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            num_labels=10,
        )
    )
    images, labels = digits()
    rows = [
        {"input_ids": torch.tensor(image).long(), "labels": int(label)}
        for image, label in zip(images, labels, strict=True)
    ]
    arguments = TrainingArguments(
        output_dir="transformers",
        num_train_epochs=2,
        per_device_train_batch_size=32,
        logging_steps=1,
        eval_strategy="epoch",
        save_strategy="no",
        report_to="mlflow",
        disable_tqdm=True,
        use_cpu=True,
        seed=0,
    )
    Trainer(model, arguments, train_dataset=rows[:200], eval_dataset=rows[200:]).train()


# What MLflow's client reads back ----------------------------------------------------------------

# How long it took differs each time. That it was logged is compared, the value is not.
DURATION = re.compile(r"_time$|_?runtime$|_per_second$")
# When, where and by whom it was logged, at which commit.
OF_THE_PROCESS = re.compile(r"^mlflow\.(source\.|user$)|^datetime_")


def read_back(experiment: str) -> dict[str, Any]:
    """Return all that the runs and models of an experiment hold, but for ids, times and users."""
    client = mlflow.MlflowClient()
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    runs = [_run(client, run) for run in client.search_runs([found.experiment_id])]
    models = [_model(model) for model in client.search_logged_models([found.experiment_id])]
    return {"runs": sorted(runs, key=json.dumps), "models": sorted(models, key=json.dumps)}


def _run(client: mlflow.MlflowClient, run: Any) -> dict[str, Any]:
    parent = client.get_parent_run(run.info.run_id)
    return {
        "params": dict(sorted(run.data.params.items())),
        "status": run.info.status,
        "parent": parent and parent.data.params,
        "tags": _tags(run.data.tags),
        "latest": _distinct([m.key, m.step, _value(m)] for m in run.data._metric_objs),
        # Without their datasets, which MLflow knows of a model's metrics only.
        "history": _distinct(
            [m.key, m.step, _value(m)]
            for key in run.data.metrics
            for m in client.get_metric_history(run.info.run_id, key)
        ),
        "datasets": [
            [each.dataset.name, each.dataset.digest, [tag.value for tag in each.tags]]
            for each in run.inputs.dataset_inputs
        ],
        "models": [len(run.inputs.model_inputs), len(run.outputs.model_outputs)],
        "artifacts": sorted(each.path for each in client.list_artifacts(run.info.run_id)),
    }


def _model(model: Any) -> dict[str, Any]:
    metrics = model.metrics or []
    return {
        "name": model.name,
        "status": str(model.status),
        "type": model.model_type or "",  # MLflow's REST messages know no None
        "params": dict(sorted(model.params.items())),
        "tags": _tags(model.tags),
        "metrics": _distinct([m.key, m.step, _value(m), m.dataset_name or ""] for m in metrics),
    }


def _distinct(points: Iterable[list[object]]) -> list[list[object]]:
    """Sort, and leave out what was logged twice: within one millisecond it is one point, so that
    how often it occurs is a matter of chance.
    """
    return [json.loads(text) for text in sorted({json.dumps(point) for point in points})]


def _value(metric: Any) -> str:
    return "some time" if DURATION.search(metric.key) else repr(metric.value)


def _tags(tags: dict[str, str]) -> dict[str, str]:
    """Leave out what differs each time."""
    texts = {key: re.sub("[0-9a-f]{32}", "ID", tag) for key, tag in sorted(tags.items())}
    name = re.sub(r"^[a-z]+-[a-z]+-\d+$", "generated", texts.pop("mlflow.runName", ""))
    kept = {key: text for key, text in texts.items() if not OF_THE_PROCESS.search(key)}
    return {**kept, "mlflow.runName": name}


def main(uri: str, file: str, *names: str) -> None:
    """Train with every framework that is installed, or those named; write what was logged."""
    mlflow.set_tracking_uri(uri)
    seen: dict[str, Any] = {}
    for name in names or FRAMEWORKS:
        packages, train = FRAMEWORKS[name]
        try:
            for package in packages:
                importlib.import_module(package)
        except (ImportError, OSError) as error:  # or a library of the system that it needs is not
            seen[name] = f"{name} cannot be tried: {error}"
        else:
            mlflow.set_experiment(name)
            train(uri, name)
            seen[name] = read_back(name)
    Path(file).write_text(json.dumps(seen), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
