"""The part of `steplog.client.Client` that reads and writes logged models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from steplog import rules
from steplog.base_client import (
    BaseClient,
    in_order,
    metric_of,
    model_artifacts,
    now_ms,
    texts,
)
from steplog.entities import LifecycleStage, LoggedModel, LoggedModelStatus, Metric, PagedList
from steplog.exceptions import MlflowException, invalid
from steplog.lookup import the_model
from steplog.operations import (
    CreateModel,
    DeleteModelTag,
    LogModelParams,
    SetModelTags,
    UpdateModel,
)
from steplog.paging import page
from steplog.query import Condition, Field, Query
from steplog.rows import ModelRow
from steplog.stores.base import ModelRecord, Series, Store

DEFAULT_PAGE = 100


class ModelClient(BaseClient):
    """Logged models of one store."""

    def create_logged_model(
        self,
        experiment_id: str,
        name: str | None = None,
        source_run_id: str | None = None,
        tags: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
        model_type: str | None = None,
    ) -> LoggedModel:
        """Create a logged model, which is then PENDING until `finalize_logged_model`.

        Args:
            experiment_id: of an experiment that is not deleted.
            name: without ``/ : . % " '``; None for a generated one.
            source_run_id: the run that makes it.
            tags: values are turned into text.
            params: likewise.
            model_type: the user's word for its kind.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE, or RESOURCE_DOES_NOT_EXIST.

        """
        rules.check_model_name(name)
        experiment = self._lookup.expect_experiment(rules.check_experiment_id(experiment_id))
        model_id = rules.new_model_id()
        location = experiment.artifact_location or self._location(experiment.experiment_id)
        create = CreateModel(
            model_id=model_id,
            experiment_id=experiment.experiment_id,
            name=rules.text(name or rules.generate_run_name()),
            artifact_location=location and model_artifacts(location, model_id),
            time_ms=now_ms(),
            model_type=model_type,
            source_run_id=source_run_id,
            params=texts(params),
            tags=texts(tags),
            experiment_name=experiment.name or None,
        )
        self.recorder.operate(create)  # never refused, for its experiment is there
        self._lookup.remember_model(model_id)
        return self._model(ModelRecord(_created(create), create.params, create.tags))

    def finalize_logged_model(self, model_id: str, status: LoggedModelStatus | str) -> LoggedModel:
        """Say that a model is complete, or never will be, and return it.

        Args:
            model_id: the model.
            status: READY or FAILED.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST.
            ValueError: `status` is none of MLflow's.

        """
        rules.check_model_id(model_id)
        final = LoggedModelStatus(status).value
        self._lookup.expect_model(model_id)
        self._submit(UpdateModel(model_id, now_ms(), status=final))
        return self._model(self._lookup.model(model_id, allow_deleted=True))

    def get_logged_model(self, model_id: str, allow_deleted: bool = False) -> LoggedModel:
        """Return a logged model with every point that was logged for it.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST, also where it is deleted.

        """
        rules.check_model_id(model_id)
        store = self.store
        record = the_model(model_id, store.models([model_id]), allow_deleted)
        return self._models(store, [record])[0]

    def look_up_model(self, model_id: str) -> LoggedModel:
        """Return a model without its metrics, for who is about to log for it.

        Where the store cannot be asked just now the model is taken on trust, with an empty name.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST, also where it is deleted.

        """
        return self._model(self._lookup.model(model_id))

    def expect_model(self, model_id: str) -> None:
        """Make sure, once, that a logged model exists; it may be deleted.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST.

        """
        self._lookup.expect_model(model_id)

    def find_models(self, experiment_id: str, name: str) -> list[LoggedModel]:
        """Return the models of this name in an experiment, the newest first, without metrics.

        None are found where the store cannot be asked just now.
        """
        named = Condition(Field("attribute", "name"), "=", name)
        query = Query("models", (named,), experiment_ids=(experiment_id,))
        return list(map(self._model, self._lookup.models(query)))

    def delete_logged_model(self, model_id: str) -> None:
        """Mark a logged model as deleted.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST.

        """
        rules.check_model_id(model_id)
        self._lookup.expect_model(model_id)
        self._submit(UpdateModel(model_id, now_ms(), lifecycle_stage=LifecycleStage.DELETED))

    def set_logged_model_tags(self, model_id: str, tags: dict[str, Any]) -> None:
        """Set tags of a logged model; values are turned into text.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE, also where the model does not exist.

        """
        self._expect_model(
            model_id,
            "set tags on a Registered Model Version, use `set_model_version_tag` instead.",
        )
        self._submit(SetModelTags(model_id, texts(tags)))

    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        """Remove a tag of a logged model.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST, also where it has no such tag.

        """
        rules.check_model_id(model_id)
        self._lookup.expect_model(model_id)
        self._submit(DeleteModelTag(model_id, key))

    def log_model_params(self, model_id: str, params: dict[str, str]) -> None:
        """Log params of a logged model, all or none; each can be set once.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE where the model does not exist, or a param has
                another value already.

        """
        self._expect_model(
            model_id, "log parameters to a Registered Model Version, this is not supported."
        )
        self._submit(LogModelParams(model_id, texts(params)))

    def search_logged_models(
        self,
        experiment_ids: list[str],
        filter_string: str | None = None,
        datasets: list[dict[str, Any]] | None = None,
        max_results: int | None = None,
        order_by: list[dict[str, Any]] | None = None,
        page_token: str | None = None,
    ) -> PagedList[LoggedModel]:
        """Return one page of the logged models that a filter asks for.

        Args:
            experiment_ids: unknown ones have no models.
            filter_string: in MLflow's language, such as ``metrics.accuracy > 0.9``; a condition on
                a metric holds where any of its points satisfies it.
            datasets: ``{"dataset_name": …, "dataset_digest": …}`` each, the digest optional:
                only metrics measured on one of these count.
            max_results: size of a page, 1 to 50,000; None for 100.
            order_by: ``{"field_name": …, "ascending": …, "dataset_name": …, "dataset_digest": …}``
                each, all but the first optional; None for the newest first.
            page_token: ``token`` of the page before.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE.

        """
        # Not at the top: only those who search wait for the parser.
        from steplog.filters import parse_models_filter, parse_models_order

        ids = experiment_ids
        if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
            raise invalid(f"experiment_ids must be a list of strings, got {type(ids)}")
        wanted = page(max_results or DEFAULT_PAGE, page_token)
        query = Query(
            "models",
            parse_models_filter(filter_string),
            parse_models_order(order_by),
            tuple(map(rules.check_experiment_id, ids)),
            datasets=tuple(rules.check_datasets_searched(datasets or ())),
            offset=wanted.offset,
            limit=wanted.limit,
        )
        store = self.store
        found = wanted.of(store.search(query))
        records = in_order(found, store.models(found), lambda record: record.row.model_id)
        return PagedList(self._models(store, records), found.token)

    def _expect_model(self, model_id: str, attempt: str) -> None:
        """Make sure that a model exists; the error is that of MLflow's client."""
        rules.check_model_id(model_id)
        try:
            self._lookup.model(model_id)
        except MlflowException as error:
            raise invalid(
                f"Failed to get logged model with ID {model_id}. You may not have access to the "
                "logged model, or the logged model may have been deleted. If you are attempting to "
                f"{attempt}"
            ) from error

    def _models(self, store: Store, records: Sequence[ModelRecord]) -> list[LoggedModel]:
        metrics: Mapping[str, list[Metric]] = {record.row.model_id: [] for record in records}
        for series in store.series(None, model_ids=list(metrics)):
            metrics[series.key.model_id].extend(_points(store, series))
        for points in metrics.values():
            points.sort(key=lambda point: (point.key, point.timestamp, point.step, point.value))
        return [self._model(record, metrics[record.row.model_id]) for record in records]


def _points(store: Store, series: Series) -> Iterator[Metric]:
    for columns in store.points(series.series_id):
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for step, timestamp, value in rows:
            yield metric_of(series.key, step, timestamp, value, series.key.run_id)


def _created(model: CreateModel) -> ModelRow:
    return ModelRow(
        model.model_id,
        model.experiment_id,
        model.name,
        model.artifact_location,
        model.time_ms,
        model.time_ms,
        model.model_type,
        model.source_run_id,
        model.status,
        None,
        LifecycleStage.ACTIVE,
    )
