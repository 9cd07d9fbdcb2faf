"""Processes that end, fork and are interrupted in every way: what they logged is there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent, indent

import pytest

import steplog
from steplog.backend import backend, shown_status

BEGIN = """
import itertools, json, os, signal, sys, threading, time
import steplog

def main():
    run = steplog.start_run()
    print(run.info.run_id, flush=True)
"""
END = """
if __name__ == "__main__":
    main()
"""


# Newer Pythons warn of any fork beside a thread; what they warn of is what is tested here.
FORKS_ARE_WANTED = ("-W", "ignore:This process:DeprecationWarning")


def program(body: str) -> str:
    """Return a script that starts a run, prints its id, and then does this."""
    return BEGIN + indent(dedent(body).strip(), "    ") + END


class Script:
    """A script that runs in the store `steplog-store` of the current directory."""

    def __init__(self, body: str, environment: dict[str, str] | None = None) -> None:
        Path("script.py").write_text(program(body), "utf-8")  # spawned children import it
        self.process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-W", "error", *FORKS_ARE_WANTED, "script.py"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
        self.run_id = self.line()

    def line(self) -> str:
        """Wait for the next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> tuple[int, str]:
        """Wait until it has ended; return its status and what it wrote to stderr."""
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors

    def steps(self, key: str = "loss") -> list[int]:
        """Read back the steps of a metric."""
        found = steplog.read(self.run_id, key)
        return found[0].step.tolist() if found else []

    def status(self) -> str:
        """Return the run's status as it is shown to people."""
        opened = backend()
        (record,) = opened.store().runs([self.run_id])
        return shown_status(record, opened.live_writers())


def run(body: str, environment: dict[str, str] | None = None, *, status: int = 0) -> Script:
    """Run a script to its end, which must be as said, and silent if it is a clean one."""
    script = Script(body, environment)
    found, errors = script.end()
    assert found == status, errors
    assert errors == "" or status, errors
    return script


def journals() -> list[str]:
    """Return the names of the journals that are left."""
    return [path.name for path in Path("steplog-store", "journal").glob("*")]


LOG = "for step in range(1000): steplog.log_metric('loss', step / 2, step)\n"
WAYS: list[dict[str, str]] = [
    {},
    {"STEPLOG_JOURNAL": "append"},
    {"STEPLOG_DURABILITY": "power"},
    {"STEPLOG_INGEST": "off"},
]


@pytest.mark.parametrize("environment", WAYS, ids=lambda way: "-".join(way.values()) or "usual")
@pytest.mark.parametrize(
    ("ending", "exit_status"),
    [
        ("os._exit(7)", 7),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    ],
    ids=["_exit", "SIGKILL", "SIGTERM"],
)
def test_what_was_logged_survives_a_sudden_end(
    ending: str, exit_status: int, environment: dict[str, str]
) -> None:
    """However suddenly a process ends, whatever it logged is read, and its run is shown as LOST."""
    script = run(LOG + ending, environment, status=exit_status)
    assert script.steps() == list(range(1000))
    assert script.status() == "LOST"
    assert journals() == []


@pytest.mark.parametrize("environment", WAYS, ids=lambda way: "-".join(way.values()) or "usual")
def test_a_clean_end_ends_the_run(environment: dict[str, str]) -> None:
    """A script that just stops has ended its run; its journals go as soon as they are ingested."""
    script = run(LOG, environment)
    ingests = "STEPLOG_INGEST" not in environment
    assert (journals() == []) is ingests
    assert Path("steplog-store", "catalog.db").exists() is ingests
    assert script.steps() == list(range(1000))
    assert script.status() == "FINISHED"
    assert journals() == []


def test_an_uncaught_exception_loses_nothing() -> None:
    """A script that fails inside its run leaves a failed run with all that it logged."""
    script = run("with run:\n    " + LOG + "\n    raise ValueError('mine')", status=1)
    assert script.steps() == list(range(1000))
    assert script.status() == "FAILED"
    assert journals() == []


def test_a_living_process_is_shown_as_running() -> None:
    """A run is RUNNING while its process lives, also a silent one, and LOST afterwards."""
    script = Script("steplog.log_metric('loss', 1)\nprint('logged', flush=True)\ninput()")
    assert script.line() == "logged"
    assert script.status() == "RUNNING"
    script.process.kill()
    script.end()
    assert script.status() == "LOST"


def test_a_reader_sees_what_a_living_process_has_logged() -> None:
    """A point is read by another process as soon as the call that logs it has returned."""
    script = Script(
        """
        for step in range(3):
            steplog.log_metric('loss', step, step)
            print(step, flush=True)
            input()
        """,
        {"STEPLOG_INGEST": "off"},
    )
    assert script.process.stdin is not None
    for step in range(3):
        assert script.line() == str(step)
        assert script.steps() == list(range(step + 1))
        script.process.stdin.write("\n")
        script.process.stdin.flush()
    assert script.end()[0] == 0


def test_threads_log_to_one_run() -> None:
    """Points of threads that log at the same time are all there."""
    script = run(
        """
        def log(worker):
            for step in range(2000):
                steplog.log_metric(f"worker-{worker}", step, step)
        threads = [threading.Thread(target=log, args=(w,)) for w in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        """
    )
    assert [len(script.steps(f"worker-{w}")) for w in range(4)] == [2000] * 4


def test_a_signal_handler_logs_on_top_of_a_call() -> None:
    """A handler that logs while the main thread logs neither stops anything nor loses a point."""
    script = run(
        """
        number = itertools.count().__next__  # a handler may be interrupted by itself
        def handler(*_):
            count = number()
            steplog.log_metric("handler", count, count)
            steplog.log_metric(f"key-{count % 50}", count, count)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.002)
        for step in range(60_000):
            steplog.log_metric("loss", step, step)
        signal.setitimer(signal.ITIMER_REAL, 0)
        """
    )
    assert script.steps() == list(range(60_000))
    handled = script.steps("handler")
    assert handled == list(range(len(handled)))
    assert len(handled) > 10


def test_an_interrupt_anywhere_leaves_logging_in_order() -> None:
    """Ctrl-C at any moment of a call loses no other call, and logging goes on afterwards."""
    script = run(
        """
        def interrupt(*_): raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, interrupt)
        returned = []
        step = interrupts = 0
        while interrupts < 300:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0005)
                while True:
                    steplog.log_metric(f"key-{step % 7}", step, step)
                    returned.append(step)
                    step += 1
            except KeyboardInterrupt:
                interrupts += 1
                step += 1  # the interrupted call may have logged or not
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        with open("returned.json", "w") as file:
            json.dump(returned, file)
        steplog.log_metric("after", 1)
        """
    )
    assert script.steps("after") == [0]
    returned = json.loads(Path("returned.json").read_text("utf-8"))
    stored = [step for key in range(7) for step in script.steps(f"key-{key}")]
    assert len(stored) == len(set(stored))
    assert set(returned) <= set(stored)


def test_a_child_of_a_fork_logs_to_the_run_of_its_parent() -> None:
    """Children forked while threads log and ingest have journals of their own; all points come."""
    script = run(
        """
        going = True
        def log():
            step = 0
            while going:
                steplog.log_metric("thread", step, step)
                step += 1
        threading.Thread(target=log).start()
        children = []
        for child in range(8):
            pid = os.fork()
            if pid == 0:
                for step in range(500):
                    steplog.log_metric(f"child-{child}", step, step)
                os._exit(0)
            children.append(pid)
        statuses = [os.waitpid(pid, 0)[1] for pid in children]
        going = False
        assert statuses == [0] * 8, statuses
        """
    )
    assert [len(script.steps(f"child-{child}")) for child in range(8)] == [500] * 8
    thread = script.steps("thread")
    assert thread == list(range(len(thread)))
    assert script.status() == "FINISHED"


def test_a_forked_child_reads_and_ends_like_any_process() -> None:
    """A child may read the store, start a run of its own and end normally; nothing is damaged."""
    script = run(
        """
        steplog.log_metric("loss", 1)
        client = steplog.Client()
        client.get_run(run.info.run_id)
        for child in range(4):
            steplog.log_metric("loss", child, child)
            pid = os.fork()
            if pid == 0:
                assert steplog.active_run().info.run_id == run.info.run_id
                steplog.log_metric("child", child, child)
                assert "loss" in client.get_run(run.info.run_id).data.metrics
                with steplog.start_run() as own:
                    steplog.log_metric("own", 1)
                assert own.info.run_id != run.info.run_id
                sys.exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        """
    )
    assert script.steps("child") == [0, 1, 2, 3]
    assert script.status() == "FINISHED"
    assert len(backend().store().runs()) == 5
    assert not [found for found in backend().store().check() if not isinstance(found, int)]


def test_a_child_forked_while_numpy_is_being_loaded() -> None:
    """A fork waits until the background thread has loaded its modules; the child can load them."""
    script = run(
        """
        steplog.log_metric("loss", 1)
        assert "numpy" not in sys.modules
        threading.Thread(target=steplog.flush_async_logging).start()
        while "numpy" not in sys.modules: time.sleep(0.0005)
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            import numpy
            steplog.log_metric("child", numpy.float64(1))
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        """
    )
    assert script.steps("child") == [0]


def test_children_forked_while_the_parent_uses_its_catalog() -> None:
    """Children read and write the catalog that threads of the parent were using at the fork."""
    script = run(
        """
        going = True
        def use():
            while going:
                steplog.log_metric("loss", 1)
                steplog.flush_async_logging()
                steplog.get_run(run.info.run_id)
        threads = [threading.Thread(target=use, daemon=True) for _ in range(2)]
        for thread in threads: thread.start()
        for child in range(20):
            pid = os.fork()
            if pid == 0:
                signal.alarm(20)
                steplog.log_metric("child", child, child)
                assert "child" in steplog.get_run(run.info.run_id).data.metrics
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        going = False
        for thread in threads: thread.join()
        """
    )
    assert script.steps("child") == list(range(20))
    assert not [found for found in backend().store().check() if not isinstance(found, int)]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_of_processes_logs_to_one_run(method: str) -> None:
    """The workers of a pool log to the run whose id they are given, and the pool ends as usual."""
    Path("workers.py").write_text(
        dedent(
            """
            import steplog

            def log(job):
                run_id, worker = job
                for step in range(200):
                    steplog.log_metric(f"worker-{worker}", step, step, run_id=run_id)
                return worker
            """
        ),
        "utf-8",
    )
    script = run(
        f"""
        import multiprocessing, workers
        with multiprocessing.get_context({method!r}).Pool(2) as pool:
            jobs = [(run.info.run_id, worker) for worker in range(6)]
            assert sorted(pool.map(workers.log, jobs)) == list(range(6))
            pool.close()
            pool.join()
        """
    )
    assert [len(script.steps(f"worker-{worker}")) for worker in range(6)] == [200] * 6
    assert journals() == []


def test_a_surviving_child_does_not_keep_the_dead_parent_alive() -> None:
    """A child that outlives its parent and never logs leaves the parent's journal an orphan."""
    script = Script(
        """
        steplog.log_metric("loss", 1)
        pid = os.fork()
        if pid == 0:
            print(os.getpid(), flush=True)
            time.sleep(60)
            os._exit(0)
        time.sleep(60)
        """
    )
    child = int(script.line())
    try:
        script.process.kill()
        script.process.wait()
        assert script.steps() == [0]
        assert script.status() == "LOST"
        assert journals() == []
    finally:
        os.kill(child, signal.SIGKILL)
        script.end()


def test_a_process_that_must_not_ingest_opens_no_database() -> None:
    """With STEPLOG_INGEST=off neither sqlite3 nor numpy is loaded, and there is no catalog.db."""
    run(
        LOG + "steplog.log_params({'a': 1})\nsteplog.end_run()\n"
        "print(json.dumps(sorted({'sqlite3', 'numpy', 'pcodec'} & set(sys.modules))), flush=True)",
        {"STEPLOG_INGEST": "off"},
    )
    assert not Path("steplog-store", "catalog.db").exists()


def test_interpreter_exit_from_a_thread_that_still_logs() -> None:
    """A daemon thread that logs while the interpreter ends stops nothing and spoils nothing."""
    script = run(
        """
        def log():
            step = 0
            while True:
                steplog.log_metric("thread", step, step)
                step += 1
                if step % 100 == 0: time.sleep(0.001)
        threading.Thread(target=log, daemon=True).start()
        for step in range(1000): steplog.log_metric("loss", step, step)
        """
    )
    assert script.steps() == list(range(1000))
    thread = script.steps("thread")
    assert thread == list(range(len(thread)))
    assert script.status() == "FINISHED"
