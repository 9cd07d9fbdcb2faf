"""MLflow's REST API, as its server answers it: calls, pages, and what an error means.

Three things may come of a call. The server did it; or it understood and would not (`Declined`, with
MLflow's code and text), and would not the next time either; or it could not be reached or could not
do it now (`StoreError`), and the call is to be repeated. Doubt is taken for the last: what was
logged is given up only where MLflow itself says so.

What is not here: connections (`steplog.stores.http`), what is called when (`mlflow_sending`,
`mlflow_server`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from steplog.exceptions import MlflowException, StoreError
from steplog.stores.http import Answer, Http, OtherServer

API = "/api/2.0/mlflow/"
PAGE_RUNS = 1_000
"""Runs, experiments and models of one page."""
PAGE_POINTS = 25_000
"""Points of one page, as MLflow's own client asks for them."""

DENIED = (401, 403)
"""Statuses by which a server does not let somebody in."""

_JSON = {"Content-Type": "application/json"}
_NEWER = ("logged-models", "runs/outputs", "runs/log-inputs", "experiments/search-datasets")
"""What older servers do not know."""
_FINAL = frozenset({"INVALID_STATE", "NOT_IMPLEMENTED", "ENDPOINT_NOT_FOUND"})
"""Codes that MLflow sends with statuses from 500, and that are about the call all the same."""
_FILE_STORE = "Changing param values is not allowed"
"""A server over files says this with INTERNAL_ERROR."""
_SQL = "[SQL: "
"""What every error of the server's database holds; MLflow sends them with BAD_REQUEST …"""
_VIOLATIONS = ("IntegrityError", "DataError", "Violation", "Truncation", "OutOfRange", "Invalid")
"""… and these are about what was sent. Others pass, once the database is well again."""


class Declined(MlflowException):
    """The server understood, and would not: its `error_code` and `message`."""


class ServerFault(StoreError):
    """The server fell over this call. It may be the call's fault, or its own."""


class Api:
    """Calls to one MLflow server. Its methods may be called from any thread.

    Every method raises Declined, or StoreError, as said above.

    Args:
        url: of the server.
        timeout: the longest wait for an answer, in seconds.

    Attributes:
        name: the URL as it may be shown.

    Example:
        >>> Api("http://127.0.0.1:5000", 10.0).get("experiments/get", experiment_id="0")
        {'experiment': {'experiment_id': '0', 'name': 'Default', …}}

    """

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url
        self._timeout = timeout
        self._http = Http(url, timeout)
        self.name = self._http.name

    def get(self, path: str, **query: object) -> dict[str, Any]:
        """Ask for something; arguments that are None are left out."""
        given = {name: value for name, value in query.items() if value is not None}
        return self.call("GET", f"{path}?{urlencode(given)}" if given else path)

    def post(self, path: str, body: Mapping[str, Any], *, once: bool = False) -> dict[str, Any]:
        """Send something; `once`: what must not be sent twice by the connection itself."""
        return self.call("POST", path, _encoded(body), once=once)

    def call(
        self, method: str, path: str, body: bytes | None = None, *, once: bool = False
    ) -> dict[str, Any]:
        """Send what is encoded already, and return what is answered.

        Args:
            method: in capitals.
            path: below the API, or from the root where it begins with a slash.
            body: JSON.
            once: as in `post`.

        """
        whole = path if path.startswith("/") else API + path
        return self._read(path, self._http.request(method, whole, body, _JSON, once=once))

    def change(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send something by another method than POST."""
        return self.call(method, path, _encoded(body))

    def found(self, name: str, path: str, **query: object) -> dict[str, Any] | None:
        """Return the part of an answer that has this name; None where there is no such thing."""
        try:
            part: dict[str, Any] = self.get(path, **query)[name]
        except Declined as declined:
            if declined.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return part

    def search(self, name: str, path: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield what a search finds, page by page: the parts of its answers that have this name."""
        token = None
        while True:
            page = {"max_results": PAGE_RUNS, **body}
            answer = self.post(path, page if token is None else {**page, "page_token": token})
            yield from answer.get(name, ())
            token = answer.get("next_page_token")
            if not token:
                return

    def history(self, run_id: str, key: str) -> Iterator[list[dict[str, Any]]]:
        """Yield the points of one metric of one run, page by page; the server's id."""
        token = None
        while True:
            answer = self.get(
                "metrics/get-history",
                run_id=run_id, metric_key=key, max_results=PAGE_POINTS, page_token=token,
            )  # fmt: skip
            yield answer.get("metrics", [])
            token = answer.get("next_page_token")
            if not token:
                return

    def is_well(self) -> bool:
        """Ask for something simple; tell whether the server answers.

        It is asked by another connection, for this one may spare it just now.
        """
        probe = Http(self._url, self._timeout)
        try:
            return probe.request("GET", f"{API}experiments/get?experiment_id=0").status < 500
        except StoreError:
            return False
        finally:
            probe.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def _read(self, path: str, answer: Answer) -> dict[str, Any]:
        if answer.status in DENIED:  # what is refused to one who is not known may be done yet
            raise locked_out(self.name, answer.status)
        document = _document(answer.body)
        if answer.status == 200 and document is not None:
            return document
        code, message = _error(document)
        if code is None:
            raise self._stranger(path, answer)
        if _passes(answer.status, code, message):
            error = ServerFault if answer.status >= 500 else StoreError
            raise error(f"The server {self.name} answers {code}: {message}")
        raise Declined(message, code)

    def _stranger(self, path: str, answer: Answer) -> Declined | StoreError:
        """Return the error for an answer that is not in MLflow's words."""
        if answer.status == 413:  # of a proxy, perhaps; in smaller portions it may pass
            return Declined("This is more than the server takes.", "INVALID_PARAMETER_VALUE")
        if answer.status == 404 and path.lstrip("/").startswith(_NEWER):
            return Declined(f"This MLflow server does not know {path!r}.", "NOT_IMPLEMENTED")
        said = f"The server {self.name} answers {answer.status} to {path.partition('?')[0]!r}"
        if answer.status == 404:
            return OtherServer(f"{said}, as no MLflow server does.")
        if answer.status >= 500:
            return ServerFault(f"{said}: it failed.")
        return StoreError(f"{said}, and not in MLflow's words.")


def locked_out(server: str, status: int) -> StoreError:
    """Return the error for a server that wants to know who calls, or does not let them in."""
    return StoreError(
        f"The server {server} answers {status}: it does not let us in. MLFLOW_TRACKING_TOKEN says "
        "who calls, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
    )


def quoted(text: str) -> str:
    """Return a text as one part of a path."""
    return quote(text, safe="")


def pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Return params or tags as they travel."""
    return [{"key": key, "value": value} for key, value in values.items()]


def _encoded(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def _document(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _error(document: Mapping[str, Any] | None) -> tuple[str | None, str]:
    code = (document or {}).get("error_code")
    if not isinstance(code, str):
        return None, ""
    return code, str((document or {}).get("message", ""))


def _passes(status: int, code: str, message: str) -> bool:
    """Tell whether an error in MLflow's words is about the moment, and not about the call."""
    if status >= 500:
        return code not in _FINAL and _FILE_STORE not in message
    of_database = code == "BAD_REQUEST" and (_SQL in message or "QueuePool" in message)
    return of_database and not any(word in message for word in _VIOLATIONS)
