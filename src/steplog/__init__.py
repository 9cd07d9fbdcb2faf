"""steplog records the numbers of training runs, through MLflow's functions, and gives them back.

    import steplog as mlflow

    with mlflow.start_run():
        for step in range(100):
            mlflow.log_metric("loss", 1 / (step + 1), step)

What is here is public, and nothing else is, but for the attributes of these modules: `entities`,
`exceptions`, `config` and `tracking`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from steplog import config, entities, exceptions, tracking
from steplog.client import Client
from steplog.client import Client as MlflowClient
from steplog.exceptions import MlflowException, SteplogWarning
from steplog.experiments import (
    create_experiment,
    delete_experiment,
    delete_experiment_tag,
    get_experiment,
    get_experiment_by_name,
    restore_experiment,
    set_experiment,
    set_experiment_tag,
    set_experiment_tags,
)
from steplog.fluent import (
    active_run,
    delete_run,
    delete_tag,
    end_run,
    flush_async_logging,
    get_parent_run,
    get_run,
    get_tracking_uri,
    last_active_run,
    log_metric,
    log_metrics,
    log_param,
    log_params,
    restore_run,
    set_tag,
    set_tags,
    set_tracking_uri,
    start_run,
)
from steplog.pending import RunOperations
from steplog.recorder import MetricLogger
from steplog.runs import ActiveRun
from steplog.system_metrics import (
    disable_system_metrics_logging,
    enable_system_metrics_logging,
    set_system_metrics_node_id,
    set_system_metrics_samples_before_logging,
    set_system_metrics_sampling_interval,
)

__all__ = [
    "ActiveRun",
    "Client",
    "MetricLogger",
    "MlflowClient",
    "MlflowException",
    "RunOperations",
    "SeriesPoints",
    "SteplogWarning",
    "active_run",
    "config",
    "create_experiment",
    "delete_experiment",
    "delete_experiment_tag",
    "delete_run",
    "delete_tag",
    "disable_system_metrics_logging",
    "enable_system_metrics_logging",
    "end_run",
    "entities",
    "exceptions",
    "flush_async_logging",
    "get_experiment",
    "get_experiment_by_name",
    "get_parent_run",
    "get_run",
    "get_tracking_uri",
    "last_active_run",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "read",
    "restore_experiment",
    "restore_run",
    "set_experiment",
    "set_experiment_tag",
    "set_experiment_tags",
    "set_system_metrics_node_id",
    "set_system_metrics_samples_before_logging",
    "set_system_metrics_sampling_interval",
    "set_tag",
    "set_tags",
    "set_tracking_uri",
    "start_run",
    "tracking",
]

if TYPE_CHECKING:
    from steplog.reading import SeriesPoints, read
else:
    # Loaded when they are first used: they need numpy, and a process that only logs does not wait
    # for it (the background thread loads it, when the training is under way).
    _LATE = {"SeriesPoints": "steplog.reading", "read": "steplog.reading"}

    def __getattr__(name: str) -> object:
        if name not in _LATE:
            raise AttributeError(f"module 'steplog' has no attribute {name!r}")
        return getattr(import_module(_LATE[name]), name)


def __dir__() -> list[str]:
    return __all__
