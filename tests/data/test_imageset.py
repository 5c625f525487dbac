"""Sets of images: places, selections, fingerprints and stratified splits, the same for files and arrays."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eyas.data.images.imageset import ArrayImages, ImageSet, split_off
from eyas.data.lists.listing import read_listing
from eyas.data.spec import as_image_set
from eyas.errors import DataError


def array_set(labels: list[int], classes: int = 3) -> ImageSet:
    pixels = np.random.default_rng(1).integers(0, 256, (len(labels), 4, 5, 3), np.uint8)
    names = tuple("abcdefgh"[:classes])
    return ImageSet("toy:train", names, True, np.array(labels, np.int64), ArrayImages.of("toy:train", pixels))


def file_set(folder: Path, count: int = 4) -> ImageSet:
    folder.mkdir(exist_ok=True)
    for number in range(count):
        Image.new("RGB", (6, 5), (number * 20, 0, 0)).save(folder / f"{number}.png")
    (folder / "train.txt").write_text("".join(f"{number}.png {number % 2}\n" for number in range(count)))
    return as_image_set(read_listing(folder / "train.txt"))


def test_an_image_is_uint8_channels_first(tmp_path: Path) -> None:
    for images in (array_set([0, 1]), file_set(tmp_path)):
        image = images.image(1)
        assert (str(image.dtype), image.ndim, image.shape[0]) == ("torch.uint8", 3, 3)


def test_grey_arrays_are_read_as_rgb_without_copying() -> None:
    grey = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    images = ArrayImages.of("grey", grey)
    assert np.shares_memory(images.pixels, grey)
    assert np.asarray(images.picture(1))[..., 2].tolist() == grey[1].tolist()


def test_a_place_names_list_line_and_path_or_set_and_number(tmp_path: Path) -> None:
    files = file_set(tmp_path)
    assert files.place(2) == f"{tmp_path}/train.txt:3: 2.png"
    assert files.select([3, 2]).place(0) == f"{tmp_path}/train.txt:4: 3.png"
    assert array_set([0, 1, 2]).select([2]).place(0) == "toy:train#2"


def test_a_selection_keeps_images_and_labels_together(tmp_path: Path) -> None:
    files = file_set(tmp_path)
    chosen = files.select(np.array([3, 0]))
    assert chosen.labels.tolist() == [1, 0]
    assert chosen.image(0)[0, 0, 0] == 60
    assert chosen.select([1]).image(0)[0, 0, 0] == 0


def test_a_set_travels_to_another_process(tmp_path: Path) -> None:
    for images in (array_set([0, 1]), file_set(tmp_path)):
        again = pickle.loads(pickle.dumps(images))
        assert (again.image(1) == images.image(1)).all()
        assert again.fingerprint() == images.fingerprint()


def test_the_fingerprint_follows_content_and_not_place_or_time(tmp_path: Path) -> None:
    first, second = file_set(tmp_path / "one"), file_set(tmp_path / "two")
    assert first.fingerprint() == second.fingerprint()
    assert first.select([0, 1]).fingerprint() != first.fingerprint()
    assert first.select([1, 0, 2, 3]).fingerprint() != first.fingerprint()
    changed = array_set([0, 1])
    changed.images.pixels[1, 0, 0, 0] ^= 1
    assert changed.fingerprint() != array_set([0, 1]).fingerprint()


def test_an_unreadable_image_is_an_error_with_its_place(tmp_path: Path) -> None:
    files = file_set(tmp_path)
    (tmp_path / "1.png").write_bytes(b"<html>".ljust(files.images.sizes[1]))
    (tmp_path / "2.png").unlink()
    with pytest.raises(DataError, match=r"train.txt:2: 1.png: cannot be decoded: it is a web page"):
        files.image(1)
    with pytest.raises(DataError, match=r"train.txt:3: 2.png: cannot be read: No such file"):
        files.image(2)


def test_a_split_is_stratified_and_leaves_every_image_once() -> None:
    images = array_set([0] * 50 + [1] * 30 + [2] * 20)
    rest, part = split_off(images, 0.1, seed=3)
    assert np.bincount(part.labels).tolist() == [5, 3, 2]
    assert sorted([*rest.images.numbers, *part.images.numbers]) == list(range(100))


def test_a_split_is_the_same_for_ever_and_another_for_another_seed() -> None:
    images = array_set([0] * 50 + [1] * 50, 2)
    numbers = [split_off(images, 0.06, seed)[1].images.numbers.tolist() for seed in (0, 0, 1)]
    assert numbers[0] == numbers[1] != numbers[2]
    assert numbers[0] == [2, 33, 42, 53, 94, 95]


def test_every_class_of_two_images_has_one_on_both_sides() -> None:
    rest, part = split_off(array_set([0] * 20 + [1, 1] + [2]), 0.1, seed=0)
    assert np.bincount(part.labels, minlength=3).tolist() == [2, 1, 0]
    assert np.bincount(rest.labels, minlength=3).tolist() == [18, 1, 1]


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_a_split_that_leaves_nothing_is_an_error(fraction: float) -> None:
    with pytest.raises(DataError, match="leaves nothing on one side"):
        split_off(array_set([0, 0, 1, 1]), fraction, seed=0)
    with pytest.raises(DataError, match="leaves nothing on one side"):
        split_off(array_set([0, 1, 2]), 0.3, seed=0)
