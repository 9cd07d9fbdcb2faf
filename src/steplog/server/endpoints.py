"""The table of endpoints: what the server does of MLflow's REST API, and what it says it cannot.

`steplog.server.app` answers requests by it, `steplog.server.openapi` describes it.

What is in neither (registered models, traces, webhooks, GraphQL) is answered by ENDPOINT_NOT_FOUND:
MLflow's client asks for it only where a program means it.
"""

from __future__ import annotations

from typing import NoReturn

from steplog.exceptions import MlflowException
from steplog.server import charts, details, experiments, metrics, models, runs, storage, table
from steplog.server import messages as m
from steplog.server import storage_messages as s
from steplog.server import view_messages as v
from steplog.server.endpoint import API, API_3, OURS, Endpoint, Handler, Request, Role, Service

EVERYWHERE = (*API, *API_3)
AJAX = tuple(prefix for prefix in EVERYWHERE if prefix.startswith("/ajax-api"))

Shape = type[m.Message] | None


def no_artifacts(service: Service, request: Request) -> NoReturn:
    """Answer every request for the bytes of artifacts."""
    raise MlflowException(
        "This server keeps no artifacts. They are written and read straight at the `artifact_uri` "
        "of their run, which lies under the server's --artifact-root: a path that all clients "
        "share, or the URL of an object store.",
        "NOT_IMPLEMENTED",
    )


def _read(method: str, path: str, handle: Handler, request: Shape, answer: Shape) -> Endpoint:
    return Endpoint(method, f"/mlflow/{path}", handle, "read", EVERYWHERE, request, answer)


def _write(
    method: str, path: str, handle: Handler, request: Shape, answer: Shape = m.Empty
) -> Endpoint:
    return Endpoint(method, f"/mlflow/{path}", handle, "write", EVERYWHERE, request, answer)


def _own(method: str, path: str, handle: Handler, request: Shape, answer: Shape | str) -> Endpoint:
    return Endpoint(method, path, handle, "read", OURS, request, answer)


def _kept(path: str, handle: Handler, request: Shape = None, role: Role = "read") -> Endpoint:
    method = "GET" if request is None else "POST"
    handle = storage.for_all_experiments(handle)
    kind = storage.CONTENT_TYPE
    return Endpoint(method, f"/store/{path}", handle, role, OURS, request, kind, direct=True)


def _refused(
    method: str, path: str, role: Role = "read", prefixes: tuple[str, ...] = EVERYWHERE
) -> Endpoint:
    return Endpoint(method, path, no_artifacts, role, prefixes)


EXPERIMENTS = (
    _write("POST", "experiments/create", experiments.create, m.CreateExperiment, m.ExperimentId),
    _read("GET", "experiments/get", experiments.get, m.ExperimentId, m.AnExperiment),
    _read(
        "GET", "experiments/get-by-name", experiments.get_by_name, m.ExperimentName, m.AnExperiment
    ),
    _read(
        "POST", "experiments/search", experiments.search, m.SearchExperiments, m.FoundExperiments
    ),
    _read(
        "GET",
        "experiments/search",
        experiments.search_by_query,
        m.SearchExperiments,
        m.FoundExperiments,
    ),
    _write("POST", "experiments/update", experiments.update, m.UpdateExperiment),
    _write("POST", "experiments/delete", experiments.delete, m.ExperimentId),
    _write("POST", "experiments/restore", experiments.restore, m.ExperimentId),
    _write("POST", "experiments/set-experiment-tag", experiments.set_tag, m.SetExperimentTag),
    _write(
        "POST", "experiments/delete-experiment-tag", experiments.delete_tag, m.DeleteExperimentTag
    ),
    _read(
        "POST",
        "experiments/search-datasets",
        experiments.search_datasets,
        m.SearchDatasets,
        m.FoundDatasets,
    ),
)

RUNS = (
    _write("POST", "runs/create", runs.create, m.CreateRun, m.ARun),
    _read("GET", "runs/get", runs.get, m.RunId, m.ARun),
    _read("POST", "runs/search", runs.search, m.SearchRuns, m.FoundRuns),
    _write("POST", "runs/update", runs.update, m.UpdateRun, m.UpdatedRun),
    _write("POST", "runs/delete", runs.delete, m.RunId),
    _write("POST", "runs/restore", runs.restore, m.RunId),
    _write("POST", "runs/log-parameter", runs.log_param, m.LogParam),
    _write("POST", "runs/set-tag", runs.set_tag, m.SetTag),
    _write("POST", "runs/delete-tag", runs.delete_tag, m.DeleteTag),
    _write("POST", "runs/log-inputs", runs.log_inputs, m.LogInputs),
    _write("POST", "runs/outputs", runs.log_outputs, m.LogOutputs),
    _write("POST", "runs/log-model", runs.log_model, m.LogModel),
)

METRICS = (
    _write("POST", "runs/log-metric", metrics.log_metric, m.LogMetric)._replace(
        at_once=metrics.log_metric_at_once
    ),
    _write("POST", "runs/log-batch", metrics.log_batch, m.LogBatch)._replace(
        at_once=metrics.log_batch_at_once
    ),
    _read("GET", "metrics/get-history", metrics.get_history, m.GetHistory, m.History),
    _read(
        "GET",
        "metrics/get-history-bulk-interval",
        metrics.get_history_bulk_interval,
        m.GetHistoryInterval,
        m.Histories,
    ),
    _read(
        "GET",
        "metrics/get-history-bulk",
        metrics.get_history_bulk,
        m.GetHistoryBulk,
        m.Histories,
    )._replace(prefixes=AJAX),
)

MODEL = "logged-models/{model_id}"
MODELS = (
    _write("POST", "logged-models", models.create, m.CreateLoggedModel, m.ALoggedModel),
    _read("POST", "logged-models/search", models.search, m.SearchLoggedModels, m.FoundLoggedModels),
    _read("GET", MODEL, models.get, m.GetLoggedModel, m.ALoggedModel),
    _write("PATCH", MODEL, models.finalize, m.FinalizeLoggedModel, m.ALoggedModel),
    _write("DELETE", MODEL, models.delete, None),
    _write("PATCH", f"{MODEL}/tags", models.set_tags, m.SetLoggedModelTags),
    _write("DELETE", f"{MODEL}/tags/{{tag_key}}", models.delete_tag, None),
    _write("POST", f"{MODEL}/params", models.log_params, m.LogLoggedModelParams),
)

ARTIFACTS = (
    _refused("GET", "/mlflow/artifacts/list"),
    _refused("POST", "/mlflow/artifacts/presigned-upload-url", "write"),
    _refused("POST", "/mlflow/artifacts/presigned-download-url"),
    _refused("POST", "/mlflow/upload-artifact", "write", AJAX),
    _refused("GET", f"/mlflow/{MODEL}/artifacts/directories"),
    _refused("GET", f"/mlflow/{MODEL}/artifacts/files", prefixes=AJAX),
    _refused("GET", "/mlflow-artifacts/artifacts"),
    _refused("GET", "/mlflow-artifacts/artifacts/{path:path}"),
    _refused("PUT", "/mlflow-artifacts/artifacts/{path:path}", "write"),
    _refused("DELETE", "/mlflow-artifacts/artifacts/{path:path}", "write"),
    _refused("POST", "/mlflow-artifacts/mpu/{step}/{path:path}", "write"),
    _refused("GET", "/mlflow-artifacts/presigned/{path:path}"),
    _refused("GET", "/get-artifact", prefixes=("",)),
)

VIEW = (
    _own("GET", "/session", details.session, None, v.Session),
    _own("POST", "/runs/table", table.table, v.TableQuery, v.Table),
    _own("POST", "/runs/details", details.details, v.RunIds, v.Details),
    _own("POST", "/keys", details.keys, v.RunIds, v.FoundKeys),
    _own("POST", "/charts", charts.draw, v.ChartQueries, charts.CONTENT_TYPE),
    _own("POST", "/points", charts.points, v.PointsQuery, charts.CSV),
)

STORE = (
    # PUT, for it may be repeated; and no page of another site can send one without asking.
    _kept("batches", storage.apply, role="write")._replace(
        method="PUT", request=storage.CONTENT_TYPE
    ),
    _kept("positions", storage.positions, s.Journals),
    _kept("refusals", storage.refusals, s.SomeRefusals),
    _kept("experiments", storage.experiments, s.SomeExperiments),
    _kept("runs", storage.runs, s.SomeRuns),
    _kept("models", storage.models, s.SomeModels),
    _kept("datasets", storage.datasets, s.SomeDatasets),
    _kept("search", storage.search, s.Search),
    _kept("series", storage.series, s.SomeSeries),
    _kept("keys", storage.keys, s.WholeRuns),
    _kept("pair-keys", storage.pair_keys, s.WholeRuns),
    _kept("children", storage.children, s.WholeRuns),
    _kept("points", storage.points, s.SomePoints),
    _kept("outline", storage.outline, s.OneSeries),
    _kept("survey", storage.survey, s.Survey),
    _kept("beats", storage.beat, s.Writers, "write"),
    _kept("beating", storage.beating),
    _kept("purge", storage.purge, s.WholeRuns, "admin"),
    _kept("seal", storage.seal, s.Sealing, "write"),
    _kept("check", storage.check),
    _kept("stats", storage.stats),
)

ENDPOINTS: tuple[Endpoint, ...] = (
    *EXPERIMENTS, *RUNS, *METRICS, *MODELS, *ARTIFACTS, *VIEW, *STORE,
)  # fmt: skip
