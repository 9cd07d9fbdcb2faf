"""System metrics: how busy the machine is while a run runs, recorded as metrics of that run.

A daemon thread for each run measures about every ten seconds with psutil, and with NVML where there
are NVIDIA GPUs. The keys (``system/cpu_utilization_percentage`` …), the units and the rounding are
MLflow's. The points go the way of all others, through the run's own client.

Measuring serves the training and must never harm it. Nothing in the thread raises. What cannot be
measured when the run starts (no GPU, no network) is left out; what fails later is warned about
once, and tried again. A forked child inherits no threads, so it measures nothing.

What is not here: when a run starts and ends (`steplog.fluent`, `steplog.runs`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import NamedTuple, TypeAlias

from steplog import forks, rules, settings
from steplog.base_client import now_ms
from steplog.client import Client
from steplog.entities import LifecycleStage, Metric
from steplog.exceptions import MlflowException, warn
from steplog.rows import OPEN_STATUSES

PREFIX = "system/"
DEFAULT_INTERVAL_SECONDS = 10.0
STOP_SECONDS = 1.0
"""How long the end of a run waits for a measurement under way: a driver or a disk may hang."""

Sensor: TypeAlias = "Callable[[], dict[str, float]]"
"""Measures one thing now: key without prefix -> value. It raises where that cannot be measured."""

# Counted since the run started. All other keys are states, of which the mean is logged.
_TOTALS = ("network_receive_megabytes", "network_transmit_megabytes")
_MEGABYTE = 1e6


# For all runs, as in MLflow -------------------------------------------------------------------


def enable_system_metrics_logging() -> None:
    """Record system metrics in the runs started from now on; child processes inherit it.

    A single run is excepted by ``start_run(log_system_metrics=False)``.
    """
    settings.export("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", True)


def disable_system_metrics_logging() -> None:
    """Take back `enable_system_metrics_logging`; ``start_run(log_system_metrics=True)`` records."""
    settings.export("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", False)


def set_system_metrics_sampling_interval(interval: float | None) -> None:
    """Choose how often the machine is measured, in the runs started from now on.

    Args:
        interval: in seconds; None or 0 for 10.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE where it is no such number.

    """
    settings.export("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", interval)


def set_system_metrics_samples_before_logging(samples: int | None) -> None:
    """Choose how many measurements become one point, in the runs started from now on.

    Args:
        samples: how many; their mean is logged. None or 0 for 1.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE where it is no such number.

    """
    settings.export("MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING", samples)


def set_system_metrics_node_id(node_id: str | None) -> None:
    """Name this machine in the keys: ``system/NODE/cpu_utilization_percentage``.

    Args:
        node_id: tells the machines apart that log to one run; None for keys without it.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE where no key can hold it.

    """
    _prefix(node_id)
    settings.export("MLFLOW_SYSTEM_METRICS_NODE_ID", node_id)


# One run --------------------------------------------------------------------------------------


class Sampling(NamedTuple):
    """How a run is watched.

    Attributes:
        interval_seconds: between two measurements.
        samples: measurements that become one point.
        prefix: of all keys.

    """

    interval_seconds: float
    samples: int
    prefix: str


def wanted(log_system_metrics: bool | None) -> Sampling | None:
    """Return how a run is to be watched; None where it is not.

    Args:
        log_system_metrics: what `start_run` was told; None leaves it to the setting.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE for a setting that means nothing.

    """
    if log_system_metrics is None:
        log_system_metrics = settings.get("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING")
    if not log_system_metrics:
        return None
    interval = settings.get("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL") or DEFAULT_INTERVAL_SECONDS
    return Sampling(
        min(interval, threading.TIMEOUT_MAX),
        settings.get("MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING") or 1,
        _prefix(settings.get("MLFLOW_SYSTEM_METRICS_NODE_ID")),
    )


def _prefix(node_id: str | None) -> str:
    prefix = f"{PREFIX}{node_id}/" if node_id else PREFIX
    rules.check_metric(f"{prefix}system_memory_usage_percentage", 0.0, 0, 0)
    return prefix


def watch(sampling: Sampling, client: Client, run_id: str, *, resumed: bool) -> Monitor | None:
    """Start to measure for a run; where that is not possible, warn and return None.

    Args:
        sampling: what `wanted` returned.
        client: what logs the points.
        run_id: the run that they belong to.
        resumed: whether the steps go on from those that the run has already.

    """
    try:
        with forks.undisturbed:
            import psutil
        return Monitor(sampling, client, run_id, psutil, resumed)
    except Exception as error:  # not installed, not for this system, no thread to be had
        warn(
            f"System metrics of run {run_id} are not recorded, because psutil is needed for them "
            f"(pip install 'steplog[system]'): {error}"
            if isinstance(error, ImportError)
            else f"System metrics of run {run_id} are not recorded: {error!r}"
        )
        return None


class Monitor:
    """The thread that measures for one run; `watch` makes it, and the end of the run stops it.

    Attributes:
        sampling: how it measures.

    """

    def __init__(
        self, sampling: Sampling, client: Client, run_id: str, psutil: ModuleType, resumed: bool
    ) -> None:
        self.sampling = sampling
        self._client = client
        self._run_id = run_id
        self._psutil = psutil
        self._resumed = resumed
        self._failed: set[Sensor] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="steplog-system-metrics", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Log nothing any more, from now on. This waits for STOP_SECONDS at most."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    # -- in the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            sensors = [sensor for sensor in _sensors(self._psutil) if _works(sensor)]
            step = self._next_step() if self._resumed else 0
            while (values := self._measure(sensors)) is not None and self._is_open():
                self._log(values, step)
                step += 1
        except Exception as error:  # whatever it is, it must not stop the training
            warn(f"System metrics of run {self._run_id} are not recorded any more: {error!r}")

    def _measure(self, sensors: list[Sensor]) -> dict[str, float] | None:
        """Return the next value of every key; None where the run ends before that is due."""
        samples: dict[str, list[float]] = {}
        for _ in range(self.sampling.samples):
            # Waiting comes first: the use of the processor is that of the interval gone by.
            if self._stopping.wait(self.sampling.interval_seconds):
                return None
            for sensor in sensors:
                for key, value in self._ask(sensor).items():
                    samples.setdefault(key, []).append(value)
        if self._stopping.is_set():  # a driver was slow, and `stop` has not waited for it
            return None
        return {
            key: values[-1] if key in _TOTALS else round(sum(values) / len(values), 1)
            for key, values in samples.items()
        }

    def _ask(self, sensor: Sensor) -> dict[str, float]:
        try:
            return sensor()
        except Exception as error:  # a device or a disk is gone; it may come back
            if sensor not in self._failed:
                self._failed.add(sensor)
                warn(f"System metrics of run {self._run_id} have gaps: {error!r}")
            return {}

    def _log(self, values: dict[str, float], step: int) -> None:
        now, prefix = now_ms(), self.sampling.prefix
        points = [Metric(prefix + key, value, now, step) for key, value in values.items()]
        self._client.log_batch(self._run_id, points)

    def _is_open(self) -> bool:
        """Tell whether the run still runs. The store is asked only where this process ended it, or
        deleted something.
        """
        if self._client.expects(self._run_id):
            return True
        info = self._client.look_up_run(self._run_id).info
        return info.status in OPEN_STATUSES and info.lifecycle_stage == LifecycleStage.ACTIVE

    def _next_step(self) -> int:
        """Return the step after the last one of any system metric; 0 where the store cannot say."""
        if not self._client.recorder.ingests():
            return 0
        try:
            data = self._client.get_run(self._run_id).data
        except MlflowException:
            return 0
        steps = [each.step for each in data._metric_objs if each.key.startswith(PREFIX)]
        return max(steps, default=-1) + 1


# What is measured -----------------------------------------------------------------------------


def _sensors(psutil: ModuleType) -> list[Sensor]:
    host = [partial(each, psutil) for each in (_cpu, _memory, _disk)]
    return [*host, _Network(psutil), *_gpus()]


def _works(sensor: Sensor) -> bool:
    """Measure once, to see whether that is possible here, and for what counts from now on."""
    try:
        sensor()
    except Exception:  # nothing is wrong with a machine that has no such thing
        return False
    return True


def _cpu(psutil: ModuleType) -> dict[str, float]:
    return {"cpu_utilization_percentage": psutil.cpu_percent()}


def _memory(psutil: ModuleType) -> dict[str, float]:
    memory = psutil.virtual_memory()
    return {
        "system_memory_usage_megabytes": memory.used / _MEGABYTE,
        "system_memory_usage_percentage": memory.used / memory.total * 100,
    }


def _disk(psutil: ModuleType) -> dict[str, float]:
    disk = psutil.disk_usage(os.sep)
    return {
        "disk_usage_percentage": disk.percent,
        "disk_usage_megabytes": disk.used / _MEGABYTE,
        "disk_available_megabytes": disk.free / _MEGABYTE,
    }


class _Network:
    """The traffic of all interfaces since the first call."""

    def __init__(self, psutil: ModuleType) -> None:
        self._psutil = psutil
        self._start: tuple[int, int] | None = None

    def __call__(self) -> dict[str, float]:
        # With nowrap=True psutil takes a lock, which a fork beside this thread would copy taken.
        found = self._psutil.net_io_counters(nowrap=False)
        received, sent = found.bytes_recv, found.bytes_sent
        self._start = self._start or (received, sent)
        return {
            "network_receive_megabytes": (received - self._start[0]) / _MEGABYTE,
            "network_transmit_megabytes": (sent - self._start[1]) / _MEGABYTE,
        }


def _gpus() -> list[Sensor]:
    try:
        with forks.undisturbed:
            import pynvml
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
    except Exception:  # no library, no driver or no GPU: nothing to measure, and nothing is wrong
        return []
    # One sensor for each thing that a GPU may not tell: those shared by several users, for example,
    # know their memory only.
    return [
        partial(each, pynvml, index)
        for index in range(count)
        for each in (_gpu_memory, _gpu_utilization, _gpu_power)
    ]


def _gpu_memory(nvml: ModuleType, index: int) -> dict[str, float]:
    memory = nvml.nvmlDeviceGetMemoryInfo(nvml.nvmlDeviceGetHandleByIndex(index))
    return {
        f"gpu_{index}_memory_usage_percentage": memory.used / memory.total * 100,
        f"gpu_{index}_memory_usage_megabytes": memory.used / _MEGABYTE,
    }


def _gpu_utilization(nvml: ModuleType, index: int) -> dict[str, float]:
    rates = nvml.nvmlDeviceGetUtilizationRates(nvml.nvmlDeviceGetHandleByIndex(index))
    return {f"gpu_{index}_utilization_percentage": rates.gpu}


def _gpu_power(nvml: ModuleType, index: int) -> dict[str, float]:
    device = nvml.nvmlDeviceGetHandleByIndex(index)
    milliwatts = nvml.nvmlDeviceGetPowerUsage(device)
    limit = nvml.nvmlDeviceGetEnforcedPowerLimit(device)
    return {
        f"gpu_{index}_power_usage_watts": milliwatts / 1000,
        f"gpu_{index}_power_usage_percentage": milliwatts / limit * 100,
    }
