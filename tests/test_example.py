"""The main job: a real training script, its points in the store, its curves in the terminal."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import steplog

EXAMPLE = Path(__file__).parent.parent / "examples" / "train_digits.py"
STEPLOGS_OWN_PART = "\n# steplog's own part"
STEPS = 660  # 30 epochs of 22 batches


@pytest.mark.slow
def test_the_example_trains_and_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example learns the digits; its points are all there; it prints where, the curves, and
    the command that shows them in a browser.
    """
    store = tmp_path / "store"
    monkeypatch.setenv("STEPLOG_TRACKING_URI", str(store))
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    finished = subprocess.run(
        [sys.executable, str(EXAMPLE)], capture_output=True, check=True, encoding="utf-8"
    )
    assert not finished.stderr
    assert str(store) in finished.stdout
    assert re.search(rf"train/loss .* {STEPS}\n", finished.stdout), "the summary table"
    assert any("\u2800" < character <= "\u28ff" for character in finished.stdout), "the curves"
    assert "steplog</title>" in page_of(finished.stdout.splitlines()[-1])

    experiment = steplog.get_experiment_by_name("digits")
    assert experiment is not None
    (run,) = steplog.Client().search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    series = {each.key.key: each for each in steplog.read(run)}
    assert {key: len(each.value) for key, each in series.items()} == {
        "train/loss": STEPS,
        "train/gradient_norm": STEPS,
        "valid/loss": 30,
        "valid/accuracy": 30,
    }
    assert series["train/loss"].step.tolist() == list(range(1, STEPS + 1))
    assert series["valid/accuracy"].value[-1] > 0.94
    assert not list((store / "journal").iterdir()), "the journal of a clean end is taken away"


def page_of(command: str) -> str:
    """Return the page that a command of a shell serves."""
    showing = [*shlex.split(command), "--port", "0", "--no-browser"]
    with subprocess.Popen(showing, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        address = next(line.strip() for line in process.stdout if "http://" in line)
        jar = urllib.request.HTTPCookieProcessor()  # the address leads to the page by a cookie
        with urllib.request.build_opener(jar).open(address, timeout=30) as page:
            text: str = page.read().decode()
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode == 0
    return text


@pytest.mark.long
@pytest.mark.slow
def test_the_example_is_an_mlflow_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``import mlflow`` instead, the example trains and records in MLflow."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    training, _, _ = EXAMPLE.read_text("utf-8").partition(STEPLOGS_OWN_PART)
    script = training.replace("import steplog as mlflow", "import mlflow")
    assert "steplog" not in script.split('"""')[2]
    count = "\nprint(len(mlflow.MlflowClient().get_metric_history(run.info.run_id, 'train/loss')))"
    finished = subprocess.run(
        [sys.executable, "-c", script + count], stdout=subprocess.PIPE, check=True, text=True
    )
    assert finished.stdout.split() == [str(STEPS)]
