"""Runs over HTTP: each function answers one endpoint. What is measured is in `metrics`.

A request to make a run that a client sends again, because no answer reached it, makes a second run,
as in MLflow: nothing tells it from a program that wants two. Every other request here changes
nothing when it comes again.
"""

from __future__ import annotations

import json

from steplog import rules
from steplog.entities import LoggedModelInput, LoggedModelOutput
from steplog.exceptions import MlflowException, invalid
from steplog.paging import LARGEST_PAGE
from steplog.server import messages, scope, translation, wire
from steplog.server.endpoint import Answer, Request, Service
from steplog.server.wire import NOTHING, answer, decode, decode_get

DEFAULT_PAGE = 1_000
MODEL_HISTORY = "mlflow.log-model.history"
MODEL_FIELDS = {"artifact_path", "flavors", "utc_time_created", "run_id"}
"""What MLflow wants to know of a model that a run notes."""


def create(service: Service, request: Request) -> Answer:
    """Make a run."""
    asked = decode(messages.CreateRun, request.body)
    request.caller.require_experiment(rules.check_experiment_id(asked.experiment_id))
    tags = translation.dictionary(asked.tags, "tags")
    run = service.client.create_run(
        asked.experiment_id, asked.start_time, tags, asked.run_name, asked.user_id or ""
    )
    return answer(messages.ARun(translation.run(run)))


def get(service: Service, request: Request) -> Answer:
    """Return a run with the latest point of each metric; deleted ones, too."""
    asked = decode_get(messages.RunId, request)
    run = service.client.get_run(asked.run_id)
    request.caller.require_experiment(run.info.experiment_id)
    return answer(messages.ARun(translation.run(run)))


def update(service: Service, request: Request) -> Answer:
    """Give a run another status, end or name."""
    asked = decode(messages.UpdateRun, request.body)
    scope.require_run(service, request, asked.run_id)
    info = service.client.update_run_info(
        asked.run_id, asked.status, asked.end_time, asked.run_name or None
    )
    return answer(messages.UpdatedRun(translation.run_info(info)))


def delete(service: Service, request: Request) -> Answer:
    """Mark a run as deleted."""
    asked = decode(messages.RunId, request.body)
    scope.require_run(service, request, asked.run_id)
    service.client.delete_run(asked.run_id)
    return NOTHING


def restore(service: Service, request: Request) -> Answer:
    """Take back `delete`."""
    asked = decode(messages.RunId, request.body)
    scope.require_run(service, request, asked.run_id)
    service.client.restore_run(asked.run_id)
    return NOTHING


def search(service: Service, request: Request) -> Answer:
    """Return one page of runs."""
    asked = decode(messages.SearchRuns, request.body)
    size = DEFAULT_PAGE if asked.max_results is None else asked.max_results
    if size > LARGEST_PAGE:
        raise wire.wrong("max_results", size)
    page = service.client.search_runs(
        scope.usable(request, asked.experiment_ids or ()),
        asked.filter or "",
        translation.view_type(asked.run_view_type),
        size,
        asked.order_by,
        asked.page_token or None,
    )
    found = [translation.run(run) for run in page]
    return answer(messages.FoundRuns(found or None, page.token))


def log_param(service: Service, request: Request) -> Answer:
    """Record a param."""
    asked = decode(messages.LogParam, request.body)
    scope.require_run(service, request, asked.run_id)
    try:
        service.client.log_param(asked.run_id, asked.key, asked.value, synchronous=True)
    except MlflowException as error:  # MLflow's client adds the advice itself
        text = error.message.removesuffix(rules.PARAM_ADVICE)
        raise MlflowException(text, error.error_code) from error
    return NOTHING


def set_tag(service: Service, request: Request) -> Answer:
    """Set a tag."""
    asked = decode(messages.SetTag, request.body)
    scope.require_run(service, request, asked.run_id)
    service.client.set_tag(asked.run_id, asked.key, asked.value, synchronous=True)
    return NOTHING


def delete_tag(service: Service, request: Request) -> Answer:
    """Remove a tag."""
    asked = decode(messages.DeleteTag, request.body)
    scope.require_run(service, request, asked.run_id)
    service.client.delete_tag(asked.run_id, asked.key)
    return NOTHING


def log_inputs(service: Service, request: Request) -> Answer:
    """Record datasets and models that a run has read."""
    asked = decode(messages.LogInputs, request.body)
    scope.require_run(service, request, asked.run_id)
    scope.require_models(service, request, (each.model_id for each in asked.models or ()))
    service.client.log_inputs(
        asked.run_id,
        [translation.dataset_input_entity(each) for each in asked.datasets or ()],
        [LoggedModelInput(each.model_id) for each in asked.models or ()],
    )
    return NOTHING


def log_outputs(service: Service, request: Request) -> Answer:
    """Record models that a run has made."""
    asked = decode(messages.LogOutputs, request.body)
    scope.require_run(service, request, asked.run_id)
    scope.require_models(service, request, (each.model_id for each in asked.models))
    outputs = [LoggedModelOutput(each.model_id, each.step) for each in asked.models]
    service.client.log_outputs(asked.run_id, outputs)
    return NOTHING


def log_model(service: Service, request: Request) -> Answer:
    """Note a model in a tag of its run, as MLflow 2 did; its Spark models still come this way."""
    asked = decode(messages.LogModel, request.body)
    scope.require_run(service, request, asked.run_id)
    model = _json(asked.model_json)
    if model is None:
        raise invalid(f"Malformed model info. \n {asked.model_json} \n is not a valid JSON.")
    absent = MODEL_FIELDS - set(model if isinstance(model, dict) else ())
    if absent:
        raise invalid(f"Model json is missing mandatory fields: {absent}")
    noted = _json(service.client.get_run(asked.run_id).data.tags.get(MODEL_HISTORY, ""))
    models = noted if isinstance(noted, list) else []
    if model not in models:
        models.append(model)
        # A tag holds so many characters; the models noted first give way.
        while len(text := json.dumps(models)) > rules.MAX_TAG_LENGTH and len(models) > 1:
            models.pop(0)
        service.client.set_tag(asked.run_id, MODEL_HISTORY, text, synchronous=True)
    return NOTHING


def _json(text: str) -> object:
    """Return what a text says as JSON; None where it says nothing."""
    try:
        value: object = json.loads(text)
        return value
    except (ValueError, RecursionError):
        return None
