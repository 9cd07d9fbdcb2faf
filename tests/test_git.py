"""The commit of a program, compared with what git itself says of real repositories."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from steplog import git

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def run_git(*arguments: str, cwd: Path) -> str:
    """Run git and return what it prints."""
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.invalid")
    command = ("git", *identity, *arguments)
    return subprocess.run(
        command, cwd=cwd, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository with one commit and a remote whose address holds a password."""
    git.tags.cache_clear()
    root = tmp_path / "repository"
    root.mkdir()
    run_git("init", "--initial-branch", "trunk/one", cwd=root)
    (root / "train.py").touch()
    run_git("add", "train.py", cwd=root)
    run_git("commit", "--message", "First", cwd=root)
    run_git("remote", "add", "origin", "https://ada:secret@example.invalid/a.git", cwd=root)
    return root


def test_a_program_in_a_repository(repository: Path) -> None:
    """Commit, branch and remote are what git says, and the password of the remote is left out."""
    assert git.tags(str(repository / "train.py")) == {
        git.COMMIT: run_git("rev-parse", "HEAD", cwd=repository),
        git.BRANCH: "trunk/one",
        git.REPOSITORY: "https://example.invalid/a.git",
    }


def test_packed_references(repository: Path) -> None:
    """The commit is found as well after git has packed its references into one file."""
    run_git("pack-refs", "--all", cwd=repository)
    found = git.tags(str(repository))
    assert found[git.COMMIT] == run_git("rev-parse", "HEAD", cwd=repository)


def test_a_detached_head(repository: Path) -> None:
    """Without a branch there is a commit only."""
    run_git("checkout", "--detach", cwd=repository)
    run_git("remote", "remove", "origin", cwd=repository)
    assert list(git.tags(str(repository))) == [git.COMMIT]


def test_a_further_work_tree(repository: Path, tmp_path: Path) -> None:
    """A work tree that only points at its repository has its own branch and the same remote."""
    run_git("worktree", "add", "-b", "second", str(tmp_path / "second"), cwd=repository)
    found = git.tags(str(tmp_path / "second"))
    assert found[git.BRANCH] == "second"
    assert found[git.COMMIT] == run_git("rev-parse", "HEAD", cwd=repository)
    assert git.REPOSITORY in found


def test_outside_of_a_repository(tmp_path: Path) -> None:
    """A program that stands in no repository, or in one without a commit, has no tags."""
    git.tags.cache_clear()
    run_git("init", cwd=tmp_path)
    assert git.tags(str(tmp_path)) == {}
    git.tags.cache_clear()
    assert git.tags("/proc") == {}
