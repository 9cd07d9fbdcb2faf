"""The part of `steplog.client.Client` that records and reads metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from steplog import active_model, rules
from steplog.base_client import BaseClient, metric_of, now_ms
from steplog.entities import Metric, PagedList, Param, RunTag, Summary
from steplog.journal import POINT
from steplog.lookup import Expected, SeriesNumbers, the_run
from steplog.operations import LogParams, SeriesKey, SetTags
from steplog.paging import Page, start
from steplog.pending import LOGGED, RunOperations, asynchronous
from steplog.recorder import MetricLogger

POINTS_AT_ONCE = 1_000


class MetricClient(BaseClient):
    """Metrics of the runs of one store."""

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
        answer = LOGGED if asynchronous(synchronous) else None
        self._lookup.expect_run(run_id)
        self._record([point])
        return answer

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
        waits = not asynchronous(synchronous)
        # As in MLflow params come first, and where one is refused nothing of the rest is stored.
        answers = LOGGED
        if new_params:
            answers += self._submit(LogParams(run_id, new_params), waits)
        self._record(points)
        if new_tags:
            answers += self._submit(SetTags(run_id, new_tags), waits)
        return None if waits else answers

    def get_metric_history(
        self,
        run_id: str,
        key: str,
        max_results: int | None = None,
        page_token: str | bytes | None = None,
    ) -> PagedList[Metric]:
        """Return the points of one metric, by timestamp, then step, then value.

        All of them at once: `steplog.read` gives the same points as arrays, or a part of them.

        Args:
            run_id: the run.
            key: the metric.
            max_results: the size of a page; None for everything.
            page_token: ``token`` of the page before.

        Returns:
            An empty list where the run or the metric does not exist.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE where the token is none.

        """
        # Not at the top: this needs numpy, which a process that only logs should not wait for.
        from steplog.history import read_history

        wanted = Page(start(page_token), max_results)
        store = self.store
        # A store may take `key` for a pattern.
        series = [each for each in store.series([run_id], [key]) if each.key.key == key]
        if not series or max_results == 0:
            return PagedList([], None)
        points = (
            metric_of(series[index].key, step, timestamp, value)
            for some in read_history(store, series, wanted.offset)
            for index, step, timestamp, value in zip(
                some.series.tolist(), *(column.tolist() for column in some.columns), strict=True
            )
        )
        return wanted.of(list(islice(points, wanted.limit)))

    def sample_history(
        self,
        run_ids: Sequence[str],
        key: str,
        max_points: int,
        steps: tuple[int, int] | None = None,
    ) -> list[Metric]:
        """Return points of one metric of several runs, for a chart, with every extreme kept.

        Args:
            run_ids: the runs, whose points come one run after the other.
            key: the metric.
            max_points: at most so many points of each run.
            steps: first and last step wanted.

        """
        from steplog.reading import sample

        store = self.store
        return [
            metric_of(series_key, step, timestamp, value, run_id)
            for run_id in run_ids
            for series_key, step, timestamp, value in sample(store, run_id, key, max_points, steps)
        ]

    def summary(self, run_id: str) -> list[Summary]:
        """Return what is known of each series of a run: counts, mean, first, last, extremes.

        Raises:
            MlflowException: as `get_run`.

        """
        # Not at the top: this needs numpy, which a process that only logs should not wait for.
        from steplog.reading import summaries

        rules.check_run_id(run_id)
        store = self.store
        the_run(run_id, store.runs([run_id]))
        return summaries(store, run_id)

    def _record(self, points: list[tuple[SeriesKey, int, int, float]]) -> None:
        """Record checked points: series, step, timestamp in ms, value."""
        recorder = self.recorder
        for first in range(0, len(points), POINTS_AT_ONCE):
            some = points[first : first + POINTS_AT_ONCE]
            fields: list[float] = []
            for series, step, timestamp, value in some:
                fields += (step, timestamp, value, recorder.number(series), POINT)
            recorder.log_many(fields, len(some))


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
