"""What a batch must have to itself where several servers write at once: names, to be locked.

SQLite lets one transaction write at a time. PostgreSQL lets any number, and each locks what its
batch touches: runs, experiments and their names, models, datasets. All take their locks at once and
in one order, so that none waits for another that waits for it. Who only reads an experiment, as
each new run of it does, shares its lock with others.

Here it is decided what is locked; `steplog.stores.postgres_database` does it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from steplog.fold import storable
from steplog.operations import (
    CreateExperiment,
    CreateModel,
    CreateRun,
    DeleteExperimentTag,
    LogInputs,
    Operation,
    SeriesKey,
    SetExperimentTags,
    UpdateExperiment,
)
from steplog.stores.base import Batch

MOST = 32
"""Who needs more locks than this locks everything instead: a server has room for 64 for each of
its connections, and one transaction that took thousands would leave none to the others."""
EVERYTHING = ("everything", "")
"""What everybody else shares, and who must be alone takes for itself."""

Name = tuple[str, str]
"""What is locked: its kind, and the text by which it is known."""


class Locks(NamedTuple):
    """Numbers of locks, ascending, and of each whether nobody else may have it."""

    numbers: list[int]
    exclusive: list[bool]


class Mentioned(NamedTuple):
    """The experiments that operations read where they are known, and make where they are not."""

    ids: frozenset[str]
    names: frozenset[str]


def mentioned(operations: Iterable[tuple[int, Operation]]) -> Mentioned:
    """Return the experiments that operations read or make."""
    ids, names = set(), set()
    for _, operation in operations:
        if isinstance(operation, (CreateExperiment, CreateRun, CreateModel)):
            operation = storable(operation)
            ids.add(operation.experiment_id)
            names.add(_name_in(operation))
    return Mentioned(frozenset(ids), frozenset(names - {""}))


def of_batch(batch: Batch, known: Mentioned) -> Locks:
    """Return the locks that applying a batch needs.

    Args:
        batch: what is to be applied.
        known: those of its `mentioned` experiments that are in the catalog and complete.

    """
    names: dict[Name, bool] = {("run", run_id): True for run_id in runs_of(batch)}
    for _, operation in batch.operations:
        for name, exclusive in _of_operation(storable(operation), known):
            if name[1] or name == EVERYTHING:
                names[name] = names.get(name, False) or exclusive
    return _numbered(names)


def runs_of(batch: Batch) -> set[str]:
    """Return the ids of the runs that a batch changes."""
    numbers = np.unique(batch.points["series"]).tolist()
    run_ids = {batch.series[number].run_id for number in numbers}
    run_ids.update(getattr(operation, "run_id", "") for _, operation in batch.operations)
    return {storable(SeriesKey(run_id, "")).run_id for run_id in run_ids if run_id}


def of_run(run_id: str) -> Locks:
    """Return the locks that changing the points of a run needs."""
    return _numbered({("run", run_id): True})


def of_name(name: str) -> int:
    """Return the number of a lock that has nothing to do with batches."""
    return _number(("held", name))


def _of_operation(operation: Operation, known: Mentioned) -> Iterator[tuple[Name, bool]]:
    """Yield what an operation touches, and whether it may change that."""
    if isinstance(operation, UpdateExperiment):
        if operation.lifecycle_stage is not None:
            yield EVERYTHING, True  # all runs of the experiment change with it
        yield ("experiment", operation.experiment_id), True
        yield ("name", operation.name or ""), True
    elif isinstance(operation, (CreateExperiment, CreateRun, CreateModel)):
        name = _name_in(operation)
        new = operation.experiment_id not in known.ids and name not in known.names
        yield ("experiment", operation.experiment_id), new
        yield ("name", name), new
    elif isinstance(operation, (SetExperimentTags, DeleteExperimentTag)):
        yield ("experiment", operation.experiment_id), True
    if isinstance(operation, LogInputs):
        for dataset in operation.datasets:
            yield ("dataset", f"{dataset.get('digest')} {dataset.get('name')}"), True
    model_id = getattr(operation, "model_id", None)
    if model_id is not None:
        yield ("model", model_id), True


def _name_in(operation: CreateExperiment | CreateRun | CreateModel) -> str:
    if isinstance(operation, CreateExperiment):
        return operation.name
    return operation.experiment_name or ""


def _numbered(names: dict[Name, bool]) -> Locks:
    if names.get(EVERYTHING) or len(names) > MOST:
        return Locks([_number(EVERYTHING)], [True])
    locks = sorted((_number(name), exclusive) for name, exclusive in names.items())
    # First of all, so that who wants everything does not wait with some of it in hand.
    locks.insert(0, (_number(EVERYTHING), False))
    return Locks([number for number, _ in locks], [exclusive for _, exclusive in locks])


def _number(name: Name) -> int:
    """Return a number for a name; that two get the same one is rare, and makes them wait only."""
    digest = blake2b("\0".join(("steplog", *name)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)
