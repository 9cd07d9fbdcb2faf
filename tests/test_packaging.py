"""The package and the page in it: built by the hook, whole or not at all, small, with licences."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest

from steplog.server import bundle

ROOT = Path(__file__).parent.parent
LARGEST_SCRIPT = 60 * 1024
needs_sources = pytest.mark.skipif(not (ROOT / "ui").is_dir(), reason="only the sdist has ui/")
needs_page = pytest.mark.skipif(
    bundle.read("app.js") is None, reason="the package was built without its page"
)
needs_node = pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm")


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    """The build hook; it imports hatchling, which only building needs."""
    pytest.importorskip("hatchling")
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the page is made of."""
    shutil.copytree(ROOT / "ui", tmp_path / "ui", ignore=shutil.ignore_patterns("node_modules"))
    (tmp_path / "src" / "steplog").mkdir(parents=True)
    return tmp_path


@needs_page
def test_the_script_is_small() -> None:
    """All scripts of the page together are no more than 60 kB as a browser loads them."""
    script = bundle.read("app.js")
    assert script is not None
    assert len(gzip.compress(script.body)) <= LARGEST_SCRIPT


@needs_page
def test_the_page_asks_nobody_else() -> None:
    """Page, script and style name no other host than those of namespaces and licences."""
    for name in ("index.html", "app.js", "app.css"):
        found = bundle.read(name)
        assert found is not None
        hosts = set(re.findall(r"https?://([\w.-]+)", found.body.decode()))
        assert hosts <= {"www.w3.org"}, name


@needs_page
def test_licences_of_what_is_bundled() -> None:
    """The licence of each library in the script is in the package."""
    text = bundle.read("LICENSES.txt")
    assert text is not None
    assert {"preact"} <= set(re.findall(r"^(\w+)$", text.body.decode(), re.MULTILINE))
    assert b"MIT" in text.body


@needs_sources
def test_the_lock_file_names_no_registry() -> None:
    """Each package is pinned by a hash; from where it comes is the business of who installs."""
    lock = json.loads((ROOT / "ui" / "package-lock.json").read_text("utf-8"))
    packages = {name: each for name, each in lock["packages"].items() if name}
    assert packages
    assert all("integrity" in each and "resolved" not in each for each in packages.values())


@needs_sources
@needs_node
@pytest.mark.slow
def test_the_page_is_built_of_its_sources(hook: ModuleType, tree: Path) -> None:
    """The hook makes all files, and a stamp that fits until a source changes."""
    assert not hook.is_fresh(tree)
    hook.make(tree)
    made = {path.name for path in (tree / "src" / "steplog" / "_ui").iterdir()}
    assert made == {*hook.MADE, "stamp"}
    assert hook.is_fresh(tree)
    assert [path.name for path in (tree / "src" / "steplog").iterdir()] == ["_ui"], "left over"
    with (tree / "ui" / "src" / "main.tsx").open("a") as source:
        source.write("\n")
    assert not hook.is_fresh(tree)
    (tree / "ui" / "src" / "main.tsx").write_text("import 'nothing there';\n")
    with pytest.raises(OSError, match="run build"):
        hook.make(tree)
    assert (tree / "src" / "steplog" / "_ui" / "app.js").exists(), "the one before stays"


@needs_sources
@pytest.mark.slow
@pytest.mark.parametrize("mode", ["skip", "auto", "require"])
def test_without_a_registry(tmp_path: Path, mode: str) -> None:
    """Where npm reaches nothing the package is built without the page, unless it must have it."""
    pytest.importorskip("hatchling")
    ignored = shutil.ignore_patterns("node_modules", "_ui", "__pycache__")
    for name in ("src", "ui"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    unreachable = {"npm_config_registry": "http://127.0.0.1:9", "npm_config_cache": "cache"}
    finished = _build(tmp_path, {**unreachable, "STEPLOG_UI": mode})
    assert (finished.returncode == 0) == (mode != "require"), finished.stdout
    assert ("The web page could not be built" in finished.stdout) == (mode != "skip")
    if mode != "require":
        [wheel] = (tmp_path / "dist").glob("*.whl")
        found = {name for name in zipfile.ZipFile(wheel).namelist() if "_ui" in name}
        # A note says why there is no page.
        assert found == ({"steplog/_ui/missing.txt"} if mode == "auto" else set())


def _build(folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
