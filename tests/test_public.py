"""The public surface: which names there are, their signatures, and what importing them costs."""

from __future__ import annotations

import fnmatch
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import steplog
from steplog import settings

PACKAGE = Path(steplog.__file__).parent
DOCS = Path(__file__).parent.parent / "docs" / "mlflow.md"

# Arguments of MLflow that are left out, for what they need is no part of steplog.
LEFT_OUT = {
    "set_experiment": {"trace_location"},
    "create_experiment": {"trace_location"},
    "MlflowClient.__init__": {"registry_uri", "workspace_store_uri"},
    "entities.Experiment.__init__": {
        "workspace",
        "trace_location",
        "effective_trace_archival_retention",
    },
}

# Optional arguments of ours that MLflow does not have; they stand behind those of MLflow.
ADDED = {
    "MlflowClient.__init__": ["artifact_root", "trusting"],
    "MlflowClient.create_run": ["user_id"],
    "MlflowClient.get_metric_history": ["max_results", "page_token"],
    "MlflowClient.get_logged_model": ["allow_deleted"],
}

HEAVY = {"numpy", "sqlite3", "click", "rich", "pcodec", "pandas", "asyncio", "http", "logging"}

# Prints the signatures of the real MLflow for the names given, as {name: {argument: default}}.
MLFLOW_SIGNATURES = """
import functools, inspect, json, sys, mlflow

def argument(parameter):
    return [parameter.kind.name, repr(parameter.default)]

signatures = {}
for name in sys.argv[1:]:
    try:
        found = functools.reduce(getattr, name.split("."), mlflow)
        parameters = inspect.signature(found).parameters
    except AttributeError:
        continue
    signatures[name] = {key: argument(value) for key, value in parameters.items()}
print(json.dumps(signatures))
"""


# Prints every public name of the real MLflow that has to do with tracking.
MLFLOW_NAMES = """
import inspect, json, mlflow

def belongs(value):
    module = getattr(value, "__module__", None) or ""
    return callable(value) and module.startswith(("mlflow.tracking", "mlflow.system_metrics"))

names = [name for name, value in vars(mlflow).items() if belongs(value)]
names += [f"MlflowClient.{name}" for name in vars(mlflow.MlflowClient)]
print(json.dumps([name for name in names if not name.rpartition(".")[2].startswith("_")]))
"""


def python(code: str, *arguments: str) -> str:
    """Run a script in a process of its own and return what it printed."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
    ).stdout


def methods(path: str, owner: type) -> dict[str, object]:
    """Return the public methods of a class, and its constructor, by their dotted names."""
    names = ["__init__", *(name for name in vars(owner) if not name.startswith("_"))]
    return {f"{path}.{name}": getattr(owner, name) for name in names}


def shared() -> dict[str, object]:
    """Return every function of ours that MLflow may have too, by its dotted name."""
    found = {name: getattr(steplog, name) for name in steplog.__all__}
    entities = vars(steplog.entities).items()
    return {
        **{name: each for name, each in found.items() if inspect.isfunction(each)},
        **{f"config.{name}": each for name, each in vars(steplog.config).items()},
        **methods("MlflowClient", steplog.MlflowClient),
        **{
            f"entities.{name}.__init__": each.__init__  # type: ignore[misc]
            for name, each in entities
            if isinstance(each, type) and "__init__" in vars(each)
        },
    }


def test_the_public_names_are_a_sorted_list() -> None:
    """`__all__` is sorted, whole, and says nothing that is not there."""
    assert steplog.__all__ == sorted(steplog.__all__)
    assert all(hasattr(steplog, name) for name in steplog.__all__)
    public = {
        name
        for name, value in vars(steplog).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert public - {"annotations", "import_module", "TYPE_CHECKING"} <= set(steplog.__all__)


def test_every_public_name_is_documented() -> None:
    """Every public function, class and method says what it does."""
    everything = {
        **{name: getattr(steplog, name) for name in steplog.__all__},
        **methods("Client", steplog.Client),
    }
    everything.pop("Client.__init__")  # the class says it
    assert not [name for name, each in everything.items() if not inspect.getdoc(each)]


@pytest.mark.slow
def test_signatures_are_mlflows() -> None:
    """Every function that MLflow has too takes the same arguments in the same order."""
    ours = {name: each for name, each in shared().items() if callable(each)}
    theirs = json.loads(python(MLFLOW_SIGNATURES, *ours))
    assert len(theirs) > 50
    for name, expected in theirs.items():
        parameters = inspect.signature(ours[name]).parameters
        found = {key: [each.kind.name, repr(each.default)] for key, each in parameters.items()}
        left_out, added = LEFT_OUT.get(name, set()), ADDED.get(name, [])
        assert list(found) == [*(key for key in expected if key not in left_out), *added], name
        assert all(parameters[key].default is not inspect.Parameter.empty for key in added), name
        for key, (kind, default) in found.items():
            if key in added:
                continue
            # What an entity may leave out is ours to say; what a function does, is not.
            assert kind == expected[key][0], (name, key)
            assert default == expected[key][1] or name.startswith("entities."), (name, key)


@pytest.mark.slow
def test_what_is_left_out_is_documented() -> None:
    """docs/mlflow.md lists every function and method of MLflow's tracking that is not here."""
    client = {f"MlflowClient.{name}" for name in dir(steplog.Client(os.devnull))}
    missing = {*json.loads(python(MLFLOW_NAMES))} - {*steplog.__all__} - client
    section = DOCS.read_text("utf-8").partition("## What is left out\n")[2].partition("\n## ")[0]
    listed = re.findall(r"`([\w.*]+)`", "".join(re.findall(r"^\| (.*?) \|", section, re.MULTILINE)))
    found = {pattern: set(fnmatch.filter(missing, pattern)) for pattern in listed}
    assert [name for name in missing if not any(name in names for names in found.values())] == []
    assert [pattern for pattern, names in found.items() if not names] == []


def test_import_budget() -> None:
    """Importing steplog, and starting to log, loads no numpy, no database and no terminal."""
    printed = python("import json, sys, steplog; print(json.dumps(sorted(sys.modules)))")
    loaded = {name.partition(".")[0] for name in json.loads(printed)}
    assert not loaded & HEAVY
    assert len(json.loads(printed)) < 150


def test_reading_is_loaded_when_it_is_used() -> None:
    """`steplog.read` is there without its module having been imported, and so is help on it."""
    printed = python(
        "import sys, steplog\n"
        "before = 'steplog.reading' in sys.modules\n"
        "print(before, steplog.read.__name__, 'read' in dir(steplog))\n"
    )
    assert printed == "False read True\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = steplog.nothing  # type: ignore[attr-defined]


def test_modules_by_mlflows_names() -> None:
    """What an MLflow program finds through the package is there after ``import … as mlflow``."""
    printed = python(
        "import steplog as mlflow\n"
        "print(mlflow.tracking.MlflowClient is mlflow.MlflowClient is mlflow.Client,\n"
        "      mlflow.exceptions.MlflowException is mlflow.MlflowException,\n"
        "      mlflow.entities.Metric('k', 1.0, 2, 3).key,\n"
        "      callable(mlflow.config.enable_async_logging))\n"
    )
    assert printed == "True True k True\n"


def test_only_settings_reads_the_environment() -> None:
    """No module but `steplog.settings` names the environment."""
    found = [
        path.name
        for path in PACKAGE.rglob("*.py")
        if re.search(r"\bos\.environ\b|\bgetenv\b", path.read_text("utf-8"))
    ]
    assert found == [Path(settings.__file__).name]
