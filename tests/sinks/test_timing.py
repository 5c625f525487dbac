"""Where an epoch's time went, as a person reads it."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from rich.console import Console
from sample_run import STEPS, finished, scores, started

from eyas.device.profile import Share
from eyas.sinks.console import LiveConsole, PlainConsole
from eyas.terminal.wording import said_briefly
from eyas.training.events import EpochOver, EpochTrained, Evaluated, Event, Profiled, Saved, Trained

WAITS = "images are decoded anew: --cache ram keeps them"


def epoch(
    number: int, *, network: float, waiting: float = 0.0, test: float = 0.0, saving: float = 0.0, rest: float = 0.0
) -> Iterator[Event]:
    """Yield what a run tells of an epoch with these seconds."""
    step, trained = number * STEPS, network + waiting
    yield Trained(step, number, 1.0, 64, 0.01)
    yield EpochTrained(step, number, 1.0, 0.5, 640, 0.01, trained, 640 / trained, waiting / trained)
    yield Evaluated(step, number, "test", scores(70), True, True, test)
    yield Saved(step, Path("state.safetensors"), "state", saving)
    yield EpochOver(step, number, trained + test + saving + rest, saving)


def plain(events: Iterable[Event]) -> str:
    file = io.StringIO()
    console = PlainConsole(file)
    for event in events:
        console.write(event)
    console.close()
    return file.getvalue()


def live(events: Iterable[Event], *, width: int = 80) -> str:
    file = io.StringIO()
    console = LiveConsole(Console(file=file, force_terminal=True, width=width))
    for event in events:
        console.write(event)
    console.close()
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue()).replace("\r", "\n")


def verdicts(said: str) -> list[str]:
    return re.findall(r"^epoch \d took .*$", said, re.M)


@pytest.mark.parametrize("show", [plain, live])
def test_the_first_epoch_says_where_its_time_went_below_its_row(show: Callable[..., str], tmp_path: Path) -> None:
    said = show([started(tmp_path), *epoch(1, network=70, waiting=3, test=20, saving=2, rest=5)])
    (line,) = verdicts(said)
    assert line.rstrip().startswith("epoch 1 took 1 min 40 s: 70 % network, 20 % test pass, 5 % logging and charts,")
    assert said.index("70.00 %") < said.index(line)


def test_a_good_epoch_is_told_so_without_what_is_nothing(tmp_path: Path) -> None:
    (line,) = verdicts(plain([started(tmp_path), *epoch(1, network=97, waiting=3, saving=0.1)]))
    assert line == "epoch 1 took 1 min 40 s: 97 % network, 3 % waiting for data; little to gain outside the network"


def test_long_waiting_is_told_with_its_reason_and_its_remedy(tmp_path: Path) -> None:
    begin = started(tmp_path, waits_for=WAITS)
    (line,) = verdicts(plain([begin, *epoch(1, network=50, waiting=20, test=30)]))
    assert line.endswith(f"30 % test pass, 20 % waiting for data; {WAITS}")
    (line,) = verdicts(plain([begin, *epoch(1, network=50, waiting=5, test=45)]))
    assert WAITS not in line


def test_it_is_said_again_when_a_share_has_moved_and_not_otherwise(tmp_path: Path) -> None:
    events = [
        *epoch(1, network=60, waiting=40),
        *epoch(2, network=62, waiting=38),
        *epoch(3, network=90, waiting=10),
        *epoch(4, network=91, waiting=9),
        *epoch(5, network=91, waiting=9, test=40),
    ]
    said = verdicts(plain([started(tmp_path, epochs=5), *events]))
    assert [line.split()[1] for line in said] == ["1", "3", "5"]


def test_epochs_of_less_than_a_second_are_told_of_once(tmp_path: Path) -> None:
    events = [*epoch(1, network=0.3, waiting=0.4), *epoch(2, network=0.6, waiting=0.1)]
    assert len(verdicts(plain([started(tmp_path), *events]))) == 1


def test_an_epoch_whose_training_lies_before_a_resume_has_no_verdict(tmp_path: Path) -> None:
    events = list(epoch(1, network=50, test=50))[2:]
    assert verdicts(plain([started(tmp_path, STEPS), *events])) == []


SHARES = (
    Share("step", 0, 6.0, 100, 0),
    Share("backward", 1, 4.0, 100, 0),
    Share("forward", 1, 1.5, 100, 0),
    Share("waiting for data", 0, 3.0, 101, 0),
    Share("transform", 1, 2.9, 6400, 0),
    Share("transfer", 1, 0.004, 100, 0),
    Share("decode", 0, 16.0, 100, 4),
    Share("unpack", 1, 8.0, 100, 4),
)


def profiled(folder: Path, number: int | None = 1, dropped: int = 0) -> Profiled:
    return Profiled(STEPS, number, 10.0, SHARES, folder / "profile.json.gz", dropped)


def lines_of(said: str) -> dict[str, list[str]]:
    """Return the cells of each line of the table by its name."""
    rows = re.findall(r"^( *\S.*?) {2,}([\d.,]+) +([\d.]+ %)(.*)$", said, re.M)
    return {name.rstrip(): [seconds, share, *rest.split()] for name, seconds, share, rest in rows}


@pytest.mark.parametrize("show", [plain, live])
def test_the_table_shows_every_name_and_adds_up(show: Callable[..., str], tmp_path: Path) -> None:
    said = show([started(tmp_path), profiled(tmp_path)])
    assert "Where the time of epoch 1 went: 10 s" in said
    rows = lines_of(said)
    assert rows["step"] == ["6.00", "60.0 %", "100", "60.0", "ms"]
    assert rows["  transform"][:2] == ["2.90", "29.0 %"], "a name that nobody foresaw is a line"
    assert rows["other"] == ["1.00", "10.0 %"] and rows["  other"] == ["0.10", "1.0 %"]
    assert "  transfer" not in rows, "what is next to nothing stays in what it lies in"
    home = said.partition("beside it")[0]
    top = [float(share) for share in re.findall(r"^\S.*? ([\d.]+) %", home, re.M)]
    assert sum(top) == pytest.approx(100)


def test_other_threads_stand_apart_with_the_share_of_their_own_time(tmp_path: Path) -> None:
    said = plain([started(tmp_path), profiled(tmp_path)])
    rows = lines_of(said.partition("beside it, in other threads")[2])
    assert rows["decode (4 threads)"][:2] == ["16.00", "40.0 %"] and rows["  unpack"][:2] == ["8.00", "20.0 %"]


def test_the_table_of_the_run_names_the_trace_and_what_it_lacks(tmp_path: Path) -> None:
    events = [started(tmp_path), profiled(tmp_path, None, 1234), finished()]
    said = plain(events)
    assert "Where the time of the whole run went" in said
    assert "Every span (without 1,234 in its middle) as a file for ui.perfetto.dev" in said
    assert str(tmp_path / "profile.json.gz") in said.splitlines()
    assert "waited for at every mark" not in said
    gpu = started(tmp_path, facts=(("device", "cuda:0 (H200)"),))
    assert "The device was waited for at every mark" in plain([gpu, profiled(tmp_path)])


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_the_terminal(width: int, tmp_path: Path) -> None:
    said = live([started(tmp_path), profiled(tmp_path)], width=width)
    table = said[said.index("Where the time") :]
    assert all(len(line.rstrip()) <= width for line in table.splitlines())
    assert re.search(r"^  backward +4\.00 +40\.0 % +100 +40\.0 ms", table, re.M)


def test_short_times_have_three_digits() -> None:
    times = (0.0, 4.2e-6, 1.1e-4, 0.00125, 0.0333, 0.4204, 1.25, 125.0, 1234.0)
    assert [said_briefly(seconds) for seconds in times] == [
        "0.00 µs", "4.20 µs", "110 µs", "1.25 ms", "33.3 ms", "420 ms", "1.25 s", "125 s", "1,234 s",
    ]  # fmt: skip
