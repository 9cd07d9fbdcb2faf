"""What a tracking URI means: where journals are written, and which store they go into."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import steplog
from steplog import MlflowException, places, ranks
from steplog.backend import backend
from steplog.background import ingests
from steplog.places import resolve
from steplog.stores.retrying import Patience


def test_a_directory_holds_its_catalog_and_its_journals(tmp_path: Path) -> None:
    """A local directory is a store of its own, by whichever name it is called."""
    directory = str(tmp_path / "runs here")
    place = resolve(directory)
    assert (place.kind, place.directory, place.catalog) == ("directory", directory, directory)
    assert place.journals == os.path.join(directory, "journal")
    assert not place.shared
    assert resolve(f"file://{directory}".replace(" ", "%20")) == place
    assert resolve(f"steplog://{directory}") == place
    assert resolve("runs here") == place  # the test runs in tmp_path


def test_far_stores_have_a_spool_on_this_machine(tmp_path: Path) -> None:
    """Journals for a server or a database wait in a directory that tells where they go."""
    server = resolve("http://user:secret@tracking:5000/")
    assert (server.kind, server.name) == ("server", "http://user@tracking:5000")
    assert server.uri == "http://user:secret@tracking:5000"
    assert server.directory.startswith(str(tmp_path / "state" / "spool"))
    assert "secret" not in server.directory
    assert resolve("postgresql://db/metrics").kind == "database"
    assert list(places.waiting()) == []
    os.makedirs(server.journals)
    assert list(places.waiting()) == []
    Path(server.journals, "x.journal").touch()
    assert [each.name for each in places.waiting()] == ["http://user@tracking:5000"]


@pytest.mark.parametrize(
    "uri",
    ["sqlite:///runs.db", "databricks://here", "http://", "https:host", "http://" + "x" * 300],
)
def test_other_uris_are_refused(uri: str) -> None:
    """A URI that steplog cannot use is the caller's mistake, and its message says so."""
    with pytest.raises(MlflowException, match="tracking URI"):
        steplog.set_tracking_uri(uri)
        backend()


def test_a_catalog_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a catalog elsewhere, writers leave ingesting to readers, whose catalogs keep apart."""
    monkeypatch.setenv("STEPLOG_CATALOG", str(tmp_path / "catalogs"))
    one, two = resolve(str(tmp_path / "one")), resolve(str(tmp_path / "two"))
    assert one.shared and one.catalog.startswith(str(tmp_path / "catalogs"))
    assert one.catalog != two.catalog
    assert not ingests(one)


def test_journals_stay_where_the_catalog_is_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader with a catalog of its own sees every point and leaves the journals as they are."""
    monkeypatch.setenv("STEPLOG_CATALOG", str(tmp_path / "catalogs"))
    steplog.set_tracking_uri(tmp_path / "runs")
    with steplog.start_run() as run:
        steplog.log_metric("loss", 0.5, step=1)
    for _ in range(2):
        [loss] = steplog.read(run, "loss")
        assert loss.value.tolist() == [0.5]
    backend().recorder.close()
    before = _written(tmp_path / "runs")
    assert any(path.suffix == ".journal" for path in before)
    backend().close()
    [loss] = steplog.read(run, "loss")
    assert loss.value.tolist() == [0.5]
    assert _written(tmp_path / "runs") == before


def test_offline_means_that_far_stores_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """With STEPLOG_OFFLINE nothing is sent anywhere; an embedded store is not far."""
    far = resolve("http://127.0.0.1:1")
    assert ingests(far)
    monkeypatch.setenv("STEPLOG_OFFLINE", "1")
    assert not ingests(far)
    assert ingests(resolve("here"))


def test_a_rank_is_what_the_launcher_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A series belongs to the rank of its process; nonsense in the environment is no rank."""
    assert ranks.own_rank() == ranks.NONE
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert ranks.own_rank() == 3
    monkeypatch.setenv("RANK", "many")
    assert ranks.own_rank() == 3
    monkeypatch.setenv("RANK", "0")
    with steplog.start_run() as run:
        steplog.log_metric("loss", 0.5)
    [loss] = steplog.read(run, "loss")
    assert loss.key.rank == 0


def test_patience_grows_with_failures() -> None:
    """Each failure doubles the longest pause, up to a limit; a success ends it."""
    clock = [100.0]
    patience = Patience(2.0, 10.0, now=lambda: clock[0], draw=lambda low, high: high)
    assert patience.remaining() == 0.0
    pauses = []
    for _ in range(5):
        patience.failed()
        pauses.append(patience.remaining())
    assert pauses == [2.0, 4.0, 8.0, 10.0, 10.0]
    clock[0] += 9.0
    assert patience.remaining() == 1.0
    clock[0] += 9.0
    assert patience.remaining() == 0.0
    patience.succeeded()
    patience.failed()
    assert patience.remaining() == 2.0


def _written(directory: Path) -> dict[Path, tuple[int, int]]:
    """Return what changes of each file when it is written to; reading changes its access time."""
    found = {path: path.stat() for path in directory.rglob("*")}
    return {path: (stat.st_mtime_ns, stat.st_size) for path, stat in found.items()}
