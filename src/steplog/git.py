"""Which commit a program is at: read from the files of its repository, without a git process.

Starting a run must not wait for a process or a library; a few small files take less than a
millisecond. What cannot be read is left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import lru_cache

COMMIT = "mlflow.source.git.commit"
BRANCH = "mlflow.source.git.branch"
REPOSITORY = "mlflow.source.git.repoURL"

_CREDENTIALS = re.compile("(?<=://)[^/@]*@")
_BRANCH_PREFIX = "ref: refs/heads/"


@lru_cache(maxsize=1)
def tags(program: str) -> dict[str, str]:
    """Return commit, branch and repository of a program, as MLflow's tags.

    Args:
        program: path of a file or directory.

    """
    try:
        repository = _repository(os.path.realpath(program))
        if repository is None:
            return {}
        head = _read(repository, "HEAD")
        shared = os.path.normpath(os.path.join(repository, _read(repository, "commondir") or "."))
        found = {
            COMMIT: _commit(shared, head),
            BRANCH: head.removeprefix(_BRANCH_PREFIX) if head.startswith(_BRANCH_PREFIX) else "",
            REPOSITORY: next(_urls(shared), ""),
        }
    except (OSError, UnicodeDecodeError):
        return {}
    return {tag: text for tag, text in found.items() if text} if found[COMMIT] else {}


def _repository(path: str) -> str | None:
    """Return the directory that describes the work tree around a path."""
    while not os.path.exists(os.path.join(path, ".git")):
        path, last = os.path.dirname(path), path
        if path == last:
            return None
    found = os.path.join(path, ".git")
    if os.path.isfile(found):  # a further work tree, or a submodule: a file that names the place
        return os.path.join(path, _read(path, ".git").removeprefix("gitdir: "))
    return found


def _commit(shared: str, head: str) -> str:
    if not head.startswith("ref: "):
        return head
    ref = head.removeprefix("ref: ")
    commit = _read(shared, ref)
    packed = (line.partition(" ") for line in _read(shared, "packed-refs").splitlines())
    return commit or next((commit for commit, _, name in packed if name == ref), "")


def _urls(shared: str) -> Iterator[str]:
    """Yield the addresses of the remotes, without names and passwords."""
    section = ""
    for line in map(str.strip, _read(shared, "config").splitlines()):
        if line.startswith("["):
            section = line
        key, _, value = line.partition("=")
        if section.startswith("[remote ") and key.strip() == "url":
            yield _CREDENTIALS.sub("", value.strip())


def _read(directory: str, name: str) -> str:
    """Return the text of a file, empty where there is none."""
    try:
        with open(os.path.join(directory, name), encoding="utf-8") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""
