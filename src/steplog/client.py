"""`Client`: runs and experiments of one store by their ids, read and written explicitly.

The functions of `steplog.fluent` find the run that is meant and call this class. Its methods have
MLflow's names, signatures, errors and message texts.

Writing appends to this process's journal and never needs the store's answer, with two exceptions,
both bounded by STEPLOG_SYNC_SECONDS: an operation that the store may refuse (``synchronous=True``)
is waited for, and a run or an experiment that this process did not make is looked up once, the
first time it is written to. Where the store cannot be asked, it is written to in good faith.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from steplog import active_model, rules
from steplog.backend import backend
from steplog.backend import tracking_uri as tracking_uri_in_force
from steplog.entities import (
    Experiment,
    LifecycleStage,
    Metric,
    PagedList,
    Param,
    Run,
    RunData,
    RunInfo,
    RunStatus,
    RunTag,
    Summary,
    ViewType,
)
from steplog.exceptions import MlflowException, invalid, missing
from steplog.fold import OPEN_STATUSES, ExperimentRow, RunRow
from steplog.journal import POINT
from steplog.lookup import Expected, SeriesNumbers, lookup, the_run
from steplog.operations import (
    CreateExperiment,
    CreateRun,
    DeleteTag,
    LogParams,
    Operation,
    SeriesKey,
    SetExperimentTags,
    SetTags,
    UpdateExperiment,
    UpdateRun,
)
from steplog.paging import page
from steplog.pending import LOGGED, RunOperations, asynchronous, refused
from steplog.recorder import MetricLogger, Recorder
from steplog.stores.base import ExperimentRecord, RunRecord, Series, Store

RUN_NAME = "mlflow.runName"
PARENT_RUN_ID = "mlflow.parentRunId"
USER = "mlflow.user"
POINTS_AT_ONCE = 1_000


class Client:
    """Reads and writes runs and experiments of one store.

    Args:
        tracking_uri: which store; None for the one in force (`steplog.set_tracking_uri`).

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE where no store belongs to the URI.

    Example:
        >>> client = Client("runs")
        >>> run = client.create_run("0")
        >>> client.log_metric(run.info.run_id, "loss", 0.5, step=3)

    """

    def __init__(self, tracking_uri: str | None = None) -> None:
        self.tracking_uri = tracking_uri_in_force() if tracking_uri is None else tracking_uri
        self._backend = backend(self.tracking_uri)
        self._lookup = lookup(self._backend)

    # Experiments ------------------------------------------------------------------------------

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
        records = self._backend.store().experiments([experiment_id])
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
        records = self._backend.store().experiments(name=name)
        return self._experiment(records[0]) if records else None

    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int | None = 1000,
        filter_string: str | None = None,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Experiment]:
        """Return one page of the experiments, newest first.

        Args:
            view_type: of `steplog.entities.ViewType`.
            max_results: size of a page, 1 to 50,000.
            filter_string: not supported yet.
            order_by: not supported yet.
            page_token: ``token`` of the page before.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE, or NOT_IMPLEMENTED for a filter or an order.

        """
        _refuse_query(filter_string, order_by)
        stages = LifecycleStage.view_type_to_stages(view_type)
        records = [
            record
            for record in self._backend.store().experiments()
            if record.row.lifecycle_stage in stages
        ]
        results = page(records, max_results, page_token)
        return PagedList(map(self._experiment, results), results.token)

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

    # Runs -------------------------------------------------------------------------------------

    def create_run(
        self,
        experiment_id: str,
        start_time: int | None = None,
        tags: dict[str, Any] | None = None,
        run_name: str | None = None,
    ) -> Run:
        """Create a run, which is then RUNNING until `set_terminated`.

        Args:
            experiment_id: of an experiment that is not deleted.
            start_time: in ms since 1970; None for now.
            tags: values are turned into text.
            run_name: None for the tag ``mlflow.runName``, or a generated name.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST where the experiment does not,
                INVALID_PARAMETER_VALUE where it is deleted or the two names differ.

        """
        experiment = self._lookup.expect_experiment(rules.check_experiment_id(experiment_id))
        texts = {rules.text(key): rules.text(value) for key, value in (tags or {}).items()}
        named = texts.get(RUN_NAME)
        if run_name and named and run_name != named:
            raise invalid(
                "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with "
                f"different values (run_name='{run_name}', mlflow.runName='{named}')."
            )
        name = rules.text(run_name or named or rules.generate_run_name())
        run_id = rules.new_run_id()
        location = experiment.artifact_location
        create = CreateRun(
            run_id=run_id,
            experiment_id=experiment.experiment_id,
            user_id=texts.get(USER, "unknown"),
            name=name,
            start_time=start_time or now_ms(),
            tags={**texts, RUN_NAME: name},
            artifact_uri=location and f"{location}/{run_id}/artifacts",
            experiment_name=experiment.name or None,
        )
        self.recorder.operate(create)
        self._lookup.series(run_id)
        return self._run(RunRecord(_created(create), {}, create.tags, frozenset()))

    def get_run(self, run_id: str) -> Run:
        """Return a run as it is now, with the latest value of each of its metrics.

        The latest value is the one of the greatest step, of those the greatest timestamp, of those
        the greatest value. Deleted runs can be read too.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST, or INVALID_PARAMETER_VALUE where `run_id`
                cannot be the id of a run.

        """
        rules.check_run_id(run_id)
        store = self._backend.store()
        return self._runs(store, [the_run(run_id, store.runs([run_id]))])[0]

    def look_up_run(self, run_id: str) -> Run:
        """Return a run without its metrics, for who is about to log to it.

        Where the store cannot be asked just now the run is taken on trust: its experiment is then
        the empty text, and it counts as active.

        Raises:
            MlflowException: as `get_run`.

        """
        rules.check_run_id(run_id)
        return self._run(self._lookup.run(run_id))

    def expects(self, run_id: str) -> bool:
        """Tell whether this process knows a run as active; not so where it has ended or deleted it.

        The store is not asked. Where the answer is no, `look_up_run` knows more.
        """
        return self._lookup.expects(run_id)

    def get_parent_run(self, run_id: str) -> Run | None:
        """Return the run that this one is nested in; None where it is not.

        Raises:
            MlflowException: as `get_run`.

        """
        parent = self.get_run(run_id).data.tags.get(PARENT_RUN_ID)
        return None if parent is None else self.get_run(parent)

    def search_runs(
        self,
        experiment_ids: list[str],
        filter_string: str = "",
        run_view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Run]:
        """Return one page of the runs of these experiments, the newest start first.

        Args:
            experiment_ids: unknown ones have no runs.
            filter_string: not supported yet.
            run_view_type: of `steplog.entities.ViewType`.
            max_results: size of a page, 1 to 50,000.
            order_by: not supported yet.
            page_token: ``token`` of the page before.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE, or NOT_IMPLEMENTED for a filter or an order.

        """
        _refuse_query(filter_string, order_by)
        stages = LifecycleStage.view_type_to_stages(run_view_type)
        store = self._backend.store()
        records = [
            record
            for record in store.runs(experiment_ids=[str(each) for each in experiment_ids])
            if record.row.lifecycle_stage in stages
        ]
        results = page(records, max_results, page_token)
        return PagedList(self._runs(store, results), results.token)

    def update_run(self, run_id: str, status: str | None = None, name: str | None = None) -> None:
        """Give a run another status or name; without either, do nothing.

        Raises:
            MlflowException: as `get_run`; INVALID_PARAMETER_VALUE where the run is deleted.
            Exception: `status` is none of MLflow's.

        """
        if status is None and name is None:
            return
        rules.check_run_id(run_id)
        self._lookup.expect_run(run_id)
        if status is not None:
            RunStatus.from_string(status)
        self._submit(UpdateRun(run_id, now_ms(), status=status, name=name))

    def set_terminated(
        self, run_id: str, status: str | None = None, end_time: int | None = None
    ) -> None:
        """End a run.

        Args:
            run_id: the run.
            status: of MLflow's; None for FINISHED.
            end_time: in ms since 1970; None for now.

        Raises:
            MlflowException: as `update_run`.
            Exception: `status` is none of MLflow's.

        """
        status = status or "FINISHED"
        RunStatus.from_string(status)
        self._lookup.expect_run(run_id)
        now = now_ms()
        self._submit(UpdateRun(run_id, now, status=status, end_time=end_time or now))
        if status not in OPEN_STATUSES:
            self._lookup.forget_run(run_id)
            self.recorder.forget(run_id)

    def delete_run(self, run_id: str) -> None:
        """Mark a run as deleted; its data stay, and `restore_run` brings it back.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST.

        """
        self._move_run(run_id, LifecycleStage.DELETED)

    def restore_run(self, run_id: str) -> None:
        """Take back `delete_run`.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST.

        """
        self._move_run(run_id, LifecycleStage.ACTIVE)

    # Metrics ----------------------------------------------------------------------------------

    def log_metric(
        self,
        run_id: str,
        key: str,
        value: float,
        timestamp: int | None = None,
        step: int | None = None,
        synchronous: bool | None = None,
        dataset_name: str | None = None,
        dataset_digest: str | None = None,
        model_id: str | None = None,
    ) -> RunOperations | None:
        """Record one point of a metric.

        Args:
            run_id: a run that is not deleted; it may have ended.
            key: at most 250 word characters, ``/ . - :`` and spaces.
            value: a number, or what MLflow turns into one (a numpy, torch or TensorFlow scalar).
            timestamp: ms since 1970; None for now.
            step: a 64-bit integer; None for 0.
            synchronous: False to be handed a `RunOperations`. A point is durable and readable
                either way when the call returns.
            dataset_name: the dataset that was measured on …
            dataset_digest: … and its digest.
            model_id: the model that was measured; None for the active one.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE or RESOURCE_DOES_NOT_EXIST; nothing is stored.
            TypeError: `value` is nothing that could be a number.

        """
        timestamp = now_ms() if timestamp is None else timestamp
        step = 0 if step is None else step
        metric = Metric(key, value, timestamp, step, model_id, dataset_name, dataset_digest)
        point = _point(run_id, metric)
        self._lookup.expect_run(run_id)
        self._record([point])
        return LOGGED if asynchronous(synchronous) else None

    def metric(self, run_id: str, key: str) -> MetricLogger:
        """Return a logger of one metric, whose ``log(value, step)`` skips all look-ups.

        Example:
            >>> loss = client.metric(run.info.run_id, "loss")
            >>> loss.log(0.5, step=3)

        Raises:
            MlflowException: as `log_metric`.

        """
        key, *_ = rules.check_metric(key, 0.0, 0, 0)
        self._lookup.expect_run(run_id)
        series = _series(run_id, key)  # what it is measured on is settled here, not at each call

        def log_checked(value: Any, step: Any) -> None:
            step = 0 if step is None else step
            _, value, timestamp, step = rules.check_metric(key, value, now_ms(), step)
            self._lookup.expect_run(run_id)
            self._record([(series, step, timestamp, value)])

        return self.recorder.metric(series, log_checked)

    def expect_run(self, run_id: str) -> Expected:
        """Return what this process knows of a run that it is about to write to.

        Raises:
            MlflowException: as `log_metric`.

        """
        return self._lookup.expect_run(run_id)

    def series_numbers(self, run_id: str, model_id: str | None = None) -> SeriesNumbers:
        """Return the series of a run that can be logged to without a check; see `Lookup.series`."""
        return self._lookup.series(run_id, model_id)

    def remember(self, run_id: str, keys: Iterable[str], model_id: str | None = None) -> None:
        """Add to `series_numbers` what has just been logged to."""
        recorder, numbers = self.recorder, self.series_numbers(run_id, model_id)
        for key in keys:
            numbers[key] = recorder, recorder.number(SeriesKey(run_id, key, model_id or ""))

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
        synchronous: bool | None = None,
    ) -> RunOperations | None:
        """Record many points, params and tags of one run; any number of each.

        Everything is checked before anything is recorded, so that one bad item stores none.

        Raises:
            MlflowException: as `log_metric`, `log_param` and `set_tag`.

        """
        if not (metrics or params or tags):
            return None
        rules.check_run_id(run_id)
        points = [_point(run_id, metric, f"metrics[{i}].") for i, metric in enumerate(metrics)]
        new_params = rules.check_params((param.key, param.value) for param in params)
        new_tags = rules.check_tags((tag.key, tag.value) for tag in tags)
        self._lookup.expect_run(run_id)
        # As in MLflow params come first, and where one is refused nothing of the rest is stored.
        answers = LOGGED
        if new_params:
            answers += self._submit(LogParams(run_id, new_params), synchronous)
        self._record(points)
        if new_tags:
            answers += self._submit(SetTags(run_id, new_tags), synchronous)
        return answers if asynchronous(synchronous) else None

    def get_metric_history(self, run_id: str, key: str) -> list[Metric]:
        """Return every point of one metric, by timestamp, then step, then value.

        All of them at once: `steplog.read` gives the same points as arrays, or a part of them.

        Returns:
            An empty list where the run or the metric does not exist.

        """
        store = self._backend.store()
        history = [
            metric
            for series in store.series([run_id], [key])
            if series.key.key == key  # a store may take `key` for a pattern
            for metric in _history(store, series)
        ]
        history.sort(key=lambda metric: (metric.timestamp, *_rank(metric)))
        return PagedList(history, None)

    def summary(self, run_id: str) -> list[Summary]:
        """Return what is known of each series of a run: counts, mean, first, last, extremes.

        Raises:
            MlflowException: as `get_run`.

        """
        # Not at the top: this needs numpy, which a process that only logs should not wait for.
        from steplog.reading import summaries

        rules.check_run_id(run_id)
        store = self._backend.store()
        the_run(run_id, store.runs([run_id]))
        return summaries(store, run_id)

    # Params and tags --------------------------------------------------------------------------

    def log_param(self, run_id: str, key: str, value: Any, synchronous: bool | None = None) -> Any:
        """Record a param, which can be set once.

        Args:
            run_id: a run that is not deleted.
            key: as of a metric.
            value: turned into text; at most 6,000 characters are kept.
            synchronous: False to be told of a refusal by `RunOperations.wait` only.

        Returns:
            `value`, or a `RunOperations` where asynchronous.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE, also where the param has another value
                already; RESOURCE_DOES_NOT_EXIST where the run does not exist.

        """
        try:
            key, text = rules.check_param(key, value)
            self._lookup.expect_run(run_id)
            # MLflow logs a single param as a batch where it does not wait, and its text says so.
            single = not asynchronous(synchronous)
            answer = self._submit(LogParams(run_id, {key: text}, single), synchronous)
        except MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise
            raise invalid(error.message + rules.PARAM_ADVICE) from error
        return answer if asynchronous(synchronous) else value

    def set_tag(
        self, run_id: str, key: str, value: Any, synchronous: bool | None = None
    ) -> RunOperations | None:
        """Set a tag of a run; the tag ``mlflow.runName`` renames it.

        Args:
            run_id: a run that is not deleted.
            key: as of a metric.
            value: turned into text; at most 8,000 characters are kept.
            synchronous: False to be told of a refusal by `RunOperations.wait` only.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE or RESOURCE_DOES_NOT_EXIST.

        """
        key, text = rules.check_tag(key, value)
        self._lookup.expect_run(run_id)
        answer = self._submit(SetTags(run_id, {key: text}), synchronous)
        return answer if asynchronous(synchronous) else None

    def delete_tag(self, run_id: str, key: str) -> None:
        """Remove a tag of a run.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST where the run has no such tag.

        """
        self._lookup.expect_run(run_id)
        self._submit(DeleteTag(run_id, key))

    # The way to the journal -------------------------------------------------------------------

    @property
    def recorder(self) -> Recorder:
        """What writes this process's journal for the store."""
        return self._backend.recorder

    def _submit(self, operation: Operation, synchronous: bool | None = True) -> RunOperations:
        """Record an operation; where that is synchronous, raise what the store refuses."""
        answer = RunOperations(self.recorder, [self.recorder.operate(operation)])
        if asynchronous(synchronous):
            answer.watch()
            return answer
        for refusal in answer.refusals():
            raise refused(refusal)
        return answer

    def _record(self, points: list[tuple[SeriesKey, int, int, float]]) -> None:
        """Record checked points: series, step, timestamp in ms, value."""
        recorder = self.recorder
        for start in range(0, len(points), POINTS_AT_ONCE):
            some = points[start : start + POINTS_AT_ONCE]
            fields: list[float] = []
            for series, step, timestamp, value in some:
                fields += (step, timestamp, value, recorder.number(series), POINT)
            recorder.log_many(fields, len(some))

    def _update_experiment(
        self, experiment_id: str, name: str | None = None, lifecycle_stage: str | None = None
    ) -> None:
        experiment_id = rules.check_experiment_id(experiment_id)
        self._lookup.forget_experiment(experiment_id)
        self._submit(UpdateExperiment(experiment_id, now_ms(), name, lifecycle_stage))

    def _move_run(self, run_id: str, lifecycle_stage: str) -> None:
        self._lookup.forget_run(run_id)
        self._lookup.run(run_id)
        self._submit(UpdateRun(run_id, now_ms(), lifecycle_stage=lifecycle_stage))

    def _create_experiment(
        self,
        name: str,
        artifact_location: str | None,
        tags: Mapping[str, Any] | None,
        *,
        exist_ok: bool,
    ) -> ExperimentRecord:
        texts = dict(rules.check_experiment_tag(*tag) for tag in (tags or {}).items())
        experiment_id, location, now = (
            self._lookup.free_experiment_id(name),
            artifact_location or "",
            now_ms(),
        )
        create = CreateExperiment(experiment_id, name, location, texts, now, exist_ok)
        if exist_ok:
            self.recorder.operate(create)  # never refused: nothing to wait for
        else:
            self._submit(create)
        row = ExperimentRow(experiment_id, name, location, LifecycleStage.ACTIVE, now, now)
        self._lookup.remember_experiment(row)
        return ExperimentRecord(row, texts)

    # From rows to values ------------------------------------------------------------------------

    def _experiment(self, record: ExperimentRecord) -> Experiment:
        row = record.row
        return Experiment(
            experiment_id=row.experiment_id,
            name=row.name,
            artifact_location=self._artifact_location(row.experiment_id, row.artifact_location),
            lifecycle_stage=row.lifecycle_stage,
            tags=record.tags,
            creation_time=row.creation_time,
            last_update_time=row.last_update_time,
        )

    def _runs(self, store: Store, records: Sequence[RunRecord]) -> list[Run]:
        latest: dict[str, dict[str, Metric]] = {record.row.run_id: {} for record in records}
        for series in store.series(list(latest)):
            metrics, metric = latest[series.key.run_id], _latest(series)
            # One key may have several series: one for each model or dataset it was measured on.
            known = metrics.get(metric.key)
            if known is None or _rank(known) < _rank(metric):
                metrics[metric.key] = metric
        return [self._run(record, latest[record.row.run_id].values()) for record in records]

    def _run(self, record: RunRecord, metrics: Iterable[Metric] = ()) -> Run:
        row = record.row
        location = self._artifact_location(row.experiment_id, "")
        info = RunInfo(
            run_id=row.run_id,
            experiment_id=row.experiment_id,
            user_id=row.user_id,
            status=row.status,
            start_time=row.start_time,
            end_time=row.end_time,
            lifecycle_stage=row.lifecycle_stage,
            artifact_uri=row.artifact_uri or f"{location}/{row.run_id}/artifacts",
            run_name=row.name,
        )
        params = [Param(*param) for param in record.params.items()]
        tags = [RunTag(*tag) for tag in record.tags.items()]
        return Run(info, RunData(metrics, params, tags))

    def _artifact_location(self, experiment_id: str, given: str) -> str:
        """Where nothing else was asked for, inside the store's directory, wherever that is now."""
        return given or f"{self._backend.directory}/artifacts/{experiment_id}"


def now_ms() -> int:
    """Return the time in ms since 1970."""
    return time.time_ns() // 1_000_000


def _created(run: CreateRun) -> RunRow:
    return RunRow(
        run.run_id,
        run.experiment_id,
        run.user_id,
        run.name,
        run.status,
        run.start_time,
        None,
        LifecycleStage.ACTIVE,
        run.artifact_uri,
    )


def _series(
    run_id: str,
    key: str,
    model_id: str | None = None,
    dataset_name: str | None = None,
    dataset_digest: str | None = None,
) -> SeriesKey:
    model_id = model_id or active_model.current() or ""
    return SeriesKey(run_id, key, model_id, dataset_name or "", dataset_digest or "")


def _point(run_id: str, metric: Metric, path: str = "") -> tuple[SeriesKey, int, int, float]:
    key, value, timestamp, step = rules.check_metric(
        metric.key, metric.value, metric.timestamp, metric.step, path
    )
    series = _series(run_id, key, metric.model_id, metric.dataset_name, metric.dataset_digest)
    return series, step, timestamp, value


def _rank(metric: Metric) -> tuple[int, int, float]:
    """MLflow's order of points; NaN counts as 0 in it."""
    return metric.step, metric.timestamp, 0.0 if metric.value != metric.value else metric.value


def _latest(series: Series) -> Metric:
    last = series.summary
    return _metric(
        series.key, int(last["last_step"]), int(last["last_timestamp"]), float(last["last_value"])
    )


def _metric(key: SeriesKey, step: int, timestamp: int, value: float) -> Metric:
    return Metric(
        key.key,
        value,
        timestamp,
        step,
        key.model_id or None,
        key.dataset_name or None,
        key.dataset_digest or None,
    )


def _history(store: Store, series: Series) -> Iterator[Metric]:
    for columns in store.points(series.series_id):
        for step, timestamp, value in zip(*(column.tolist() for column in columns), strict=True):
            yield _metric(series.key, step, timestamp, value)


def _refuse_query(filter_string: str | None, order_by: list[str] | None) -> None:
    if filter_string or order_by:
        raise MlflowException(
            "steplog does not filter or order runs and experiments yet; leave out filter_string "
            "and order_by.",
            "NOT_IMPLEMENTED",
        )
