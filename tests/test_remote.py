"""A store on a steplog server passes the shipped suite, and stands what networks do."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pytest
from services import ClickHouse, proxying
from sockets import Stores, served_stores

from steplog.exceptions import FormatTooNew, MlflowException, StoreDamaged, StoreError
from steplog.points import Columns
from steplog.server import tokens
from steplog.stores import upgrade_store
from steplog.stores.base import Need, RunRecord, Store
from steplog.stores.http import OtherServer
from steplog.stores.remote import RemoteStore
from steplog.stores.retrying import Patience
from steplog.testing import RUN, Feed, StoreSuite, bits_of, create_run, read, the_series

SECONDS = 20.0


def at_once() -> Patience:
    """Return the patience of who tries again at once."""
    return Patience(draw=lambda low, high: 0.0)


@pytest.fixture(scope="module")
def stores() -> Iterator[Stores]:
    """Serve stores from here on."""
    with served_stores() as started:
        yield started


@pytest.fixture
def url(stores: Stores, tmp_path: Path) -> str:
    """Return the URL of an empty store."""
    return stores.add(tmp_path / "store")


@pytest.fixture
def store(url: str) -> Iterator[RemoteStore]:
    """Open an empty store."""
    with closing(RemoteStore(url, SECONDS, at_once())) as opened:
        yield opened


class TestRemoteStore(StoreSuite):
    """A store behind a real connection agrees with the suite."""

    @pytest.fixture(autouse=True)
    def _serve(self, stores: Stores) -> None:
        self.stores = stores

    def open_store(self, directory: Path) -> Store:
        """Return a store on a server, which keeps it in this directory."""
        return RemoteStore(self.stores.add(directory / "store"), SECONDS)


@pytest.mark.long
@pytest.mark.slow
class TestRemotePostgres(StoreSuite):
    """A server of a store in PostgreSQL agrees with the suite."""

    @pytest.fixture(autouse=True)
    def _serve(self, stores: Stores, postgres_store_uri: str) -> Iterator[None]:
        self.url = stores.add(postgres_store_uri)
        yield
        stores.last.client.backend.close()

    def open_store(self, directory: Path) -> Store:
        """Return a store on a server, which keeps it in the test's database."""
        return RemoteStore(self.url, SECONDS)


@pytest.mark.long
@pytest.mark.slow
class TestRemoteClickHouse(StoreSuite):
    """A server of a store in PostgreSQL, with its points in ClickHouse, agrees with the suite."""

    @pytest.fixture(autouse=True)
    def _serve(
        self,
        stores: Stores,
        postgres_uri: str,
        clickhouse_database: ClickHouse,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Iterator[None]:
        monkeypatch.setenv("STEPLOG_POINTS_URI", clickhouse_database.uri)
        upgrade_store(postgres_uri)
        self.url = stores.add(postgres_uri)
        yield
        stores.last.client.backend.close()

    def open_store(self, directory: Path) -> Store:
        """Return a store on a server, which keeps it in the test's databases."""
        return RemoteStore(self.url, SECONDS)


# Networks ---------------------------------------------------------------------------------------


def test_an_answer_that_is_lost_counts_once(url: str) -> None:
    """A batch whose answer never arrives is in the store, and is not there twice if sent again."""
    with proxying(int(urlsplit(url).port or 0)) as proxy:
        near = RemoteStore(url.replace(str(proxy.target), str(proxy.port)), SECONDS, at_once())
        batch = Feed(near).batch(operations=[create_run()])
        proxy.swallowing = 1
        assert near.apply(batch) is None  # the connection was idle, so it was sent again
        near.close()
        feed = Feed(near)
        batch = feed.batch()
        near.close()
        proxy.swallowing = 1
        with pytest.raises(StoreError, match="cannot be reached"):
            near.apply(batch)
        assert near.apply(batch) is None
        assert near.positions([batch.journal_id]) == {batch.journal_id: batch.after}
        assert len(near.runs()) == 1
        near.close()


def test_a_connection_that_was_closed_is_opened_again(url: str) -> None:
    """Nobody notices that the server closed a connection which nobody used."""
    with proxying(int(urlsplit(url).port or 0)) as proxy:
        near = RemoteStore(url.replace(str(proxy.target), str(proxy.port)), SECONDS)
        for _ in range(3):
            assert near.runs() == []
            proxy.cut()
        assert proxy.cuts == 3
        near.close()


def test_a_server_that_is_away_is_spared(url: str) -> None:
    """After a failure the next answer comes at once, without a try, and says when there is one."""
    with proxying(int(urlsplit(url).port or 0)) as proxy:
        patience = Patience(draw=lambda low, high: 40.0)
        near = RemoteStore(url.replace(str(proxy.target), str(proxy.port)), SECONDS, patience)
        proxy.refuse()
        with pytest.raises(StoreError, match=r"cannot be reached: Connection refused\.$"):
            near.runs()
        proxy.accept()
        with pytest.raises(StoreError, match=r"Connection refused\. It is tried again in 40 s\.$"):
            near.runs()
        patience.succeeded()
        assert near.runs() == []
        near.close()


def test_a_server_that_does_not_answer_is_not_waited_for(url: str) -> None:
    """Longer than the timeout nobody waits."""
    with proxying(int(urlsplit(url).port or 0)) as proxy:
        near = RemoteStore(url.replace(str(proxy.target), str(proxy.port)), 0.1, at_once())
        proxy.hold()
        with pytest.raises(StoreError, match=r"it does not answer\.$"):
            near.runs()
        proxy.release()
        near.close()


def test_points_that_are_cut_off_are_noticed(url: str, store: RemoteStore) -> None:
    """A read that ends half-way is an error, and never a shorter series."""
    values = np.random.default_rng(1).normal(size=200_000)
    Feed(store).log("loss", *((step, step * 7919, value) for step, value in enumerate(values)))
    with proxying(int(urlsplit(url).port or 0)) as proxy:
        near = RemoteStore(url.replace(str(proxy.target), str(proxy.port)), SECONDS, at_once())
        pieces = near.points(the_series(near).series_id)
        next(pieces)
        proxy.hold()
        proxy.cut()
        with pytest.raises(StoreError):
            list(pieces)
        proxy.release()
        assert len(read(near)) == values.size
        near.close()


def test_it_works_in_a_forked_child(url: str) -> None:
    """The child uses no connection of its parent's, and both are answered."""
    script = (
        "import os, sys\n"
        "from steplog.stores.remote import RemoteStore\n"
        "from steplog.testing import Feed, create_run\n"
        f"store = RemoteStore({url!r}, {SECONDS})\n"
        "points = store.points(1)\n"
        "Feed(store, '1' * 32).operate(create_run('a' * 32))\n"
        "child = os.fork()\n"
        "name = 'b' if child else 'c'\n"
        "for n in range(9):\n"
        "    Feed(store, name * 32).log('loss', (n, n, 1.0))\n"
        "    assert store.runs(['a' * 32])\n"
        "if not child: os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert len(store.positions([each * 32 for each in '1bc'])) == 3\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


# A series that grows ----------------------------------------------------------------------------


def test_a_survey_is_of_one_state(store: RemoteStore) -> None:
    """Where the series changes between outline and points, both are asked for anew."""
    feed = Feed(store)
    feed.log("loss", *((step, step, 0.5) for step in range(9_000)))
    asked: list[npt.NDArray[np.void]] = []

    def need(outline: npt.NDArray[np.void]) -> npt.NDArray[np.integer[Any]]:
        asked.append(outline)
        if len(asked) < 3:
            feed.log("loss", (10_000 + len(asked), 0, 1.5))
        return np.full(outline.size, Need.POINTS)

    found = [*store.survey(the_series(store).series_id, need)]
    steps = np.concatenate([each.step for each in found if isinstance(each, Columns)])
    assert len(asked) == 3
    assert steps.tolist() == [*range(9_000), 10_001, 10_002]
    assert bits_of(asked[-1]) == bits_of(store.outline(the_series(store).series_id))


def test_a_series_that_never_rests_is_an_error(store: RemoteStore) -> None:
    """Somebody else is always faster: then it is said, and not tried for ever."""
    feed = Feed(store)
    feed.log("loss", (0, 0, 0.5))
    steps = iter(range(1, 1_000))

    def need(outline: npt.NDArray[np.void]) -> npt.NDArray[np.integer[Any]]:
        feed.log("loss", (next(steps), 0, 1.5))
        return np.full(outline.size, Need.POINTS)

    with pytest.raises(StoreError, match="changes faster"):
        list(store.survey(the_series(store).series_id, need))


def test_one_answer_is_read_while_others_come(store: RemoteStore) -> None:
    """Who reads a long series slowly keeps nobody waiting, nor does it see what comes later."""
    feed = Feed(store)
    values = np.random.default_rng(1).normal(size=100_000)
    feed.log("loss", *((step, step, value) for step, value in enumerate(values)))
    pieces = store.points(the_series(store).series_id)
    seen = [next(pieces)]
    threads = [
        threading.Thread(target=lambda n=n: Feed(store, f"{n:032}").log(f"key{n}", (0, 0, 1.0)))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    feed.log("loss", (-1, 0, 0.5))
    seen.extend(pieces)
    assert np.concatenate([each.step for each in seen]).tolist() == [*range(100_000)]
    assert len(store.series([RUN])) == 9


# What is said -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        StoreError("The catalog is locked."),
        StoreDamaged("The catalog is damaged."),
        FormatTooNew("A newer one."),
        MlflowException("Not so.", "INVALID_PARAMETER_VALUE"),
    ],
)
def test_errors_of_the_server_come_back(
    stores: Stores, store: RemoteStore, error: MlflowException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With their class, their code and their text; but what passes is said to pass."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(stores.last.client.backend, "store", fail)
    with pytest.raises(type(error)) as caught:
        store.runs()
    assert caught.value.error_code == error.error_code
    assert error.message in caught.value.message


def ask(url: str) -> list[RunRecord]:
    """Return the runs that a server has."""
    with closing(RemoteStore(url, SECONDS)) as store:
        return store.runs()


def test_what_is_no_steplog_server_says_so(url: str) -> None:
    """Where nothing of the kind is answered, the URL is named."""
    with pytest.raises(OtherServer, match=f"{url}/elsewhere does not answer as one of steplog's"):
        ask(f"{url}/elsewhere")


def test_who_is_not_let_in_is_told_what_to_set(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a token, or with one that is too weak, the variable is named; passwords never are."""
    (tmp_path / "store").mkdir()
    _, token = tokens.create(str(tmp_path / "store"), "read")
    url = stores.add(tmp_path / "store")
    strange = url.replace("//", "//me:secret-word@")
    for address in (url, strange):
        with pytest.raises(StoreError, match="MLFLOW_TRACKING_TOKEN") as caught:
            ask(address)
        assert "secret-word" not in str(caught.value)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token)
    assert ask(url) == []
    with (
        closing(RemoteStore(url, SECONDS)) as store,
        pytest.raises(StoreError, match=r"This token may read; PUT .* Set MLFLOW_TRACKING_TOKEN"),
    ):
        store.apply(Feed(store).batch())
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "anybody")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", token)
    assert ask(url) == []
    assert ask(url.replace("//", f"//me:{token}@")) == []


@pytest.mark.parametrize("url", ["http://", "http://host:x", "http://[::1", "http://a:b@:5"])
def test_what_names_no_server_is_refused(url: str) -> None:
    """At once, without the password."""
    with pytest.raises(MlflowException, match="There is no server at") as caught:
        RemoteStore(url)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
