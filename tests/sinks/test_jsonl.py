"""events.jsonl: strict, whole, and never ahead of the state."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sample_run import finished, scores, started, steps, whole

from eyas.errors import DataError, FileError
from eyas.evaluation.scores import Scores
from eyas.sinks.jsonl import JsonLines, read_events
from eyas.training.events import Evaluated, Event, Noted


def record(path: Path, events: list[Event], resumed_step: int | None = None) -> None:
    sink = JsonLines(path, resumed_step=resumed_step)
    for event in events:
        sink.write(event)
    sink.close()


def told(path: Path) -> list[tuple[str, int]]:
    return [(line["event"], line["step"]) for line in read_events(path)]


def test_every_event_but_progress_is_a_line_of_strict_json(tmp_path: Path) -> None:
    record(tmp_path / "events.jsonl", whole(tmp_path))
    lines = (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()
    names = [json.loads(line, parse_constant=pytest.fail)["event"] for line in lines]
    assert names[0] == "started" and names[-1] == "finished"
    assert "progress" not in names
    assert names.count("trained") == 6 and names.count("evaluated") == 3
    assert "first_batch" not in lines[0] and "鸟" in lines[0]


def test_an_evaluation_is_written_with_every_number(tmp_path: Path) -> None:
    record(tmp_path / "events.jsonl", [Evaluated(10, 1, "test", scores(80), True, True, 1.5)])
    (line,) = read_events(tmp_path / "events.jsonl")
    assert (line["count"], line["correct"]) == (300, 240)
    assert line["accuracy"] == 0.8 and line["loss_sum"] == pytest.approx(210.0)
    assert line["interval"][0] < 0.8 < line["interval"][1]
    assert line["recall"] == [0.8, 0.8, 0.8] and line["support"] == [100, 100, 100]
    assert line["confusion"][0] == [80, 20, 0]


def test_a_score_that_does_not_exist_is_null(tmp_path: Path) -> None:
    never = Scores(("cat", "dog"), np.array([[5, 0], [0, 0]]), 1.0)
    record(tmp_path / "events.jsonl", [Evaluated(10, 1, "test", never, True, True, 1.5)])
    (line,) = read_events(tmp_path / "events.jsonl")
    assert line["precision"] == [1.0, None] and line["f1"] == [1.0, None]


def test_a_confusion_matrix_of_very_many_classes_is_left_out(tmp_path: Path) -> None:
    many = scores(80, tuple(str(number) for number in range(201)))
    record(tmp_path / "events.jsonl", [Evaluated(10, 1, "test", many, True, True, 1.5)])
    (line,) = read_events(tmp_path / "events.jsonl")
    assert "confusion" not in line and len(line["f1"]) == 201


def test_a_resume_drops_what_lies_past_its_step_and_keeps_the_history(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    record(path, [started(tmp_path), *steps(1, 10), finished("interrupted", step=10)])
    record(path, [started(tmp_path, 10), *steps(11, 19)], resumed_step=10)
    before = [line for line in told(path) if line[1] <= 10]
    record(path, [started(tmp_path, 10), *steps(11, 30), finished()], resumed_step=10)
    again = told(path)
    assert again[: len(before)] == before and ("finished", 10) in before
    assert [step for name, step in again if name == "trained"] == [5, 10, 15, 20, 25, 30]
    assert [name for name, _ in again].count("started") == 3


def test_an_evaluation_made_again_after_an_interruption_is_recorded_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    record(path, [started(tmp_path), *steps(1, 10)])
    record(path, [started(tmp_path, 10), Evaluated(10, 1, "test", scores(71), True, True, 1.5)], resumed_step=10)
    assert told(path).count(("evaluated", 10)) == 1


def test_a_half_written_last_line_is_not_read_and_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    record(path, [started(tmp_path), *steps(1, 10)])
    whole_lines = path.read_bytes()
    path.write_bytes(whole_lines + '{"event": "trained", "step": 3, "x": "鸟'.encode()[:-1])
    assert len(read_events(path)) == whole_lines.count(b"\n")
    record(path, [], resumed_step=10)
    assert path.read_bytes() == whole_lines


def test_a_fresh_run_starts_with_an_empty_record(tmp_path: Path) -> None:
    record(tmp_path / "events.jsonl", whole(tmp_path))
    record(tmp_path / "events.jsonl", [started(tmp_path)])
    assert told(tmp_path / "events.jsonl") == [("started", 0)]


def test_names_that_are_no_utf8_are_written_and_read_back(tmp_path: Path) -> None:
    odd = replace(started(tmp_path), directory=Path("run-\udcff"))
    record(tmp_path / "events.jsonl", [odd, Noted(1, "lost \udcff")])
    assert read_events(tmp_path / "events.jsonl")[0]["directory"] == "run-\udcff"


def test_damage_in_the_middle_is_said_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    record(path, whole(tmp_path))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"rubbish\n", *lines[1:]]))
    with pytest.raises(DataError, match=r"events\.jsonl:2: "):
        read_events(path)


def test_a_missing_file_is_said_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        read_events(tmp_path / "events.jsonl")
