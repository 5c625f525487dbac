"""metrics.csv: a row per epoch, whole at any time, the same after a resume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sample_run import scores, steps, whole

from eyas.errors import DataError
from eyas.sinks.table import COLUMNS, MetricsTable, read_table
from eyas.training.events import Evaluated, Event


def record(path: Path, events: list[Event], resumed_step: int | None = None) -> None:
    sink = MetricsTable(path, resumed_step=resumed_step)
    for event in events:
        sink.write(event)
    sink.close()


def test_an_epoch_is_a_row_and_the_last_best_is_the_best(tmp_path: Path) -> None:
    record(tmp_path / "metrics.csv", whole(tmp_path))
    rows = read_table(tmp_path / "metrics.csv")
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [row["best"] for row in rows] == ["1", "1", "0"]
    assert float(rows[1]["test_accuracy"]) == 0.72 and float(rows[1]["train_loss"]) == 1.8
    assert float(rows[1]["test_accuracy_low"]) < 0.72 < float(rows[1]["test_accuracy_high"])


def test_columns_of_an_absent_set_are_empty(tmp_path: Path) -> None:
    record(tmp_path / "metrics.csv", list(steps(1, 10, split="val")))
    (row,) = read_table(tmp_path / "metrics.csv")
    assert row["val_accuracy"] == "0.71" and row["test_accuracy"] == "" and row["test_loss_sum"] == ""


def test_both_sets_stand_in_one_row(tmp_path: Path) -> None:
    held = Evaluated(10, 1, "test", scores(60), False, False, 1.0)
    record(tmp_path / "metrics.csv", [*steps(1, 10, split="val"), held])
    (row,) = read_table(tmp_path / "metrics.csv")
    assert (row["val_accuracy"], row["test_accuracy"], row["best"]) == ("0.71", "0.6", "1")


def test_a_cut_and_resumed_table_equals_one_never_cut(tmp_path: Path) -> None:
    record(tmp_path / "one.csv", list(steps(1, 30)))
    record(
        tmp_path / "two.csv",
        list(steps(1, 24, shift=7.0))[:0] + list(steps(1, 10)) + list(steps(11, 20, shift=7.0)),
    )
    record(tmp_path / "two.csv", list(steps(16, 30)), resumed_step=15)
    assert (tmp_path / "two.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()


def test_numbers_are_plain_also_where_they_come_from_numpy(tmp_path: Path) -> None:
    odd = Evaluated(10, 1, "test", scores(60), True, bool(np.True_), 1.0)
    object.__setattr__(odd.scores, "loss_sum", np.float32(1.5))
    record(tmp_path / "metrics.csv", [odd])
    assert read_table(tmp_path / "metrics.csv")[0]["test_loss_sum"] == "1.5"


def test_a_foreign_table_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"metrics\.csv:2: "):
        read_table(tmp_path / "metrics.csv")


def test_the_heads_are_there_before_any_number(tmp_path: Path) -> None:
    record(tmp_path / "metrics.csv", list(steps(1, 10)))
    assert (tmp_path / "metrics.csv").read_text(encoding="utf-8").splitlines()[0] == ",".join(COLUMNS)
