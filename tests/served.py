"""The endpoints of a server without a connection: what its transport calls, called by tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from steplog.client import Client
from steplog.server.app import Admission, App
from steplog.server.endpoint import Answer, Caller, Service
from steplog.server.endpoints import ENDPOINTS
from steplog.server.guard import Guard, Head
from steplog.server.routes import Routes
from steplog.server.tokens import Tokens

API = "/api/2.0/mlflow"
AJAX = "/ajax-api/2.0/mlflow"
EVERYBODY = Caller("", "admin")


class Reply(NamedTuple):
    """What was answered: the status, and the document or what else it was."""

    status: int
    document: Any

    @property
    def error(self) -> str:
        """The code and the text of an error."""
        assert set(self.document) == {"error_code", "message"}, self
        return f"{self.document['error_code']}: {self.document['message']}"


class Served:
    """A store behind the server's table of endpoints.

    Args:
        store: its directory, or a URI.
        artifact_root: as ``--artifact-root`` names it.

    Attributes:
        client: the server's own.
        app: answers requests.

    """

    def __init__(self, store: Path | str, artifact_root: str | None = None) -> None:
        self.client = Client(str(store), artifact_root, trusting=False)
        service = Service.of(self.client, artifact_root or "", "3.17.2")
        guard = Guard(Tokens(self.client.directory, demanded=False), "127.0.0.1", (), ())
        self.app = App(service, self.client.backend, guard, ENDPOINTS, 1 << 26)
        self._routes = Routes(ENDPOINTS)

    def answer(
        self,
        method: str,
        address: str,
        body: object = None,
        caller: Caller = EVERYBODY,
        *,
        at_once: bool = True,
    ) -> Answer:
        """Answer a request as the transport would, once it is let in."""
        path, _, query = address.partition("?")
        route = self._routes.find(method, path)
        assert route.endpoint is not None, f"nothing is at {method} {path}"
        admission = Admission(Head(method, path, query, {}), route.endpoint, caller, route.params)
        data = body if isinstance(body, bytes) else b"" if body is None else dumped(body)
        answer = self.app.answer_at_once(admission, data) if at_once else None
        return answer or self.app.answer(admission, data)

    def call(
        self,
        method: str,
        address: str,
        body: object = None,
        caller: Caller = EVERYBODY,
        *,
        at_once: bool = True,
    ) -> Reply:
        """Do as `answer`, and read what comes to its end."""
        answer = self.answer(method, address, body, caller, at_once=at_once)
        whole = answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)
        return Reply(answer.status, json.loads(whole))

    def get(self, address: str) -> Any:
        """Return what a GET of the API answers, which must succeed."""
        return succeeded(self.call("GET", API + address))

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """Return what a POST to the API answers, which must succeed."""
        return succeeded(self.call("POST", API + path, body))

    def refuse(self, path: str, body: object) -> str:
        """Return the error of a POST to the API, which must be the caller's mistake."""
        reply = self.call("POST", API + path, body)
        assert 400 <= reply.status < 500, reply
        return reply.error

    def new_run(self, experiment_id: str = "0") -> str:
        """Return the id of a new run."""
        made = self.post("/runs/create", {"experiment_id": experiment_id, "start_time": 5})
        return str(made["run"]["info"]["run_id"])

    def new_model(self, experiment_id: str = "0") -> str:
        """Return the id of a new model."""
        made = self.post("/logged-models", {"experiment_id": experiment_id, "name": "model"})
        return str(made["model"]["info"]["model_id"])


def dumped(body: object) -> bytes:
    """Return a body as JSON; with bare NaN, where it has any."""
    return json.dumps(body).encode()


def succeeded(reply: Reply) -> Any:
    """Return the document of an answer that must be a success."""
    assert reply.status == 200, reply
    return reply.document
