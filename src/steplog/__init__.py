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
    is_tracking_uri_set,
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
from steplog.models import (
    ActiveModel,
    clear_active_model,
    create_external_model,
    delete_logged_model_tag,
    finalize_logged_model,
    get_active_model_id,
    get_logged_model,
    initialize_logged_model,
    last_logged_model,
    log_input,
    log_inputs,
    log_model_params,
    log_outputs,
    set_active_model,
    set_logged_model_tags,
)
from steplog.pending import RunOperations
from steplog.recorder import MetricLogger
from steplog.runs import ActiveRun
from steplog.searching import search_experiments, search_logged_models, search_runs
from steplog.system_metrics import (
    disable_system_metrics_logging,
    enable_system_metrics_logging,
    set_system_metrics_node_id,
    set_system_metrics_samples_before_logging,
    set_system_metrics_sampling_interval,
)

__all__ = [
    "ActiveModel",
    "ActiveRun",
    "Client",
    "MetricLogger",
    "MlflowClient",
    "MlflowException",
    "RunOperations",
    "SeriesPoints",
    "SteplogWarning",
    "active_run",
    "clear_active_model",
    "config",
    "create_experiment",
    "create_external_model",
    "delete_experiment",
    "delete_experiment_tag",
    "delete_logged_model_tag",
    "delete_run",
    "delete_tag",
    "disable_system_metrics_logging",
    "enable_system_metrics_logging",
    "end_run",
    "entities",
    "exceptions",
    "finalize_logged_model",
    "flush_async_logging",
    "get_active_model_id",
    "get_experiment",
    "get_experiment_by_name",
    "get_logged_model",
    "get_parent_run",
    "get_run",
    "get_tracking_uri",
    "initialize_logged_model",
    "is_tracking_uri_set",
    "last_active_run",
    "last_logged_model",
    "log_input",
    "log_inputs",
    "log_metric",
    "log_metrics",
    "log_model_params",
    "log_outputs",
    "log_param",
    "log_params",
    "read",
    "restore_experiment",
    "restore_run",
    "search_experiments",
    "search_logged_models",
    "search_runs",
    "set_active_model",
    "set_experiment",
    "set_experiment_tag",
    "set_experiment_tags",
    "set_logged_model_tags",
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
