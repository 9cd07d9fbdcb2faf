"""The four everyday uses, as a user types them: the same script under steplog and under MLflow."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = (Path(__file__).parent.parent / "examples" / "everyday.py").read_text("utf-8")
IMPORT = "import steplog as mlflow"

# Reads back what the script logged, in a second process. It, too, is one text for both.
READER = f"""
import json, sys
{IMPORT}

client = mlflow.MlflowClient()
runs = [client.get_run(run_id) for run_id in sys.argv[1:]]
print(json.dumps([
    {{
        "status": run.info.status,
        "latest": run.data.metrics,
        "history": {{
            key: sorted((m.step, m.value) for m in client.get_metric_history(run.info.run_id, key))
            for key in run.data.metrics
        }},
    }}
    for run in runs
]))
"""

HISTORIES = [
    {"accuracy": [[0, 0.93]]},
    {"loss": [[step, math.exp(-step / 5)] for step in range(20)]},
    {"valid/accuracy": [[100, 0.91]], "valid/f1": [[100, 0.88]], "valid/loss": [[100, 0.31]]},
    {"reward": [[step, math.sin(step / 50)] for step in range(1_000)]},
]


def printed(code: str, *arguments: str) -> list[str]:
    """Run a script in a process of its own and return the lines it printed."""
    finished = subprocess.run(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, check=True, text=True
    )
    return finished.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize(
    "library",
    [
        pytest.param(IMPORT, id="steplog"),
        pytest.param("import mlflow", id="mlflow", marks=pytest.mark.long),
    ],
)
def test_everyday_uses(library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each everyday use leaves a finished run with every value that was logged, and no other."""
    monkeypatch.setenv("STEPLOG_TRACKING_URI", str(tmp_path / "store"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    run_ids = printed(SCRIPT.replace(IMPORT, library))
    (line,) = printed(READER.replace(IMPORT, library), *run_ids)
    runs = json.loads(line)
    assert [run["history"] for run in runs] == HISTORIES
    assert [run["status"] for run in runs] == ["FINISHED"] * 4
    assert [run["latest"] for run in runs] == [
        {key: points[-1][1] for key, points in history.items()} for history in HISTORIES
    ]
