"""Metrics over HTTP: each function answers one endpoint.

Logging is what a server does most. Points of series that this process has written before are put
into its journal without asking the store anything (`log_metric_at_once`, `log_batch_at_once`); all
else goes through `steplog.client`. Points are sets, so a request that comes again changes nothing.

Histories are streamed: of a history of any length, some ten thousand points are in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat

import msgspec
import numpy as np

from steplog import paging, rules
from steplog.entities import Param, RunTag
from steplog.exceptions import invalid
from steplog.history import Points, read_history
from steplog.journal import POINT
from steplog.reading import sample
from steplog.server import messages, scope, translation
from steplog.server.endpoint import Answer, Caller, Request, Service
from steplog.server.messages import Metric
from steplog.server.wire import NOTHING, SEE_DOCS, decode, decode_get, spelled
from steplog.stores.base import Series, Store

MOST_IN_BATCH = 1_000
MOST_PAIRS_IN_BATCH = 100
MOST_RUNS = 100
MOST_BULK_POINTS = 25_000
MOST_INTERVAL_POINTS = 2_500
ENCODED_AT_ONCE = 4_096

_MEASURED_ON = ("dataset_name", "dataset_digest", "model_id")
_encoder = msgspec.json.Encoder()


# Logging ---------------------------------------------------------------------------------------


def log_metric(service: Service, request: Request) -> Answer:
    """Record one point."""
    asked = decode(messages.LogMetric, request.body)
    scope.require_run(service, request, asked.run_id)
    scope.require_models(service, request, [asked.model_id])
    service.client.log_metric(
        asked.run_id,
        asked.key,
        float(asked.value),
        asked.timestamp,
        asked.step,
        True,
        asked.dataset_name or None,
        asked.dataset_digest or None,
        asked.model_id or None,
    )
    if not asked.dataset_name:
        service.client.remember(asked.run_id, [asked.key], asked.model_id)
    return NOTHING


def log_metric_at_once(service: Service, request: Request) -> Answer | None:
    """Do as `log_metric` where this process has written to the series before; else None."""
    asked = decode(messages.LogMetric, request.body)
    return _log_known(service, request.caller, asked.run_id, [asked])


def log_batch(service: Service, request: Request) -> Answer:
    """Record points, params and tags of one run; a mistake in one of them stores none."""
    asked = decode(messages.LogBatch, request.body)
    metrics, params, tags = asked.metrics or [], asked.params or [], asked.tags or []
    rules.check_run_id(asked.run_id)
    _check_sizes(len(metrics), len(params), len(tags))
    if not (params or tags):
        done = _log_known(service, request.caller, asked.run_id, metrics)
        if done is not None:
            return done
    scope.require_run(service, request, asked.run_id)
    scope.require_models(service, request, (metric.model_id for metric in metrics))
    service.client.expect_run(asked.run_id)  # also where there is nothing to log
    service.client.log_batch(
        asked.run_id,
        [translation.metric_entity(metric) for metric in metrics],
        [Param(param.key, param.value) for param in params],
        [RunTag(tag.key, tag.value) for tag in tags],
        synchronous=True,
    )
    for model_id in {metric.model_id for metric in metrics}:
        keys = {each.key for each in metrics if each.model_id == model_id and not each.dataset_name}
        service.client.remember(asked.run_id, keys, model_id)
    return NOTHING


def log_batch_at_once(service: Service, request: Request) -> Answer | None:
    """Do as `log_batch` where it brings nothing but points of series that this process has written
    to before; else None.
    """
    asked = decode(messages.LogBatch, request.body)
    if asked.params or asked.tags or not asked.metrics or len(asked.metrics) > MOST_IN_BATCH:
        return None
    return _log_known(service, request.caller, asked.run_id, asked.metrics)


def _log_known(
    service: Service,
    caller: Caller,
    run_id: str,
    metrics: Sequence[Metric] | Sequence[messages.LogMetric],
) -> Answer | None:
    """Record points of a run's series that have been written to before, all on one model or none.

    Returns:
        None where that is not what they are; nothing was done then.

    """
    client, [model_id, *others] = service.client, {metric.model_id for metric in metrics} or {None}
    if others or not client.expects(run_id) or not scope.surely_usable(service, caller, run_id):
        return None
    numbers = client.series_numbers(run_id, model_id)
    try:
        series = [numbers[metric.key][1] for metric in metrics]
    except KeyError:
        return None
    times = [metric.timestamp for metric in metrics]
    on_datasets = [metric.dataset_name or metric.dataset_digest for metric in metrics]
    if any(on_datasets) or min(times, default=0) < 0:
        return None
    # One list of all fields, point after point: what `struct` packs without another loop.
    fields: list[float] = [POINT] * (5 * len(metrics))
    fields[0::5] = [metric.step or 0 for metric in metrics]
    fields[1::5] = times
    fields[2::5] = [float(metric.value) for metric in metrics]
    fields[3::5] = series
    client.recorder.log_many(fields, len(metrics))
    return NOTHING


def _check_sizes(metrics: int, params: int, tags: int) -> None:
    for what, size, most in (
        ("metrics", metrics, MOST_IN_BATCH),
        ("params", params, MOST_PAIRS_IN_BATCH),
        ("tags", tags, MOST_PAIRS_IN_BATCH),
        ("metrics, params, and tags", metrics + params + tags, MOST_IN_BATCH),
    ):
        if size > most:
            raise invalid(
                f"A batch logging request can contain at most {most} {what}. Got {size} {what}. "
                f"Please split up {what} across multiple requests and try again."
            )


# Histories -------------------------------------------------------------------------------------


def get_history(service: Service, request: Request) -> Answer:
    """Return the points of one metric, or one page of them."""
    asked = decode_get(messages.GetHistory, request)
    size = asked.max_results
    if size is not None and size <= 0:
        raise invalid(
            f"Invalid value {size} for parameter 'max_results' supplied. "
            "It must be a positive integer."
        )
    offset = paging.start(asked.page_token)
    scope.require_run(service, request, asked.run_id)
    store = service.client.store
    series = _series(store, asked.run_id, asked.metric_key)
    page = _First(read_history(store, series, offset), size)

    def end() -> bytes:
        token = _encoder.encode(paging.token(offset + page.taken))
        return b'],"next_page_token":%s}' % token if page.more else b"]}"

    parts = (part for points in page for part in _encoded(points, series))
    return Answer(_in_list(parts, b"{}", end))


def get_history_bulk(service: Service, request: Request) -> Answer:
    """Return the points of one metric of several runs, the first ones of them all."""
    asked = decode_get(messages.GetHistoryBulk, request)
    run_ids = asked.run_id or []
    if not run_ids:
        raise invalid("GetMetricHistoryBulk request must specify at least one run_id.")
    if len(run_ids) > MOST_RUNS:
        raise invalid(
            f"GetMetricHistoryBulk request cannot specify more than {MOST_RUNS} run_ids. "
            f"Received {len(run_ids)} run_ids."
        )
    if asked.metric_key is None:
        raise invalid("GetMetricHistoryBulk request must specify a metric_key.")
    size = MOST_BULK_POINTS if asked.max_results is None else asked.max_results
    for run_id in set(run_ids):
        scope.require_run(service, request, run_id)
    store = service.client.store
    series = (_series(store, run_id, asked.metric_key) for run_id in sorted(set(run_ids)))
    parts = _bulk(store, series, min(max(size, 0), MOST_BULK_POINTS))
    return Answer(_in_list(parts, b'{"metrics":[]}'))


def get_history_bulk_interval(service: Service, request: Request) -> Answer:
    """Return what a chart draws: points of one metric of several runs, with every extreme kept."""
    asked = decode_get(messages.GetHistoryInterval, request)
    if len(asked.run_ids) > MOST_RUNS:
        raise invalid(
            f"GetMetricHistoryBulkInterval request must specify at most {MOST_RUNS} run_ids. "
            f"Received {len(asked.run_ids)} run_ids.{SEE_DOCS}"
        )
    size = MOST_INTERVAL_POINTS if asked.max_results is None else asked.max_results
    if not 1 <= size <= MOST_INTERVAL_POINTS:
        raise invalid(f"max_results must be between 1 and {MOST_INTERVAL_POINTS}.{SEE_DOCS}")
    steps = _steps(asked.start_step, asked.end_step)
    for run_id in set(asked.run_ids):
        scope.require_run(service, request, run_id)
    parts = _sampled(service.client.store, asked.run_ids, asked.metric_key, size, steps)
    return Answer(_in_list(parts, b"{}"))


def _steps(first: int | None, last: int | None) -> tuple[int, int] | None:
    if first is None and last is None:
        return None
    if first is None or last is None:
        raise invalid("If either start step or end step are specified, both must be specified.")
    if first > last:
        raise invalid(
            "end_step must be greater than start_step. "
            f"Found start_step={first} and end_step={last}."
        )
    return first, last


def _series(store: Store, run_id: str, key: str) -> list[Series]:
    """Return the series of a metric: one for each model or dataset it was measured on."""
    # A store may take `key` for a pattern.
    return [each for each in store.series([run_id], [key]) if each.key.key == key]


def _bulk(store: Store, runs: Iterable[list[Series]], size: int) -> Iterator[bytes]:
    """Yield the first points of all these runs, run after run."""
    for series in runs:
        some = _First(read_history(store, series), size)
        for points in some:
            yield from _encoded(points, series, series[0].key.run_id)
        size -= some.taken


def _sampled(
    store: Store, run_ids: Iterable[str], key: str, size: int, steps: tuple[int, int] | None
) -> Iterator[bytes]:
    """Yield the points of a chart, run after run."""
    for run_id in run_ids:
        metrics = [
            Metric(
                key,
                spelled(value),
                timestamp,
                step,
                series.dataset_name or None,
                series.dataset_digest or None,
                series.model_id or None,
                run_id,
            )
            for series, step, timestamp, value in sample(store, run_id, key, size, steps)
        ]
        if metrics:
            yield _encoder.encode(metrics)[1:-1]


def _in_list(
    parts: Iterator[bytes], nothing: bytes, end: Callable[[], bytes] = lambda: b"]}"
) -> Iterator[bytes]:
    """Yield the bytes of a message with a list of points.

    Args:
        parts: points as JSON objects between commas.
        nothing: the message where there is no point.
        end: what comes after the points, once all of them have come.

    """
    opening = b'{"metrics":['
    for part in parts:
        yield opening + part
        opening = b","
    yield end() if opening == b"," else nothing


class _First:
    """The first so many points of a history, or (None) all of them.

    Attributes:
        taken: how many there were.
        more: whether there are more.

    """

    def __init__(self, points: Iterator[Points], most: int | None) -> None:
        self._points = points
        self._most = most
        self.taken = 0
        self.more = False

    def __iter__(self) -> Iterator[Points]:
        for points in self._points:
            if self._most is not None and self.taken + points.series.size > self._most:
                self.more = True
                points = points.take(slice(self._most - self.taken))
            self.taken += points.series.size
            yield points
            if self.more:
                return


def _encoded(
    points: Points, series: Sequence[Series], run_id: str | None = None
) -> Iterator[bytes]:
    """Yield points as JSON objects between commas, some at a time."""
    keys = [each.key for each in series]
    for start in range(0, points.series.size, ENCODED_AT_ONCE):
        some = points.take(slice(start, start + ENCODED_AT_ONCE))
        step, timestamp, value = some.columns
        values = value.tolist() if np.isfinite(value).all() else map(spelled, value.tolist())
        owners = [keys[index] for index in some.series.tolist()] if len(keys) > 1 else None
        several = (
            [[getattr(key, name) or None for key in owners] for name in _MEASURED_ON]
            if owners
            else [repeat(getattr(keys[0], name) or None) for name in _MEASURED_ON]
        )
        metrics = map(
            Metric,
            repeat(keys[0].key),
            values,
            timestamp.tolist(),
            step.tolist(),
            *several,
            repeat(run_id),
        )
        yield _encoder.encode(list(metrics))[1:-1]
