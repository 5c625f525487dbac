"""What a resume looks at before it goes on: the images, the settings, the versions; and where there is nothing to do."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path

import pytest
from tests.faults.records import assert_equal_to_uncut
from tests.faults.trial import Hatchery, flags
from tests.runs import QUICK, assert_same_run

from eyas.files.tensors import read_tensors, write_tensors
from eyas.training.checkpoint import STATE

SETTINGS = {**QUICK, "epochs": 2, "momentum": 0.9, "threads": 1, "view": "plain"}
REFUSED = 2


@pytest.fixture(scope="module")
def begun(hatchery: Hatchery, pictures: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data of its own and a run on them, stopped in its second epoch."""
    folder = tmp_path_factory.mktemp("begun")
    for split in ("train", "test"):
        shutil.copytree(Path(pictures[split]).parent, folder / split)
    lists = (folder / "train/list.txt", "--test", folder / "test/list.txt")
    trial = hatchery.run("--phase", "in the second epoch", 15, "train", *lists, *flags(SETTINGS), "--out",
                         folder / "run", call="tests.faults.phases:main_stopped_at")  # fmt: skip
    assert trial.code == 75, trial.text
    return folder


@pytest.fixture(scope="module")
def whole(hatchery: Hatchery, pictures: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, never stopped."""
    run = tmp_path_factory.mktemp("whole") / "run"
    lists = (pictures["train"], "--test", pictures["test"])
    assert hatchery.run("train", *lists, *flags(SETTINGS), "--out", run).code == 0
    return run


@pytest.fixture
def moved(begun: Path, tmp_path: Path) -> Path:
    """A copy of the folder, times kept, whose run reads the copied images."""
    folder = Path(shutil.copytree(begun, tmp_path / "folder"))
    config = folder / "run" / "config.toml"
    config.write_text(config.read_text().replace(str(begun), str(folder)))
    return folder


def change_pixels(picture: Path) -> None:
    """Change a file's content, not its size, as an editor that saves it would."""
    content = bytearray(picture.read_bytes())
    other = next(path for path in sorted(picture.parent.iterdir()) if path != picture).read_bytes()
    content[:] = (other + bytes(len(content)))[: len(content)]
    picture.write_bytes(content)


def test_a_run_and_its_images_in_another_folder_go_on(hatchery, moved, whole, tally):
    assert hatchery.run("resume", moved / "run").code == 0
    assert_equal_to_uncut(moved / "run", whole)
    tally("run and images moved: goes on")


def test_images_that_were_copied_have_other_times_and_go_on(hatchery, moved, whole, tally):
    for picture in moved.rglob("*.png"):
        picture.touch()
    trial = hatchery.run("resume", moved / "run")
    assert trial.code == 0, trial.text
    assert_equal_to_uncut(moved / "run", whole)
    tally("images copied, with new times: goes on")


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_file_whose_content_changed_at_the_same_size_is_named_and_the_run_refused(hatchery, moved, split, tally):
    picture = sorted((moved / split).rglob("*.png"))[5]
    change_pixels(picture)
    trial = hatchery.run("resume", moved / "run")
    assert trial.code == REFUSED, trial.text
    assert str(picture.relative_to(moved / split)) in trial.told
    assert "changed since" in trial.told
    tally("an image changed at the same size: refused by name")


def test_a_changed_file_is_accepted_where_that_is_said(hatchery, moved, tally):
    picture = sorted((moved / "train").rglob("*.png"))[5]
    picture.touch()
    trial = hatchery.run("resume", moved / "run", "--changed-files")
    assert trial.code == 0, trial.text
    tally("an image changed at the same size: goes on where asked to")


def drop_line(folder: Path) -> None:
    path = folder / "train/list.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")


def swap_lines(folder: Path) -> None:
    path = folder / "train/list.txt"
    first, second, *rest = path.read_text().splitlines()
    path.write_text("\n".join([second, first, *rest]) + "\n")


def relabel(folder: Path) -> None:
    path = folder / "train/list.txt"
    path.write_text(path.read_text().replace("red/003.png red", "red/003.png blue"))


def rename_class(folder: Path) -> None:
    for path in (folder / "train/list.txt", folder / "test/list.txt"):
        path.write_text(re.sub(" red$", " rouge", path.read_text(), flags=re.MULTILINE))


def change_test(folder: Path) -> None:
    path = folder / "test/list.txt"
    path.write_text("\n".join(path.read_text().splitlines()[1:]) + "\n")


def grow_file(folder: Path) -> None:
    picture = folder / "train/red/003.png"
    picture.write_bytes(picture.read_bytes() + b"\0")


def set_to(line: str, new: str):
    def change(folder: Path) -> None:
        config = folder / "run" / "config.toml"
        text = config.read_text()
        assert line in text, text
        config.write_text(text.replace(line, new))

    return change


MUTATIONS = {
    "a line less": (drop_line, "training data: of 56 images 1 gone ("),
    "another order": (swap_lines, "training data: the same images, in another order or split"),
    "another label": (relabel, "training data: of 56 images 1 with another label (red/003.png)"),
    "another class name": (rename_class, "classes: was ['blue', 'green', 'red'], is ['blue', 'green', 'rouge']"),
    "another test set": (change_test, "test data: of 21 images 1 gone ("),
    "another size of a file": (grow_file, "training data: of 56 images 1 changed in size (red/003.png)"),
    "batch size": (set_to("batch_size = 16", "batch_size = 8"), "batch_size: was 16, is 8"),
    "learning rate": (set_to("lr = 0.05", "lr = 0.06"), "lr: was 0.05, is 0.06"),
    "optimiser": (set_to('optimizer = "sgd"', 'optimizer = "adamw"'), "optimizer: was 'sgd', is 'adamw'"),
    "size": (set_to("size = 16", "size = 24"), "preprocess size: was 16, is 24"),
    "seed": (set_to("seed = 0", "seed = 5"), "seed: was 0, is 5"),
    "augmentation": (set_to("flip = 0.5", "flip = 0.0"), "flip: was 0.5, is 0.0"),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_what_changes_the_results_is_refused_and_named_and_nothing_is_written(hatchery, moved, mutation, tally):
    change, words = MUTATIONS[mutation]
    change(moved)
    before = {path: path.stat().st_mtime_ns for path in moved.rglob("*") if path.is_file() and path.name != ".lock"}
    trial = hatchery.run("resume", moved / "run")
    assert trial.code == REFUSED, trial.text
    assert words in trial.told
    assert {path: path.stat().st_mtime_ns for path in before} == before
    tally("resume with other data or settings: refused, with what changed")


def test_another_version_of_torch_is_warned_of_and_goes_on(hatchery, moved, whole, tally):
    path = moved / "run" / STATE
    tensors, header = read_tensors(path, "state")
    header["environment"]["torch"] = "2.10.0"
    write_tensors(path, "state", tensors, {name: header[name] for name in header if name not in ("format", "kind")})
    trial = hatchery.run("resume", moved / "run")
    assert trial.code == 0, trial.text
    assert "instead of 2.10.0: right, but not to the last bit" in " ".join(trial.text.split())
    assert_same_run(moved / "run", whole)
    tally("resume with another PyTorch: warned, goes on")


def test_a_run_that_is_complete_stays_as_it_is_and_where_there_is_none_it_is_said(hatchery, whole, tmp_path, tally):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    time.sleep(0.01)
    trial = hatchery.run("resume", whole)
    assert (trial.code, "is complete; nothing was changed" in trial.text) == (0, True)
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "none"):
        trial = hatchery.run("resume", folder)
        assert trial.code == REFUSED
        assert "holds no run" in trial.told
    assert os.listdir(tmp_path) == ["empty"]  # noqa: PTH208
    tally("resume of a complete run, of none", 3)
