"""What an endpoint of the server is: the seam between HTTP and what steplog answers.

Above it stands the transport (`steplog.server.app`), which knows connections, tokens and limits,
and nothing of MLflow; below it the handlers, which are plain functions and know no HTTP server. The
table of all endpoints is `steplog.server.endpoints.ENDPOINTS`; how it looks to programs says
`steplog.server.openapi.document`.

What is not here: the messages that travel (`steplog.server.wire`), who the caller is and how that
is found out (`steplog.server.tokens`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple

from steplog.charts import Charts
from steplog.client import Client
from steplog.exceptions import MlflowException
from steplog.recent import Recent
from steplog.server.measuring import Measures

Role = Literal["open", "read", "write", "admin"]
"""The least that a token must be good for; ``open`` needs none. Each includes the ones before."""

API = ("/api/2.0", "/ajax-api/2.0")
API_3 = ("/api/3.0", "/ajax-api/3.0")
OURS = ("/api/steplog/1",)
"""The prefix of steplog's own endpoints, with the version of all of them."""
SNAPSHOT_BYTES = 64 << 20
"""What lists of runs may take that somebody scrolls through."""


class Caller(NamedTuple):
    """Who calls: the token that came with a request, or everybody where the store has no tokens.

    Attributes:
        name: the token's id; empty where there are none.
        role: what it is good for.
        experiment_id: the one experiment that it is good for; None for all of them.

    """

    name: str
    role: Role
    experiment_id: str | None = None

    def may_use(self, experiment_id: str) -> bool:
        """Tell whether this caller may know that an experiment exists, and what is in it."""
        return self.experiment_id is None or self.experiment_id == experiment_id

    def require_experiment(self, experiment_id: str) -> None:
        """Make sure that the caller may use an experiment, or a run or model in it.

        Raises:
            MlflowException: PERMISSION_DENIED.

        """
        if not self.may_use(experiment_id):
            raise MlflowException(
                f"This token is good for experiment {self.experiment_id} only.", "PERMISSION_DENIED"
            )

    def require_all_experiments(self) -> None:
        """Make sure that the caller is not held to one experiment: it is about to make another.

        Raises:
            MlflowException: PERMISSION_DENIED.

        """
        self.require_experiment("")


class Request(NamedTuple):
    """One request, read to its end.

    Attributes:
        caller: whom it comes from; role and content type have been checked.
        path_params: what stands in the path where the template has ``{name}``, unquoted.
        query: what follows the question mark, still quoted.
        body: at most as long as ``--max-body-mb`` allows.
        path: still quoted.
        headers: by name, in small letters.

    """

    caller: Caller
    path_params: Mapping[str, str]
    query: str
    body: bytes
    path: str
    headers: Mapping[bytes, bytes]


class Answer(NamedTuple):
    """What is sent back.

    Attributes:
        body: the bytes; or an iterator of them for what may be long. It is advanced in a thread,
            one step at a time and only as fast as the client reads, and closed at the end. What it
            raises after the first step can only cut the connection.
        headers: more of them; names in small letters.

    """

    body: bytes | Iterator[bytes]
    content_type: str = "application/json"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


class Service(NamedTuple):
    """What the handlers work on; one for all requests and threads of a process.

    Attributes:
        client: the store's.
        artifact_root: where new experiments keep their artifacts: a path or a URL, or empty for
            the store's own directory.
        version: the version of MLflow whose API this is.
        charts: makes charts, and remembers them.
        snapshots: lists of runs that somebody scrolls through.
        measures: what this process counts.

    """

    client: Client
    artifact_root: str
    version: str
    charts: Charts
    snapshots: Recent[list[str]]
    measures: Measures

    @classmethod
    def of(
        cls, client: Client, artifact_root: str, version: str, measures: Measures | None = None
    ) -> Service:
        """Return what handlers work on, remembering nothing yet."""
        snapshots: Recent[list[str]] = Recent(SNAPSHOT_BYTES)
        return cls(client, artifact_root, version, Charts(), snapshots, measures or Measures())


Handler = Callable[[Service, Request], Answer]


class Endpoint(NamedTuple):
    """One endpoint. `handle` raises MlflowException for everything that is the user's mistake.

    Attributes:
        method: ``GET``, ``POST``, ``PATCH``, ``PUT`` or ``DELETE``.
        path: below each prefix; ``{name}`` in it matches one part of a path, ``{name:path}`` all
            that is left.
        handle: answers a request. It may wait for the store: it runs in a thread.
        role: the least that may call it.
        prefixes: what stands before the path; each with it is an address of the endpoint.
        request: the message that it takes, for `steplog.server.openapi` …
        answer: … and the message that it gives; a text is the type of what is no message.
        at_once: answers a request without waiting for anything but the journal, or returns None to
            have `handle` called instead. It runs in the event loop, for short bodies only, and
            keeps every other request waiting: microseconds are fine, a look at the store is not.
        page: a person looks at it, in a browser: who has no token is asked for one.
        direct: what it writes goes straight to the store, and not through the server's journal.

    """

    method: str
    path: str
    handle: Handler
    role: Role
    prefixes: tuple[str, ...] = API
    request: object = None
    answer: object = None
    at_once: Callable[[Service, Request], Answer | None] | None = None
    page: bool = False
    direct: bool = False
