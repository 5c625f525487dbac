"""`charts/`: the best epoch's pictures, drawn when the run ends."""

from __future__ import annotations

from pathlib import Path

from tests.sinks.sample_run import finished, steps, whole

from eyas.sinks.charts import ChartFiles
from eyas.sinks.table import MetricsTable
from eyas.training.events import Finished


def test_a_finished_run_has_the_charts_of_its_best_epoch(tmp_path: Path) -> None:
    table, charts = MetricsTable(tmp_path / "metrics.csv"), ChartFiles(tmp_path)
    for event in whole(tmp_path):
        table.write(event)
        charts.write(event)
    names = {path.name for path in (tmp_path / "charts").iterdir()}
    assert names == {"curves.svg", "test-confusion.svg", "test-per-class.svg"}


def test_a_resumed_run_without_a_better_epoch_leaves_the_charts_of_the_best_one(tmp_path: Path) -> None:
    table, charts = MetricsTable(tmp_path / "metrics.csv"), ChartFiles(tmp_path)
    for event in (*steps(1, 20), finished("interrupted", step=20)):
        table.write(event)
        charts.write(event)
    best = (tmp_path / "charts/test-confusion.svg").read_bytes()
    again = ChartFiles(tmp_path)
    for event in (*steps(21, 30), finished()):
        table.write(event)
        again.write(event)
    assert (tmp_path / "charts/test-confusion.svg").read_bytes() == best


def test_a_run_interrupted_in_its_first_epoch_draws_nothing(tmp_path: Path) -> None:
    charts = ChartFiles(tmp_path)
    charts.write(Finished(1, 0, "interrupted", None, None, "accuracy", "test", 1.0))
    assert not (tmp_path / "charts").exists()
