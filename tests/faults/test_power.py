"""Power loss at every moment: the state that a run called saved is there, whole, whatever the disk had not yet done."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from tests.faults.power import Disk, Inode, rebuild
from tests.faults.records import assert_nothing_lost, rows_of
from tests.runs import assert_same_run


@pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.torture)])
def test_after_a_power_loss_what_was_told_to_be_saved_is_there_and_a_resume_ends_as_an_uncut_run(
    hatchery, command, uncut, tmp_path, every, tally
):
    run = tmp_path / "run"
    trial = hatchery.run(*command, run, fault={"layer": "journal", "root": str(run)})
    assert trial.code == 0, trial.text
    journal, chance = trial.operations, random.Random(0)
    assert len(journal) > 100
    assert any(entry["told"] for entry in journal), "some of them after a first state was told to be saved"
    disk, store, lost = Disk(str(run)), trial.log.with_suffix(".store"), tmp_path / "lost"
    for number, entry in enumerate(journal):
        if number % every == 0:
            for names in disk.losses(3 if every == 1 else 1, chance):
                rebuild(names, run, store, lost)
                step = assert_nothing_lost(lost, began=entry["told"] > 0)
                assert step >= entry["told"], "a state that was told to be saved is lost"
                tally("power loss at every flush and rename of a run")
        disk.happens(entry)
    middle = Disk(str(run))
    for entry in journal[: len(journal) // 2]:
        middle.happens(entry)
    rebuild(next(middle.losses(0, chance)), run, store, lost)
    assert hatchery.run("resume", shutil.move(lost, tmp_path / "again")).code == 0
    assert_same_run(tmp_path / "again", uncut)
    assert rows_of(tmp_path / "again") == rows_of(uncut)
    # events.jsonl and TensorBoard's files are handed to the system at once, not to the disk: they may have a gap


def test_the_model_of_a_disk_loses_what_is_not_flushed(tmp_path):
    """So that the test above can fail: a file renamed before its bytes are there, a name whose folder was not flushed."""
    chance, disk = random.Random(0), Disk("/run")
    disk.happens({"number": 1, "kind": "replace", "paths": ["/run/.tmp", "/run/state"], "told": 0})
    disk.happens({"number": 2, "kind": "flush folder", "paths": ["/run"], "told": 0})
    assert next(disk.losses(0, chance)) == {"/run/state": Inode(None)}
    disk.happens({"number": 3, "kind": "flush", "paths": ["/run/.tmp"], "told": 0})
    disk.happens({"number": 4, "kind": "replace", "paths": ["/run/.tmp", "/run/state"], "told": 0})
    least, most = list(disk.losses(0, chance))
    assert least == {"/run/state": Inode(None)}
    assert most == {"/run/state": Inode(3)}
    (tmp_path / "store").mkdir()
    rebuild(least, Path("/run"), tmp_path / "store", tmp_path / "lost")
    with pytest.raises(Exception, match="damaged"):
        shutil.move(tmp_path / "lost/state", tmp_path / "lost/state.safetensors")
        assert_nothing_lost(tmp_path / "lost", began=True)


def test_a_new_run_folder_and_those_above_it_outlive_a_power_loss(hatchery, command, tmp_path, tally):
    run = tmp_path / "deep" / "er" / "run"
    trial = hatchery.run(*command, run, "--epochs", "1", fault={"layer": "journal", "root": str(tmp_path)})
    assert trial.code == 0, trial.text
    entries = [(entry["kind"], entry["paths"][-1]) for entry in trial.operations]
    for folder in (run, run.parent, run.parent.parent, run / "epochs"):
        made = entries.index(("mkdir", str(folder)))
        flushed = entries.index(("flush folder", str(folder.parent)), made)
        told = next((at for at, entry in enumerate(trial.operations) if entry["told"]), len(entries))
        assert flushed < told, f"{folder} may be gone though a state in it was told to be saved"
    tally("power loss after a new run folder")
