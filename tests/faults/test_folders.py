"""Run folders: two runs in one, rubbish in one, files of old epochs that are removed while the run is killed."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import time
from pathlib import Path

import pytest
from tests.faults.records import assert_equal_to_uncut, assert_nothing_lost, left_over

from eyas.model.classifier import Classifier

IN_USE = 73


@pytest.mark.parametrize("repeats", [4, pytest.param(20, marks=pytest.mark.torture)])
def test_of_two_runs_begun_in_one_folder_at_once_one_trains_and_the_other_is_refused(
    hatchery, command, uncut, tmp_path, repeats, tally
):
    for number in range(repeats):
        run = tmp_path / f"run{number}"
        both = [hatchery.start(*command, run) for _ in range(2)]
        codes = [trial.wait() for trial in both]
        assert sorted(codes) == [0, IN_USE], [trial.text for trial in both]
        refused = both[codes.index(IN_USE)].told
        assert str(run) in refused
        assert_equal_to_uncut(run, uncut)
    tally("two runs begun in one folder", repeats)


@pytest.mark.parametrize("repeats", [2, pytest.param(20, marks=pytest.mark.torture)])
def test_a_resume_beside_a_run_is_refused_by_its_number_and_free_once_that_is_killed(
    hatchery, command, uncut, tmp_path, repeats, tally
):
    for number in range(repeats):
        run = tmp_path / f"run{number}"
        first = hatchery.start(*command, run)
        while not (run / "state.safetensors").exists():
            assert first.poll() is None, first.text
            time.sleep(0.001)
        first.send(signal.SIGSTOP)  # it holds the folder, and cannot end meanwhile
        second = hatchery.run("resume", run)
        assert second.code == IN_USE, second.text
        assert f"process {first.number} on {os.uname().nodename} since " in second.told
        first.send(signal.SIGKILL)
        first.wait()
        assert hatchery.run("resume", run).code == 0
        assert_equal_to_uncut(run, uncut)
    tally("resume beside a run: refused; after kill -9 of that one: free", repeats)


def fill_with_rubbish(run: Path) -> dict[str, bytes]:
    """Put into a run folder what lies about in folders; return what is not eyas's to remove."""
    foreign = {
        ".nfs0001": b"a file that another machine has open",
        "notes.txt": b"mine",
        ".tmp-notes.txt": b"mine too",
        ".tmpfiles": b"and this",
        "state.safetensors.bak": b"a copy",
        "state (copy).safetensors": b"a copy",
        "epochs/epoch-001 (copy).safetensors": b"a copy",
        "epochs/notes.txt": b"mine",
        f".tmp-{os.getpid()}-of-a-process-that-runs": b"being written",
    }
    for name, content in foreign.items():
        (run / name).write_bytes(content)
    for name in (".tmp-999999999-state.safetensors", "epochs/.tmp-999999999-epoch-002.safetensors", ".tmpAb12Cd",
                 ".tmp-preflight.safetensors"):  # fmt: skip
        (run / name).write_bytes(b"half")
    for name in ("step-9", "epoch-7", ".tmp-1-folder"):
        (run / name).mkdir()
    os.mkfifo(run / "fifo")
    os.mkfifo(run / "epochs" / "epoch-00x.safetensors")
    (run / "loop").symlink_to("loop")
    (run / "round").symlink_to(".", target_is_directory=True)
    (run / "epochs" / "elsewhere").symlink_to("/", target_is_directory=True)
    return foreign


def test_rubbish_in_the_folder_is_left_alone_but_for_what_dead_processes_left_half_written(
    hatchery, command, uncut, tmp_path, tally
):
    run = tmp_path / "run"
    trial = hatchery.run("--phase", "in the second epoch", 15, *command, run,
                         call="tests.faults.phases:main_stopped_at")  # fmt: skip
    assert trial.code == 75, trial.text
    foreign = fill_with_rubbish(run)
    again = hatchery.run("resume", run)
    assert again.code == 0, again.text
    assert {name: (run / name).read_bytes() for name in foreign} == foreign
    assert stat.S_ISFIFO((run / "fifo").stat().st_mode)
    assert (run / "loop").is_symlink()
    assert (run / "round").is_symlink()
    assert set(left_over(run)) == {".tmp-1-folder", *(Path(name).name for name in foreign if ".tmp" in name)}
    for name in foreign:
        (run / name).unlink()
    for name in ("fifo", "epochs/epoch-00x.safetensors", "loop", "round", "epochs/elsewhere"):
        (run / name).unlink()
    (run / ".tmp-1-folder").rmdir()
    assert_equal_to_uncut(run, uncut)
    tally("rubbish in the folder")


@pytest.mark.parametrize("repeats", [1, pytest.param(3, marks=pytest.mark.torture)])
def test_a_run_killed_while_it_removes_old_epochs_never_loses_the_best_or_the_newest(
    hatchery, command, uncut, tmp_path, repeats, tally
):
    """Killed at the removal of each old epoch's file, just before it and just after."""
    for at in range(2 * repeats):
        run = tmp_path / f"run{at}"
        trial = hatchery.run("--phase", f"removal {at}", 9, *command, run, "--keep", "1",
                             call="tests.faults.phases:main_stopped_at")  # fmt: skip
        assert trial.code == -9, trial.text
        assert_nothing_lost(run, began=True)
        best, last = (Classifier.load(run / f"{name}.safetensors").facts["epoch"] for name in ("best", "last"))
        names = {path.name for path in (run / "epochs").glob("epoch-*")}
        assert f"epoch-{last:03d}.safetensors" in names, "the newest stays"
        assert best <= last
        assert hatchery.run("resume", run).code == 0
        assert [path.name for path in (run / "epochs").iterdir()] == ["epoch-003.safetensors"]
        shutil.rmtree(run / "epochs")
        shutil.copytree(uncut / "epochs", run / "epochs")  # of the other names nothing depends on what is kept
        assert_equal_to_uncut(run, uncut)
    tally("SIGKILL while old epochs are removed", 2 * repeats)
