"""Documents and code cannot drift apart: here they are compared."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a page in one language."""
    return [match["code"] for match in FENCE.finditer(text) if match["language"] == language]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path, link: str) -> bool:
    """Tell whether a relative link of `page` leads nowhere."""
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return not target.exists() or bool(anchor and anchor not in anchors(target))


def test_the_settings_page_is_made_from_the_table() -> None:
    """docs/settings.md is what docs/make_settings.py writes."""
    script = "import make_settings, sys; sys.stdout.buffer.write(make_settings.page().encode())"
    made = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT / "docs", capture_output=True, check=True
    )
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == made.stdout.decode()


def test_the_readme_has_two_set_up_commands_and_ci_runs_them() -> None:
    """The README has exactly two set-up commands, and .ci/run holds both, word for word."""
    commands = [block.strip() for block in blocks(README, "sh")]
    ci = [line.strip() for line in (ROOT / ".ci" / "run").read_text("utf-8").splitlines()]
    assert len(commands) == 2
    assert all(command in ci for command in commands)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of every page names a file and a heading that exist."""
    links = LINK.findall(FENCE.sub("", page.read_text("utf-8")))
    assert not [link for link in links if "://" not in link and broken(page, link)]


@pytest.mark.parametrize("code", blocks(README, "python"))
def test_the_code_of_the_readme_runs(code: str) -> None:
    """Each Python block of the README runs as it stands, in an empty directory."""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_every_command_is_in_the_readme() -> None:
    """The README names every command of the command line, and no other."""
    from steplog.cli import main

    assert set(re.findall(r"^\| `steplog (\w+)", README, re.MULTILINE)) == set(main.commands)


def test_the_public_names_are_documented() -> None:
    """docs/mlflow.md names everything that `steplog` exports."""
    import steplog

    page = (ROOT / "docs" / "mlflow.md").read_text("utf-8")
    assert not [name for name in steplog.__all__ if not re.search(rf"\b{name}\b", page)]


@pytest.mark.parametrize("module", sorted(ROOT.glob("tests/test_*.py")), ids=lambda path: path.name)
def test_every_test_says_what_must_hold(module: Path) -> None:
    """Every test function has a docstring."""
    functions = [
        node
        for node in ast.walk(ast.parse(module.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert not [node.name for node in functions if not ast.get_docstring(node)]
