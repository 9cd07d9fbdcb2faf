"""The part of `steplog.client.Client` that reads and writes experiments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steplog import rules
from steplog.base_client import BaseClient, in_order, now_ms
from steplog.entities import Experiment, LifecycleStage, PagedList, ViewType
from steplog.exceptions import missing
from steplog.operations import (
    CreateExperiment,
    DeleteExperimentTag,
    SetExperimentTags,
    UpdateExperiment,
)
from steplog.paging import page
from steplog.query import Query
from steplog.rows import ExperimentRow
from steplog.stores.base import DatasetSummary, ExperimentRecord

MOST_DATASETS = 1_000


class ExperimentClient(BaseClient):
    """Experiments of one store."""

    def create_experiment(
        self,
        name: str,
        artifact_location: str | None = None,
        tags: dict[str, Any] | None = None,
    ) -> str:
        """Create an experiment and return its id.

        Args:
            name: unique in this store; at most 500 characters.
            artifact_location: where its runs keep artifacts; None for beside the store.
            tags: values are turned into text.

        Raises:
            MlflowException: RESOURCE_ALREADY_EXISTS, or INVALID_PARAMETER_VALUE for a bad name.

        """
        name = rules.check_experiment_name(name)
        return self._create_experiment(
            name, artifact_location, tags, exist_ok=False
        ).row.experiment_id

    def ensure_experiment(self, name: str) -> Experiment:
        """Return the experiment of this name, deleted or not, created where there is none.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE for a bad name.

        """
        name = rules.check_experiment_name(name)
        record = self._lookup.experiment_named(name)
        if record is None:
            record = self._create_experiment(name, None, None, exist_ok=True)
        return self._experiment(record)

    def get_experiment(self, experiment_id: str) -> Experiment:
        """Return an experiment, deleted ones included.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST, or INVALID_PARAMETER_VALUE where the id is
                not made of digits.

        """
        experiment_id = rules.check_experiment_id(experiment_id)
        records = self.store.experiments([experiment_id])
        if not records:
            raise missing(f"No Experiment with id={experiment_id} exists")
        return self._experiment(records[0])

    def look_up_experiment(self, experiment_id: str) -> Experiment:
        """Return an experiment, for who is about to log to it.

        Where the store cannot be asked just now the experiment is taken on trust: its name is then
        the empty text, and it counts as active.

        Raises:
            MlflowException: as `get_experiment`.

        """
        return self._experiment(self._lookup.experiment(rules.check_experiment_id(experiment_id)))

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        """Return the experiment of this name, deleted ones included; None where there is none."""
        records = self.store.experiments(name=name)
        return self._experiment(records[0]) if records else None

    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int | None = 1000,
        filter_string: str | None = None,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Experiment]:
        """Return one page of the experiments that a filter asks for.

        Args:
            view_type: of `steplog.entities.ViewType`.
            max_results: size of a page, 1 to 50,000.
            filter_string: in MLflow's language, such as ``name LIKE 'digits%'``.
            order_by: such as ``["last_update_time DESC"]``; None for the newest first.
            page_token: ``token`` of the page before.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE.

        """
        # Not at the top: only those who search wait for the parser.
        from steplog.filters import parse_experiments_filter, parse_experiments_order

        wanted = page(max_results, page_token)
        query = Query(
            "experiments",
            parse_experiments_filter(filter_string),
            parse_experiments_order(order_by),
            stages=tuple(LifecycleStage.view_type_to_stages(view_type)),
            offset=wanted.offset,
            limit=wanted.limit,
        )
        store = self.store
        ids = wanted.of(store.search(query))
        records = in_order(ids, store.experiments(ids), lambda record: record.row.experiment_id)
        return PagedList(map(self._experiment, records), ids.token)

    def search_datasets(self, experiment_ids: Sequence[str]) -> list[DatasetSummary]:
        """Return which datasets the runs of these experiments used, and in which contexts.

        At most 1,000 of them.
        """
        return self.store.datasets([str(each) for each in experiment_ids], MOST_DATASETS)

    def rename_experiment(self, experiment_id: str, new_name: str) -> None:
        """Give an experiment another name; its id stays.

        Raises:
            MlflowException: as `create_experiment` and `get_experiment`; INVALID_STATE where the
                experiment is deleted.

        """
        self._update_experiment(experiment_id, name=rules.check_experiment_name(new_name))

    def delete_experiment(self, experiment_id: str) -> None:
        """Mark an experiment and its runs as deleted.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST, also where it is deleted already.

        """
        self._update_experiment(experiment_id, lifecycle_stage=LifecycleStage.DELETED)
        self._lookup.forget_runs()  # its runs are deleted, too

    def restore_experiment(self, experiment_id: str) -> None:
        """Take back `delete_experiment`.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST, also where it is not deleted.

        """
        self._update_experiment(experiment_id, lifecycle_stage=LifecycleStage.ACTIVE)

    def set_experiment_tag(self, experiment_id: str, key: str, value: Any) -> None:
        """Set a tag of an experiment; the value is turned into text.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST, or INVALID_PARAMETER_VALUE for a bad key or a
                deleted experiment.

        """
        experiment_id = rules.check_experiment_id(experiment_id)
        key, text = rules.check_experiment_tag(key, value)
        self._submit(SetExperimentTags(experiment_id, {key: text}))

    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        """Remove a tag of an experiment.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST where it has no such tag.

        """
        self._submit(DeleteExperimentTag(rules.check_experiment_id(experiment_id), key))

    def _update_experiment(
        self, experiment_id: str, name: str | None = None, lifecycle_stage: str | None = None
    ) -> None:
        experiment_id = rules.check_experiment_id(experiment_id)
        self._lookup.forget_experiment(experiment_id)
        self._submit(UpdateExperiment(experiment_id, now_ms(), name, lifecycle_stage))

    def _create_experiment(
        self,
        name: str,
        artifact_location: str | None,
        tags: Mapping[str, Any] | None,
        *,
        exist_ok: bool,
    ) -> ExperimentRecord:
        texts = dict(rules.check_experiment_tag(*tag) for tag in (tags or {}).items())
        experiment_id, now = self._lookup.free_experiment_id(name), now_ms()
        location = artifact_location or self._location(experiment_id)
        create = CreateExperiment(experiment_id, name, location, texts, now, exist_ok)
        if exist_ok:
            self.recorder.operate(create)  # never refused: nothing to wait for
        else:
            self._submit(create)
        row = ExperimentRow(experiment_id, name, location, LifecycleStage.ACTIVE, now, now)
        self._lookup.remember_experiment(row)
        return ExperimentRecord(row, texts)
