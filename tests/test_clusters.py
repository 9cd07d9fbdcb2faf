"""Directories that hosts share: writers only append, readers only read, and clocks differ."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

import steplog
from steplog import filesystem, journal, journal_reader, journals, operations, places
from steplog.backend import backend
from steplog.exceptions import SteplogWarning
from steplog.ingest import Ingestor
from steplog.journal import (
    CLOSED,
    HEARTBEAT,
    OPERATION,
    PAGE,
    POINT,
    SERIES,
    AppendedJournal,
    new_header,
    record,
)
from steplog.journal_reader import JournalReader
from steplog.operations import CreateRun, SeriesKey
from steplog.stores.base import Store
from steplog.stores.memory import MemoryStore

RUN = "a" * 32
KEY = SeriesKey(RUN, "loss")
CREATED = CreateRun(RUN, "0", "somebody", "a run", 1, {}, "")
OPENING = record(OPERATION, operations.encode(CREATED))
DEFINITION = record(SERIES, operations.encode_series(KEY), 1)

# Logs as a job on a cluster does, and then waits for a line.
JOB = """
import os, steplog
steplog.set_experiment("array")
with steplog.start_run(run_name=os.environ["JOB"]) as run:
    for step in range(200):
        steplog.log_metric("loss", step / 2, step)
    steplog.log_param("job", os.environ["JOB"])
    print(run.info.run_id, flush=True)
    input()
"""


def elsewhere(directory: Path) -> AppendedJournal:
    """Return a journal that a process of another host writes on a shared file system."""
    header = new_header("d" * 32, HEARTBEAT, durable=False)
    return AppendedJournal(str(directory), header._replace(host="elsewhere", boot_id="e" * 32))


def log(writing: AppendedJournal, steps: Sequence[int]) -> None:
    """Append one point for each step."""
    fields: list[float] = []
    for step in steps:
        fields += (step, step, step / 2, 1, POINT)
    writing.append_points(fields, len(steps))


def beat(writing: AppendedJournal, ahead_ms: int) -> None:
    """Stamp a heartbeat by a clock that goes so far ahead of the right one."""
    now_ms = time.time_ns() // 1_000_000 + ahead_ms
    filesystem.write_at(writing.fd, now_ms.to_bytes(8, "little", signed=True), 64)


def steps(store: Store) -> list[int]:
    """Return the steps that a store has of the only series."""
    return [
        step
        for series in store.series([RUN])
        for columns in store.points(series.series_id)
        for step in columns.step.tolist()
    ]


def looks(directory: Path) -> dict[str, tuple[int, int, int, str]]:
    """Return of everything in a directory, and of itself, when and how it was changed last."""
    found = {}
    for path in [directory, *directory.rglob("*")]:
        stat = path.stat()
        content = "" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path)] = (stat.st_mtime_ns, stat.st_size, stat.st_mode, content)
    return found


def read_only(directory: Path) -> list[str]:
    """Return the words before a command that make a directory read-only for it, root or not."""
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    before = ["unshare", "--mount", "sh", "-c", mount, str(directory)]
    try:
        tried = subprocess.run(
            [*before, "touch", directory / "new"], capture_output=True, text=True
        )
    except FileNotFoundError:
        pytest.skip("needs unshare")
    if "Read-only" not in tried.stderr:
        pytest.skip(f"needs the right to mount: {tried.stderr}")
    return before


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Yield two jobs that have logged to the directory ``shared/runs``, and wait."""
    environment = {
        **os.environ,
        "STEPLOG_INGEST": "off",
        "STEPLOG_TRACKING_URI": str(tmp_path / "shared" / "runs"),
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-c", JOB],
            env={**environment, "JOB": str(number)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    yield started
    for process in started:
        process.communicate("\n")
        assert process.returncode in (0, -9)


def reported(before: Sequence[str], *words: str) -> dict[str, object]:
    """Run a command of the command line, which must say nothing else, and return its document."""
    command = [*before, sys.executable, "-m", "steplog", *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done
    document: dict[str, object] = json.loads(done.stdout)
    return document


# What a reader does -------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.slow
def test_reading_needs_no_more_than_the_right_to_read(
    jobs: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    """Every command reads a directory that it cannot write, and sees what was just logged there."""
    run_ids = sorted(process.stdout.readline().strip() for process in jobs if process.stdout)
    jobs[0].kill()
    jobs[0].wait()
    shared = tmp_path / "shared"
    before = read_only(shared)
    store = ["--store", str(shared / "runs")]
    names = {path.name for path in shared.rglob("*")}
    listed = reported(before, *store, "--catalog", "mine", "runs")["runs"]
    assert isinstance(listed, list)
    assert sorted(each["run_id"] for each in listed) == run_ids
    assert sorted(each["status"] for each in listed) == ["LOST", "RUNNING"]
    shown = reported(before, *store, "show", run_ids[0])["series"]
    assert isinstance(shown, list)
    assert [(each["count"], each["last"]) for each in shown] == [(200, 99.5)]
    code = f"import steplog; print([s.step.size for s in steplog.read({run_ids!r})])"
    uri = {**os.environ, "STEPLOG_TRACKING_URI": str(shared / "runs")}
    read = subprocess.run([*before, sys.executable, "-c", code], capture_output=True, env=uri)
    assert (read.stdout, read.stderr) == (b"[200, 200]\n", b"")
    assert reported(before, *store, "ingest")["points"] == 0
    assert reported(before, *store, "check")["series"] == 2
    found = reported(before, *store, "status")["journals"]
    assert isinstance(found, list)
    assert sorted(each["live"] for each in found) == [False, True]
    for command in ("top", "du"):
        reported(before, *store, command)
    assert {path.name for path in shared.rglob("*")} == names
    catalogs = [*tmp_path.glob("mine/*/catalog.db"), *tmp_path.glob("state/catalogs/*/catalog.db")]
    assert len(catalogs) == 2
    assert {path.parent.stat().st_mode & 0o777 for path in catalogs} == {0o700}


def test_a_reader_changes_nothing(tmp_path: Path) -> None:
    """Where it could write, a reader with a catalog elsewhere still leaves everything as it is."""
    ended, torn = elsewhere(tmp_path), tmp_path / ("f" * 32 + ".journal")
    ended.append(OPENING + DEFINITION)
    log(ended, range(3))
    ended.end(0, 0, "")
    torn.touch()
    os.utime(torn, (1, 1))
    before = looks(tmp_path)
    ingestor = Ingestor(MemoryStore(), str(tmp_path), keep=True)
    for _ in range(3):
        assert ingestor.ingest().removed == set()
    assert steps(ingestor.store) == [0, 1, 2]
    assert looks(tmp_path) == before


def test_what_cannot_have_changed_is_not_opened_again(tmp_path: Path) -> None:
    """A complete journal is opened once by a reader, a silent one again when it has changed."""
    opened: list[str] = []

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and str(arguments[0]).startswith(str(tmp_path)):
            opened.append(str(arguments[0]))

    ended, silent, living = (elsewhere(tmp_path) for _ in range(3))
    for each in (ended, silent, living):
        each.append(OPENING + DEFINITION)
    beat(silent, -3_600_000)
    beat(living, 0)
    ended.end(0, 0, "")
    with open(ended.path, "r+b") as file:  # an hour ago
        file.seek(64)
        file.write((time.time_ns() // 1_000_000 - 3_600_000).to_bytes(8, "little"))
    ingestor = Ingestor(MemoryStore(), str(tmp_path), keep=True)
    sys.addaudithook(note)
    for _ in range(2):
        ingestor.ingest()
    assert sorted(opened) == sorted([ended.path, silent.path, living.path, living.path])
    log(silent, range(5))
    opened.clear()
    ingestor.ingest()
    assert sorted(opened) == sorted([silent.path, living.path])
    assert steps(ingestor.store) == [0, 1, 2, 3, 4]
    os.unlink(ended.path)  # an operator made room: what was read stays
    ingestor.ingest()
    assert steps(ingestor.store) == [0, 1, 2, 3, 4]
    tmp_path.rename(gone := tmp_path.with_name("gone"))  # the hook stays as long as the process
    gone.rename(tmp_path)
    silent.close()
    living.close()
    ingestor.close()


@pytest.mark.parametrize("ahead_ms", [-600_000, 600_000], ids=["behind", "ahead"])
def test_clocks_may_differ(ahead_ms: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer lives while new heartbeats come, and no point of it is lost, whatever its clock."""
    writing = elsewhere(tmp_path)
    beat(writing, ahead_ms)
    writing.append(OPENING + DEFINITION)
    for keep in (True, False):
        ingestor = Ingestor(MemoryStore(), str(tmp_path), keep=keep)
        first = len(steps(ingestor.store))
        ingestor.ingest()
        # Whoever looks once has nothing but the two clocks.
        assert bool(ingestor.live_writers()) is (ahead_ms > 0)
        for step in range(first, first + 3):
            log(writing, [step])
            beat(writing, ahead_ms + 1000 * (step + 1))
            ingestor.ingest()
            assert ingestor.live_writers() == {"d" * 32}
        assert steps(ingestor.store)[-1] == first + 2
        assert os.path.exists(writing.path)
        with monkeypatch.context() as later:
            later.setattr(journal_reader, "LOST_SECONDS", 0.0)
            later.setattr("steplog.ingest.LOST_SECONDS", 0.0)
            ingestor.ingest()
            assert ingestor.live_writers() == frozenset()
        assert os.path.exists(writing.path)
        ingestor.close()
    writing.close()


@pytest.mark.parametrize("seed", range(8))
def test_pages_may_be_seen_in_any_order(seed: int, tmp_path: Path) -> None:
    """Where another host shows the pages of a file one by one, in any order, all is read, once."""
    drawn = random.Random(seed)
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    writing = elsewhere(there)
    shown = here / Path(writing.path).name
    shown.touch()
    store = MemoryStore()
    ingestor = Ingestor(store, str(here), keep=True)
    assert ingestor.ingest().damaged == []

    def show(number: int) -> None:
        with open(writing.path, "rb") as file:
            file.seek(number * PAGE)
            page = file.read(PAGE)
        with open(shown, "r+b") as file:
            file.seek(number * PAGE)
            file.write(page)

    writing.append(OPENING)
    keys = [KEY._replace(key=f"metric {number} {'x' * 150}") for number in range(60)]
    for number, key in enumerate(keys):
        writing.append(record(SERIES, operations.encode_series(key), number + 1))
        fields: list[float] = []
        for step in range(20):
            fields += (step, step, drawn.random(), number + 1, POINT)
        writing.append_points(fields, 20)
        for _ in range(2):
            show(drawn.randrange(os.path.getsize(writing.path) // PAGE + 1))
        assert ingestor.ingest().damaged == []
    order = [*range(os.path.getsize(writing.path) // PAGE + 1)]
    drawn.shuffle(order)
    for number in order[:-1]:
        show(number)
        assert ingestor.ingest().damaged == []
    last = order.pop()  # the header may be there before the last page
    writing.end(0, 0, "")
    for number in (0, last):
        show(number)
        assert ingestor.ingest().damaged == []
    found = store.series([RUN])
    assert [series.key.key for series in found] == sorted(key.key for key in keys)
    assert all(
        columns.step.tolist() == [*range(20)]
        for series in found
        for columns in store.points(series.series_id)
    )
    ingestor.close()


def test_a_journal_is_closed_after_all_that_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a shared file system the slots are there for other hosts before the journal is closed."""
    done: list[str] = []
    fsync, write_at = os.fsync, filesystem.write_at

    def synced(fd: int) -> None:
        done.append("sync")
        fsync(fd)

    def written(fd: int, data: bytes, offset: int) -> int:
        done.append("slots" if offset >= PAGE else "header")
        return write_at(fd, data, offset)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(filesystem, "write_at", written)
    writing = elsewhere(tmp_path)
    writing.append(OPENING)
    writing.end(0, 0, "")
    assert done == ["header", "slots", "sync", "header", "header"]
    done.clear()
    saved = journal.save(str(tmp_path), new_header("d" * 32, HEARTBEAT, durable=False), OPENING)
    assert done == ["slots", "sync", "header"]
    reader = JournalReader(saved)
    assert (reader.header.state, reader.complete()) == (CLOSED, True)
    reader.close()


def test_journals_that_cannot_be_read_hide_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal that cannot be read, for its handle is stale, is told of and tried again."""
    one, other = elsewhere(tmp_path), elsewhere(tmp_path)
    for number, each in enumerate((one, other)):
        each.append(OPENING + DEFINITION)
        log(each, [number])
    ingestor = Ingestor(MemoryStore(), str(tmp_path), keep=True)
    opened = os.open

    def refuse(path: str, *arguments: int) -> int:
        if path == one.path:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return opened(path, *arguments)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(os, "open", refuse)
        report = ingestor.ingest()
        assert report.damaged == [f"{one.path} cannot be read now: Stale file handle."]
        assert steps(ingestor.store) == [1]
        assert [state.fault for state in journals.states(str(tmp_path))].count("") == 1
    assert ingestor.ingest().damaged == []
    assert steps(ingestor.store) == [0, 1]
    for each in (one, other):
        each.close()
    ingestor.close()


def test_copying_again_brings_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of a directory, taken while it is written and put over one another, are read once."""
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    ingestor = Ingestor(MemoryStore(), str(here))
    writing = elsewhere(there)
    writing.append(OPENING + DEFINITION)
    for round in range(3):
        log(writing, [2 * round, 2 * round + 1])
        beat(writing, 1000 * round)
        copy = shutil.copy2(writing.path, shutil.copytree(there, here, dirs_exist_ok=True) / "new")
        os.replace(copy, here / Path(writing.path).name)  # as rsync does
        ingestor.ingest()
        assert steps(ingestor.store) == [*range(2 * round + 2)]
    writing.end(0, 0, "")
    shutil.copytree(there, here, dirs_exist_ok=True)
    assert ingestor.ingest().removed == set(), "its size may not be what it was when it was closed"
    monkeypatch.setattr(journal_reader, "LOST_SECONDS", 0.0)
    for _ in range(2):
        shutil.copytree(there, here, dirs_exist_ok=True)
        assert len(ingestor.ingest().removed) == 1
        assert [*here.iterdir()] == []
    assert steps(ingestor.store) == [*range(6)]
    ingestor.close()


def test_homes_may_be_shared_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog is on a disk of this machine also where the home directory is not."""
    monkeypatch.setattr(filesystem, "filesystem_type", lambda path: _kind_below(tmp_path, path))
    place = places.resolve(str(tmp_path / "runs"))
    assert place.shared
    assert not place.catalog.startswith(str(tmp_path))
    monkeypatch.setenv("STEPLOG_CATALOG", str(tmp_path))
    assert places.resolve(str(tmp_path / "runs")).catalog.startswith(str(tmp_path))


def _kind_below(shared: Path, path: str) -> str:
    return "nfs4" if str(path).startswith(str(shared)) else "ext4"


# What a writer does -------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.slow
def test_a_training_only_appends_to_its_own_journal(tmp_path: Path) -> None:
    """With STEPLOG_INGEST=off a training opens one file there; it maps, locks and lists nothing."""
    shared = tmp_path / "shared"
    other = {**os.environ, "STEPLOG_INGEST": "off", "STEPLOG_TRACKING_URI": str(shared)}
    command = [sys.executable, "-c", JOB]
    subprocess.run(command, env={**other, "JOB": "1"}, input=b"\n", check=True, capture_output=True)
    before = {path.name for path in shared.rglob("*")}
    trace = ["strace", "-f", "-y", "-qq", "-o", "trace", "-e", "trace=all"]
    done = subprocess.run(
        [*trace, *command], env={**other, "JOB": "2"}, input=b"\n", capture_output=True
    )
    assert done.returncode == 0, done
    [own] = {path.name for path in shared.rglob("*")} - before
    lines = [line for line in Path("trace").read_text().splitlines() if str(shared) in line]
    calls = {line.split(None, 1)[1].partition("(")[0] for line in lines}
    # No openat of another file, no getdents64, flock, fcntl, mmap, rename or unlink.
    assert calls <= {
        *("execve", "mkdir", "stat", "newfstatat", "statx", "fstat", "lstat", "readlink"),
        *("openat", "open", "pwrite64", "write", "fsync", "close", "access", "faccessat2"),
    }
    opened = [line for line in lines if "open" in line.split(None, 1)[1].partition("(")[0]]
    assert opened and all(own in line for line in opened)
    assert sum("pwrite64" in line for line in lines) > 200
    assert not any("catalog.db" in line and "openat" in line for line in lines)


def test_a_writer_goes_on_with_another_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another host deletes the journal of a writer, it says so and logs on."""
    monkeypatch.setenv("STEPLOG_INGEST", "off")
    steplog.set_tracking_uri(tmp_path / "runs")
    run = steplog.start_run()
    steplog.log_metric("loss", 0.0, 0)
    writer = backend().recorder.writer
    [lost] = writer.files()
    write_at, read_at, fstat = filesystem.write_at, filesystem.read_at, os.fstat

    def stale(function: object) -> object:
        def refusing(first: int, *rest: object) -> object:
            # The one with the lowest number is the one that was deleted.
            if first == lost.fd or rest[-1:] == (lost.fd,):
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            return function(first, *rest)  # type: ignore[operator]

        return refusing

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(filesystem, "write_at", stale(write_at))
        meanwhile.setattr(filesystem, "read_at", stale(read_at))
        meanwhile.setattr(os, "fstat", stale(fstat))
        with pytest.warns(SteplogWarning, match="Stale file handle"):
            steplog.log_metric("loss", 1.0, 1)
        with pytest.warns(SteplogWarning, match="deleted on another host"):
            writer.look_after()
    os.unlink(lost.path)
    steplog.log_metric("loss", 2.0, 2)
    assert [each.path for each in writer.files()] != [lost.path]
    steplog.end_run()
    [series] = steplog.read(run, "loss")
    assert series.step.tolist() == [1, 2]


@pytest.mark.long
@pytest.mark.slow
def test_an_array_logs_into_one_run() -> None:
    """200 processes that live at once log into one run, and a reader that cannot write has all."""
    script = Path(__file__).parents[1] / "benchmarks" / "job_array.py"
    command = [sys.executable, str(script), "--processes", "200", "--points", "50"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done
    assert "20,000 points are all there" in done.stdout


# On a file system that really is another's --------------------------------------------------------


@contextmanager
def sshfs(directory: Path, at: Path) -> Iterator[Path]:
    """Mount a directory by SFTP, as if from another host."""
    server = shutil.which("sftp-server", path="/usr/lib/openssh:/usr/libexec/openssh")
    if shutil.which("sshfs") is None or server is None or not os.path.exists("/dev/fuse"):
        pytest.skip("needs sshfs and sftp-server")
    at.mkdir()
    asked, answered = os.pipe(), os.pipe()
    command = ["sshfs", f":{directory}", str(at), "-f", "-o", "passive", "-o", "dcache_timeout=1"]
    with (
        subprocess.Popen([server], stdin=asked[0], stdout=answered[1]),
        subprocess.Popen(
            command, stdin=answered[0], stdout=asked[1], stderr=subprocess.PIPE
        ) as far,
    ):
        for descriptor in (*asked, *answered):
            os.close(descriptor)
        try:
            while not os.path.ismount(at):
                if far.poll() is not None:
                    assert far.stderr is not None
                    pytest.skip(f"cannot mount: {far.stderr.read().decode()}")
                time.sleep(0.05)
            yield at
        finally:
            subprocess.run(["umount", "--lazy", str(at)], check=False)
            far.kill()


@pytest.mark.long
@pytest.mark.slow
def test_two_hosts_share_a_file_system(tmp_path: Path) -> None:
    """Over SFTP a training appends without being told to, and a reader with a mount of its own
    follows it to the end.
    """
    (tmp_path / "real").mkdir()
    with (
        sshfs(tmp_path / "real", tmp_path / "one") as one,
        sshfs(tmp_path / "real", tmp_path / "two") as two,
    ):
        uri = {**os.environ, "STEPLOG_TRACKING_URI": str(one / "runs"), "JOB": "1"}
        job = subprocess.Popen(
            [sys.executable, "-c", JOB],
            env=uri, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert job.stdout is not None
        run_id = job.stdout.readline().strip()
        steplog.set_tracking_uri(two / "runs")
        assert backend().place.shared
        while not (found := steplog.read(run_id)) or found[0].step.size < 200:
            time.sleep(0.1)  # until the file system shows it
        client = steplog.Client()
        [record] = backend().store().runs([run_id])
        assert client.statuses([record]) == ["RUNNING"]
        job.communicate("\n")
        while client.get_run(run_id).info.status != "FINISHED":
            time.sleep(0.1)
        backend().close()
        names = [path.name for path in (tmp_path / "real").rglob("*")]
        assert sorted(name.partition(".")[2] for name in names) == ["", "", "journal"]


# Which file systems are shared --------------------------------------------------------------------

MOUNTS = """\
22 28 0:21 / /proc rw,relatime - proc proc rw
28 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 28 0:39 / /scratch rw,relatime - lustre 10.0.0.1@tcp:/scratch rw,flock
41 28 0:40 /home /home rw,relatime shared:1 - nfs4 filer:/home rw,vers=4.2
42 41 0:41 / /home/me/my\\040data rw,relatime - fuse.sshfs me@far:/data rw
43 28 0:42 /@ /pool rw,relatime - btrfs /dev/vdb rw
44 28 0:43 / /gpfs rw,relatime - gpfs gpfs0 rw
"""


@pytest.mark.parametrize(
    ("device", "path", "kind"),
    [
        ("254:0", "/data", "ext4"),
        ("0:39", "/scratch/runs", "lustre"),
        ("0:40", "/home/you", "nfs4"),
        ("0:41", "/home/me/my data", "fuse.sshfs"),
        ("0:99", "/home/me/my data/runs", "fuse.sshfs"),
        ("0:99", "/pool/subvolume", "btrfs"),
        ("0:99", "/poolside", "ext4"),
        ("0:43", "/gpfs/x", "gpfs"),
    ],
)
def test_the_file_system_of_a_path(device: str, path: str, kind: str) -> None:
    """It is the one mounted from its device; without such a one, the nearest mount above it."""
    assert filesystem.mounted(MOUNTS.splitlines(), device, path) == kind


def test_shared_file_systems_are_known() -> None:
    """Those that clusters have are told from those that only this machine writes to."""
    for kind in ("nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "wekafs", "cifs", "smb3",
                 "9p", "virtiofs", "afs", "fuse.glusterfs", "fuse.sshfs", "autofs"):  # fmt: skip
        assert filesystem.is_network(kind)
        assert not filesystem.can_map(kind)
    for kind in ("ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", ""):
        assert not filesystem.is_network(kind)
