"""Settings come from the process, the environment or the table; nonsense is refused by name."""

from __future__ import annotations

import os
import re
import typing
from pathlib import Path

import pytest

from steplog import settings
from steplog.exceptions import MlflowException


def test_process_beats_environment_beats_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was set in the process wins, then the environment, then the default."""
    assert settings.get("STEPLOG_SYNC_SECONDS") == 5.0
    monkeypatch.setenv("STEPLOG_SYNC_SECONDS", "0.5")
    assert settings.get("STEPLOG_SYNC_SECONDS") == 0.5
    settings.override("STEPLOG_SYNC_SECONDS", 2)
    assert settings.get("STEPLOG_SYNC_SECONDS") == 2.0
    settings.override("STEPLOG_SYNC_SECONDS", None)
    assert settings.get("STEPLOG_SYNC_SECONDS") == 0.5


def test_empty_text_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable set to nothing leaves the default in force, whatever the type."""
    for setting in settings.SETTINGS:
        monkeypatch.setenv(setting.name, "")
        assert settings.get(setting.name) == setting.default


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("MLFLOW_ENABLE_ASYNC_LOGGING", "True", True),
        ("MLFLOW_ENABLE_ASYNC_LOGGING", "0", False),
        ("STEPLOG_INGEST", "OFF", "off"),
        ("STEPLOG_MEMORY_LIMIT_MB", " 8 ", 8),
        ("STEPLOG_EXIT_SECONDS", "1e1", 10.0),
        ("MLFLOW_EXPERIMENT_NAME", " Mine ", " Mine "),
    ],
)
def test_texts_are_read_by_type(
    monkeypatch: pytest.MonkeyPatch, name: settings.Name, text: str, value: object
) -> None:
    """Words and numbers are read in any case and spacing, free text is kept as it is."""
    monkeypatch.setenv(name, text)
    assert settings.get(name) == value
    assert type(settings.get(name)) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("STEPLOG_INGEST", "never", "auto or on or off"),
        ("MLFLOW_TRUNCATE_LONG_VALUES", "yes", "true, false, 1 or 0"),
        ("STEPLOG_MEMORY_LIMIT_MB", "1.5", "a whole number, 0 or more"),
        ("STEPLOG_SEAL_POINTS", "-1", "a whole number, 0 or more"),
        ("STEPLOG_SYNC_SECONDS", "nan", "a number, 0 or more"),
        ("STEPLOG_SYNC_SECONDS", "soon", "a number, 0 or more"),
    ],
)
def test_a_text_that_means_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: settings.Name, text: str, allowed: str
) -> None:
    """The error names the variable, its text and what is allowed; so does setting it."""
    message = f"{name} must be {allowed}, but it is {text!r}."
    with pytest.raises(MlflowException, match=f"^{re.escape(message)}$") as caught:
        settings.override(name, text)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    monkeypatch.setenv(name, text)
    with pytest.raises(MlflowException, match=f"^{re.escape(message)}$"):
        settings.get(name)


def test_exporting_reaches_child_processes() -> None:
    """`export` changes the environment that children inherit, and None removes the variable."""
    settings.export("MLFLOW_EXPERIMENT_ID", "7")
    assert os.environ["MLFLOW_EXPERIMENT_ID"] == settings.get("MLFLOW_EXPERIMENT_ID") == "7"
    settings.export("MLFLOW_EXPERIMENT_ID", None)
    settings.export("MLFLOW_EXPERIMENT_ID", None)
    assert "MLFLOW_EXPERIMENT_ID" not in os.environ


def test_the_type_checker_knows_the_table() -> None:
    """The names by type that the overloads of `get` list are those of the table."""
    for names, kind in (
        (settings.BoolName, bool),
        (settings.IntName, int),
        (settings.FloatName, float),
        (settings.TextName, str),
    ):
        listed = set(typing.get_args(names))
        assert listed == {setting.name for setting in settings.SETTINGS if setting.type is kind}
    words = {setting.name for setting in settings.SETTINGS if isinstance(setting.type, tuple)}
    assert set(typing.get_args(settings.WordName)) == words


def test_nothing_else_touches_the_environment() -> None:
    """No other module of the package reads or writes environment variables."""
    package = Path(settings.__file__).parent
    others = [path for path in package.rglob("*.py") if path.name != "settings.py"]
    assert others
    for path in others:
        assert not re.search(r"\b(environb?|getenv|putenv)\b", path.read_text()), path
