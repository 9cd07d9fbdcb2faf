"""`Client`: runs, experiments and logged models of one store by their ids, read and written
explicitly.

The functions of `steplog.fluent` find the run that is meant and call this class. Its methods have
MLflow's names, signatures, errors and message texts.

Writing appends to this process's journal and never needs the store's answer, with two exceptions,
both bounded by STEPLOG_SYNC_SECONDS: an operation that the store may refuse (``synchronous=True``)
is waited for, and a run or an experiment that this process did not make is looked up once, the
first time it is written to. Where the store cannot be asked, it is written to in good faith.

Here are runs with their params and tags; metrics, experiments and models are in modules of their
own, which this class puts together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from steplog import rules
from steplog.base_client import in_order, now_ms, texts
from steplog.entities import (
    DatasetInput,
    LifecycleStage,
    LoggedModelInput,
    LoggedModelOutput,
    PagedList,
    Run,
    RunInfo,
    RunStatus,
    ViewType,
)
from steplog.exceptions import MlflowException, invalid
from steplog.experiment_client import ExperimentClient
from steplog.lookup import the_run
from steplog.metric_client import MetricClient
from steplog.model_client import ModelClient
from steplog.operations import (
    CreateRun,
    DeleteTag,
    LogInputs,
    LogOutputs,
    LogParams,
    SetTags,
    UpdateRun,
)
from steplog.paging import page
from steplog.pending import RunOperations, asynchronous
from steplog.rows import OPEN_STATUSES, RunRow
from steplog.stores.base import PARENT_RUN_ID, RunRecord

RUN_NAME = "mlflow.runName"
USER = "mlflow.user"


class Client(ExperimentClient, MetricClient, ModelClient):
    """Reads and writes runs, experiments and logged models of one store.

    Args:
        tracking_uri: which store; None for the one in force (`steplog.set_tracking_uri`).
        artifact_root: a directory or URL below which the experiments, runs and models that this
            client creates keep their artifacts; None for inside the store's directory.
        trusting: a run that cannot be looked up, because the store cannot be asked just now, is
            written to all the same. With False the writing call raises the store's error.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE where no store belongs to the URI.

    Example:
        >>> client = Client("runs")
        >>> run = client.create_run("0")
        >>> client.log_metric(run.info.run_id, "loss", 0.5, step=3)

    """

    # Runs -------------------------------------------------------------------------------------

    def create_run(
        self,
        experiment_id: str,
        start_time: int | None = None,
        tags: dict[str, Any] | None = None,
        run_name: str | None = None,
        user_id: str | None = None,
    ) -> Run:
        """Create a run, which is then RUNNING until `set_terminated`.

        Args:
            experiment_id: of an experiment that is not deleted.
            start_time: in ms since 1970; None for now.
            tags: values are turned into text.
            run_name: None for the tag ``mlflow.runName``, or a generated name.
            user_id: who starts it; None for the tag ``mlflow.user``.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST where the experiment does not,
                INVALID_PARAMETER_VALUE where it is deleted or the two names differ.

        """
        experiment = self._lookup.expect_experiment(rules.check_experiment_id(experiment_id))
        given = texts(tags)
        named = given.get(RUN_NAME)
        if run_name and named and rules.text(run_name) != named:
            raise invalid(
                "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with "
                f"different values (run_name='{run_name}', mlflow.runName='{named}')."
            )
        name = rules.text(run_name or named or rules.generate_run_name())
        run_id = rules.new_run_id()
        location = experiment.artifact_location or self._location(experiment.experiment_id)
        create = CreateRun(
            run_id=run_id,
            experiment_id=experiment.experiment_id,
            user_id=given.get(USER, "unknown") if user_id is None else rules.text(user_id),
            name=name,
            start_time=start_time or now_ms(),
            tags={**given, RUN_NAME: name},
            artifact_uri=location and f"{location}/{run_id}/artifacts",
            experiment_name=experiment.name or None,
        )
        self.recorder.operate(create)
        self._lookup.remember_run(run_id)
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
        store = self.store
        return self._run_with_metrics(the_run(run_id, store.runs([run_id], last=True)))

    def look_up_run(self, run_id: str, metrics: bool = False) -> Run:
        """Return a run for who is about to log to it.

        Where the store cannot be asked just now the run is taken on trust: its experiment is then
        the empty text, and it counts as active.

        Args:
            run_id: the run.
            metrics: with the latest values of its metrics, as `get_run`.

        Raises:
            MlflowException: as `get_run`.

        """
        rules.check_run_id(run_id)
        return self._run_with_metrics(self._lookup.run(run_id, last=metrics))

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
        """Return one page of the runs that a filter asks for.

        Args:
            experiment_ids: unknown ones have no runs.
            filter_string: in MLflow's language, such as ``metrics.loss < 0.3 AND params.lr =
                '0.1'``; also ``metrics.loss.min``, ``.max``, ``.mean``, ``.first``, ``.count``
                and ``.nan_count``.
            run_view_type: of `steplog.entities.ViewType`.
            max_results: size of a page, 1 to 50,000.
            order_by: such as ``["metrics.acc.max DESC"]``; None for the newest start first.
            page_token: ``token`` of the page before.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE.

        Example:
            >>> best = client.search_runs(["0"], "metrics.loss < 0.3", order_by=["metrics.loss"])

        """
        # Not at the top: only those who search wait for the parser.
        from steplog.filters import parse_runs_filter, parse_runs_order

        wanted = page(max_results, page_token)
        query = self.runs_query(
            parse_runs_filter(filter_string),
            parse_runs_order(order_by),
            rules.check_experiment_ids(experiment_ids),
            tuple(LifecycleStage.view_type_to_stages(run_view_type)),
        )._replace(offset=wanted.offset, limit=wanted.limit)
        store = self.store
        ids = wanted.of(store.search(query))
        records = in_order(ids, store.runs(ids, last=True), lambda record: record.row.run_id)
        return PagedList(map(self._run_with_metrics, records), ids.token)

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

    def update_run_info(
        self,
        run_id: str,
        status: str | None = None,
        end_time: int | None = None,
        name: str | None = None,
    ) -> RunInfo:
        """Give a run another status, end or name, and return what it is now.

        Args:
            run_id: a run that is not deleted.
            status: of MLflow's; None leaves it.
            end_time: in ms since 1970; None leaves it.
            name: None and the empty text leave it.

        Raises:
            MlflowException: as `update_run`.
            Exception: `status` is none of MLflow's.

        """
        rules.check_run_id(run_id)
        if status is not None:
            RunStatus.from_string(status)
        self._lookup.expect_run(run_id)
        if status is not None or end_time is not None or name:
            update = UpdateRun(run_id, now_ms(), status, end_time, name or None)
            self._submit(update)
        if status is not None and status not in OPEN_STATUSES:
            self._lookup.forget_run(run_id)
            self.recorder.forget(run_id)
        return self.look_up_run(run_id).info

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

    def _move_run(self, run_id: str, lifecycle_stage: str) -> None:
        self._lookup.run(run_id)
        self._submit(UpdateRun(run_id, now_ms(), lifecycle_stage=lifecycle_stage))
        # Not before: another thread that logs meanwhile would look the run up as it was.
        self._lookup.forget_run(run_id)

    # Inputs and outputs -----------------------------------------------------------------------

    def log_inputs(
        self,
        run_id: str,
        datasets: Sequence[DatasetInput] | None = None,
        models: Sequence[LoggedModelInput] | None = None,
    ) -> None:
        """Record datasets and models that a run used.

        A dataset whose name and digest the experiment knows already is not described anew, and one
        that the run used already keeps its tags.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE, also for a run that is deleted;
                RESOURCE_DOES_NOT_EXIST.

        """
        self._log_inputs(run_id, datasets or (), models or (), synchronous=True)

    def link_inputs(
        self, run_id: str, datasets: Sequence[DatasetInput], models: Sequence[LoggedModelInput]
    ) -> None:
        """Do the same without waiting for the store, for logging a metric must not wait.

        What the store refuses is warned about later; see `RunOperations`.

        Raises:
            MlflowException: as `log_inputs`.

        """
        self._log_inputs(run_id, datasets, models, synchronous=False)

    def _log_inputs(
        self,
        run_id: str,
        datasets: Sequence[DatasetInput],
        models: Sequence[LoggedModelInput],
        synchronous: bool,
    ) -> None:
        rules.check_run_id(run_id)
        described = rules.check_dataset_inputs(datasets)
        self._lookup.expect_run(run_id)
        used = [rules.text(model.model_id) for model in models]
        self._submit(LogInputs(run_id, described, used), synchronous)

    def log_outputs(self, run_id: str, models: list[LoggedModelOutput]) -> None:
        """Record models that a run made.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE for a run that is deleted;
                RESOURCE_DOES_NOT_EXIST.

        """
        expected = self._lookup.expect_run(run_id)
        made = [
            LoggedModelOutput(rules.text(model.model_id), rules.check_step(model.step))
            for model in models
        ]
        self._submit(LogOutputs(run_id, [[model.model_id, model.step] for model in made]))
        expected.outputs.model_outputs.extend(made)

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
