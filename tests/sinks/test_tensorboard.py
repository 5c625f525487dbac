"""TensorBoard: the right tags at the right steps, each once, over crashes and resumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sample_run import finished, scores, started, steps, whole
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from eyas.evaluation.scores import Scores
from eyas.sinks.scalars import class_tags
from eyas.sinks.tensorboard import TensorBoard
from eyas.training.events import EpochOver, Evaluated, Event


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Epochs that are long beside the drawing of a chart."""
    monkeypatch.setattr("eyas.sinks.tensorboard.SHARE", float("inf"))


def record(folder: Path, events: list[Event], resumed_step: int | None = None, *, close: bool = True) -> TensorBoard:
    sink = TensorBoard(folder, resumed_step=resumed_step)
    for event in events:
        sink.write(event)
    if close:
        sink.close()
    return sink


def shown(folder: Path, *, purge: bool = True) -> EventAccumulator:
    board = EventAccumulator(str(folder), purge_orphaned_data=purge)
    board.Reload()
    return board


def points(folder: Path, *, purge: bool = True) -> dict[str, list[tuple[int, float]]]:
    board = shown(folder, purge=purge)
    # files of one second are read in no certain order
    return {tag: sorted((point.step, point.value) for point in board.Scalars(tag)) for tag in board.Tags()["scalars"]}


def test_the_loss_counts_in_steps_and_the_test_in_epochs(tmp_path: Path) -> None:
    record(tmp_path, whole(tmp_path))
    curves = points(tmp_path)
    assert [step for step, _ in curves["train/loss"]] == [5, 10, 15, 20, 25, 30]
    assert [step for step, _ in curves["test/loss_sum"]] == [1, 2, 3]
    assert curves["test/accuracy"][1][1] == np.float32(0.72)
    assert {"train/learning_rate", "time/seconds_per_epoch", "test/loss_mean", "test_f1/dog_wolf"} <= set(curves)
    assert "test_recall/鸟" in curves


def test_of_epochs_quicker_than_the_drawing_the_last_one_is_drawn(tmp_path: Path) -> None:
    record(tmp_path, whole(tmp_path))
    assert [picture.step for picture in shown(tmp_path).Images("test/per_class")] == [3]


def test_a_run_that_breaks_off_is_not_kept_waiting_for_a_chart(tmp_path: Path) -> None:
    record(tmp_path, whole(tmp_path)[:-1])
    assert shown(tmp_path).Tags()["images"] == []


def test_charts_first_batch_and_facts_are_there_to_see(tmp_path: Path, unhurried: None) -> None:
    record(tmp_path, whole(tmp_path))
    board = shown(tmp_path)
    assert [picture.step for picture in board.Images("test/confusion_matrix")] == [1, 2, 3]
    assert {"test/per_class", "data/first_batch"} <= set(board.Tags()["images"])
    facts = board.Tensors("run/facts/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "alexnet" in facts and "<b>" not in facts and "[bold]" not in facts
    assert all(line.count("|") == 3 for line in facts.splitlines())


def test_after_a_crash_and_a_resume_each_point_is_there_once_and_right(tmp_path: Path, unhurried: None) -> None:
    record(tmp_path / "one", whole(tmp_path))
    # killed in epoch 3 while the last state is of step 17: epoch 2 and two records are taken again
    killed = [
        record(tmp_path / "two", [started(tmp_path), *steps(1, 15), *steps(16, 26, shift=9.0)], close=False),
        record(tmp_path / "two", [started(tmp_path, 17), *steps(18, 22, shift=5.0)], 17, close=False),
    ]
    record(tmp_path / "two", [started(tmp_path, 17), *steps(18, 30), finished()], 17)
    assert points(tmp_path / "two") == points(tmp_path / "one")
    # the files themselves are clean: a reader that knows nothing of purging sees the same
    assert points(tmp_path / "two", purge=False) == points(tmp_path / "one")
    assert [picture.step for picture in shown(tmp_path / "two").Images("test/per_class")] == [1, 2, 3]
    assert len(shown(tmp_path / "two", purge=False).Tensors("run/facts/text_summary")) == 1
    for sink in killed:
        sink.close()


def test_a_resume_at_the_end_of_an_epoch_keeps_the_epoch(tmp_path: Path) -> None:
    record(tmp_path, [started(tmp_path), *steps(1, 20), finished("interrupted", step=20)])
    record(tmp_path, [started(tmp_path, 20), *steps(21, 30), finished()], 20)
    curves = points(tmp_path, purge=False)
    assert [step for step, _ in curves["test/accuracy"]] == [1, 2, 3]
    assert [step for step, _ in curves["train/loss"]] == [5, 10, 15, 20, 25, 30]


def test_an_evaluation_made_again_after_an_interruption_is_shown_once(tmp_path: Path, unhurried: None) -> None:
    record(tmp_path, [started(tmp_path), *steps(1, 20)])
    again = [e for e in steps(11, 20) if isinstance(e, (Evaluated, EpochOver))]
    record(tmp_path, [started(tmp_path, 20), *again, *steps(21, 30)], 20)
    assert [step for step, _ in points(tmp_path, purge=False)["test/accuracy"]] == [1, 2, 3]
    assert [picture.step for picture in shown(tmp_path).Images("test/confusion_matrix")] == [1, 2, 3]


def test_a_torn_last_record_does_not_hide_what_comes_after(tmp_path: Path) -> None:
    record(tmp_path, [started(tmp_path), *steps(1, 10)])
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes() + b"\x20\0\0\0\0\0\0\0torn")
    record(tmp_path, [started(tmp_path, 10), *steps(11, 30)], 10)
    assert [step for step, _ in points(tmp_path)["train/loss"]] == [5, 10, 15, 20, 25, 30]


def test_what_was_written_survives_a_kill(tmp_path: Path) -> None:
    killed = record(tmp_path, [started(tmp_path), *steps(1, 5)], close=False)
    assert points(tmp_path)["train/loss"] == [(5, np.float32(1.95))]
    killed.close()


def test_class_names_become_different_tags() -> None:
    assert class_tags(("cat", "dog/wolf")) == ("cat", "dog_wolf")
    assert class_tags(("a b", "a/b", "Cat")) == ("0_a_b", "1_a_b", "2_Cat")


def test_of_very_many_classes_only_the_charts_are_shown(tmp_path: Path) -> None:
    many = scores(80, tuple(f"class of {number}" for number in range(51)))
    record(tmp_path, [started(tmp_path), Evaluated(10, 1, "val", many, True, True, 1.0), finished()])
    board = shown(tmp_path)
    assert not [tag for tag in board.Tags()["scalars"] if tag.startswith("val_")]
    assert "val/per_class" in board.Tags()["images"]


def test_a_class_without_samples_leaves_a_gap(tmp_path: Path) -> None:
    never = Scores(("cat", "dog"), np.array([[5, 0], [0, 0]]), 1.0)
    record(tmp_path, [started(tmp_path), Evaluated(10, 1, "test", never, True, True, 1.0)])
    curves = points(tmp_path)
    assert "test_f1/cat" in curves and "test_f1/dog" not in curves
