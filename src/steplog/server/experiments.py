"""Experiments over HTTP: each function answers one endpoint.

A token that is held to one experiment finds that one and no other, and makes, renames and deletes
none.
"""

from __future__ import annotations

from steplog import rules
from steplog.exceptions import invalid, missing
from steplog.server import messages, scope, translation
from steplog.server.endpoint import Answer, Request, Service
from steplog.server.wire import NOTHING, answer, decode, decode_get

MOST_EXPERIMENTS_OF_DATASETS = 20


def create(service: Service, request: Request) -> Answer:
    """Make an experiment."""
    asked = decode(messages.CreateExperiment, request.body)
    request.caller.require_all_experiments()
    tags = translation.dictionary(asked.tags, "tags")
    experiment_id = service.client.create_experiment(asked.name, asked.artifact_location, tags)
    return answer(messages.ExperimentId(experiment_id))


def get(service: Service, request: Request) -> Answer:
    """Return an experiment by its id; deleted ones, too."""
    asked = decode_get(messages.ExperimentId, request)
    experiment = service.client.get_experiment(asked.experiment_id)
    request.caller.require_experiment(experiment.experiment_id)
    return answer(messages.AnExperiment(translation.experiment(experiment)))


def get_by_name(service: Service, request: Request) -> Answer:
    """Return an experiment by its name; deleted ones, too."""
    asked = decode_get(messages.ExperimentName, request)
    experiment = service.client.get_experiment_by_name(asked.experiment_name)
    if experiment is None:
        raise missing(f"Could not find experiment with name '{asked.experiment_name}'")
    request.caller.require_experiment(experiment.experiment_id)
    return answer(messages.AnExperiment(translation.experiment(experiment)))


def search(service: Service, request: Request) -> Answer:
    """Return one page of experiments."""
    return _found(service, request, decode(messages.SearchExperiments, request.body))


def search_by_query(service: Service, request: Request) -> Answer:
    """Do as `search`, asked by a query string."""
    return _found(service, request, decode_get(messages.SearchExperiments, request))


def update(service: Service, request: Request) -> Answer:
    """Rename an experiment."""
    asked = decode(messages.UpdateExperiment, request.body)
    request.caller.require_all_experiments()
    service.client.rename_experiment(asked.experiment_id, asked.new_name)
    return NOTHING


def delete(service: Service, request: Request) -> Answer:
    """Mark an experiment as deleted."""
    asked = decode(messages.ExperimentId, request.body)
    request.caller.require_all_experiments()
    service.client.delete_experiment(asked.experiment_id)
    return NOTHING


def restore(service: Service, request: Request) -> Answer:
    """Take back `delete`."""
    asked = decode(messages.ExperimentId, request.body)
    request.caller.require_all_experiments()
    service.client.restore_experiment(asked.experiment_id)
    return NOTHING


def set_tag(service: Service, request: Request) -> Answer:
    """Set a tag of an experiment."""
    asked = decode(messages.SetExperimentTag, request.body)
    request.caller.require_experiment(rules.check_experiment_id(asked.experiment_id))
    service.client.set_experiment_tag(asked.experiment_id, asked.key, asked.value)
    return NOTHING


def delete_tag(service: Service, request: Request) -> Answer:
    """Remove a tag of an experiment."""
    asked = decode(messages.DeleteExperimentTag, request.body)
    request.caller.require_experiment(rules.check_experiment_id(asked.experiment_id))
    service.client.delete_experiment_tag(asked.experiment_id, asked.key)
    return NOTHING


def search_datasets(service: Service, request: Request) -> Answer:
    """Return the datasets that runs of some experiments have read."""
    asked = decode(messages.SearchDatasets, request.body)
    ids = asked.experiment_ids or []
    if not ids:
        raise invalid("SearchDatasets request must specify at least one experiment_id.")
    if len(ids) > MOST_EXPERIMENTS_OF_DATASETS:
        raise invalid(
            f"SearchDatasets request cannot specify more than {MOST_EXPERIMENTS_OF_DATASETS} "
            f"experiment_ids. Received {len(ids)} experiment_ids."
        )
    summaries = [
        messages.DatasetSummary(*summary)
        for summary in service.client.search_datasets(scope.usable(request, ids))
    ]
    return answer(messages.FoundDatasets(summaries or None))


def _found(service: Service, request: Request, asked: messages.SearchExperiments) -> Answer:
    page = service.client.search_experiments(
        translation.view_type(asked.view_type),
        asked.max_results or 0,  # which is refused: MLflow insists on a number
        asked.filter,
        asked.order_by,
        asked.page_token or None,
    )
    found = [
        translation.experiment(each) for each in page if request.caller.may_use(each.experiment_id)
    ]
    return answer(messages.FoundExperiments(found or None, page.token))
