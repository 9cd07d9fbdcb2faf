"""How errors look to a case, for the list of differences: MLflow's texts, and ours."""

from __future__ import annotations

from typing import Any


def error(code: str, text: str) -> list[Any]:
    """An error of MLflow's kind."""
    return ["raised", "MlflowException", code, text]


def invalid(text: str) -> list[Any]:
    """An error of a wrong argument."""
    return error("INVALID_PARAMETER_VALUE", text)


def internal(text: str) -> list[Any]:
    """An error that says it is not the caller's."""
    return error("INTERNAL_ERROR", text)


def retried(path: str) -> list[Any]:
    """What MLflow's client raises where a server answers 500, after minutes of asking again."""
    return internal(
        f"API request to STORE/api/2.0/mlflow/{path} failed with exception HTTPConnectionPool("
        f"host='127.0.0.1', port=PORT): Max retries exceeded with url: /api/2.0/mlflow/{path} "
        "(Caused by ResponseError('too many 500 error responses'))"
    )


def unwaited(quote: str, text: str) -> list[Any]:
    """What `wait()` raises in MLflow for what was refused."""
    quoted = text.replace(quote, f"\\{quote}")
    return internal(
        "The following failures occurred while performing one or more async logging operations: "
        f"[MlflowException({quote}{quoted}{quote})]"
    )


def refused(text: str, status: int = 400, code: str = "INVALID_PARAMETER_VALUE") -> list[Any]:
    """The answer to a request that is refused."""
    return ["refused", status, {"error_code": code, "message": text}]


def missing(field: str) -> list[Any]:
    """The answer to a request that misses a field."""
    return refused(f"Missing value for required parameter '{field}'.{SEE_DOCS}")


def wrong_type(value: str, field: str, kind: str) -> list[Any]:
    """The answer to a request in which a field is of another type."""
    return refused(
        f"Invalid value {value} for parameter '{field}' supplied:  Hint: Value was of type "
        f"'{kind}'.{SEE_DOCS}"
    )


def bad_step(value: object, key: str) -> list[Any]:
    """What is said of a step."""
    return invalid(
        f"Invalid value {value} for parameter 'step' supplied: metric '{key}' (value=1.0). "
        "Step must be a valid long (64-bit integer)."
    )


def bad_timestamp(value: object, key: str) -> list[Any]:
    """What is said of a timestamp."""
    return invalid(
        f"Invalid value {value} for parameter 'timestamp' supplied: metric '{key}' (value=1.0). "
        "Timestamp must be a nonnegative long (64-bit integer) "
    )


def bad_key(key: str, field: str) -> str:
    """What is said of a key with a character that keys do not have."""
    return (
        f"Invalid value \"{key}\" for parameter '{field}' supplied: Names may only contain "
        "alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes "
        "(/)."
    )


def taken(name: str) -> str:
    """What is said of a name that an experiment has."""
    return f"Experiment(name={name}) already exists."


def twice(*fields: str) -> str:
    """What is said of an order that names a field twice."""
    return f"`order_by` contains duplicate fields: {list(fields)}"


SEE_DOCS = " See the API docs for more information about request parameters."
OK = {"status": 200, "type": "application/json", "body": {}}
DRIVER = "(sqlite3.IntegrityError)"
DATABASE = error("BAD_REQUEST", DRIVER)
AUTOFLUSH = error(
    "BAD_REQUEST",
    "(raised as a result of Query-invoked autoflush; consider using a session.no_autoflush block "
    f"if this flush is occurring prematurely)\n{DRIVER}",
)
TOO_LARGE = internal("Python int too large to convert to SQLite INTEGER")
DELETED = "The run RUN 1 must be in the 'active' state. Current state is deleted."
NO_FIELD = "type object 'SqlLoggedModel' has no attribute 'foo'"
UNKNOWN_FIELD = (
    "Invalid attribute key 'foo' specified. Valid keys are '{'artifact_location', 'creation_time', "
    "'creation_timestamp', 'creation_timestamp_ms', 'experiment_id', 'last_updated_timestamp', "
    "'last_updated_timestamp_ms', 'model_id', 'model_type', 'name', 'source_run_id', 'status', "
    "'status_message'}'"
)
NO_NUMBER = "could not convert string to float: \"'x'\""
NO_NAME = "`field_name` in the `order_by` clause must be specified."
NO_ARTIFACTS = (
    "This server keeps no artifacts. They are written and read straight at the `artifact_uri` of "
    "their run, which lies under the server's --artifact-root: a path that all clients share, or "
    "the URL of an object store."
)
