"""What a training says of its data before the first step: leaks beside the test set, conflicts, small classes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given as generated
from hypothesis import settings
from hypothesis import strategies as st
from PIL import Image
from tests.scenes import scene

from eyas.config.run_config import make_config
from eyas.data.loading.stores import mark_of
from eyas.training.planning import make_plan


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
    recipe = given.pop("recipe", "standard")
    asked = {"train": str(folder / "train.txt"), "model": "compact", "size": 32, "device": "cpu", **given}
    return list(make_plan(make_config(asked, recipe=recipe), folder / "run").facts)


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


@pytest.mark.parametrize("cache", ["ram", "disk", "none"])
@pytest.mark.parametrize(
    "given",
    [
        {"recipe": "finetune"},
        {"recipe": "fast"},
        {"crop_scale": 0.3},
        {"crop_padding": 2},
        {"progressive_size": 0.5},
        {"resize": "crop", "size": 16},
        {"size": 8, "views": "shift"},
        {"skip_unreadable": True},
        {"skip_unreadable": True, "recipe": "finetune", "size": 8},
    ],
    ids=lambda given: " ".join(map(str, given.values())),
)
def test_a_leak_and_a_conflict_are_told_however_the_pictures_are_kept(sets, cache, given):
    if "skip_unreadable" in given:
        (sets / "train" / "00.png").write_bytes(b"x")
    shutil.copy(sets / "train" / "03.png", sets / "test" / "05.png")
    shutil.copy(sets / "train" / "11.png", sets / "train" / "12.png")
    for _ in ("made", "found again"):
        told = facts(sets, test=str(sets / "test.txt"), cache=cache, cache_dir=str(sets / "cache"), **given)
        assert "; 1 also in the training set" in dict(told)["test"]
        assert [text for name, text in told if name == "note" and text.startswith("1 picture has different labels: ")]


def test_a_picture_stored_anew_without_loss_is_the_same_picture(sets):
    Image.open(sets / "train" / "03.png").save(sets / "test" / "03.bmp")
    (sets / "test.txt").write_text((sets / "test.txt").read_text() + "test/03.bmp cat\n")
    assert "; 1 also in the training set" in said(sets, "test")[0]


def test_pictures_of_one_colour_and_those_of_other_sizes_are_not_the_same(sets):
    for split in ("train", "test"):
        Image.new("RGB", (20, 20), (7, 7, 7)).save(sets / split / "01.png")
    stripes = np.tile(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8), (8, 8, 1))  # 8 x 16
    Image.fromarray(stripes).save(sets / "train" / "02.png")
    Image.fromarray(stripes.reshape(4, 32, 3)).save(sets / "test" / "02.png")
    assert said(sets, "test") == [f"{sets}/test.txt: 8 images; chooses the best epoch"]


@generated(number=st.integers(0, 299), change=st.integers(1, 255), shape=st.sampled_from([(10, 10), (2, 50), (100, 1)]))
@settings(max_examples=60, deadline=None)
def test_a_mark_tells_a_picture_from_one_that_differs_in_one_value(number, change, shape):
    picture = np.random.default_rng(number).integers(0, 256, (*shape, 3), np.uint8)
    other = picture.copy()
    other.reshape(-1)[number] ^= change
    assert mark_of(picture) == mark_of(np.asfortranarray(picture)) != mark_of(other)


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
