"""Files of a run that were cut, zeroed or had a bit flipped: refused by name, or the one before is used and it is said."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.faults.conftest import EVERYTHING
from tests.faults.records import assert_equal_to_uncut, curves_of, events_of, rows_of
from tests.faults.trial import Hatchery
from tests.runs import assert_same_run, saved_state

from eyas.cli import main
from eyas.errors import CheckpointError
from eyas.files.tensors import read_tensors
from eyas.model.classifier import Classifier
from eyas.training.checkpoint import EARLIER, STATE

FLIPS = 200
Damage = Callable[[bytes], bytes]


def damages(content: bytes, *, flips: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield what becomes of a file: cut at every hundredth, zeros in whole or from a place on, single bits flipped."""
    random = np.random.default_rng(seed)
    for percent in range(100):
        yield f"cut at {percent} %", content[: len(content) * percent // 100]
    yield "zeros", bytes(len(content))
    for percent in (25, 75, 99):  # what a failing machine leaves of the end of a file
        start = len(content) * percent // 100
        yield f"zeros from {percent} %", content[:start] + bytes(len(content) - start)
    for number in range(flips):
        # half of them among the first bytes, where the headers are
        place = int(random.integers(len(content) if number % 2 else min(len(content), 4096)))
        changed = bytearray(content)
        changed[place] ^= 1 << int(random.integers(8))
        yield f"bit flipped at {place}", bytes(changed)
    yield "another file", b"not what it was" * 100


@pytest.fixture(scope="session")
def stopped(hatchery: Hatchery, command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped within its second epoch: it has two states, models, and records."""
    run = tmp_path_factory.mktemp("stopped") / "run"
    trial = hatchery.run("--phase", "in the second epoch", 15, *command, run,
                         call="tests.faults.phases:main_stopped_at")  # fmt: skip
    assert trial.code == 75, trial.text
    return run


@pytest.fixture
def copied(stopped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "run"))


# What carries weights.


@pytest.mark.parametrize(
    "name", [STATE, EARLIER, "epochs/epoch-001.safetensors", "best.safetensors", "last.safetensors"]
)
@pytest.mark.parametrize("flips", [40, pytest.param(FLIPS, marks=pytest.mark.torture)])
def test_a_damaged_file_of_tensors_never_loads_and_is_named(stopped, tmp_path, name, flips, tally):
    path = tmp_path / Path(name).name
    kind = "state" if name.startswith("state") else "model"
    content = (stopped / name).read_bytes()
    tries = 0
    for what, damaged in damages(content, flips=flips, seed=len(name)):
        if flips < FLIPS and what.startswith("cut") and not re.search(r"[05] %", what):
            continue  # the fast suite cuts at every twentieth
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=re.escape(str(path))):
            read_tensors(path, kind)
        tries += 1
    with pytest.raises(CheckpointError, match=re.escape(str(path))):
        Classifier.load(path)
    tally(f"{kind} files cut, zeroed, with a bit flipped", tries)


@pytest.mark.parametrize(
    "part", [pytest.param(slice(0, None, 61)), pytest.param(slice(1, None, 6), marks=pytest.mark.torture)]
)
def test_a_resume_from_a_damaged_state_goes_on_from_the_one_before_and_says_so(
    hatchery, stopped, uncut, tmp_path, part, tally
):
    content = (stopped / STATE).read_bytes()
    for number, (what, damaged) in enumerate(list(damages(content, flips=FLIPS, seed=1))[part]):
        run = Path(shutil.copytree(stopped, tmp_path / str(number)))
        (run / STATE).write_bytes(damaged)
        trial = hatchery.run("resume", run)
        assert trial.code == 0, (what, trial.text)
        assert "Traceback" not in trial.text
        said = " ".join(trial.text.split())
        assert f"{run / STATE}: is damaged" in said, what
        assert "The state saved before it is used." in said, what
        assert_same_run(run, uncut)
        shutil.rmtree(run)
        tally("resume from a damaged state: the one before is used")


@pytest.mark.parametrize("what", ["cut", "zeros", "flip", "none"])
def test_where_both_states_are_damaged_a_resume_is_refused_and_nothing_changes(hatchery, copied, what, tally):
    for name in (STATE, EARLIER):
        path, content = copied / name, (copied / name).read_bytes()
        changed = {"cut": content[:-1], "zeros": bytes(len(content)), "none": b"",
                   "flip": content[:-1] + bytes([content[-1] ^ 1])}[what]  # fmt: skip
        path.write_bytes(changed)
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file() and path.name != ".lock"}
    trial = hatchery.run("resume", copied)
    assert trial.code == 65
    assert f"{copied}: no saved state is whole" in trial.told
    assert str(copied / STATE) in trial.told
    assert {path: path.read_bytes() for path in before} == before
    tally("both states damaged: refused")


def test_settings_that_were_cut_off_after_a_line_are_refused_though_the_rest_is_valid(hatchery, copied, tally):
    config = copied / "config.toml"
    config.write_text(config.read_text().partition("[output]")[0])
    trial = hatchery.run("resume", copied)
    assert trial.code == 2
    assert f"{config}: was cut off" in trial.told
    tally("config.toml cut, zeroed, with a bit flipped")


def test_a_damaged_model_does_not_stop_a_resume_and_is_refused_where_it_is_used(copied, pictures, uncut, capsys, tally):
    best = copied / "best.safetensors"
    content = best.read_bytes()
    best.unlink()
    best.write_bytes(content[: len(content) // 2])
    picture = next(Path(pictures["test"]).parent.rglob("*.png"))
    for arguments in (["evaluate", str(best), pictures["test"]], ["predict", str(best), str(picture)]):
        assert main(arguments) == 65
        assert f"{best}: is damaged" in capsys.readouterr().err
    tally("a damaged model: refused by evaluate and predict", 2)


# The settings and the records: text, which a user may read and mend.


@pytest.mark.parametrize(
    "part", [pytest.param(slice(0, None, 43)), pytest.param(slice(1, None, 3), marks=pytest.mark.torture)]
)
def test_damaged_settings_are_refused_by_name_or_change_no_result(hatchery, stopped, uncut, tmp_path, part, tally):
    content = (stopped / "config.toml").read_bytes()
    for number, (what, damaged) in enumerate(list(damages(content, flips=FLIPS, seed=2))[part]):
        run = Path(shutil.copytree(stopped, tmp_path / str(number)))
        (run / "config.toml").write_bytes(damaged)
        trial = hatchery.run("resume", run)
        assert trial.code in (0, 2, 65), (what, trial.text)
        assert "Traceback" not in trial.text, what
        if trial.code:
            assert trial.told, what
        elif EVERYTHING["epochs"] == Classifier.load(run / "last.safetensors").facts["epoch"]:
            # what differs is what a user may change: how often to log or to save, what to keep, when to stop
            (tensors, _), (others, _) = saved_state(run), saved_state(uncut)
            assert all(torch.equal(tensors[name], others[name]) for name in others if name.startswith("model/")), what
        shutil.rmtree(run)
        tally("config.toml cut, zeroed, with a bit flipped")


RECORDS = {"events.jsonl": events_of, "metrics.csv": rows_of, "tensorboard": curves_of}


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize(
    "part", [pytest.param(slice(0, None, 97)), pytest.param(slice(1, None, 9), marks=pytest.mark.torture)]
)
def test_damaged_records_never_change_the_training_and_never_end_in_a_traceback(
    hatchery, stopped, uncut, tmp_path, name, part, tally
):
    whole = stopped / name
    relative = (next(whole.iterdir()) if whole.is_dir() else whole).relative_to(stopped)
    content = (stopped / relative).read_bytes()
    for number, (what, damaged) in enumerate(list(damages(content, flips=FLIPS, seed=3))[part]):
        run = Path(shutil.copytree(stopped, tmp_path / str(number)))
        (run / relative).write_bytes(damaged)
        trial = hatchery.run("resume", run)
        assert "Traceback" not in trial.text, (what, trial.text)
        if trial.code:
            assert trial.code == 65, (what, trial.text)
            assert str(run / relative) in trial.told, what
            (run / relative).unlink()  # as the message says
            assert hatchery.run("resume", run).code == 0
        assert_same_run(run, uncut)
        shutil.rmtree(run)
        tally(f"{name} cut, zeroed, with a bit flipped")


def test_the_lock_may_hold_anything(hatchery, copied, uncut, tally):
    (copied / ".lock").write_bytes(bytes(range(256)))
    assert hatchery.run("resume", copied).code == 0
    assert_equal_to_uncut(copied, uncut)
    tally(".lock with other bytes")
