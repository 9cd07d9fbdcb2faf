"""What a journal needs of the operating system: space, locks, and which file system this is.

Nothing here knows what a journal is. Each function has its Linux form and a portable branch; the
README says which platforms are untested.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress

# File systems that overwrite in place: a mapped write into reserved space cannot fail.
# btrfs, zfs and bcachefs are missing on purpose: they copy on write, so a page that is written
# twice needs new space the second time, and where there is none the mapped write is a SIGBUS.
_OVERWRITING = frozenset({
    "apfs", "ext2", "ext3", "ext4", "f2fs", "hfs", "jfs", "ntfs", "ntfs3", "overlay", "ramfs",
    "tmpfs", "vfat", "xfs",
})  # fmt: skip
_ESCAPED = re.compile(r"\\([0-7]{3})")  # how a list of mounts spells blanks
# File systems that other hosts may write to at the same time, be it over a network, on a disk that
# they share, or through a hypervisor: mapped writes are not seen elsewhere in order, and SQLite
# needs memory that all of its readers share. What FUSE mounts is among them by its first letters.
_NETWORK = frozenset({
    "9p", "acfs", "afs", "auristorfs", "autofs", "beegfs", "ceph", "cifs", "coda", "cvfs", "dvs",
    "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs",
    "prl_fs", "pvfs2", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs", "wekafs",
})  # fmt: skip


def filesystem_type(path: str | os.PathLike[str]) -> str:
    """Name the file system that holds an existing path, such as ``ext4``; ``""`` where unknown."""
    device = os.stat(path).st_dev
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
            return mounted(mounts, f"{os.major(device)}:{os.minor(device)}", os.path.realpath(path))
    except OSError:
        return ""  # no /proc: not Linux, or a bare container


def mounted(mounts: Iterable[str], device: str, path: str) -> str:
    """Find in a list of mounts the type of the file system that holds a path.

    Args:
        mounts: lines of ``/proc/self/mountinfo``.
        device: number of the device that the path is on. Some file systems (btrfs, AFS, the
            snapshots of Ceph) give each of their parts a number that no mount has; then the
            nearest mount above the path is the one.
        path: absolute, without symbolic links.

    Example:
        >>> line = "42 27 0:39 / /data rw,relatime shared:1 - nfs4 filer:/data rw,vers=4.2"
        >>> mounted([line], "0:39", "/data/runs")
        'nfs4'

    """
    nearest, kind = "", ""
    for line in mounts:
        before, _, after = line.partition(" - ")
        _, _, number, _, point, *_ = before.split(" ")
        found = after.split(" ", 1)[0]
        if number == device:
            return found
        point = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), point)
        # The last one mounted at a point lies on top of the others.
        if len(point) >= len(nearest) and f"{path}/".startswith(f"{point.rstrip('/')}/"):
            nearest, kind = point, found
    return kind


def bytes_in(directory: str) -> int:
    """Return what the files of a directory take on the disk, in bytes.

    Journals are longer than that while they are written: their ends are reserved step by step.
    """
    total = 0
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # somebody has just removed it
                stat = entry.stat()
                total += getattr(stat, "st_blocks", -(-stat.st_size // 512)) * 512
    return total


def is_network(kind: str) -> bool:
    """Tell whether files of this file system are shared with other hosts."""
    return kind in _NETWORK or kind.startswith("fuse")


def can_map(kind: str) -> bool:
    """Tell whether writing through a mapping of reserved space is safe on this file system."""
    return kind in _OVERWRITING or (kind == "" and sys.platform == "darwin")


def reserve(fd: int, start: int, end: int) -> None:
    """Give the bytes ``start`` to ``end`` of a file real space on the disk.

    Writing through a mapping into a hole of a full disk kills the process with SIGBUS, so space is
    taken first. It is also filled with zeros: the first touch of a page that is reserved but was
    never written costs some 15 us, that of one with zeros in it a quarter of one.

    Raises:
        OSError: the disk is full, or the file may not grow so far.

    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, start, end - start)
    zeros = bytes(256 << 10)
    for offset in range(start, end, len(zeros)):
        write_at(fd, zeros[: end - offset], offset)


if sys.platform == "win32":
    import msvcrt
    import threading

    _seeking = threading.Lock()

    def write_at(fd: int, data: bytes, offset: int) -> int:
        """Write at an offset of an open file; return how many bytes were written."""
        with _seeking:
            os.lseek(fd, offset, os.SEEK_SET)
            return os.write(fd, data)

    def read_at(fd: int, size: int, offset: int) -> bytes:
        """Read up to `size` bytes at an offset of an open file."""
        with _seeking:
            os.lseek(fd, offset, os.SEEK_SET)
            return os.read(fd, size)

    # Windows locks ranges of bytes and keeps others from reading them: take one far behind the end.
    _FAR = 1 << 40

    def try_lock(fd: int, *, shared: bool = False) -> bool:
        """Take the lock of an open file without waiting; False when somebody else holds it."""
        os.lseek(fd, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def unlock(fd: int) -> None:
        """Give the lock of an open file back."""
        os.lseek(fd, _FAR, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def write_at(fd: int, data: bytes, offset: int) -> int:
        """Write at an offset of an open file; return how many bytes were written."""
        return os.pwrite(fd, data, offset)

    def read_at(fd: int, size: int, offset: int) -> bytes:
        """Read up to `size` bytes at an offset of an open file."""
        return os.pread(fd, size, offset)

    def try_lock(fd: int, *, shared: bool = False) -> bool:
        """Take the lock of an open file without waiting; False when somebody else holds it.

        ``flock``, not ``fcntl`` record locks: those are lost as soon as the process closes any
        other descriptor of the file, and the reader in the writer's own process does just that.
        """
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def unlock(fd: int) -> None:
        """Give the lock of an open file back."""
        fcntl.flock(fd, fcntl.LOCK_UN)
