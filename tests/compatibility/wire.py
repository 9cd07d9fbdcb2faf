"""Raw HTTP requests to a server that speaks MLflow's REST API, and what it answered."""

from __future__ import annotations

import json
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

API = "/api/2.0/mlflow/"
ONLY_IN_MLFLOW = ("sqlstate", "error_class")


class Answer(dict[str, Any]):
    """The status, the content's type and the body of an answer."""


class Wire:
    """A server, and an experiment there, created when it is first asked for."""

    def __init__(self, address: str, name: str) -> None:
        self.address = address
        self.name = name
        self._experiment_id: str | None = None

    @property
    def experiment_id(self) -> str:
        """The id of an experiment named after the case."""
        if self._experiment_id is None:
            answer = self.post("experiments/create", {"name": self.name})
            self._experiment_id = answer["body"]["experiment_id"]
        return self._experiment_id

    def run(self, **fields: object) -> str:
        """Create a run in the experiment and return its id."""
        body = {"experiment_id": self.experiment_id, "start_time": 1, **fields}
        return str(self.post("runs/create", body)["body"]["run"]["info"]["run_id"])

    def get(self, path: str, **parameters: object) -> Answer:
        """Send a GET request. A list is sent as one parameter for each of its items."""
        query = urlencode(parameters, doseq=True)
        return self.send("GET", f"{path}?{query}" if query else path)

    def post(self, path: str, body: object, method: str = "POST") -> Answer:
        """Send a JSON body."""
        return self.send(method, path, json.dumps(body).encode())

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        content_type: str = "application/json",
        *,
        in_full: bool = False,
        **headers: str,
    ) -> Answer:
        """Send a request; return the status, the content's type and the body.

        Args:
            method: GET, POST, …
            path: below `API`, or from the root where it begins with a slash.
            body: as it goes over the wire.
            content_type: what the body is said to be.
            in_full: return all fields of an error, also those that no client looks at.
            headers: others, with underscores for hyphens.

        """
        url = self.address + (path if path.startswith("/") else API + path)
        request = Request(url, body, method=method)
        if body is not None:
            request.add_header("Content-Type", content_type)
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urlopen(request, timeout=20) as answer:
                return seen(answer.status, answer.headers, answer.read())
        except HTTPError as error:
            with error:
                return seen(error.code, error.headers, error.read(), in_full)


def seen(status: int, headers: Any, body: bytes, in_full: bool = True) -> Answer:
    """Return what an answer says, as far as clients look at it."""
    kind = headers.get_content_type()
    read: Any = None
    if kind == "application/json" and body:
        read = json.loads(body)
        if not in_full:
            read = {name: each for name, each in read.items() if name not in ONLY_IN_MLFLOW}
    elif len(body) < 20:  # what longer pages say, which are for people, is nobody's contract
        read = body.decode()
    return Answer(status=status, type=kind, body=read)
