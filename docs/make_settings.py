"""Write docs/settings.md from `steplog.settings.SETTINGS`, the one table of settings.

Run ``python docs/make_settings.py`` after changing that table. A test compares the two.
"""

from __future__ import annotations

from pathlib import Path

from steplog.settings import SETTINGS, Setting

PAGE = Path(__file__).with_name("settings.md")

HEAD = """\
# Settings

Every setting is an environment variable, read when it is needed; one that is set to the empty text
counts as not set. A value that cannot be understood raises `MlflowException`
(`INVALID_PARAMETER_VALUE`), which names the variable, the text found and what is allowed. Variables
named `MLFLOW_…` mean what they mean in MLflow.

This page is made by `python docs/make_settings.py` from `steplog.settings.SETTINGS`.

| variable | may be | default | what it says |
|---|---|---|---|
"""


def row(setting: Setting) -> str:
    """Return one line of the table."""
    default = "–" if setting.default is None else f"`{setting.default}`"
    return f"| `{setting.name}` | {setting.allowed} | {default} | {setting.help} |\n"


def page() -> str:
    """Return the whole page."""
    return HEAD + "".join(row(setting) for setting in SETTINGS)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
