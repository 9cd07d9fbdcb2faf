"""What the server answers where something is wrong: MLflow's error documents and their statuses.

What is not here: the answers of handlers that did their work (`steplog.server.wire`).
"""

from __future__ import annotations

import json

from steplog.exceptions import MlflowException
from steplog.server.endpoint import Answer

# What the statuses demand. MLflow's client honours the time. Bearer, not Basic: a browser that
# knows a password sends it along whatever page asks.
_HEADERS = {
    401: (("www-authenticate", "Bearer"),),
    429: (("retry-after", "1"),),
    503: (("retry-after", "1"),),
}

PAGE = (
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'",
    ),
)
"""What a page may do that a person looks at: nothing but with what is this server's own."""
OTHER = (
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("cache-control", "no-store"),
)
"""What is said of every answer that does not say it itself."""

# MLflow's own assignment, but for INVALID_STATE: to MLflow that is 500, which makes its client try
# again for minutes, although it is the caller who asks for what cannot be (to rename a deleted
# experiment). What is not here is 500.
STATUSES = {
    "INVALID_PARAMETER_VALUE": 400,
    "BAD_REQUEST": 400,
    "INVALID_STATE": 400,
    "RESOURCE_ALREADY_EXISTS": 400,
    "UNAUTHENTICATED": 401,
    "CUSTOMER_UNAUTHORIZED": 401,
    "PERMISSION_DENIED": 403,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "ENDPOINT_NOT_FOUND": 404,
    "NOT_FOUND": 404,
    "RESOURCE_CONFLICT": 409,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "REQUEST_LIMIT_EXCEEDED": 429,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "NOT_IMPLEMENTED": 501,
    "TEMPORARILY_UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


def json_answer(document: object, status: int = 200) -> Answer:
    """Return a JSON document as an answer."""
    body = json.dumps(document, indent=2, allow_nan=False).encode()
    return Answer(body, status=status)


def refused(message: str, code: str, status: int | None = None) -> Answer:
    """Return the answer that a client of MLflow's turns into an exception.

    Args:
        message: what was asked, what was found, what to do.
        code: MLflow's name of the kind of error.
        status: of HTTP; None for the one that belongs to the code.

    """
    status = status or STATUSES.get(code, 500)
    answer = json_answer({"error_code": code, "message": message}, status)
    return answer._replace(headers=_HEADERS.get(status, ()))


def failed(error: MlflowException) -> Answer:
    """Return what an exception of a handler is to the client."""
    return refused(error.message, error.error_code)


def headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer's own, as they are sent."""
    sent = [(b"content-type", answer.content_type.encode("latin-1"))]
    if isinstance(answer.body, bytes):
        sent.append((b"content-length", b"%d" % len(answer.body)))
    own = {name for name, _ in answer.headers}
    for name, value in (*answer.headers, *(each for each in OTHER if each[0] not in own)):
        sent.append((name.encode("latin-1"), value.encode("latin-1")))
    return sent


def html(text: str, status: int = 200) -> Answer:
    """Return a page that a person looks at."""
    return Answer(text.encode(), "text/html; charset=utf-8", status, PAGE)


def page(text: str, status: int = 200) -> Answer:
    """Return plain text, for a person; a browser shows it and runs nothing of it."""
    return Answer(text.encode(), "text/plain; charset=utf-8", status)
