"""The store on a stock MLflow server: journals become its REST calls, and its answers records.

Writing is `mlflow_sending`, and exactly once as far as the server allows: how far each journal has
been sent stands in a ledger on this machine (`mlflow_ledger`), written when the server has
answered, and what a crash in between repeats, the server keeps once. Reading asks the server each
time. MLflow keeps no summaries: whoever wants one has the points sent, and they are kept in memory
for the next question.

What MLflow cannot keep: infinities (it has the largest floats in their place, and what is read here
is infinite again), the sign of zero, the rank and the attempt of a series, and on which dataset a
point was measured without a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from steplog.exceptions import MlflowException
from steplog.operations import SeriesKey
from steplog.points import Columns
from steplog.query import Query, split_part
from steplog.recent import Recent
from steplog.stores import mlflow_queries, mlflow_records, whole
from steplog.stores.base import (
    PARENT_RUN_ID,
    START,
    Batch,
    DatasetSummary,
    ExperimentRecord,
    KeyUse,
    ModelRecord,
    PairKeys,
    Position,
    Refused,
    RunRecord,
    Series,
)
from steplog.stores.mlflow_api import PAGE_RUNS, Api, quoted
from steplog.stores.mlflow_ids import ALL, Ids, texts
from steplog.stores.mlflow_ledger import Ledger
from steplog.stores.mlflow_sending import Sender
from steplog.summary import summarise

KEPT_BYTES = 256 << 20
"""What is kept in memory of points that were read."""
STRANGER = "mlflow"
"""The writer of runs that nobody on this machine logs to. It counts as alive: nobody can tell."""

_RUN_ID_LENGTH = 32
_MOST_EXPERIMENTS = 20  # of one question for datasets
_MOST_IDS = 200  # of one question for runs
_MOST_MODELS = 50  # of one page
_DATASETS = "/ajax-api/2.0/mlflow/experiments/search-datasets"


class _Source(NamedTuple):
    """Where the points of a series are: with a model of the server, or else in a run.

    `version` changes when the points do, as far as the server tells.
    """

    model_id: str
    key: SeriesKey
    version: str


class MlflowStore:
    """A `steplog.stores.base.Store` on an MLflow server. Ids are ours where we have one.

    Args:
        url: of the server.
        directory: of the ledger: the spool of this server.
        timeout: the longest wait for an answer, in seconds.

    """

    def __init__(self, url: str, directory: str, timeout: float) -> None:
        self._api = Api(url, timeout)
        self._ledger = Ledger(directory)
        self._ids = Ids(self._api, self._ledger)
        self._sender = Sender(self._api, self._ids, self._ledger)
        self._timeout = timeout
        self._sources: list[_Source] = []  # by series_id
        self._numbers: dict[_Source, int] = {}
        self._points: Recent[Columns] = Recent(KEPT_BYTES)

    # -- writing ----------------------------------------------------------------------------------

    def apply(self, batch: Batch) -> list[Refused] | None:
        """Send one stretch of one journal, and note that it has arrived.

        What fails halfway is sent again the next time, which changes nothing of what is there.
        """
        with self._ledger.holding(f"journal-{batch.journal_id}", self._timeout):
            if self.positions([batch.journal_id]).get(batch.journal_id, START) != batch.before:
                return None
            refused = self._sender.send(batch)
            self._ledger.advance(batch.journal_id, batch.after, refused)
            return refused

    def positions(self, journal_ids: Sequence[str]) -> dict[str, Position]:
        """Up to where each of these journals has been sent; those at START are left out."""
        return self._ledger.positions(journal_ids)

    def refusals(
        self, run_id: str | None = None, journal_ids: Sequence[str] | None = None
    ) -> list[Refused]:
        """Return what the server declined of what this machine sent, oldest first."""
        return self._ledger.refusals(run_id, journal_ids)

    def beat(self, writer_ids: Sequence[str]) -> None:
        """Do nothing: there is nowhere to tell it."""

    def beating(self) -> frozenset[str]:
        """Return the writer of all runs that are not this machine's."""
        return frozenset({STRANGER})

    def seal(self, run_id: str | None = None) -> int:
        """Return 0: nothing waits there."""
        return 0

    def purge(self, run_ids: Sequence[str]) -> int:
        """Say that only the server's own `mlflow gc` removes deleted runs for good."""
        raise mlflow_queries.unsayable("to remove deleted runs for good: `mlflow gc` does that")

    # -- the catalog ------------------------------------------------------------------------------

    def experiments(
        self, ids: Sequence[str] | None = None, name: str | None = None
    ) -> list[ExperimentRecord]:
        """Experiments with these ids, or with this name, or all; newest first, then by id."""
        found = []
        for message, asked in self._found(ids, name):
            record = mlflow_records.experiment(message, self._ids)
            shown = asked or record.row.experiment_id
            found.append(record._replace(row=record.row._replace(experiment_id=shown)))
        found.sort(key=lambda each: (-each.row.creation_time, each.row.experiment_id))
        return found

    def _found(
        self, ids: Sequence[str] | None, name: str | None
    ) -> Iterator[tuple[dict[str, Any], str]]:
        """Yield experiments as they come, and the ids by which they were asked for."""
        if ids is not None:
            for ours in dict.fromkeys(ids):
                theirs = self._ids.experiment(ours)
                if theirs is not None:
                    found = self._api.found("experiment", "experiments/get", experiment_id=theirs)
                    if found is not None and name in (None, found["name"]):
                        yield found, ours
        elif name is not None:
            path = "experiments/get-by-name"
            found = self._api.found("experiment", path, experiment_name=name)
            yield from () if found is None else ((found, ""),)
        else:
            every = self._api.search("experiments", "experiments/search", {"view_type": ALL})
            yield from ((found, "") for found in every)

    def runs(
        self,
        run_ids: Sequence[str] | None = None,
        experiment_ids: Sequence[str] | None = None,
        last: bool = False,
    ) -> list[RunRecord]:
        """Runs with these ids, or of these experiments, or all; newest start first, then by id.

        The beginning of an id finds only runs that this machine has logged to or read.
        """
        if run_ids is None:
            asked: dict[str, str] = {}
            messages = self._search_runs(self._experiments_of(experiment_ids))
        else:
            asked = self._their_runs(run_ids)
            messages = self._runs_by_id([*asked])
        found = []
        for message in messages:
            record = mlflow_records.run(message, self._ids, self._writers, last)
            shown = asked.get(message["info"]["run_id"], record.row.run_id)
            found.append(record._replace(row=record.row._replace(run_id=shown)))
        if run_ids is not None and experiment_ids is not None:
            found = [each for each in found if each.row.experiment_id in experiment_ids]
        found.sort(key=lambda each: (-each.row.start_time, each.row.run_id))
        return found

    def _writers(self, run_id: str) -> frozenset[str]:
        """Return who logs to a run: writers of this machine, or else the stranger."""
        return self._ledger.writers(run_id) or frozenset({STRANGER})

    def models(self, model_ids: Sequence[str]) -> list[ModelRecord]:
        """Logged models with these ids, in this order; the server does not tell of deleted ones."""
        found = []
        for ours in model_ids:
            for message in self._models([ours]):
                record = mlflow_records.model(message, self._ids)
                found.append(record._replace(row=record.row._replace(model_id=ours)))
        return found

    def datasets(self, experiment_ids: Sequence[str], limit: int) -> list[DatasetSummary]:
        """Which datasets the runs of these experiments used, each once for each context."""
        theirs = self._their_experiments(experiment_ids)
        found = []
        for start in range(0, len(theirs), _MOST_EXPERIMENTS):
            body = {"experiment_ids": theirs[start : start + _MOST_EXPERIMENTS]}
            found += self._api.post(_DATASETS, body).get("dataset_summaries", ())
        summaries = {
            DatasetSummary(
                self._ids.our_experiment(each["experiment_id"]),
                each["name"],
                each["digest"],
                each.get("context"),
            )
            for each in found
        }
        return sorted(summaries, key=lambda each: (*each[:3], each.context or ""))[:limit]

    def keys(self, run_ids: Sequence[str]) -> list[KeyUse]:
        """Return the metrics that these runs have, ordered by key.

        Of their points only the last ones are known: MLflow counts none.
        """
        runs = self.runs(run_ids, last=True) if run_ids else []
        used = [last.key for record in runs for last in record.last]
        return [KeyUse(key, used.count(key), used.count(key)) for key in sorted({*used})]

    def pair_keys(self, run_ids: Sequence[str]) -> PairKeys:
        """Return the keys of params and tags that some of these runs have."""
        records = self.runs(run_ids)
        return PairKeys(
            sorted({key for each in records for key in each.params}),
            sorted({key for each in records for key in each.tags}),
        )

    def children(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Return how many active runs are nested in each of these."""
        everywhere = self._ids.all_experiments()
        counts = {}
        for run_id in run_ids:
            for theirs in self._their_runs([run_id]):
                nested = f"tags.`{PARENT_RUN_ID}` = '{theirs}'"
                counts[run_id] = len([*self._search_runs(everywhere, nested, "ACTIVE_ONLY")])
        return {run_id: count for run_id, count in counts.items() if count}

    # -- searching --------------------------------------------------------------------------------

    def search(self, query: Query) -> list[str]:
        """Return the ids of the runs, experiments or logged models that a query asks for.

        Raises:
            MlflowException: NOT_IMPLEMENTED for what MLflow's language of filters cannot say.

        """
        self._check_metrics(query)
        given = mlflow_queries.filter_text(query, self._translate)
        ids: list[str] = []
        for each in getattr(self, f"_{query.what}_found")(query, given):
            ids.append(each)
            if query.limit is not None and len(ids) == query.offset + query.limit:
                break
        return ids[query.offset :]

    def _runs_found(self, query: Query, given: str) -> Iterator[str]:
        experiments = self._experiments_of(query.experiment_ids)
        view, order = mlflow_queries.view_type(query.stages), mlflow_queries.order_texts(query)
        for each in self._search_runs(experiments, given, view, order, _page(query)):
            tags = texts(each.get("data", {}).get("tags"))
            yield self._ids.our_run(each["info"]["run_id"], tags)

    def _experiments_found(self, query: Query, given: str) -> Iterator[str]:
        body = {
            "filter": given,
            "order_by": mlflow_queries.order_texts(query),
            "view_type": mlflow_queries.view_type(query.stages),
            "max_results": _page(query),
        }
        for each in self._api.search("experiments", "experiments/search", body):
            tags = texts(each.get("tags"))
            yield self._ids.our_experiment(each["experiment_id"], tags)

    def _models_found(self, query: Query, given: str) -> Iterator[str]:
        if "active" not in query.stages:
            return  # the server does not tell of deleted ones
        datasets = [
            {"dataset_name": name, **({"dataset_digest": digest} if digest else {})}
            for name, digest in query.datasets
        ]
        body = {
            "experiment_ids": self._experiments_of(query.experiment_ids),
            "filter": given,
            "datasets": datasets,
            "order_by": mlflow_queries.model_orders(query),
            "max_results": min(_page(query), _MOST_MODELS),
        }
        for each in self._api.search("models", "logged-models/search", body):
            tags = texts(each["info"].get("tags"))
            yield self._ids.our_model(each["info"]["model_id"], tags)

    def _check_metrics(self, query: Query) -> None:
        """Refuse parts of metrics such as ``loss.min``, unless there is a metric of this name."""
        for key in mlflow_queries.metric_keys(query):
            part = split_part(key)
            if part is not None and not self._is_metric(key):
                raise mlflow_queries.unsayable(f"for the {part[1]} of the metric {part[0]!r}")

    def _is_metric(self, key: str) -> bool:
        query = Query("runs", (mlflow_queries.anything(key),))
        given = mlflow_queries.filter_text(query, self._translate)
        experiments = self._experiments_of(None)
        return any(True for _ in self._search_runs(experiments, given, ALL, (), 1))

    # -- points -----------------------------------------------------------------------------------

    def series(
        self,
        run_ids: Sequence[str] | None,
        keys: Sequence[str] | None = None,
        model_ids: Sequence[str] | None = None,
    ) -> list[Series]:
        """Return the series of these runs, ordered by run (as asked), and then by their keys.

        A run's series of one key is one, whichever models and datasets it was measured on; only
        with `model_ids` they are told apart.
        """
        if model_ids is not None:
            sources = self._sources_of_models(model_ids, run_ids)
        else:
            sources = [*self._sources_of_runs(run_ids or ())]
        wanted = [source for source in sources if whole.matches(source.key.key, keys)]
        return [self._one(source) for source in wanted]

    def points(
        self,
        series_id: int,
        steps: tuple[int, int] | None = None,
        times: tuple[int, int] | None = None,
    ) -> Iterator[Columns]:
        """Yield the points of one series in order, in pieces of bounded size."""
        yield from whole.points(self._columns(self._sources[series_id]), steps, times)

    def outline(self, series_id: int) -> npt.NDArray[np.void]:
        """Summaries (dtype SUMMARY) of consecutive stretches of one series, in order, all exact."""
        return whole.outline(self._columns(self._sources[series_id]))

    def survey(
        self,
        series_id: int,
        need: Callable[[npt.NDArray[np.void]], npt.NDArray[np.integer[Any]]],
    ) -> Iterator[npt.NDArray[np.void] | Columns]:
        """Yield what is needed of each stretch of one series, all of one answer of the server."""
        yield from whole.survey(self._columns(self._sources[series_id]), need)

    def _sources_of_runs(self, run_ids: Sequence[str]) -> Iterator[_Source]:
        found = {each.row.run_id: each for each in self.runs(run_ids, last=True)}
        for run_id in run_ids:
            if run_id in found:
                row = found[run_id].row
                for last in sorted(found[run_id].last, key=lambda each: each.key):
                    version = f"{last[4:]} {row.status} {row.end_time}"
                    yield _Source("", SeriesKey(run_id, last.key), version)

    def _sources_of_models(
        self, model_ids: Sequence[str], run_ids: Sequence[str] | None
    ) -> list[_Source]:
        sources = []
        for message in self._models(model_ids):
            theirs = message["info"]["model_id"]
            for key, columns in mlflow_records.model_series(message, self._ids).items():
                if run_ids is None or key.run_id in run_ids:
                    source = _Source(theirs, key, f"{columns.step.size}")
                    self._keep(source, columns)
                    sources.append(source)
        return sorted(sources)

    def _one(self, source: _Source) -> Series:
        number = self._numbers.setdefault(source, len(self._sources))
        if number == len(self._sources):
            self._sources.append(source)
        return Series(number, source.key, summarise(self._columns(source))[0], exact=True)

    def _columns(self, source: _Source) -> Columns:
        """Return the points of a series: those kept in memory, while nothing has changed."""
        columns = self._points.get(source)
        if columns is None and source.model_id:
            [message] = self._models([source.model_id]) or [{}]
            found = mlflow_records.model_series(message, self._ids) if message else {}
            columns = found.get(source.key)
        elif columns is None:
            [theirs] = self._their_runs([source.key.run_id]) or [""]
            columns = mlflow_records.columns(self._api.history(theirs, source.key.key))
        if columns is None:
            raise MlflowException(f"The server has no {source.key} any more.", "NOT_FOUND")
        self._keep(source, columns)
        return columns

    def _keep(self, source: _Source, columns: Columns) -> None:
        self._points.put(source, columns, sum(column.nbytes for column in columns))

    # -- the rest ---------------------------------------------------------------------------------

    def check(self) -> NoReturn:
        """Say that an MLflow server cannot be checked."""
        raise mlflow_queries.unsayable("whether what it keeps is whole")

    def stats(self) -> dict[str, Any]:
        """Count what MLflow tells: experiments and runs. Series, points and bytes it does not."""
        experiments = self._ids.all_experiments()
        runs = sum(1 for _ in self._search_runs(experiments))
        unknown = dict.fromkeys(("series", "points", "waiting_points", "bytes"), 0)
        return {"experiments": len(experiments), "runs": runs, **unknown, "runs_bytes": {}}

    def close(self) -> None:
        """Give the connections back."""
        self._api.close()

    # -- ids --------------------------------------------------------------------------------------

    def _translate(self, name: str, ours: str) -> str:
        kind = {"experiment_id": self._ids.experiment, "model_id": self._ids.model}
        return kind.get(name, self._ids.run)(ours) or ours

    def _experiments_of(self, ours: Sequence[str] | None) -> list[str]:
        return self._ids.all_experiments() if ours is None else self._their_experiments(ours)

    def _their_experiments(self, ours: Iterable[str]) -> list[str]:
        found = (self._ids.experiment(each) for each in dict.fromkeys(ours))
        return [theirs for theirs in found if theirs is not None]

    def _their_runs(self, run_ids: Iterable[str]) -> dict[str, str]:
        """Return the server's ids of runs, and for each the id by which it was asked for.

        Args:
            run_ids: whole ids, or the beginnings of ids that this machine knows.

        """
        found: dict[str, str] = {}
        for run_id in dict.fromkeys(run_ids):
            whole_id = len(run_id) == _RUN_ID_LENGTH
            ours = [run_id] if whole_id else self._ledger.beginning("run", run_id) or [run_id]
            for each in ours:
                theirs = self._ids.run(each)
                if theirs is not None:
                    found[theirs] = each
        return found

    def _runs_by_id(self, theirs: Sequence[str]) -> Iterator[dict[str, Any]]:
        if len(theirs) < 3:
            for run_id in theirs:
                run = self._api.found("run", "runs/get", run_id=run_id)
                if run is not None:
                    yield run
            return
        everywhere = self._ids.all_experiments()
        for start in range(0, len(theirs), _MOST_IDS):
            some = "', '".join(theirs[start : start + _MOST_IDS])
            yield from self._search_runs(everywhere, f"attributes.run_id IN ('{some}')")

    def _search_runs(
        self,
        experiments: Sequence[str],
        given: str = "",
        view: str = ALL,
        order: Sequence[str] = (),
        page: int = PAGE_RUNS,
    ) -> Iterator[dict[str, Any]]:
        body = {
            "experiment_ids": [*experiments],
            "filter": given,
            "run_view_type": view,
            "order_by": [*order],
            "max_results": page,
        }
        return self._api.search("runs", "runs/search", body)

    def _models(self, model_ids: Sequence[str]) -> list[dict[str, Any]]:
        found = []
        for ours in model_ids:
            theirs = self._ids.model(ours)
            path = f"logged-models/{quoted(theirs or '')}"
            model = self._api.found("model", path) if theirs else None
            found += [] if model is None else [model]
        return found


def _page(query: Query) -> int:
    """Return how many results to ask for at a time: no more than are wanted."""
    wanted = PAGE_RUNS if query.limit is None else query.offset + query.limit
    return max(1, min(wanted, PAGE_RUNS))
