"""MLflow's way in: the tracking store behind ``mlflow.set_tracking_uri("steplog:///path")``.

MLflow finds `SteplogStore` by the entry point ``mlflow.tracking_store`` of this package. Its
methods turn MLflow's arguments and entities into those of `steplog.Client`, and back. An error of
steplog's reaches MLflow as MLflow's own class, with the same code and text (`_as_mlflow_does`).

What is not here: any behaviour. What a call does is said in `steplog.client`. What steplog does not
keep (traces, prompts, evaluation datasets, …) is answered by NOT_IMPLEMENTED.

Nothing of steplog imports this module, and nothing else of steplog imports MLflow.
"""

from __future__ import annotations

import atexit
import inspect
import json
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import wraps
from typing import Any, TypeVar

from mlflow import entities
from mlflow.entities.dataset_summary import _DatasetSummary as DatasetSummary
from mlflow.entities.metric import MetricWithRunId
from mlflow.exceptions import MlflowException, MlflowNotImplementedException
from mlflow.protos.databricks_pb2 import ErrorCode
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.model_registry import abstract_store as registry
from mlflow.store.tracking import SEARCH_MAX_RESULTS_DEFAULT
from mlflow.store.tracking.abstract_store import AbstractStore
from mlflow.utils.async_logging.run_operations import RunOperations
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_MODELS
from mlflow.utils.uri import resolve_uri_if_local
from mlflow.utils.validation import MAX_TAG_VAL_LENGTH, _validate_batch_log_limits

import steplog.entities as ours
from steplog import exceptions, pending
from steplog.client import Client
from steplog.recorder import Recorder
from steplog.rules import PARAM_ADVICE

Store = TypeVar("Store", bound=type)

_recorders: list[Recorder] = []


@atexit.register
def _close_recorders() -> None:
    # Hooks run in the reverse order. MLflow's, which ends its run, is registered after this module
    # has been loaded, so the end of the run is still ingested.
    while _recorders:
        _recorders.pop().close()


# Errors ---------------------------------------------------------------------------------------


class NotKept(MlflowNotImplementedException, NotImplementedError):
    """What steplog does not keep; MLflow's code looks out for the one class or for the other."""

    def __init__(self, method: Callable[..., Any]) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            f"steplog records runs and what is logged to them; it has no {method.__name__}."
        )


def _mlflow_error(error: exceptions.MlflowException) -> MlflowException:
    return MlflowException(error.message, ErrorCode.Value(error.error_code))


def _translated(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except exceptions.MlflowException as error:
            raise _mlflow_error(error) from error
        except NotKept:
            raise
        except (NotImplementedError, MlflowNotImplementedException) as error:
            # MLflow's server would answer the former with a page of HTML and the status 500, which
            # clients try again for minutes.
            raise NotKept(method) from error

    return call


def _left_out(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        raise NotKept(method)

    return call


def _as_mlflow_does(store: Store) -> Store:
    """Have every method of a store, inherited ones too, raise MLflow's errors.

    MLflow's abstract methods do nothing and return None; where nothing overrides them, they raise.
    """
    for name in dir(store):
        method = inspect.getattr_static(store, name)
        if inspect.isfunction(method) and (name == "__init__" or not name.startswith("__")):
            abstract = getattr(method, "__isabstractmethod__", False)
            setattr(store, name, _left_out(method) if abstract else _translated(method))
    return store


# From MLflow's entities to steplog's, and back ------------------------------------------------


def _as_they_are(logged: object) -> Any:
    """Say of MLflow's entities that they may pass: they have the attributes of steplog's."""
    return logged


def _dict(pairs: Iterable[Any] | None) -> dict[str, Any]:
    """Return tags or params by key."""
    return {pair.key: pair.value for pair in pairs or ()}


def _fields(entity: ours.Entity) -> dict[str, Any]:
    """Return an entity's attributes by name: they are the names of MLflow's arguments."""
    return dict(entity)


def _experiment(experiment: ours.Experiment) -> entities.Experiment:
    tags = [entities.ExperimentTag(*tag) for tag in experiment.tags.items()]
    return entities.Experiment(**_fields(experiment) | {"tags": tags})


def _metric(metric: ours.Metric) -> entities.Metric:
    return entities.Metric(
        metric.key,
        metric.value,
        metric.timestamp,
        metric.step,
        metric.model_id,
        metric.dataset_name,
        metric.dataset_digest,
        metric.run_id,
    )


def _run_info(info: ours.RunInfo) -> entities.RunInfo:
    return entities.RunInfo(**_fields(info))


def _run(run: ours.Run) -> entities.Run:
    data = entities.RunData(
        [_metric(metric) for metric in run.data._metric_objs],
        [entities.Param(*param) for param in run.data.params.items()],
        [entities.RunTag(*tag) for tag in run.data.tags.items()],
    )
    inputs = entities.RunInputs(
        [_dataset_input(each) for each in run.inputs.dataset_inputs],
        [entities.LoggedModelInput(each.model_id) for each in run.inputs.model_inputs],
    )
    outputs = entities.RunOutputs(
        [entities.LoggedModelOutput(each.model_id, each.step) for each in run.outputs.model_outputs]
    )
    return entities.Run(_run_info(run.info), data, inputs, outputs)


def _dataset_input(used: ours.DatasetInput) -> entities.DatasetInput:
    tags = [entities.InputTag(tag.key, tag.value) for tag in used.tags]
    return entities.DatasetInput(entities.Dataset(**_fields(used.dataset)), tags)


def _logged_model(model: ours.LoggedModel) -> entities.LoggedModel:
    status = entities.LoggedModelStatus(model.status.value)
    metrics = None if model.metrics is None else [_metric(metric) for metric in model.metrics]
    return entities.LoggedModel(**_fields(model) | {"status": status, "metrics": metrics})


# Asynchronous logging -------------------------------------------------------------------------


class _Answer:
    """What the store has still to answer, as MLflow's `RunOperations` takes it: like a future."""

    def __init__(self, operations: pending.RunOperations) -> None:
        self._operations = operations

    def result(self) -> None:
        """Wait until the store has answered, and raise what it refused."""
        for refusal in self._operations.refusals():
            raise _mlflow_error(pending.refused(refusal))


def _failed(run_id: str, error: Exception) -> RunOperations:
    """Return the answer to a call of which nothing was logged: its `wait` raises the error."""
    exceptions.warn(f"Nothing of a call was logged to run {run_id}: {error}")
    failed: Future[None] = Future()
    failed.set_exception(
        _mlflow_error(error) if isinstance(error, exceptions.MlflowException) else error
    )
    return RunOperations([failed])


# The store ------------------------------------------------------------------------------------


@_as_mlflow_does
class SteplogStore(AbstractStore):
    """MLflow's tracking store over one steplog store.

    Args:
        store_uri: ``steplog:///path``; the directory need not exist.
        artifact_uri: where experiments made from now on keep their artifacts; None for beside the
            store. MLflow's server gives its artifact root.

    Example:
        >>> mlflow.set_tracking_uri("steplog:///data/runs")
        >>> mlflow.log_metric("loss", 0.5, step=3)

    """

    def __init__(self, store_uri: str, artifact_uri: str | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._client = Client(store_uri, artifact_uri and resolve_uri_if_local(artifact_uri))
        atexit.unregister(self._client.recorder.close)
        _recorders.append(self._client.recorder)

    # Experiments ------------------------------------------------------------------------------

    def search_experiments(
        self,
        view_type: int = entities.ViewType.ACTIVE_ONLY,
        max_results: int = SEARCH_MAX_RESULTS_DEFAULT,
        filter_string: str | None = None,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[entities.Experiment]:
        page = self._client.search_experiments(
            view_type, max_results, filter_string, order_by, page_token
        )
        return PagedList([_experiment(each) for each in page], page.token)

    def create_experiment(
        self,
        name: str,
        artifact_location: str | None = None,
        tags: list[entities.ExperimentTag] | None = None,
    ) -> str:
        location = artifact_location and resolve_uri_if_local(artifact_location)
        return self._client.create_experiment(name, location, _dict(tags))

    def get_experiment(self, experiment_id: str) -> entities.Experiment:
        return _experiment(self._client.get_experiment(experiment_id))

    def get_experiment_by_name(self, experiment_name: str) -> entities.Experiment | None:
        experiment = self._client.get_experiment_by_name(experiment_name)
        return None if experiment is None else _experiment(experiment)

    def delete_experiment(self, experiment_id: str) -> None:
        self._client.delete_experiment(experiment_id)

    def restore_experiment(self, experiment_id: str) -> None:
        self._client.restore_experiment(experiment_id)

    def rename_experiment(self, experiment_id: str, new_name: str) -> None:
        self._client.rename_experiment(experiment_id, new_name)

    def set_experiment_tag(self, experiment_id: str, tag: entities.ExperimentTag) -> None:
        self._client.set_experiment_tag(experiment_id, tag.key, tag.value)

    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        self._client.delete_experiment_tag(experiment_id, key)

    # Runs -------------------------------------------------------------------------------------

    def create_run(
        self,
        experiment_id: str,
        user_id: str,
        start_time: int,
        tags: list[entities.RunTag] | None,
        run_name: str | None,
    ) -> entities.Run:
        return _run(
            self._client.create_run(experiment_id, start_time, _dict(tags), run_name, user_id)
        )

    def get_run(self, run_id: str) -> entities.Run:
        return _run(self._client.get_run(run_id))

    def update_run_info(
        self, run_id: str, run_status: int | None, end_time: int | None, run_name: str | None
    ) -> entities.RunInfo:
        status = None if run_status is None else ours.RunStatus.to_string(run_status)
        return _run_info(self._client.update_run_info(run_id, status, end_time, run_name))

    def delete_run(self, run_id: str) -> None:
        self._client.delete_run(run_id)

    def restore_run(self, run_id: str) -> None:
        self._client.restore_run(run_id)

    def _search_runs(
        self,
        experiment_ids: list[str],
        filter_string: str,
        run_view_type: int,
        max_results: int,
        order_by: list[str] | None,
        page_token: str | None,
    ) -> tuple[list[entities.Run], str | None]:
        page = self._client.search_runs(
            experiment_ids, filter_string, run_view_type, max_results, order_by, page_token
        )
        return [_run(run) for run in page], page.token

    # Metrics, params and tags -------------------------------------------------------------------

    def log_metric(self, run_id: str, metric: entities.Metric) -> None:
        self._client.log_metric(
            run_id,
            metric.key,
            metric.value,
            metric.timestamp,
            metric.step,
            True,
            metric.dataset_name,
            metric.dataset_digest,
            metric.model_id,
        )

    def log_param(self, run_id: str, param: entities.Param) -> None:
        try:
            self._client.log_param(run_id, param.key, param.value, synchronous=True)
        except exceptions.MlflowException as error:
            # MLflow's client adds this advice itself.
            text = error.message.removesuffix(PARAM_ADVICE)
            raise exceptions.MlflowException(text, error.error_code) from error

    def set_tag(self, run_id: str, tag: entities.RunTag) -> None:
        self._client.set_tag(run_id, tag.key, tag.value, synchronous=True)

    def delete_tag(self, run_id: str, key: str) -> None:
        self._client.delete_tag(run_id, key)

    def log_batch(
        self,
        run_id: str,
        metrics: list[entities.Metric],
        params: list[entities.Param],
        tags: list[entities.RunTag],
    ) -> None:
        self._log_batch(run_id, metrics, params, tags, synchronous=True)

    def log_batch_async(
        self,
        run_id: str,
        metrics: list[entities.Metric],
        params: list[entities.Param],
        tags: list[entities.RunTag],
    ) -> RunOperations:
        """Record everything at once, and leave errors to the answer's `wait`.

        MLflow's other asynchronous methods, which are inherited, call this one.
        """
        try:
            operations = self._log_batch(run_id, metrics, params, tags, synchronous=False)
        except Exception as error:  # of any kind: MLflow, too, would meet it after the call only
            return _failed(run_id, error)
        if operations is None or operations is pending.LOGGED:
            return RunOperations([])
        return RunOperations([_Answer(operations)])

    def _log_batch(
        self,
        run_id: str,
        metrics: list[entities.Metric],
        params: list[entities.Param],
        tags: list[entities.RunTag],
        synchronous: bool,
    ) -> pending.RunOperations | None:
        _validate_batch_log_limits(metrics, params, tags)
        return self._client.log_batch(
            run_id, _as_they_are(metrics), _as_they_are(params), _as_they_are(tags), synchronous
        )

    def flush_async_logging(self) -> None:
        """Wait for the store, though nothing depends on it; warn of what it refused unheard."""
        self._client.recorder.flush()
        pending.report_refusals()

    def shut_down_async_logging(self) -> None:
        """Warn of what the store refused and nobody waited for. MLflow calls it when a run ends."""
        pending.report_refusals()

    def get_metric_history(
        self,
        run_id: str,
        metric_key: str,
        max_results: int | None = None,
        page_token: str | None = None,
    ) -> PagedList[entities.Metric]:
        page = self._client.get_metric_history(run_id, metric_key, max_results, page_token)
        return PagedList([_metric(each) for each in page], page.token)

    def get_metric_history_bulk(
        self, run_ids: list[str], metric_key: str, max_results: int
    ) -> list[MetricWithRunId]:
        """Return the points of several runs, the first `max_results` of them in all."""
        found: list[MetricWithRunId] = []
        for run_id in sorted(set(run_ids)):
            left = max_results - len(found)
            history = self._client.get_metric_history(run_id, metric_key, left)
            found += [MetricWithRunId(_metric(metric), run_id) for metric in history]
        return found

    def get_metric_history_bulk_interval(
        self,
        run_ids: list[str],
        metric_key: str,
        max_results: int,
        start_step: int | None,
        end_step: int | None,
    ) -> list[MetricWithRunId]:
        """Return what a chart draws: at most `max_results` points a run, every extreme kept."""
        steps = None if start_step is None or end_step is None else (start_step, end_step)
        sample = self._client.sample_history(list(run_ids), metric_key, max_results, steps)
        return [MetricWithRunId(_metric(metric), str(metric.run_id)) for metric in sample]

    # Inputs, outputs and datasets ---------------------------------------------------------------

    def log_inputs(
        self,
        run_id: str,
        datasets: list[entities.DatasetInput] | None = None,
        models: list[entities.LoggedModelInput] | None = None,
    ) -> None:
        self._client.log_inputs(run_id, _as_they_are(datasets), _as_they_are(models))

    def log_outputs(self, run_id: str, models: list[entities.LoggedModelOutput]) -> None:
        self._client.log_outputs(run_id, _as_they_are(models))

    def _search_datasets(self, experiment_ids: list[str]) -> list[DatasetSummary]:
        return [
            DatasetSummary(*summary)
            for summary in self._client.search_datasets(list(experiment_ids))
        ]

    def record_logged_model(self, run_id: str, mlflow_model: Any) -> None:
        """Note a model in the run's tag ``mlflow.log-model.history``, as MLflow 2 did.

        A tag holds so many characters; the models noted first give way.
        """
        noted = self._client.get_run(run_id).data.tags.get(MLFLOW_LOGGED_MODELS)
        models = [*(json.loads(noted) if noted else ()), mlflow_model.get_tags_dict()]
        while len(text := json.dumps(models)) > MAX_TAG_VAL_LENGTH and len(models) > 1:
            models.pop(0)
        self._client.set_tag(run_id, MLFLOW_LOGGED_MODELS, text, synchronous=True)

    # Logged models ------------------------------------------------------------------------------

    def create_logged_model(
        self,
        experiment_id: str,
        name: str | None = None,
        source_run_id: str | None = None,
        tags: list[entities.LoggedModelTag] | None = None,
        params: list[entities.LoggedModelParameter] | None = None,
        model_type: str | None = None,
    ) -> entities.LoggedModel:
        return _logged_model(
            self._client.create_logged_model(
                experiment_id, name, source_run_id, _dict(tags), _dict(params), model_type
            )
        )

    def get_logged_model(self, model_id: str, allow_deleted: bool = False) -> entities.LoggedModel:
        return _logged_model(self._client.get_logged_model(model_id, allow_deleted))

    def finalize_logged_model(
        self, model_id: str, status: entities.LoggedModelStatus
    ) -> entities.LoggedModel:
        return _logged_model(self._client.finalize_logged_model(model_id, status.value))

    def delete_logged_model(self, model_id: str) -> None:
        self._client.delete_logged_model(model_id)

    def set_logged_model_tags(self, model_id: str, tags: list[entities.LoggedModelTag]) -> None:
        self._client.set_logged_model_tags(model_id, _dict(tags))

    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        self._client.delete_logged_model_tag(model_id, key)

    def log_logged_model_params(
        self, model_id: str, params: list[entities.LoggedModelParameter]
    ) -> None:
        self._client.log_model_params(model_id, _dict(params))

    def search_logged_models(
        self,
        experiment_ids: list[str],
        filter_string: str | None = None,
        datasets: list[dict[str, Any]] | None = None,
        max_results: int | None = None,
        order_by: list[dict[str, Any]] | None = None,
        page_token: str | None = None,
    ) -> PagedList[entities.LoggedModel]:
        page = self._client.search_logged_models(
            experiment_ids, filter_string, datasets, max_results, order_by, page_token
        )
        return PagedList([_logged_model(each) for each in page], page.token)


@_as_mlflow_does
class EmptyRegistry(registry.AbstractStore):
    """The model registry beside a steplog store: there are no models in it, and none can be added.

    MLflow's web page asks a registry for the versions made of a run, and shows no run without an
    answer. A registry to be used is named to MLflow: ``mlflow.set_registry_uri("sqlite:///…")``.
    """

    def __init__(self, store_uri: str) -> None:
        super().__init__(store_uri)  # type: ignore[no-untyped-call]

    def search_registered_models(self, *args: Any, **kwargs: Any) -> PagedList[Any]:
        return PagedList([], None)

    def search_model_versions(self, *args: Any, **kwargs: Any) -> PagedList[Any]:
        return PagedList([], None)
