"""What a training says of its data before the first step: leaks beside the test set, conflicts, small classes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.scenes import scene

from eyas.config import make_config
from eyas.plan import make_plan


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """Lists of 24 training and 8 test pictures of two classes, all unlike."""
    seed = 0
    for split, count in (("train", 24), ("test", 8)):
        (tmp_path / split).mkdir()
        lines = []
        for number in range(count):
            scene(seed, (20, 20)).save(tmp_path / split / f"{number:02}.png")
            lines.append(f"{split}/{number:02}.png {'cat' if number % 2 else 'dog'}\n")
            seed += 1
        (tmp_path / f"{split}.txt").write_text("".join(lines))
    return tmp_path


def facts(folder: Path, **given) -> list[tuple[str, str]]:
    asked = {"train": str(folder / "train.txt"), "model": "compact", "size": 32, "device": "cpu", **given}
    return list(make_plan(make_config(asked), folder / "run").facts)


def said(folder: Path, what: str, **given) -> list[str]:
    return [text for name, text in facts(folder, test=str(folder / "test.txt"), **given) if name == what]


def test_sets_without_fault_are_not_talked_about(sets):
    assert said(sets, "note") == []
    assert said(sets, "test") == [f"{sets}/test.txt: 8 images; chooses the best epoch"]


@pytest.mark.parametrize("cache", ["ram", "disk"])
@pytest.mark.parametrize("size", [16, 32])  # kept fitted, kept in their own size
def test_a_leak_is_told_beside_the_set_that_is_measured(sets, cache, size):
    for number in (3, 5):
        shutil.copy(sets / "train" / f"{number:02}.png", sets / "test" / f"{number:02}.png")
    told = said(sets, "test", cache=cache, size=size, cache_dir=str(sets / "cache"))
    assert told == [f"{sets}/test.txt: 8 images; chooses the best epoch; 2 also in the training set"]


def test_a_leak_into_a_share_of_the_training_set_is_told(sets):
    for number in range(12):
        shutil.copy(sets / "train" / f"{number:02}.png", sets / "train" / f"{number + 12:02}.png")
    (told,) = (text for name, text in facts(sets, val=0.25) if name == "val")
    assert "also in the training set" in told


def test_without_pixels_at_hand_the_same_files_are_found(sets):
    (sets / "test.txt").write_text((sets / "test.txt").read_text() + "train/03.png cat\n")
    assert "; 1 also in the training set" in said(sets, "test", cache="none")[0]


def test_a_picture_with_two_labels_is_told_with_both_places(sets):
    shutil.copy(sets / "train" / "03.png", sets / "train" / "04.png")
    (told,) = said(sets, "note")
    assert told == (
        f"1 picture has different labels: {sets}/train.txt:4: train/03.png (cat) is the same as "
        f"{sets}/train.txt:5: train/04.png (dog); eyas inspect lists them"
    )


def test_a_class_with_few_images_and_names_that_hardly_differ_are_told(sets):
    with (sets / "train.txt").open("a") as file:
        for number in range(3):
            scene(900 + number, (20, 20)).save(sets / "train" / f"new-{number}.png")
            file.write(f"train/new-{number}.png Cat\n")
    assert said(sets, "note")[-2:] == [
        "1 of 3 classes have fewer than 10 training images: Cat (3)",
        "classes whose names hardly differ: 'Cat' and 'cat'; if they mean the same, write them alike",
    ]
