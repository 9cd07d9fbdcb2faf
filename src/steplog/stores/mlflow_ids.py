"""Ids: which run, experiment or model of an MLflow server is which of ours, and the other way.

Our writers choose ids before any server has answered; the server chooses its own. Each pair stands
in the ledger of this machine, and on the server as a tag, so that it is found again after an answer
was lost, and from other machines. Whoever reads is given our id where there is one, and may ask by
either.

What is not here: creating anything (`mlflow_sending`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from steplog.rows import DEFAULT_EXPERIMENT_ID
from steplog.stores.mlflow_api import Api, Declined, quoted
from steplog.stores.mlflow_ledger import Kind, Ledger

TAGS: dict[Kind, str] = {
    "run": "steplog.run_id",
    "experiment": "steplog.experiment_id",
    "model": "steplog.model_id",
}
"""The tags by which the server knows our ids. They are left out of what is read."""
_ID = re.compile(r"[\w-]{1,256}", re.ASCII)
_NUMBER = re.compile("[0-9]{1,18}")
"""What can be an id at all. Nothing else is put into a filter, or asked for."""
ALL = "ALL"
"""MLflow's view type of what is active and what is deleted."""


class Ids:
    """Pairs of ids, from the ledger or else from the server. Its methods raise as `Api` does."""

    def __init__(self, api: Api, ledger: Ledger) -> None:
        self._api = api
        self._ledger = ledger
        # What was looked at, or need not be.
        self._seen: set[tuple[Kind, str]] = {("experiment", DEFAULT_EXPERIMENT_ID)}

    # -- ours to theirs ---------------------------------------------------------------------------

    def run(self, ours: str) -> str | None:
        """Return the server's id of a run, given by our id or by the server's own."""
        known = self._ledger.theirs("run", ours)
        if known or not _ID.fullmatch(ours):
            return known or None
        run = self._api.found("run", "runs/get", run_id=ours)
        return ours if run is not None else self.tagged_run(ours)

    def tagged_run(self, ours: str, experiment_ids: Iterable[str] | None = None) -> str | None:
        """Return the server's id of the run that has ours as a tag.

        Args:
            ours: our id.
            experiment_ids: where to look, by the server's ids; None for everywhere.

        """
        body = {
            "experiment_ids": [*(experiment_ids or self.all_experiments())],
            "filter": f"tags.`{TAGS['run']}` = '{ours}'",
            "run_view_type": ALL,
            "max_results": 1,
        }
        for run in self._api.search("runs", "runs/search", body):
            theirs: str = run["info"]["run_id"]
            self._ledger.pair("run", ours, theirs)
            return theirs
        return None

    def experiment(self, ours: str, name: str | None = None) -> str | None:
        """Return the server's id of an experiment: by our id, by the server's, else by name."""
        if ours == DEFAULT_EXPERIMENT_ID:
            return ours
        known = self._ledger.theirs("experiment", ours)
        if known:
            return known
        if _NUMBER.fullmatch(ours) and self._api.found(
            "experiment", "experiments/get", experiment_id=ours
        ):
            return ours
        if name:
            return self.named_experiment(ours, name)
        if not _ID.fullmatch(ours):
            return None
        body = {"filter": f"tags.`{TAGS['experiment']}` = '{ours}'", "view_type": ALL}
        for experiment in self._api.search("experiments", "experiments/search", body):
            return self._pair("experiment", ours, experiment["experiment_id"])
        return None

    def named_experiment(self, ours: str, name: str) -> str | None:
        """Return the server's id of the experiment of this name, which is from now on ours, too."""
        found = self._api.found("experiment", "experiments/get-by-name", experiment_name=name)
        return None if found is None else self._pair("experiment", ours, found["experiment_id"])

    def model(self, ours: str) -> str | None:
        """Return the server's id of a logged model, given by our id or by the server's own."""
        known = self._ledger.theirs("model", ours)
        if known or not _ID.fullmatch(ours):
            return known or None
        try:
            if self._api.found("model", f"logged-models/{quoted(ours)}") is not None:
                return ours
            return self.tagged_model(ours)
        except Declined as declined:
            if declined.error_code != "NOT_IMPLEMENTED":
                raise
            return None

    def tagged_model(self, ours: str) -> str | None:
        """Return the server's id of the logged model that has ours as a tag."""
        body = {
            "experiment_ids": self.all_experiments(),
            "filter": f"tags.`{TAGS['model']}` = '{ours}'",
            "max_results": 1,
        }
        for model in self._api.search("models", "logged-models/search", body):
            return self._pair("model", ours, model["info"]["model_id"])
        return None

    def all_experiments(self) -> list[str]:
        """Return the server's ids of all experiments, deleted ones included."""
        found = self._api.search("experiments", "experiments/search", {"view_type": ALL})
        return [each["experiment_id"] for each in found]

    # -- theirs to ours ---------------------------------------------------------------------------

    def our_run(self, theirs: str, tags: Mapping[str, str] | None = None) -> str:
        """Return our id of a run of the server; the server's own where we have none.

        Args:
            theirs: the server's id.
            tags: of the run, where they are at hand; else it is looked up, once.

        """
        if tags is None and self._is_new("run", theirs):
            run = self._api.found("run", "runs/get", run_id=theirs) or {}
            tags = texts(run.get("data", {}).get("tags"))
        return self._learnt("run", theirs, tags)

    def our_experiment(self, theirs: str, tags: Mapping[str, str] | None = None) -> str:
        """Return our id of an experiment of the server; the server's own where we have none."""
        if tags is None and self._is_new("experiment", theirs):
            found = self._api.found("experiment", "experiments/get", experiment_id=theirs) or {}
            tags = texts(found.get("tags"))
        return self._learnt("experiment", theirs, tags)

    def our_model(self, theirs: str, tags: Mapping[str, str] | None = None) -> str:
        """Return our id of a logged model of the server; the server's own where we have none."""
        return self._learnt("model", theirs, tags)

    def _is_new(self, kind: Kind, theirs: str) -> bool:
        return (kind, theirs) not in self._seen and self._ledger.ours(kind, theirs) == theirs

    def _learnt(self, kind: Kind, theirs: str, tags: Mapping[str, str] | None) -> str:
        self._seen.add((kind, theirs))
        told = (tags or {}).get(TAGS[kind])
        if told and not self._ledger.theirs(kind, told):
            self._ledger.pair(kind, told, theirs)
        return self._ledger.ours(kind, theirs)

    def _pair(self, kind: Kind, ours: str, theirs: Any) -> str:
        self._ledger.pair(kind, ours, str(theirs))
        return str(theirs)


def texts(pairs: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """Return params or tags, as they travel, by key."""
    return {each["key"]: each.get("value", "") for each in pairs or ()}
