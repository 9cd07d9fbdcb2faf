"""System metrics: MLflow's keys and units, measured for real, and never at the training's expense.

Only NVML is not real here, for want of a GPU: `FAKE_NVML` stands in for it.
"""

from __future__ import annotations

import json
import operator
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import psutil
import pytest

import steplog
from steplog import MlflowException, SteplogWarning
from steplog.entities import Metric

CPU = "system/cpu_utilization_percentage"
KEYS = {
    CPU,
    "system/system_memory_usage_megabytes",
    "system/system_memory_usage_percentage",
    "system/disk_usage_megabytes",
    "system/disk_usage_percentage",
    "system/disk_available_megabytes",
    "system/network_receive_megabytes",
    "system/network_transmit_megabytes",
}

# Two GPUs. The use of each grows by 10 with every reading; the power of the second cannot be read;
# the memory of the first cannot be read the third and the fourth time. The first reading of all is
# the one that finds out whether it can be had, and is not logged.
FAKE_NVML = '''
"""A stand-in for nvidia-ml-py."""
from types import SimpleNamespace

class NVMLError(Exception):
    pass

memory_readings, use_readings = [0, 0], [0, 0]

def nvmlInit():
    pass

def nvmlDeviceGetCount():
    return 2

def nvmlDeviceGetHandleByIndex(index):
    return index

def nvmlDeviceGetMemoryInfo(device):
    memory_readings[device] += 1
    if device == 0 and memory_readings[0] in (3, 4):
        raise NVMLError("GPU is lost")
    return SimpleNamespace(used=(device + 1) * 1_500_000_000, total=8_000_000_000)

def nvmlDeviceGetUtilizationRates(device):
    use_readings[device] += 1
    return SimpleNamespace(gpu=10 * (use_readings[device] - 1))

def nvmlDeviceGetPowerUsage(device):
    if device == 1:
        raise NVMLError("Not Supported")
    return 62_500

def nvmlDeviceGetEnforcedPowerLimit(device):
    return 250_000
'''

# What scripts use: they wait for points of their own run, however long that takes.
WAITING = """
import json, os, sys, threading, time
import steplog

def points(run, key="system/cpu_utilization_percentage"):
    return steplog.Client().get_metric_history(run.info.run_id, key)

def wait_for_points(run, count, key="system/cpu_utilization_percentage"):
    while len(points(run, key)) < count:
        time.sleep(0.01)
"""


@pytest.fixture(autouse=True)
def short_interval(clean_environment: None) -> None:
    """Measure every 20 ms, here and in child processes."""
    steplog.set_system_metrics_sampling_interval(0.02)


def script(
    code: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, to its end, which must be a clean one."""
    done = subprocess.run(
        [sys.executable, "-W", "always::UserWarning", "-c", WAITING + dedent(code)],
        capture_output=True, text=True, timeout=100, env={**os.environ, **(environment or {})},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def wait_until(condition: Callable[[], object]) -> None:
    """Ask again and again, until it is so."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def history(run_id: str, key: str = CPU) -> list[Metric]:
    """Return the points of a metric by their steps."""
    return sorted(steplog.Client().get_metric_history(run_id, key), key=lambda point: point.step)


def steps(run_id: str, key: str = CPU) -> list[int]:
    """Return the steps of a metric."""
    return [point.step for point in history(run_id, key)]


def keys(run_id: str) -> set[str]:
    """Return the keys of a run's system metrics."""
    return {key for key in steplog.get_run(run_id).data.metrics if key.startswith("system/")}


def monitors() -> list[threading.Thread]:
    """Return the threads of this process that measure."""
    return [each for each in threading.enumerate() if each.name == "steplog-system-metrics"]


# What is logged -----------------------------------------------------------------------------------


def test_keys_units_and_steps() -> None:
    """A run has every key, in percent and megabytes as psutil says, with steps that count."""
    with steplog.start_run(log_system_metrics=True) as run:
        wait_until(lambda: len(history(run.info.run_id)) >= 3)
    assert keys(run.info.run_id) == KEYS
    for key in KEYS:
        points = history(run.info.run_id, key)
        assert [point.step for point in points] == list(range(len(points)))
        assert all(point.value >= 0 for point in points)
        assert not key.endswith("_percentage") or all(point.value <= 100 for point in points)
    metrics, memory, disk = (
        steplog.get_run(run.info.run_id).data.metrics,
        psutil.virtual_memory(),
        psutil.disk_usage("/"),
    )
    for key, expected in {
        "system/system_memory_usage_megabytes": memory.used / 1e6,
        "system/system_memory_usage_percentage": memory.used / memory.total * 100,
        "system/disk_usage_megabytes": disk.used / 1e6,
        "system/disk_usage_percentage": disk.percent,
        "system/disk_available_megabytes": disk.free / 1e6,
    }.items():
        assert metrics[key] == pytest.approx(expected, rel=0.5), key


# Runs under MLflow and under steplog: logs at least three points, twice, and prints all by key.
SIDE_BY_SIDE = """
import importlib, json, sys, time

mlflow = importlib.import_module(sys.argv[1])
mlflow.set_tracking_uri(sys.argv[2])
mlflow.enable_system_metrics_logging()
mlflow.set_system_metrics_sampling_interval(0.1)
mlflow.set_system_metrics_samples_before_logging(2)
mlflow.set_system_metrics_node_id("node-3")
client = mlflow.MlflowClient()

def history(key):
    points = client.get_metric_history(run.info.run_id, key)
    return sorted([point.step, point.value] for point in points)

def record(run):
    wanted = len(history(f"system/node-3/cpu_utilization_percentage")) + 3
    with run:
        while len(history(f"system/node-3/cpu_utilization_percentage")) < wanted:
            time.sleep(0.05)

run = mlflow.start_run()
record(run)
record(mlflow.start_run(run_id=run.info.run_id))
found = client.get_run(run.info.run_id).data.metrics
print(json.dumps({key: history(key) for key in found}))
"""


@pytest.mark.long
@pytest.mark.slow
def test_the_same_as_mlflow() -> None:
    """Under MLflow and under steplog a run, and its resumption, get the same keys, steps and
    precision, and values of the same size.
    """
    processes = {
        module: subprocess.Popen(
            [sys.executable, "-c", SIDE_BY_SIDE, module, uri],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for module, uri in (("mlflow", "sqlite:///mlflow.db"), ("steplog", "steplog-store"))
    }
    found = {name: json.loads(process.communicate()[0]) for name, process in processes.items()}
    mlflows, ours = found["mlflow"], found["steplog"]
    assert set(ours) == set(mlflows) == {key.replace("/", "/node-3/", 1) for key in KEYS}
    for key, points in ours.items():
        for steps, values in (zip(*points, strict=True), zip(*mlflows[key], strict=True)):
            assert list(steps) == list(range(len(steps)))
            assert all(0 <= value <= 100 for value in values if key.endswith("_percentage"))
            if "/network_" in key:
                assert all(0 <= value < 10_000 for value in values)
            else:
                assert list(values) == [round(value, 1) for value in values]
        if "memory" in key or "disk" in key:
            assert points[-1][1] == pytest.approx(mlflows[key][-1][1], rel=0.5), key


def test_samples_are_averaged_and_intervals_kept() -> None:
    """A point stands for as many measurements as were asked for, so many intervals later."""
    steplog.set_system_metrics_samples_before_logging(3)
    with steplog.start_run(log_system_metrics=True) as run:
        wait_until(lambda: len(history(run.info.run_id)) >= 3)
    times = [run.info.start_time, *(point.timestamp for point in history(run.info.run_id))]
    assert min(map(operator.sub, times[1:], times)) >= 3 * 20 - 5  # ms, of two clocks


def test_a_run_shorter_than_the_interval_ends_at_once() -> None:
    """The thread waits for the end of the run and for the next measurement at the same time."""
    steplog.set_system_metrics_sampling_interval(float("inf"))
    with steplog.start_run(log_system_metrics=True) as run:
        assert monitors()
    assert not monitors()
    assert not keys(run.info.run_id)


def test_a_resumed_run_goes_on_counting() -> None:
    """Steps go on after the last one of any machine; a run resumed without a store begins anew."""
    steplog.set_system_metrics_node_id("a")
    key = "system/{}/cpu_utilization_percentage".format
    with steplog.start_run(log_system_metrics=True) as run:
        wait_until(lambda: len(history(run.info.run_id, key("a"))) >= 2)
    ended = len(history(run.info.run_id, key("a")))
    steplog.set_system_metrics_node_id("b")
    with steplog.start_run(run.info.run_id, log_system_metrics=True):
        wait_until(lambda: len(history(run.info.run_id, key("b"))) >= 2)
    assert steps(run.info.run_id, key("b"))[:2] == [ended, ended + 1]
    assert len(history(run.info.run_id, key("a"))) == ended
    # This process asks the store in order to wait, its thread does not: it opens no database.
    steplog.set_system_metrics_node_id("c")
    steplog.config.set(ingest="off")
    with steplog.start_run(run.info.run_id, log_system_metrics=True):
        wait_until(lambda: history(run.info.run_id, key("c")))
    assert steps(run.info.run_id, key("c"))[0] == 0


def test_each_run_has_its_own(tmp_path: Path) -> None:
    """Nested runs are each measured, and stay in the store where they were started."""
    client = steplog.Client()
    with steplog.start_run(log_system_metrics=True) as outer:
        steplog.set_tracking_uri(tmp_path / "elsewhere")
        with steplog.start_run(nested=True, log_system_metrics=True) as inner:
            wait_until(lambda: len(history(inner.info.run_id)) >= 2)
        assert len(monitors()) == 1
        assert steps(inner.info.run_id) == list(range(len(history(inner.info.run_id))))
        assert not history(outer.info.run_id)
        before = len(client.get_metric_history(outer.info.run_id, CPU))
        wait_until(lambda: len(client.get_metric_history(outer.info.run_id, CPU)) > before)


# Who asks for it ----------------------------------------------------------------------------------


def test_which_runs_are_measured() -> None:
    """The argument says it for one run, the setting for all others, and child processes inherit."""
    for enable, argument, measured in [
        (None, None, False),
        (None, True, True),
        (steplog.enable_system_metrics_logging, None, True),
        (steplog.enable_system_metrics_logging, False, False),
        (steplog.disable_system_metrics_logging, None, False),
    ]:
        if enable is not None:
            enable()
        with steplog.start_run(log_system_metrics=argument) as run:
            assert bool(monitors()) is (run.monitor is not None) is measured
    steplog.enable_system_metrics_logging()
    assert os.environ["MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"] == "True"


def test_the_settings_can_be_taken_back() -> None:
    """None, and 0 as in MLflow, stand for the default; so does a node id of no characters."""
    for interval, samples, node_id in [(None, None, None), (0, 0, "")]:
        steplog.set_system_metrics_sampling_interval(interval)
        steplog.set_system_metrics_samples_before_logging(samples)
        steplog.set_system_metrics_node_id(node_id)
        with steplog.start_run(log_system_metrics=True) as run:
            assert run.monitor is not None
            assert run.monitor.sampling == (10.0, 1, "system/")


def test_a_setting_that_means_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call that sets it raises and changes nothing; from the environment, `start_run` does,
    before there is a run.
    """
    for function, bad, variable in [
        (steplog.set_system_metrics_sampling_interval, "soon", "SAMPLING_INTERVAL"),
        (steplog.set_system_metrics_sampling_interval, -1, "SAMPLING_INTERVAL"),
        (steplog.set_system_metrics_sampling_interval, float("nan"), "SAMPLING_INTERVAL"),
        (steplog.set_system_metrics_samples_before_logging, 1.5, "SAMPLES_BEFORE_LOGGING"),
        (steplog.set_system_metrics_node_id, "a#b", "NODE_ID"),
        (steplog.set_system_metrics_node_id, "n" * 250, "NODE_ID"),
    ]:
        name = f"MLFLOW_SYSTEM_METRICS_{variable}"
        before = os.environ.get(name)
        with pytest.raises(MlflowException) as caught:
            function(bad)  # type: ignore[operator]
        assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
        assert os.environ.get(name) == before
        with monkeypatch.context() as patch:
            patch.setenv(name, str(bad))
            with pytest.raises(MlflowException):
                steplog.start_run(log_system_metrics=True)
    assert steplog.active_run() is None
    assert not steplog.Client().search_runs(["0"])


# When it stops ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["end_run", "with", "error"])
def test_nothing_is_logged_after_the_end(how: str) -> None:
    """However a run ends, its thread is gone then."""
    run = steplog.start_run(log_system_metrics=True)
    wait_until(lambda: history(run.info.run_id))
    if how == "end_run":
        steplog.end_run("KILLED")
    elif how == "with":
        with run:
            pass
    else:
        with pytest.raises(ZeroDivisionError), run:
            _ = 1 / 0
    assert not monitors()


@pytest.mark.parametrize("how", ["delete_run", "set_terminated"])
def test_a_run_that_is_ended_by_its_id(how: str) -> None:
    """Deleting or ending a run through the client stops it; deleting others does not."""
    client = steplog.Client()
    with steplog.start_run(log_system_metrics=True) as run:
        client.delete_experiment(client.create_experiment("another"))
        before = len(history(run.info.run_id))
        wait_until(lambda: len(history(run.info.run_id)) > before + 2)
        getattr(client, how)(run.info.run_id)
        wait_until(lambda: not monitors())
        client.restore_run(run.info.run_id)


def test_the_end_of_the_process() -> None:
    """A script that just stops has ended its run, says nothing, and leaves no journal behind, even
    where a thread has left another run open.
    """
    done = script(
        """
        def forget_a_run():
            global other
            other = steplog.start_run(log_system_metrics=True)

        thread = threading.Thread(target=forget_a_run)
        thread.start()
        thread.join()
        run = steplog.start_run(log_system_metrics=True)
        wait_for_points(run, 2)
        wait_for_points(other, 2)
        print(json.dumps([run.info.run_id, other.info.run_id]))
        """
    )
    assert done.stderr == ""
    assert list(Path("steplog-store", "journal").iterdir()) == []
    run, other = (steplog.get_run(run_id) for run_id in json.loads(done.stdout))
    assert (run.info.status, other.info.status) == ("FINISHED", "RUNNING")
    assert len(history(run.info.run_id)) >= 2


def test_a_forked_child_measures_nothing() -> None:
    """In a child the parent's run is not measured again; a run of its own is."""
    done = script(
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads

        def monitors():
            return [each for each in threading.enumerate() if "system-metrics" in each.name]

        def child(run):
            assert not monitors()
            steplog.log_metric("logged", 1)
            with steplog.start_run(log_system_metrics=True) as own:
                wait_for_points(own, 2)
            assert not monitors()

        with steplog.start_run(log_system_metrics=True) as run:
            wait_for_points(run, 2)
            pid = os.fork()
            if not pid:
                status = 1
                try:
                    with run:
                        child(run)
                    status = 0
                finally:
                    os._exit(status)
            assert os.waitpid(pid, 0)[1] == 0
            wait_for_points(run, len(points(run)) + 2)
        print(run.info.run_id)
        """
    )
    assert done.stderr == ""
    run_id = done.stdout.strip()
    assert steps(run_id) == list(range(len(history(run_id))))
    assert len(history(run_id, "logged")) == 1


# What may be missing ------------------------------------------------------------------------------


def test_only_who_asks_pays() -> None:
    """A run that is not measured loads neither psutil nor NVML, and starts no thread."""
    done = script(
        """
        with steplog.start_run():
            steplog.log_metric("loss", 1)
            print({"psutil", "pynvml"} & set(sys.modules), threading.active_count())
        """
    )
    assert done.stdout == "set() 2\n"  # the other one ingests


def test_without_psutil() -> None:
    """One warning says what to install; the training goes on."""
    done = script(
        """
        sys.modules["psutil"] = None  # whoever imports it is told that there is none
        with steplog.start_run(log_system_metrics=True) as run:
            steplog.log_metric("loss", 1)
        print(run.info.run_id, run.monitor)
        """
    )
    assert done.stderr.count("SteplogWarning") == 1
    assert "psutil is needed for them (pip install 'steplog[system]')" in done.stderr
    run_id, monitor = done.stdout.split()
    assert monitor == "None"
    assert steplog.get_run(run_id).info.status == "FINISHED"
    assert steplog.get_run(run_id).data.metrics == {"loss": 1.0}


def test_no_thread_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system starts no more threads there is a warning, and a run all the same."""
    with steplog.start_run():
        pass  # the thread that ingests is there already

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with (
        pytest.warns(SteplogWarning, match="not recorded: .*can't start new thread"),
        steplog.start_run(log_system_metrics=True) as run,
    ):
        steplog.log_metric("loss", 1)
    assert run.monitor is None


# GPUs, with the stand-in for NVML -----------------------------------------------------------------


@pytest.fixture
def fake_nvml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have child processes find `FAKE_NVML` where nvidia-ml-py would be."""
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "pynvml.py").write_text(FAKE_NVML, "utf-8")
    paths = [str(tmp_path / "fake"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


RECORD = """
with steplog.start_run(log_system_metrics=True) as run:
    wait_for_points(run, 6)
print(run.info.run_id)
"""


def test_gpus(fake_nvml: None) -> None:
    """Each GPU has keys for what it tells; what it never tells is left out without a word, and what
    fails for a while leaves a gap and is warned about once.
    """
    done = script(RECORD)
    run_id = done.stdout.strip()
    metrics = steplog.get_run(run_id).data.metrics
    measured = steps(run_id)
    assert keys(run_id) - KEYS == {
        "system/gpu_0_memory_usage_megabytes",
        "system/gpu_0_memory_usage_percentage",
        "system/gpu_0_utilization_percentage",
        "system/gpu_0_power_usage_watts",
        "system/gpu_0_power_usage_percentage",
        "system/gpu_1_memory_usage_megabytes",
        "system/gpu_1_memory_usage_percentage",
        "system/gpu_1_utilization_percentage",
    }
    assert metrics["system/gpu_1_memory_usage_megabytes"] == 3000.0
    assert metrics["system/gpu_0_memory_usage_percentage"] == 18.8  # of 18.75
    assert metrics["system/gpu_0_power_usage_watts"] == 62.5
    assert metrics["system/gpu_0_power_usage_percentage"] == 25.0
    assert steps(run_id, "system/gpu_0_utilization_percentage") == measured
    assert steps(run_id, "system/gpu_0_memory_usage_megabytes") == [0, *measured[3:]]
    assert done.stderr.count("SteplogWarning") == 1
    assert "have gaps: NVMLError('GPU is lost')" in done.stderr


def test_a_point_is_the_mean_of_its_samples(fake_nvml: None) -> None:
    """With three samples for a point, and readings of 10, 20, 30 …, the points are 20, 50, 80 …"""
    done = script(RECORD, {"MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING": "3"})
    values = [
        point.value for point in history(done.stdout.strip(), "system/gpu_1_utilization_percentage")
    ]
    assert values == [20.0 + 30 * step for step in range(len(values))]


@pytest.mark.slow
def test_gpus_as_mlflow_sees_them(fake_nvml: None) -> None:
    """MLflow's own monitor makes the same keys and values of the same GPUs."""
    done = script(
        """
        from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

        monitor = GPUMonitor()
        monitor.collect_metrics()
        theirs = monitor.aggregate_metrics()
        import pynvml
        pynvml.memory_readings[:] = pynvml.use_readings[:] = [-1, -1]  # as at its start, but one
        with steplog.start_run(log_system_metrics=True) as run:
            wait_for_points(run, 1)
        ours = {
            key.removeprefix("system/"): points(run, key)[0].value
            for key in steplog.get_run(run.info.run_id).data.metrics if "/gpu_" in key
        }
        print(json.dumps([ours, theirs]))
        """
    )
    ours, theirs = json.loads(done.stdout)
    assert ours == theirs
    assert len(ours) == 8
