"""Logged models over HTTP: each function answers one endpoint."""

from __future__ import annotations

from typing import Any

from steplog import rules
from steplog.exceptions import invalid
from steplog.server import messages, scope, translation
from steplog.server.endpoint import Answer, Request, Service
from steplog.server.wire import NOTHING, answer, decode, decode_get


def create(service: Service, request: Request) -> Answer:
    """Make a model, which is then PENDING until `finalize`."""
    asked = decode(messages.CreateLoggedModel, request.body)
    request.caller.require_experiment(rules.check_experiment_id(asked.experiment_id))
    model = service.client.create_logged_model(
        asked.experiment_id,
        asked.name or None,
        asked.source_run_id,
        translation.dictionary(asked.tags, "tags"),
        translation.dictionary(asked.params, "params"),
        asked.model_type,
    )
    return answer(messages.ALoggedModel(translation.logged_model(model)))


def get(service: Service, request: Request) -> Answer:
    """Return a model with all points that were measured on it."""
    asked = decode_get(messages.GetLoggedModel, request)
    model_id = request.path_params["model_id"]
    model = service.client.get_logged_model(model_id, bool(asked.allow_deleted))
    request.caller.require_experiment(model.experiment_id)
    return answer(messages.ALoggedModel(translation.logged_model(model)))


def finalize(service: Service, request: Request) -> Answer:
    """Say what became of a model."""
    asked = decode(messages.FinalizeLoggedModel, request.body)
    model_id = _model_id(service, request, asked.model_id)
    model = service.client.finalize_logged_model(model_id, translation.model_status(asked.status))
    return answer(messages.ALoggedModel(translation.logged_model(model)))


def delete(service: Service, request: Request) -> Answer:
    """Mark a model as deleted."""
    service.client.delete_logged_model(_model_id(service, request))
    return NOTHING


def search(service: Service, request: Request) -> Answer:
    """Return one page of models."""
    asked = decode(messages.SearchLoggedModels, request.body)
    page = service.client.search_logged_models(
        scope.usable(request, asked.experiment_ids),
        asked.filter or None,
        [_dataset(each) for each in asked.datasets or ()] or None,
        asked.max_results or None,
        [_order(each) for each in asked.order_by or ()] or None,
        asked.page_token or None,
    )
    found = [translation.logged_model(model) for model in page]
    return answer(messages.FoundLoggedModels(found or None, page.token))


def set_tags(service: Service, request: Request) -> Answer:
    """Set tags of a model."""
    asked = decode(messages.SetLoggedModelTags, request.body)
    model_id = _model_id(service, request, asked.model_id)
    tags = {tag.key: tag.value for tag in asked.tags or ()}
    service.client.set_logged_model_tags(model_id, tags)
    return NOTHING


def delete_tag(service: Service, request: Request) -> Answer:
    """Remove a tag of a model."""
    model_id = _model_id(service, request)
    service.client.delete_logged_model_tag(model_id, request.path_params["tag_key"])
    return NOTHING


def log_params(service: Service, request: Request) -> Answer:
    """Record params of a model."""
    asked = decode(messages.LogLoggedModelParams, request.body)
    model_id = _model_id(service, request, asked.model_id)
    params = translation.dictionary(asked.params, "params")
    service.client.log_model_params(model_id, params)
    return NOTHING


def _model_id(service: Service, request: Request, in_body: str | None = None) -> str:
    """Return the model that a request is about. It exists, and the body speaks of no other."""
    model_id = request.path_params["model_id"]
    if in_body and in_body != model_id:
        raise invalid(f"The path names the model '{model_id}', and the body '{in_body}'.")
    scope.require_models(service, request, [model_id])
    service.client.expect_model(model_id)
    return model_id


def _dataset(asked: messages.ModelDataset) -> dict[str, Any]:
    return {
        "dataset_name": asked.dataset_name,
        "dataset_digest": asked.dataset_digest or None,
    }


def _order(asked: messages.ModelOrder) -> dict[str, Any]:
    return {
        "field_name": asked.field_name,
        "ascending": asked.ascending is not False,
        "dataset_name": asked.dataset_name or None,
        "dataset_digest": asked.dataset_digest or None,
    }
