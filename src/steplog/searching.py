"""The fluent functions that search: experiments, runs and logged models, as lists or pandas frames.

They turn the pages of `Client` into one result. What can be asked for is said in `steplog.filters`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from steplog import experiments
from steplog.client import Client
from steplog.entities import Experiment, LoggedModel, PagedList, Run, ViewType
from steplog.exceptions import invalid, warn

if TYPE_CHECKING:
    # An extra, and the slowest import of all: whoever asks for a list does not load it.
    import pandas as pd

T = TypeVar("T")

PAGE = 10_000
"""How many results are asked for at once."""


def search_experiments(
    view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int | None = None,
    filter_string: str | None = None,
    order_by: list[str] | None = None,
) -> list[Experiment]:
    """Return the experiments that a filter asks for.

    Args:
        view_type: of `steplog.entities.ViewType`.
        max_results: None for all of them.
        filter_string: such as ``name LIKE 'digits%' AND tags.team = 'vision'``; see
            `Client.search_experiments`.
        order_by: such as ``["name", "last_update_time DESC"]``; None for the newest first.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE for a text that cannot be understood.

    """
    client = Client()

    def turn(size: int, token: Any) -> PagedList[Experiment]:
        return client.search_experiments(view_type, size, filter_string, order_by, token)

    return _all_pages(turn, max_results)


@overload
def search_runs(
    experiment_ids: list[str] | None = None,
    filter_string: str = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int | None = 100_000,
    order_by: list[str] | None = None,
    output_format: Literal["pandas"] = "pandas",
    search_all_experiments: bool = False,
    experiment_names: list[str] | None = None,
) -> pd.DataFrame: ...
@overload
def search_runs(
    experiment_ids: list[str] | None = None,
    filter_string: str = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int | None = 100_000,
    order_by: list[str] | None = None,
    *,
    output_format: Literal["list"],
    search_all_experiments: bool = False,
    experiment_names: list[str] | None = None,
) -> list[Run]: ...
def search_runs(
    experiment_ids: list[str] | None = None,
    filter_string: str = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int | None = 100_000,
    order_by: list[str] | None = None,
    output_format: Literal["pandas", "list"] = "pandas",
    search_all_experiments: bool = False,
    experiment_names: list[str] | None = None,
) -> list[Run] | pd.DataFrame:
    """Return the runs that a filter asks for, each with the last values of its metrics.

    Args:
        experiment_ids: where to look; without ids and names, in the experiment in force.
        filter_string: such as ``metrics.loss < 0.3 AND params.model = 'cnn'``; see
            `Client.search_runs`.
        run_view_type: of `steplog.entities.ViewType`.
        max_results: how many at most; None for all of them.
        order_by: such as ``["metrics.loss ASC"]``; None for the newest start first.
        output_format: ``"pandas"`` for a frame, or ``"list"``.
        search_all_experiments: without ids and names, look in every experiment that is not deleted.
        experiment_names: instead of their ids; there is a warning for those that do not exist.

    Returns:
        A list of runs, or a frame of one row each. Its columns are run_id, experiment_id, status,
        artifact_uri, start_time, end_time (UTC), and ``metrics.…``, ``params.…``, ``tags.…`` of
        every key that one of the runs has. What a run lacks is NaN, None or NaT.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE for a text that cannot be understood, or for ids
            together with names.
        ValueError: there is no such output format.
        ImportError: a frame without pandas (``pip install 'steplog[pandas]'``).

    Example:
        >>> frame = steplog.search_runs(order_by=["metrics.loss"], max_results=10)
        >>> best = frame.iloc[0]["run_id"]

    """
    if output_format not in ("pandas", "list"):
        raise ValueError(_unsupported(output_format))
    client = Client()
    ids = _where(client, experiment_ids, search_all_experiments, experiment_names)

    def turn(size: int, token: Any) -> PagedList[Run]:
        return client.search_runs(ids, filter_string, run_view_type, size, order_by, token)

    runs = _all_pages(turn, max_results) if ids else []
    return runs if output_format == "list" else _frame_of_runs(runs)


@overload
def search_logged_models(
    experiment_ids: list[str] | None = None,
    filter_string: str | None = None,
    datasets: list[dict[str, str]] | None = None,
    max_results: int | None = None,
    order_by: list[dict[str, Any]] | None = None,
    output_format: Literal["pandas"] = "pandas",
) -> pd.DataFrame: ...
@overload
def search_logged_models(
    experiment_ids: list[str] | None = None,
    filter_string: str | None = None,
    datasets: list[dict[str, str]] | None = None,
    max_results: int | None = None,
    order_by: list[dict[str, Any]] | None = None,
    *,
    output_format: Literal["list"],
) -> list[LoggedModel]: ...
def search_logged_models(
    experiment_ids: list[str] | None = None,
    filter_string: str | None = None,
    datasets: list[dict[str, str]] | None = None,
    max_results: int | None = None,
    order_by: list[dict[str, Any]] | None = None,
    output_format: Literal["pandas", "list"] = "pandas",
) -> list[LoggedModel] | pd.DataFrame:
    """Return the logged models that a filter asks for, each with all of its metrics.

    Args:
        experiment_ids: where to look; None for the experiment in force.
        filter_string: such as ``metrics.accuracy > 0.9``; see `Client.search_logged_models`.
        datasets: ``{"dataset_name": …, "dataset_digest": …}`` each: metrics on these only.
        max_results: None for all of them.
        order_by: ``{"field_name": "metrics.accuracy", "ascending": False}`` each; None for the
            newest first.
        output_format: ``"pandas"`` for a frame, or ``"list"``.

    Returns:
        A list of models, or a frame with a column for each of their attributes.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE for a text that cannot be understood, and where
            there is no such output format.
        ImportError: a frame without pandas (``pip install 'steplog[pandas]'``).

    """
    if output_format not in ("pandas", "list"):
        raise invalid(_unsupported(repr(output_format)))
    client = Client()
    ids = experiment_ids or [experiments.in_force(client)]

    def turn(size: int, token: Any) -> PagedList[LoggedModel]:
        return client.search_logged_models(ids, filter_string, datasets, size, order_by, token)

    models = _all_pages(turn, max_results)
    return models if output_format == "list" else _frame_of_models(models)


def _where(
    client: Client, ids: list[str] | None, everywhere: bool, names: list[str] | None
) -> list[str]:
    """Return the ids of the experiments to look in."""
    if ids and names:
        raise invalid("Only experiment_ids or experiment_names can be used, but not both")
    if ids:
        return ids
    if not names:
        if everywhere:
            return [each.experiment_id for each in search_experiments()]
        return [experiments.in_force(client)]
    named = {name: client.get_experiment_by_name(name) for name in names if name is not None}
    for name, experiment in named.items():
        if experiment is None:
            warn(f"There is no experiment named {name!r} to search.")
    return [each.experiment_id for each in named.values() if each is not None]


def _all_pages(turn: Callable[[int, Any], PagedList[T]], max_results: int | None) -> list[T]:
    """Return what all pages hold, but at most `max_results`."""
    results: list[T] = []
    token = None
    while max_results is None or len(results) < max_results:
        page = turn(PAGE if max_results is None else min(PAGE, max_results - len(results)), token)
        results += page
        token = page.token
        if not token:
            break
    return results


def _frame_of_runs(runs: Sequence[Run]) -> pd.DataFrame:
    import pandas as pd

    infos, data = [run.info for run in runs], [run.data for run in runs]
    return pd.DataFrame(
        {
            "run_id": [info.run_id for info in infos],
            "experiment_id": [info.experiment_id for info in infos],
            "status": [info.status for info in infos],
            "artifact_uri": [info.artifact_uri for info in infos],
            "start_time": _times([info.start_time for info in infos]),
            "end_time": _times([info.end_time for info in infos]),
            **_columns("metrics.", [each.metrics for each in data], float("nan")),
            **_columns("params.", [each.params for each in data], None),
            **_columns("tags.", [each.tags for each in data], None),
        }
    )


def _columns(
    prefix: str, rows: Sequence[Mapping[str, object]], missing: object
) -> dict[str, list[object]]:
    """Turn what each run has by key into a column of each key, in the order they first occur."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return {f"{prefix}{key}": [row.get(key, missing) for row in rows] for key in keys}


def _times(times: Sequence[int | None]) -> pd.Series[Any]:
    """Return times in ms since 1970 as times of day, in UTC; None becomes NaT."""
    import pandas as pd

    # Kept in milliseconds, as they are stored: finer units do not reach every year that may be.
    column = pd.Series(times, dtype="Int64")
    return column.astype("datetime64[ms]").dt.tz_localize("UTC")


def _frame_of_models(models: Sequence[LoggedModel]) -> pd.DataFrame:
    import pandas as pd

    names = [name for name, _ in LoggedModel("", "", "", "", 0, 0)]
    return pd.DataFrame([model.to_dictionary() for model in models], columns=names)


def _unsupported(output_format: str) -> str:
    return (
        f"Unsupported output format: {output_format}. "
        "Supported string values are 'pandas' or 'list'"
    )
