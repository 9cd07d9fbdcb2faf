"""Disks that are small, and can be filled: for what must survive that there is no room left."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.daemons import scratch


def missing() -> str:
    """Return why no disk can be had; the empty text where one can."""
    with scratch() as directory:
        if not _mount(directory, 1):
            return "this user may not mount a file system"
        _unmount(directory)
    return ""


@contextmanager
def small_disk(directory: Path, megabytes: int) -> Iterator[None]:
    """Make a directory a disk of its own; RuntimeError where this user may not."""
    directory.mkdir(parents=True, exist_ok=True)
    if not _mount(directory, megabytes):
        raise RuntimeError(missing())
    try:
        yield
    finally:
        _unmount(directory)


@contextmanager
def filled(directory: Path) -> Iterator[None]:
    """Leave no room on the disk of a directory."""
    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            pass  # that is what was wanted
    try:
        yield
    finally:
        ballast.unlink()


def _mount(directory: Path, megabytes: int) -> bool:
    if shutil.which("mount") is None or os.getuid() != 0:
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(directory)]
    return subprocess.run(command, capture_output=True).returncode == 0


def _unmount(directory: Path) -> None:
    subprocess.run(["umount", "--lazy", str(directory)], check=True)
