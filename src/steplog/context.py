"""What a run is told about the process that starts it: MLflow's default tags."""

from __future__ import annotations

import getpass
import json
import os
import sys

from steplog import git, settings
from steplog.exceptions import warn

USER = "mlflow.user"
SOURCE_NAME = "mlflow.source.name"
SOURCE_TYPE = "mlflow.source.type"


def tags() -> dict[str, str]:
    """Return who runs which program at which commit, and the tags of MLFLOW_RUN_CONTEXT."""
    return {
        USER: settings.get("MLFLOW_TRACKING_USERNAME") or _user_of_credentials() or _login(),
        SOURCE_NAME: (sys.argv[0] if sys.argv else "") or "<console>",
        SOURCE_TYPE: "LOCAL",
        **(git.tags(sys.argv[0]) if sys.argv and sys.argv[0] else {}),
        **_given(),
    }


def _user_of_credentials() -> str | None:
    """Return the user that ``~/.mlflow/credentials`` names, which MLflow's client calls as."""
    path = os.path.expanduser("~/.mlflow/credentials")
    if not os.path.exists(path):
        return None
    from configparser import ConfigParser, Error

    credentials = ConfigParser(interpolation=None)
    try:
        credentials.read(path, "utf-8")
    except (Error, OSError, UnicodeDecodeError) as error:
        warn(f"{path} cannot be read, so runs have the name of the login: {error}")
    return credentials.get("mlflow", "mlflow_tracking_username", fallback=None)


def _login() -> str:
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
