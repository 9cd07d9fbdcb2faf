"""What the page asks about some runs and about the server: each function answers one endpoint."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import version

from steplog.base_client import in_order
from steplog.entities import Summary
from steplog.exceptions import invalid
from steplog.reading import summaries
from steplog.server import scope
from steplog.server import view_messages as m
from steplog.server.endpoint import Answer, Caller, Request, Service
from steplog.server.messages import Double
from steplog.server.table import shown_runs
from steplog.server.wire import answer, decode, spelled
from steplog.stores.base import DATASET_CONTEXT, RunRecord, Store

MOST_RUNS = 200
MOST_RUNS_FOR_KEYS = 1_000


def session(service: Service, request: Request) -> Answer:
    """Return who asks, and what is asked."""
    return answer(
        m.Session(
            version=version("steplog"),
            mlflow_version=service.version,
            store=os.path.basename(service.client.backend.place.name),
            role=request.caller.role,
            experiment_id=request.caller.experiment_id,
        )
    )


def details(service: Service, request: Request) -> Answer:
    """Return everything about some runs but their points."""
    run_ids = _usable(service, request, MOST_RUNS)
    store = service.client.store
    records = in_order(run_ids, store.runs(run_ids), lambda record: record.row.run_id)
    models = _models(store, records, request.caller)
    shown = shown_runs(service, store, records)
    children = store.children(run_ids)
    return answer(
        m.Details(
            [
                m.Detail(
                    **each,
                    children=children.get(record.row.run_id, 0),
                    params=record.params,
                    tags=record.tags,
                    datasets=_datasets(record),
                    models=models[record.row.run_id],
                    series=[_summary(known) for known in summaries(store, record.row.run_id)],
                    artifact_uri=service.client.artifact_uri(record),
                )
                for each, record in zip(shown, records, strict=True)
            ]
        )
    )


def keys(service: Service, request: Request) -> Answer:
    """Return the metrics of some runs."""
    run_ids = _usable(service, request, MOST_RUNS_FOR_KEYS)
    return answer(m.FoundKeys([m.Key(*each) for each in service.client.store.keys(run_ids)]))


def _usable(service: Service, request: Request, most: int) -> list[str]:
    run_ids = decode(m.RunIds, request.body).run_ids
    if len(run_ids) > most:
        raise invalid(f"run_ids can name at most {most} runs, got {len(run_ids)}.")
    return scope.usable_runs(service, request, run_ids)


def _datasets(record: RunRecord) -> list[m.DatasetUse]:
    return [
        m.DatasetUse(
            name=each.name,
            digest=each.digest,
            source_type=each.source_type,
            source=each.source,
            context=each.tags.get(DATASET_CONTEXT),
            schema=each.schema,
            profile=each.profile,
        )
        for each in record.datasets
    ]


def _models(
    store: Store, records: Sequence[RunRecord], caller: Caller
) -> dict[str, list[m.ModelUse]]:
    """Return the models that each run used or made; of other experiments only their ids."""
    ids = list({use.model_id for record in records for use in record.models})
    rows = [each.row for each in store.models(ids)] if ids else []
    known = {row.model_id: row for row in rows if caller.may_use(row.experiment_id)}
    return {
        record.row.run_id: [
            m.ModelUse(
                model_id=use.model_id,
                role=use.role,
                step=use.step,
                name=known[use.model_id].name if use.model_id in known else "",
                status=known[use.model_id].status if use.model_id in known else "",
            )
            for use in record.models
        ]
        for record in records
    }


def _summary(known: Summary) -> m.SeriesSummary:
    return m.SeriesSummary(
        key=known.key,
        attempt=known.attempt,
        rank=known.rank,
        count=known.count,
        nan_count=known.nan_count,
        first=spelled(known.first),
        first_step=known.first_step,
        last=spelled(known.last),
        last_step=known.last_step,
        last_timestamp=known.last_timestamp,
        min=_spelled(known.min),
        min_step=known.min_step,
        max=_spelled(known.max),
        max_step=known.max_step,
        mean=_spelled(known.mean),
        model_id=known.model_id,
        dataset_name=known.dataset_name,
        dataset_digest=known.dataset_digest,
    )


def _spelled(value: float | None) -> Double | None:
    return None if value is None else spelled(value)
