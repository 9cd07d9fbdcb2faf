"""What a run is told about the process that starts it: MLflow's default tags."""

from __future__ import annotations

import getpass
import json
import sys

from steplog import git, settings
from steplog.exceptions import warn

USER = "mlflow.user"
SOURCE_NAME = "mlflow.source.name"
SOURCE_TYPE = "mlflow.source.type"


def tags() -> dict[str, str]:
    """Return who runs which program at which commit, and the tags of MLFLOW_RUN_CONTEXT."""
    return {
        USER: settings.get("MLFLOW_TRACKING_USERNAME") or _user(),
        SOURCE_NAME: (sys.argv[0] if sys.argv else "") or "<console>",
        SOURCE_TYPE: "LOCAL",
        **(git.tags(sys.argv[0]) if sys.argv and sys.argv[0] else {}),
        **_given(),
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # Windows, or a container whose user has no name
        return "unknown"


def _given() -> dict[str, str]:
    text = settings.get("MLFLOW_RUN_CONTEXT")
    if not text:
        return {}
    try:
        return {key: str(value) for key, value in json.loads(text).items()}
    except (ValueError, AttributeError):
        # A warning only, as in MLflow: no training should fail for want of a tag.
        warn(f"MLFLOW_RUN_CONTEXT must be a JSON object of tags, but it is {text!r}; ignored.")
        return {}
