"""Likeness: copies are found whatever was done to them, other pictures are not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from tests.scenes import scene

from eyas.audit.likeness import ALIKE, LEAST, MIRROR, RADIUS, SIDE, likeness, marked


def seen(*pictures: Image.Image) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return marked(np.stack([np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX)) for picture in pictures]))


def recompressed(picture: Image.Image) -> Image.Image:
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=30)
    return Image.open(data)


CHANGES = {
    "recompressed": recompressed,
    "smaller": lambda picture: picture.resize((40, 40)),
    "larger": lambda picture: picture.resize((300, 300)),
    "stretched": lambda picture: picture.resize((120, 70)),
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.6),
    "grey": lambda picture: picture.convert("L").convert("RGB"),
    "cropped by a hundredth": lambda picture: picture.crop((1, 1, 95, 95)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("seed", range(5))
def test_a_changed_copy_has_a_near_hash_and_a_mark_that_correlates(change, seed):
    picture = scene(seed)
    marks, hashes, showing = seen(picture, CHANGES[change](picture))
    assert showing.all()
    assert np.bitwise_count(hashes[0] ^ hashes[1]) <= RADIUS
    assert likeness(marks[:1], marks[1:])[0] >= ALIKE


@pytest.mark.parametrize("seed", range(5))
def test_a_mirrored_copy_is_known_by_its_signs(seed):
    picture = scene(seed)
    marks, hashes, _ = seen(picture, picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    assert np.bitwise_count(hashes[0] ^ hashes[1] ^ np.uint64(MIRROR)) <= RADIUS
    assert likeness(marks[:1], marks[1:], mirrored=True)[0] >= ALIKE
    assert likeness(marks[:1], marks[1:])[0] < ALIKE


def test_other_pictures_are_not_alike():
    marks, hashes, _ = seen(*map(scene, range(80)))
    one, other = np.triu_indices(80, 1)
    near = np.bitwise_count(hashes[one] ^ hashes[other]) <= RADIUS
    assert not (near & (likeness(marks[one], marks[other]) >= ALIKE)).any()


def test_a_picture_without_detail_shows_nothing_to_compare():
    flat = Image.new("RGB", (50, 50), (90, 91, 90))
    speck = flat.copy()
    speck.putpixel((3, 3), (99, 99, 99))
    assert seen(flat, speck, scene(0))[2].tolist() == [False, False, True]


def test_the_limits_are_those_that_were_measured():
    """A change moves what is found in CIFAR-10 (docs/why.md): measure again."""
    assert (RADIUS, ALIKE, LEAST) == (8, 0.86, 16)
