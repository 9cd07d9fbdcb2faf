"""What may be logged and what it becomes: keys, values, steps, timestamps, params, tags, names.

Pure functions: no store, no journal, no clock. The rules, their order and the texts of the errors
are those of MLflow 3.17's SQL store (``mlflow.utils.validation``), so that a program sees the same
error from either. Two differences: steps and timestamps that are whole numbers of another type
(``np.int64(3)``, ``2.0``) become int and all others are refused, where MLflow stores bytes or a
float that cannot be read back; and a value that JSON cannot show is quoted in the message, where
MLflow fails while it builds the message.

Also here, because they are rules too: how ids and names are made where the user gives none.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from steplog import settings
from steplog.exceptions import MlflowException, invalid, missing, warn

MAX_KEY_LENGTH = 250
MAX_PARAM_LENGTH = 6000
MAX_TAG_LENGTH = 8000
MAX_EXPERIMENT_TAG_LENGTH = 20000
MAX_EXPERIMENT_NAME_LENGTH = 500
MAX_DATASET_LENGTHS = {
    "name": 500,
    "digest": 36,
    "source": 65_535,
    "schema": 1_048_575,
    "profile": 16_777_215,
}
MAX_INPUT_TAG_KEY_LENGTH = 255
MAX_INPUT_TAG_VALUE_LENGTH = 500

# What MlflowClient.log_param appends to each of its INVALID_PARAMETER_VALUE messages.
PARAM_ADVICE = """

The cause of this error is typically due to repeated calls
to an individual run_id event logging.

Incorrect Example:
---------------------------------------
with mlflow.start_run():
    mlflow.log_param("depth", 3)
    mlflow.log_param("depth", 5)
---------------------------------------

Which will throw an MlflowException for overwriting a
logged parameter.

Correct Example:
---------------------------------------
with mlflow.start_run():
    with mlflow.start_run(nested=True):
        mlflow.log_param("depth", 3)
    with mlflow.start_run(nested=True):
        mlflow.log_param("depth", 5)
---------------------------------------

Which will create a new nested run for each individual
model and prevent parameter key collisions within the
tracking store."""

# `$` and not `\Z`: MLflow lets one newline at the end pass.
_KEY = re.compile(r"^[/\w.\- :]*$")
_RUN_ID = re.compile(r"^[a-zA-Z0-9][\w\-]{0,255}$")


def check_metric(
    key: str, value: object, timestamp: object, step: object, path: str = ""
) -> tuple[str, float, int, int]:
    """Return what is stored of one point, or raise what MLflow raises.

    Args:
        key: the metric's name: at most 250 letters, digits and ``/ _ . - : space``, and as a file
            path its own normal form.
        value: anything that ``float()`` takes; also arrays and tensors of one element.
        timestamp: a whole number of milliseconds, 0 or more, less than 2**63.
        step: a whole number from -2**63 to 2**63 - 1.
        path: how messages call the metric, such as ``metrics[3].``; empty for one alone.

    Returns:
        Key, value, timestamp and step.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE with MLflow's text.
        TypeError: the key is no text, or the value of a type that no number can be made of.
        OverflowError: the value is an int beyond the range of float.

    Example:
        >>> check_metric("loss", "0.5", timestamp=1_000, step=3.0)
        ('loss', 0.5, 1000, 3)

    """
    # MLflow converts in the client and checks in the store: a TypeError comes before all else.
    number = _as_float(value)
    if key is None:
        advice = "Metric name cannot be None. A key name must be provided."
        raise _invalid_value(f"{path}name", None, advice)
    _check_key(key, f"{path}name")
    if number is None:
        raise _missing_value(f"{path}value")
    if type(number) is not float:
        raise _invalid_value(
            f"{path}value",
            number,
            f"(timestamp={timestamp}). Please specify value as a valid double "
            "(64-bit floating point)",
        )
    time_ms = _as_int64(timestamp)
    if time_ms is None or time_ms < 0:
        raise _invalid_value(
            f"{path}timestamp",
            timestamp,
            f"metric '{key}' (value={number}). Timestamp must be a nonnegative long "
            "(64-bit integer) ",
        )
    whole_step = _as_int64(step)
    if whole_step is None:
        raise _invalid_value(
            f"{path}step",
            step,
            f"metric '{key}' (value={number}). Step must be a valid long (64-bit integer).",
        )
    _check_length("Metric name", MAX_KEY_LENGTH, key)
    return key, number, time_ms, whole_step


def check_param(key: str, value: object, path: str = "") -> tuple[str, str]:
    """Return what is stored of a param; ``str(value)`` is cut to 6,000 characters, or refused.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE with MLflow's text.

    """
    if key is None:
        raise _invalid_value(f"{path}key", "", "A key name must be provided.")
    _check_key(key, f"{path}key")
    _check_length("Param key", MAX_KEY_LENGTH, key)
    return key, _shorten("Param value", MAX_PARAM_LENGTH, text(value))


def check_params(params: Iterable[tuple[str, object]]) -> dict[str, str]:
    """Return what is stored of several params, or raise before any of them is stored.

    Raises:
        MlflowException: as `check_param`, calling the param ``params[i]``; or a key is there twice.

    """
    checked = [
        check_param(key, value, f"params[{index}].") for index, (key, value) in enumerate(params)
    ]
    values: dict[str, str] = {}
    repeated = []
    for key, value in checked:
        if key in values:
            repeated.append(key)
        values[key] = value
    if repeated:
        raise invalid(
            f"Duplicate parameter keys have been submitted: {repeated}. Please ensure "
            "the request contains only one param value per param key."
        )
    return values


def check_tag(key: str, value: object, path: str = "") -> tuple[str, str]:
    """Return what is stored of a tag; ``str(value)`` is cut to 8,000 characters, or refused.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE with MLflow's text.

    """
    _check_tag_key(key, f"{path}key")
    return key, _shorten(f"{path}value", MAX_TAG_LENGTH, text(value))


def check_tags(tags: Iterable[tuple[str, object]]) -> dict[str, str]:
    """Return what is stored of several tags, the last of equal keys, or raise before any is stored.

    Raises:
        MlflowException: as `check_tag`, calling the tag ``tags[i]``.

    """
    return dict(check_tag(key, value, f"tags[{index}].") for index, (key, value) in enumerate(tags))


def check_experiment_tag(key: str, value: object) -> tuple[str, str]:
    """Return what is stored of an experiment's tag; too long a value is refused, never cut.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE with MLflow's text.

    """
    _check_tag_key(key, "key")
    stored = text(value)
    _check_length("value", MAX_EXPERIMENT_TAG_LENGTH, stored)
    return key, stored


def check_step(step: object) -> int:
    """Return a step that no metric goes with, as an int.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE.

    """
    whole = _as_int64(step)
    if whole is None:
        raise _invalid_value("step", step, "Step must be a valid long (64-bit integer).")
    return whole


def check_dataset_inputs(inputs: Iterable[Any]) -> list[dict[str, Any]]:
    """Return what is stored of datasets that a run used: `steplog.operations.LogInputs` says how.

    Args:
        inputs: `steplog.entities.DatasetInput`, or MLflow's. Of those with one name and digest the
            first counts.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE with MLflow's text.

    """
    described: dict[tuple[str, str], dict[str, Any]] = {}
    for each in inputs:
        dataset = _check_dataset(each.dataset)
        tags = dict(_check_input_tag(tag) for tag in each.tags or ())
        described.setdefault((dataset["name"], dataset["digest"]), {**dataset, "tags": tags})
    return list(described.values())


def _check_dataset(dataset: Any) -> dict[str, Any]:
    if dataset is None:
        raise invalid("Dataset cannot be None")
    for name in ("name", "digest", "source_type", "source"):
        if getattr(dataset, name) is None:
            raise invalid(f"Dataset {name} cannot be None")
    for name, limit in MAX_DATASET_LENGTHS.items():
        _check_length(name, limit, getattr(dataset, name) or "")
    names = ("name", "digest", "source_type", "source", "schema", "profile")
    given = {name: getattr(dataset, name) for name in names}
    return {name: None if value is None else text(value) for name, value in given.items()}


def _check_input_tag(tag: Any) -> tuple[str, str]:
    if tag is None:
        raise invalid("InputTag cannot be None")
    for name in ("key", "value"):
        if getattr(tag, name) is None:
            raise invalid(f"InputTag {name} cannot be None")
    key, value = text(tag.key), text(tag.value)
    _check_length("key", MAX_INPUT_TAG_KEY_LENGTH, key)
    _check_length("value", MAX_INPUT_TAG_VALUE_LENGTH, value)
    return key, value


def check_model_name(name: object) -> None:
    """Raise where this cannot be the name of a logged model; None stands for a generated one.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE with MLflow's text.

    """
    refused = ("/", ":", ".", "%", '"', "'")
    if name is not None and (not name or any(each in str(name) for each in refused)):
        raise invalid(
            f"Invalid model name ({name!r}) provided. Model name must be a non-empty string "
            f"and cannot contain the following characters: {refused}"
        )


def check_datasets_searched(
    datasets: Iterable[Mapping[str, Any]],
) -> Iterator[tuple[str, str | None]]:
    """Yield name and digest (None for any) of the datasets that a search of models names.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE where one has no name.

    """
    for dataset in datasets:
        if not dataset.get("dataset_name"):
            raise invalid("`dataset_name` in the `datasets` clause must be specified.")
        yield dataset["dataset_name"], dataset.get("dataset_digest")


def check_model_id(model_id: object) -> None:
    """Raise where no logged model is named at all.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE.

    """
    if not model_id:
        raise invalid(f"`model_id` must be a non-empty string, but got {model_id!r}")


def no_model(model_id: str) -> MlflowException:
    """Return the error for a logged model that does not exist, to be raised."""
    return missing(f"Logged model with ID '{model_id}' not found.")


def new_model_id() -> str:
    """Return ``m-`` and 32 random hex digits."""
    return f"m-{new_run_id()}"


def check_run_id(run_id: str) -> None:
    """Raise where this cannot be the id of a run.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE with MLflow's text.

    """
    if _RUN_ID.match(run_id) is None:
        raise _invalid_value("run_id", run_id)


def check_experiment_id(experiment_id: object) -> str:
    """Return an experiment's id, given as text or int, as its decimal digits.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE with MLflow's text.

    """
    if not isinstance(experiment_id, (str, int)):
        raise invalid(
            f"Invalid experiment id: {experiment_id} of type {type(experiment_id)}. "
            "Must be one of str, int, or None."
        )
    try:
        return str(int(experiment_id))
    except ValueError:
        raise invalid(
            f"Invalid experiment ID '{experiment_id}'. Experiment ID must be a valid integer."
        ) from None


def check_experiment_ids(experiment_ids: object) -> tuple[str, ...]:
    """Return the ids of the experiments that are searched; a text or a number is one id.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE with MLflow's text.

    """
    several = experiment_ids if isinstance(experiment_ids, (list, tuple)) else [experiment_ids]
    return tuple(map(check_experiment_id, several))


def check_experiment_name(name: object) -> str:
    """Return the name of an experiment: 1 to 500 characters.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE with MLflow's text.

    """
    if name is None or name == "":
        raise invalid(f"Invalid experiment name: '{name}'")
    if not isinstance(name, str):
        raise invalid(f"Invalid experiment name: {name}. Expects a string.")
    _check_length("name", MAX_EXPERIMENT_NAME_LENGTH, name)
    return text(name)


def text(value: object) -> str:
    r"""Return ``str(value)`` as text that every store can keep.

    Lone surrogates, by which Python spells the undecodable bytes of arguments and file names, are
    not UTF-8. They become escapes: ``sys.argv[0]`` must not be able to keep a run from starting.

    Example:
        >>> text("train-\udcff.py")
        'train-\\udcff.py'

    """
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")


def new_run_id() -> str:
    """Return 32 random hex digits."""
    return os.urandom(16).hex()


def derive_experiment_id(name: str, attempt: int = 0) -> str:
    """Return the id of the experiment of this name, so that hosts that never met agree on it.

    Args:
        name: the experiment's name; ``"Default"`` has the id ``"0"``.
        attempt: counts up from 0 where an experiment that was renamed since holds the id.

    Returns:
        ``"0"``, or 18 decimal digits, the first of them not 0.

    Example:
        >>> derive_experiment_id("digits")
        '837629287184834082'

    """
    if name == "Default" and attempt == 0:
        return "0"
    # Only the first use of an experiment needs a hash, and the module loads OpenSSL.
    import hashlib

    seed = f"{name}\0{attempt}" if attempt else name
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest(), "big")
    return str(10**17 + number % (9 * 10**17))


def generate_run_name() -> str:
    """Return a name such as ``mellow-otter-417``, at most 20 characters."""
    # Not from `random`: a name must change no training that seeded it, nor be the same for all.
    number = int.from_bytes(os.urandom(8), "big")
    predicates, nouns = _PREDICATES.split(), _NOUNS.split()
    number, predicate = divmod(number, len(predicates))
    number, noun = divmod(number, len(nouns))
    return f"{predicates[predicate]}-{nouns[noun]}-{number % 1001}"


def _as_float(value: Any) -> Any:
    """What MLflow's client makes of a value: a float where it can, else the value itself."""
    if type(value) in (float, int):
        return float(value)
    if value is None:
        return None
    if _is_instance(value, "numpy", "ndarray"):
        return float(_item(value))
    if _is_instance(value, "tensorflow", "Tensor"):
        try:
            return float(value)
        except Exception as error:
            raise invalid(f"Failed to convert metric value to float: {error!r}") from error
    if _is_instance(value, "torch", "Tensor"):
        return float(_item(value.detach().cpu()))
    try:
        return float(value)
    except ValueError:
        return value  # refused later, by a message that names the metric


def _is_instance(value: object, module: str, name: str) -> bool:
    # Whoever made an array has imported its library; we never do. `getattr` because another thread
    # may be in the middle of that import.
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(value, kind)


def _item(array: Any) -> Any:
    try:
        return array.item()
    except Exception as error:
        raise invalid(f"Failed to convert metric value to float: {error}") from error


def _as_int64(value: Any) -> int | None:
    """The 64-bit integer that equals the value, if there is one."""
    try:
        whole = int(value)
        if whole == value and -(2**63) <= whole < 2**63:  # "7" is not 7
            return whole
    except (TypeError, ValueError, OverflowError):
        pass
    return None


def _check_key(key: str, path: str) -> None:
    if not _KEY.match(key):
        raise _invalid_value(
            path,
            key,
            "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), "
            "spaces ( ), colon(:) and slashes (/).",
        )
    normal = posixpath.normpath(key)
    if normal != key or normal == "." or normal.startswith(("..", "/")):
        raise _invalid_value(
            path,
            key,
            "Names may be treated as files in certain cases, and must not resolve to other names "
            f"when treated as such. This name would resolve to {normal!r}",
        )


def _check_tag_key(key: str, path: str) -> None:
    if key is None:
        raise _missing_value(path)
    _check_key(key, path)
    _check_length(path, MAX_KEY_LENGTH, key)


def _check_length(what: str, limit: int, value: str) -> None:
    if len(value) > limit:
        raise invalid(f"'{what}' exceeds the maximum length of {limit} characters")


def _shorten(what: str, limit: int, value: str) -> str:
    if len(value) > limit and settings.get("MLFLOW_TRUNCATE_LONG_VALUES"):
        warn(
            f"{what} '{value[:100]}...' ({len(value)} characters) is truncated to {limit} "
            "characters to meet the length limit."
        )
        return value[:limit]
    _check_length(what, limit, value)
    return value


def _invalid_value(path: str, value: object, advice: str = "") -> MlflowException:
    shown = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    message = f"Invalid value {shown} for parameter '{path}' supplied"
    return invalid(f"{message}: {advice}" if advice else f"{message}.")


def _missing_value(path: str) -> MlflowException:
    return invalid(f"Missing value for required parameter '{path}'.")


# Words of at most 7 letters: with two dashes and a number up to 1000 that makes 20.
_PREDICATES = (
    "able agile amber ample apt azure balmy bold brave breezy bright brisk calm candid clear "
    "clever copper coral cosmic cozy crisp curious daring deft eager earnest fabled fair fleet "
    "fluent fond frank fresh gentle gilded glad golden grand happy hardy hearty honest humble "
    "jolly jovial keen kind lively loyal lucid lucky lunar mellow merry mighty mild modest neat "
    "nimble noble opal patient placid plucky polite prime proud quick quiet rapid ready rosy "
    "rustic serene sharp silent silver sincere smooth snowy solar spry stable steady stellar "
    "stoic sunny supple swift tidy true upbeat valiant velvet vivid warm wise witty "
    "young zesty"
)
_NOUNS = (
    "acorn alder anchor arrow aspen atoll badger bay beacon birch bison brook canyon cedar cliff "
    "cloud comet condor cove crane creek crow delta dingo dune eagle egret elm ember falcon fern "
    "finch fjord fox gecko glacier glade grouse grove gull harbor hare hawk heron hill ibex iris "
    "island jackal jay kestrel kite koala lagoon lake lark lemur lily lion lotus lynx maple marten "
    "meadow meteor moose moss newt oak ocean orbit orca osprey otter owl panda pebble pine planet "
    "plover pond poplar puffin quail raven reef ridge river robin salmon seal sparrow spruce "
    "stork swan tern tiger trout tulip tundra valley walrus willow wolf wren yak zebra"
)
