"""What a caller may touch: a token may be held to one experiment; runs and models belong to one.

Callers that are held to none, which is all of them where there are no tokens, cost no look-up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from weakref import WeakKeyDictionary

from steplog.client import Client
from steplog.server.endpoint import Caller, Request, Service

MOST_REMEMBERED = 100_000
_ID_LENGTH = 32

_experiments: WeakKeyDictionary[Client, dict[str, str]] = WeakKeyDictionary()
"""Run id -> the experiment it belongs to, which never changes; of each store."""


def require_run(service: Service, request: Request, run_id: str) -> None:
    """Make sure that the caller may use a run.

    Raises:
        MlflowException: PERMISSION_DENIED; RESOURCE_DOES_NOT_EXIST, or INVALID_PARAMETER_VALUE
            where this cannot be the id of a run.

    """
    if request.caller.experiment_id is not None:
        request.caller.require_experiment(_experiment_of(service.client, run_id))


def surely_usable(service: Service, caller: Caller, run_id: str) -> bool:
    """Tell whether the caller may use a run, as far as that is known without a look at the store;
    False where it is not known.
    """
    if caller.experiment_id is None:
        return True
    experiment_id = _experiments.get(service.client, {}).get(run_id)
    return experiment_id is not None and caller.may_use(experiment_id)


def require_models(service: Service, request: Request, model_ids: Iterable[str | None]) -> None:
    """Make sure that the caller may use models; None and the empty text stand for none.

    Raises:
        MlflowException: PERMISSION_DENIED, or RESOURCE_DOES_NOT_EXIST.

    """
    if request.caller.experiment_id is not None:
        for model_id in {each for each in model_ids if each}:
            model = service.client.look_up_model(model_id)
            request.caller.require_experiment(model.experiment_id)


def usable_runs(service: Service, request: Request, run_ids: Sequence[str]) -> list[str]:
    """Return those of these runs that the caller may use, each once; unknown ones are no secret.

    Whole ids only: a store takes the beginning of an id for all runs that begin so.
    """
    run_ids = [each for each in dict.fromkeys(run_ids) if len(each) == _ID_LENGTH]
    only = request.caller.experiment_id
    if only is None:
        return run_ids
    records = service.client.store.runs(run_ids)
    theirs = {each.row.run_id for each in records if each.row.experiment_id == only}
    return [run_id for run_id in run_ids if run_id in theirs]


def usable(request: Request, experiment_ids: Iterable[str]) -> list[str]:
    """Return those of these experiments that the caller may use, for a search in them."""
    return [each for each in experiment_ids if request.caller.may_use(each)]


def _experiment_of(client: Client, run_id: str) -> str:
    known = _experiments.setdefault(client, {})
    experiment_id = known.get(run_id)
    if experiment_id is None:
        experiment_id = client.look_up_run(run_id).info.experiment_id
        if len(known) >= MOST_REMEMBERED:
            known.clear()
        if experiment_id:  # else the store could not be asked
            known[run_id] = experiment_id
    return experiment_id
