"""The n-th file operation fails, once or for ever, n counting up until all goes well: as SQLite tests itself."""

from __future__ import annotations

import itertools
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.faults.conftest import EVERYTHING
from tests.faults.injection import ERRORS, KILL, ROOM
from tests.faults.records import assert_equal_to_uncut, assert_nothing_lost, left_over
from tests.faults.saves import FAILED, save
from tests.faults.trial import Hatchery, Trial, flags

from eyas.files.atomic import folder_lock
from eyas.files.tensors import read_tensors
from eyas.training.checkpoint import newest_state

SHORT = EVERYTHING | {"epochs": 2, "batch_size": 32, "keep": 1}
SAVES = [("library", KILL), ("library", "ENOSPC"), ("python", "EIO")]  # of the fast suite; torture has all of them
RUNS = [("python", 11, True), ("python", 43, False), ("library", 60, True), ("library", 137, False)]


def all_but(some: list[Any], every: list[Any]) -> list[Any]:
    """Return `some` for the fast suite, and the others of `every` marked for torture."""
    return [*some, *(pytest.param(*one, marks=pytest.mark.torture) for one in every if one not in some)]


@pytest.fixture
def below(request: pytest.FixtureRequest) -> Callable[[str], Hatchery]:
    """Return the hatchery whose trials have a layer that can fail."""
    names = {"library": "failing_hatchery", "python": "hatchery"}
    return lambda layer: request.getfixturevalue(names[layer])


def fault(layer: str, root: Path, at: int, error: str, *, forever: bool) -> dict[str, Any]:
    return {"layer": layer, "root": str(root), "at": at, "error": error, "forever": forever}


def hit_of(trial: Trial) -> dict[str, Any] | None:
    """Return the operation that failed first, None if none did."""
    return next((operation for operation in trial.operations if operation["hit"]), None)


# One save, every operation of it.


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has saved three epochs."""
    run = tmp_path_factory.mktemp("saved") / "run"
    run.mkdir()
    assert save(str(run), "1", "2", "3") == 0
    return run


def steps_of_models(run: Path) -> dict[str, int]:
    """Return which epoch each model file holds, every one verified."""
    models = [path for path in run.rglob("*.safetensors") if not path.name.startswith(("state", "predictions", "samples", ".tmp"))]
    return {str(path.relative_to(run)): read_tensors(path, "model")[1]["facts"]["step"] for path in models}


def assert_old_or_new(run: Path) -> None:
    """A save of epoch 4 after that of epoch 3 came about or not; in between there is nothing."""
    found = newest_state(run)
    assert found is not None
    tensors, header, notes = found
    assert notes == ()
    step = header["state"]["step"]
    assert step in (3, 4)
    assert tensors["model/step"].unique().tolist() == [step], "never mixed"
    models = steps_of_models(run)
    assert models["best.safetensors"] == 3, "epoch 4 is no better"
    assert models["last.safetensors"] in (3, 4)
    assert models["last.safetensors"] == 4 or step == 3, "a state never says more than the models beside it"
    assert all(f"epoch-{number:03d}" in name for name, number in models.items() if name.startswith("epochs/"))
    assert "epochs/epoch-003.safetensors" in models, "of two that are kept the newest stay"


@pytest.mark.parametrize(
    ("layer", "error"), all_but(SAVES, list(itertools.product(["library", "python"], [*ERRORS, KILL])))
)
def test_a_save_that_fails_at_any_operation_leaves_the_old_or_the_new_one_whole(
    below, saved, tmp_path, layer, error, tally
):
    hatchery, modes = below(layer), (False,) if error == KILL else (False, True)
    for at, forever in ((at, forever) for at in itertools.count(1) for forever in modes):
        run = tmp_path / f"{at}-{forever}"
        shutil.copytree(saved, run)
        how = fault(layer, run, at, error, forever=forever)
        trial = hatchery.run(run, 4, call="tests.faults.saves:save", fault=how)
        failed = hit_of(trial)
        assert_old_or_new(run)
        if failed is None:
            assert trial.code == 0
            assert at > 30, "a save has more operations"
            break
        if error == KILL:
            assert trial.code == -9
            with folder_lock(run):
                assert left_over(run) == []
        else:
            assert trial.code in (0, FAILED), (failed, trial.text)
            assert trial.code == 0 or trial.told.count("\n") == 0
            # what cannot be removed stays, until there is a next start
            assert left_over(run) == [] or (forever and error not in ROOM) or failed["kind"] == "unlink", failed
        if not forever:
            assert save(str(run), "4") == 0, "what failed once goes well once it is mended"
        shutil.rmtree(run)
        often = "for ever" if forever else "once"
        tally("a save is killed at its n-th operation" if error == KILL else f"a save's n-th operation fails, {often}")


# A whole command, its operations.


@pytest.fixture(scope="session")
def short(pictures: dict[str, str]) -> list[str]:
    return ["train", pictures["train"], "--test", pictures["test"], *flags(SHORT), "--out"]


@pytest.fixture(scope="session")
def short_uncut(hatchery: Hatchery, short: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("short") / "run"
    assert hatchery.run(*short, run).code == 0
    return run


def fail_and_go_on(
    hatchery: Hatchery, short: list[str], uncut: Path, run: Path, fault: dict[str, Any]
) -> dict[str, Any] | None:
    """Train with a fault, look at what it left, go on without it; return the operation that failed, if any did."""
    trial = hatchery.run(*short, run, fault=fault)
    failed = hit_of(trial)
    assert trial.code in (0, 74), (failed, trial.code, trial.text)
    if trial.code == 74:
        assert failed is not None
        assert trial.told.count("\n") <= 1, "a line, and one that says how to go on"
    began = (run / "config.toml").exists()
    kept = fault["forever"] and fault["error"] not in ROOM
    if run.exists():
        assert_nothing_lost(run, began=False)
        assert left_over(run) == [] or kept or (failed and failed["kind"] == "unlink"), failed
    if trial.code == 74 and began:
        before_it_began = f"{run}/config.toml" in trial.told  # its name is there, its folder was not flushed
        assert f"eyas resume {run}" in trial.told or before_it_began, (failed, trial.told)
    again = hatchery.run("resume", run) if began else hatchery.run(*short, run)
    assert again.code == 0, (failed, again.text)
    if kept and "is complete" in again.text:  # then nothing is touched, also not what the disk refused to remove
        for name in left_over(run):
            next(run.rglob(name)).unlink()
    if failed and (failed["kind"], Path(failed["path"]).parent.name) == ("unlink", "epochs"):
        for old in (run / "epochs").iterdir():  # that could not be removed after the last epoch: there is no next one
            if not (uncut / "epochs" / old.name).exists():
                old.unlink()
    assert_equal_to_uncut(run, uncut)
    shutil.rmtree(run)
    return failed


@pytest.mark.parametrize(
    ("layer", "at", "forever"),
    all_but(RUNS, list(itertools.product(["python"], range(1, 200, 23), [False, True]))),
)
def test_a_run_whose_files_fail_says_so_and_goes_on_exactly(
    below, short, short_uncut, tmp_path, layer, at, forever, tally
):
    how = fault(layer, tmp_path / "run", at, ERRORS[at % len(ERRORS)], forever=forever)
    fail_and_go_on(below(layer), short, short_uncut, tmp_path / "run", how)
    tally(f"a run's n-th operation fails, {'for ever' if forever else 'once'}")


@pytest.mark.torture
@pytest.mark.parametrize("forever", [False, True])
@pytest.mark.parametrize("part", range(4))
def test_a_run_whose_n_th_operation_fails_says_so_and_goes_on_exactly(
    failing_hatchery, short, short_uncut, tmp_path, part, forever, tally
):
    """Every operation, the five errors in turn."""
    for at in itertools.count(1 + part, 4):
        how = fault("library", tmp_path / "run", at, ERRORS[at // 4 % len(ERRORS)], forever=forever)
        if fail_and_go_on(failing_hatchery, short, short_uncut, tmp_path / "run", how) is None:
            assert at > 100, "a run has more operations"
            break
        tally(f"a run's n-th operation fails, {'for ever' if forever else 'once'}")


# Disks that are full in earnest.


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Yield a file system of its own with little room. Needs the right to mount."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "eyas-trial", folder], capture_output=True)
    if done.returncode:
        pytest.skip("mounting a small disk needs more rights")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize(
    "size", ["5m", "9m", *(pytest.param(f"{k}k", marks=pytest.mark.torture) for k in range(1000, 13000, 500))]
)
@pytest.mark.skipif(not shutil.which("mount") or os.geteuid() != 0, reason="mounting a small disk needs more rights")
def test_a_disk_that_is_full_ends_a_run_with_one_line_and_more_room_lets_it_go_on(
    hatchery, short, short_uncut, tmp_path, size, tally
):
    with small_disk(tmp_path / "disk", size) as disk:
        run = disk / "run"
        trial = hatchery.run(*short, run)
        assert trial.code in (0, 74), trial.text
        if trial.code == 74:
            assert "MB" in trial.told, "how much room there is"
            if run.exists():
                assert_nothing_lost(run, began=(run / "state.safetensors").exists())
                assert left_over(run) == []
            subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
            again = hatchery.run(*(["resume", run] if (run / "config.toml").exists() else [*short, run]))
            assert again.code == 0, again.text
        assert_equal_to_uncut(run, short_uncut)
    tally("a full disk")


def test_files_that_may_not_grow_end_a_run_with_one_line(hatchery, short, short_uncut, tmp_path, tally):
    run = tmp_path / "run"
    trial = hatchery.start(*short, run)
    while not (run / "state.safetensors").exists():
        assert trial.poll() is None
    resource.prlimit(trial.number, resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    assert trial.wait() == 74, trial.text
    assert f"eyas resume {run}" in trial.told
    assert_nothing_lost(run, began=True)
    assert left_over(run) == []
    assert hatchery.run("resume", run).code == 0
    assert_equal_to_uncut(run, short_uncut)
    tally("a limit on the size of files")
