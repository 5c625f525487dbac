"""A user's own transform: found by its name, exact at a resume, explained where it is wrong."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from eyas.config.data import AugmentConfig
from eyas.data.augment.own_transform import own_transform, seed_all, transform_fingerprint, transformed
from eyas.errors import DataError, SettingsError

SOURCE = """
import random

import numpy as np
import torch
from torchvision.transforms import v2

NUMBER = 3
jitter = v2.ColorJitter(brightness=0.5)


def noisy(image):
    level = random.randrange(20) + np.random.randint(20) + torch.randint(20, ())
    return (image.int() + level).clamp(0, 255).to(torch.uint8)


def blackened(image):
    return image.zero_()


def as_floats(image):
    return image / 255


def smaller(image):
    return image[:, 1:]


def as_array(image):
    return image.numpy()


def failing(image):
    raise IndexError("no such pixel")


class Inverted:
    @staticmethod
    def whole(image):
        return 255 - image
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def pictures(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 8, 6), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


def changed(spec: str, images: torch.Tensor, samples: list[int], *, epoch: int = 0) -> torch.Tensor:
    return transformed(images, own_transform(spec), seed=5, epoch=epoch, samples=np.array(samples))


def test_without_a_transform_the_images_come_back_as_they_are():
    images = pictures(2)
    assert transformed(images, own_transform(None), seed=0, epoch=0, samples=np.arange(2)) is images
    assert transform_fingerprint(None) is None


def test_a_function_of_a_file_is_applied_to_every_image(file):
    images = pictures(3)
    assert torch.equal(changed(f"{file}:Inverted.whole", images, [0, 1, 2]), 255 - images)


def test_a_function_of_a_module_is_applied_to_every_image():
    images = pictures(3)
    assert torch.equal(changed("torchvision.transforms.v2.functional:invert", images, [0, 1, 2]), 255 - images)


@pytest.mark.parametrize("name", ["noisy", "jitter"])
def test_what_a_transform_draws_follows_from_epoch_and_sample_alone(file, name):
    images = pictures(1).expand(12, -1, -1, -1)
    whole = changed(f"{file}:{name}", images, list(range(12)))
    assert len({image.numpy().tobytes() for image in whole}) > 8
    random.seed(7)
    torch.manual_seed(7)
    assert torch.equal(changed(f"{file}:{name}", images[:2], [9, 4]), whole[[9, 4]])
    assert not torch.equal(changed(f"{file}:{name}", images, list(range(12)), epoch=1), whole)


def test_a_transform_that_writes_into_its_image_leaves_the_stored_one(file):
    images = pictures(2)
    before = images.clone()
    assert (changed(f"{file}:blackened", images, [0, 1]) == 0).all()
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("as_floats", r"gave float32 \[3, 8, 6\]; it must give what it gets, uint8 \[3, 8, 6\]"),
        ("smaller", r"gave uint8 \[3, 7, 6\]; it must give what it gets, uint8 \[3, 8, 6\]"),
        ("as_array", r"gave numpy.ndarray; it must give what it gets"),
        ("failing", r"failed with IndexError: no such pixel \(.*mine.py:34\)"),
    ],
)
def test_a_wrong_answer_names_the_image_and_what_came(file, name, told):
    with pytest.raises(DataError, match=r"Training image 41 \(from 0\): your transform " + told):
        changed(f"{file}:{name}", pictures(1), [41])


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("{folder}/mien.py:noisy", "there is no such file. Did you mean '.*mine.py'"),
        ("{folder}/mine.py:nosy", "there is no 'nosy' in .*mine.py. Did you mean 'noisy'"),
        ("{folder}/mine.py:Inverted.wole", "there is no 'wole' in .*mine.py. Did you mean 'whole'"),
        ("{folder}/mine.py:NUMBER", "NUMBER is no function, but int"),
        ("{folder}/broken.py:noisy", "the file cannot be run: NameError: name 'absent' is not defined"),
        ("no_such_module_here:noisy", "there is no module 'no_such_module_here'"),
        ("no_such.module.here:noisy", "there is no module 'no_such.module.here'"),
        ("sys:exit", "module 'sys' has no file"),
    ],
)
def test_what_cannot_be_found_is_told_with_the_nearest(file, spec, told):
    (file.parent / "broken.py").write_text("absent\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=told):
        own_transform(spec.format(folder=file.parent))


@pytest.mark.parametrize("spec", ["mine.py", "mine.py:", ":noisy", ""])
def test_a_setting_without_file_and_name_is_refused_at_once(spec):
    with pytest.raises(SettingsError, match=r"--transform .*: must be FILE.py:NAME or module:NAME"):
        AugmentConfig(transform=spec)


def test_the_fingerprint_is_that_of_the_text_wherever_it_lies(file, tmp_path):
    first = transform_fingerprint(f"{file}:noisy")
    assert transform_fingerprint(f"{file}:jitter") != first
    moved = tmp_path / "elsewhere" / "mine.py"
    moved.parent.mkdir()
    moved.write_text(SOURCE, encoding="utf-8")
    assert transform_fingerprint(f"{moved}:noisy") == first
    moved.write_text(SOURCE + "\n", encoding="utf-8")
    assert transform_fingerprint(f"{moved}:noisy") != first
    assert transform_fingerprint("torchvision.transforms.v2.functional:invert") is not None


def test_foreign_transforms_may_draw_from_any_generator():
    draws = []
    for _ in range(2):
        seed_all(2**63 + 5)
        draws.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert draws[0] == draws[1]
