"""What a run is told about the process that starts it: MLflow's default tags.

The commit of the program is not among them: finding it takes a git process or a library, and the
start of a run must not wait for either.
"""

from __future__ import annotations

import getpass
import json
import sys

from steplog import settings
from steplog.exceptions import warn

USER = "mlflow.user"
SOURCE_NAME = "mlflow.source.name"
SOURCE_TYPE = "mlflow.source.type"


def tags() -> dict[str, str]:
    """Return who runs which program, and the tags of MLFLOW_RUN_CONTEXT."""
    return {
        USER: settings.get("MLFLOW_TRACKING_USERNAME") or _user(),
        SOURCE_NAME: (sys.argv[0] if sys.argv else "") or "<console>",
        SOURCE_TYPE: "LOCAL",
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
