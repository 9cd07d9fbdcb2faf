"""What notebooks show of runs and series: HTML that a saved notebook keeps."""

from __future__ import annotations

import steplog

NASTY = '<script>alert(1)</script>"&\x00'


def test_a_run_shows_itself() -> None:
    """An active run shows its curves, and a run that was read its last values, as text."""
    with steplog.start_run(run_name=NASTY) as run:
        steplog.log_param("lr", NASTY)
        for step in range(10):
            steplog.log_metric("loss", 1 / (1 + step), step)
        live = run._repr_html_()
    read = steplog.get_run(run.info.run_id)._repr_html_()
    for shown in (live, read):
        assert "<script" not in shown and "&lt;script&gt;" in shown
        assert "loss" in shown and "0.1" in shown and 'class="steplog"' in shown
    assert live.count("<svg") == 1 and "RUNNING" in live and "FINISHED" in read


def test_series_show_their_curves() -> None:
    """A series is a chart; a list of them is one chart a metric, and still a list."""
    runs = []
    for _ in range(2):
        with steplog.start_run() as run:
            for step in range(2_000):
                steplog.log_metric("loss", 100.0 if step == 777 else 1.0, step)
            steplog.log_metric("accuracy", 0.5, 0)
        runs.append(run)
    found = steplog.read(runs)
    assert isinstance(found, list) and len(found) == 4
    shown = found._repr_html_()  # type: ignore[attr-defined]  # its declared type is list
    assert shown.count("<svg") == 2 and "<script" not in shown
    [alone] = steplog.read(runs[0], "loss")
    assert alone._repr_html_().count("<svg") == 1 and "of 2,000 points" in alone._repr_html_()
    nothing = steplog.read(runs[0], "none")
    assert "No series" in nothing._repr_html_()  # type: ignore[attr-defined]
