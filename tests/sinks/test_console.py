"""The run as a person reads it, in a log and on a terminal."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from sample_run import finished, scores, started, steps, whole

from eyas.config.training import OutputConfig
from eyas.evaluation.measures import accuracy_text
from eyas.sinks import Sinks, open_sinks
from eyas.sinks.console import LiveConsole, PlainConsole, Unbreakable
from eyas.terminal.clean import clean
from eyas.terminal.wording import clock_text, duration_text, loss_text
from eyas.training.events import Evaluated, Event, Noted, Progress


def ticking(seconds: float) -> Callable[[], float]:
    """Return a clock that goes on by so much whenever it is read."""
    return itertools.count(0.0, seconds).__next__


def plain(events: Iterable[Event], *, tick: float = 1.0) -> str:
    file = io.StringIO()
    console = PlainConsole(file, clock=ticking(tick))
    for event in events:
        console.write(event)
    console.close()
    return file.getvalue()


def live(events: Iterable[Event], *, width: int = 100, tick: float = 1.0) -> str:
    """Return what stands on the terminal after the run, above where the bar was, without styles."""
    file = io.StringIO()
    console = LiveConsole(Console(file=file, force_terminal=True, width=width), clock=ticking(tick))
    for event in events:
        console.write(event)
    console.close()
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue()).replace("\r", "\n")


def test_a_log_has_no_escape_codes_and_a_line_per_record_and_epoch(tmp_path: Path) -> None:
    said = plain(whole(tmp_path))
    assert "\x1b" not in said and "\r" not in said
    assert said.count(": loss ") == 6
    assert len(re.findall(r"^epoch \d of 3: train loss .* of 300; .*selected on test$", said, re.M)) == 3
    assert not [line for line in said.splitlines() if line != line.rstrip()]


@pytest.mark.parametrize("show", [plain, live])
def test_a_run_is_opened_with_its_facts_and_shapes(show: Callable[..., str], tmp_path: Path) -> None:
    said = show([started(tmp_path)])
    assert "model   alexnet | [bold] <b>" in said
    assert re.search(r"^stage +shape", said, re.M) and "uint8 [64, 3, 32, 32]" in said


@pytest.mark.parametrize("show", [plain, live])
def test_the_time_of_the_run_is_told_as_soon_as_it_is_known(show: Callable[..., str], tmp_path: Path) -> None:
    said = show([started(tmp_path, epochs=100), *steps(1, 9)], tick=33.0)
    assert said.count("about 9 h 9 min for the whole run") == 1
    assert "quicker: smaller images (--size 64)" in said


def test_a_gpu_or_a_short_run_is_not_told_what_is_quicker(tmp_path: Path) -> None:
    gpu = started(tmp_path, epochs=100, facts=(("device", "cuda:0 (H200)"),))
    assert "quicker" not in plain([gpu, *steps(1, 9)], tick=33.0)
    assert "quicker" not in plain([started(tmp_path), *steps(1, 9)], tick=33.0)


def test_a_resumed_run_speaks_of_the_rest(tmp_path: Path) -> None:
    said = plain([started(tmp_path, 10), *steps(11, 30), finished()], tick=11.0)
    assert "for the rest of the run" in said and "since the resume" in said


@pytest.mark.parametrize("width", [40, 80, 100, 160])
def test_live_rows_fit_the_terminal_and_name_what_they_select_on(width: int, tmp_path: Path) -> None:
    said = live(whole(tmp_path), width=width)
    rows = re.findall(r"^ *[123]/3 .*$", said, re.M)
    assert len(rows) == 3 and all(len(row.rstrip()) <= width for row in rows)
    if width >= 80:
        assert [row.rstrip().endswith("best, selected on test") for row in rows] == [True, True, False]
        assert "72.00 % [66.67, 76.78]" in rows[1] and "0.7800" in rows[1]


def test_validation_and_test_stand_in_one_row(tmp_path: Path) -> None:
    held = Evaluated(10, 1, "test", scores(60), False, False, 1.0)
    events: list[Event] = [e for e in steps(1, 10, split="val") if not isinstance(e, Evaluated | Progress)]
    events.insert(3, Evaluated(10, 1, "val", scores(71), True, True, 1.0))
    events.insert(4, held)
    said = live([started(tmp_path, selects_on="val"), *events], width=80)
    (row,) = re.findall(r"^ *1/3 .*$", said, re.M)
    assert "71.00 % [" in row and "60.00 %" in row and row.rstrip().endswith("best")


def test_the_bar_shows_speed_waiting_and_the_evaluation(tmp_path: Path) -> None:
    said = live(whole(tmp_path))
    assert "step 7/30  loss 2.0000  1,234 images/s  waiting for data 3 %" in said
    assert "test: 100 of 300" in said and "epoch 2/3" in said


@pytest.mark.parametrize("show", [plain, live])
def test_the_end_says_what_is_best_and_where_it_is(show: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "best.safetensors").touch()
    (tmp_path / "tensorboard").mkdir()
    said = show(whole(tmp_path))
    assert "Done: 3 of 3 epochs." in said
    assert "2, selected on test by accuracy" in said
    assert "72.00 % [66.67, 76.78] of 300" in said
    assert "optimistic" in said and "Classes on test, epoch 2 (best)" in said
    assert str(tmp_path / "best.safetensors") in said and f"tensorboard --logdir {tmp_path}" in said
    assert "last.safetensors" not in said and "go on with" not in said


@pytest.mark.parametrize("show", [plain, live])
def test_an_interrupted_run_names_the_command_that_goes_on(show: Callable[..., str], tmp_path: Path) -> None:
    folder = tmp_path / ("a long name " * 8)
    said = show([started(folder), *steps(1, 10), finished("interrupted", step=10)])
    assert f"go on with:  eyas resume '{folder}'" in said.splitlines()


def test_a_best_epoch_of_before_the_resume_is_said_with_its_number(tmp_path: Path) -> None:
    events = list(steps(21, 30))
    said = plain([started(tmp_path, 20), *events, finished()])
    assert "72.00 % (measured before the resume)" in said and "epoch 3 (last measured)" in said


def test_of_many_classes_the_thirty_worst_are_listed(tmp_path: Path) -> None:
    many = scores(80, tuple(f"name {number}" for number in range(50)))
    events: list[Event] = [
        started(tmp_path),
        Evaluated(20, 2, "test", many, True, True, 1.0),
        finished(step=20),
    ]
    said = plain(events)
    assert "the 30 lowest F1 of 50 classes" in said and len(re.findall(r"^name \d", said, re.M)) == 30


@pytest.mark.parametrize("show", [plain, live])
def test_foreign_text_steers_neither_the_terminal_nor_the_markup(show: Callable[..., str], tmp_path: Path) -> None:
    note = Noted(1, "[red]odd[/red] \x1b]0;title\x07 \u202e", warning=True)
    said = show([started(tmp_path), note])
    assert "warning: [red]odd[/red] \\x1b]0;title\\x07 \\u202e" in said


def test_a_note_within_an_epochs_end_comes_after_its_row(tmp_path: Path) -> None:
    events = list(steps(1, 10))
    events.insert(-1, Noted(10, "the learning rate drops"))
    said = plain([started(tmp_path), *events])
    assert said.index("epoch 1 of 3") < said.index("the learning rate drops")


def test_an_epoch_that_was_open_at_the_end_is_still_shown(tmp_path: Path) -> None:
    events = list(steps(1, 10))[:-1]
    assert "epoch 1 of 3: train loss" in plain([started(tmp_path), *events])
    assert re.search(r"^ *1/3 ", live([started(tmp_path), *events]), re.M)


def test_a_stream_without_the_characters_or_gone_stops_nobody(tmp_path: Path) -> None:
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    safe = Unbreakable(narrow)
    assert safe.write("鸟 ok\n") == 5
    safe.flush()
    assert narrow.buffer.getvalue() == b"\\u9e1f ok\n"  # type: ignore[attr-defined]
    narrow.close()
    safe.write("nobody hears this")
    safe.flush()


def test_views_choose_the_console_and_none_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_sinks(tmp_path, OutputConfig(view="none"), resumed_step=None) as sinks:
        for event in whole(tmp_path):
            sinks.write(event)
    assert capsys.readouterr().out == ""
    with open_sinks(tmp_path, OutputConfig(), resumed_step=30) as sinks:
        sinks.write(replace(started(tmp_path), step=30))
    assert "alexnet" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"events.jsonl", "metrics.csv", "tensorboard"}


def test_all_sinks_are_closed_where_one_fails() -> None:
    closed = []

    class Failing:
        def write(self, event: Event) -> None: ...

        def close(self) -> None:
            closed.append(self)
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        Sinks((Failing(), Failing(), Failing())).close()
    assert len(closed) == 3


@pytest.mark.parametrize("show", [plain, live])
def test_the_end_says_where_a_result_is_no_better_than_guessing(show: Callable[..., str], tmp_path: Path) -> None:
    guessed = [replace(one, scores=scores(33)) if isinstance(one, Evaluated) else one for one in whole(tmp_path)]
    assert "of 300: no better than guessing (33.3 %)" in " ".join(show(guessed).split())
    assert "guessing" not in show(whole(tmp_path))


@pytest.mark.parametrize("show", [plain, live])
def test_the_end_says_how_to_measure_where_nothing_was(show: Callable[..., str], tmp_path: Path) -> None:
    unmeasured = [one for one in steps(1, 30) if not isinstance(one, Evaluated)]
    ended = replace(finished(), best_epoch=None, best_value=None, selects_on=None)
    said = " ".join(show([started(tmp_path, selects_on=None), *unmeasured, ended]).split())
    assert "not measured; to measure it" in said and "--val 0.1" in said and "eyas evaluate" in said
    assert "not measured; to measure it" not in show(whole(tmp_path))


def test_numbers_are_said_as_people_read_them() -> None:
    assert accuracy_text(scores(80)) == "80.00 % [75.11, 84.13] of 300"
    assert [duration_text(s) for s in (0.31, 12, 59.97, 60, 750, 3599.6, 33000, 36000)] == [
        "0.3 s", "12 s", "1 min", "1 min", "12 min 30 s", "1 h", "9 h 10 min", "10 h",
    ]  # fmt: skip
    assert [clock_text(s) for s in (4.21, 59.96, 750, 4350)] == ["4.2 s", "1:00", "12:30", "1:12:30"]
    assert [loss_text(x) for x in (None, 0.30421, 9.99999, 12.3456, 1234567.0, float("nan"))] == [
        "-", "0.3042", "10.000", "12.346", "1.235e+06", "nan",
    ]  # fmt: skip
    assert clean("a\nb\x1b") == "a\\nb\\x1b" and clean("鸟 é") == "鸟 é"
