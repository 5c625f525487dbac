"""TrivialAugment on batches: every operation does what torchvision's does with the same parameters."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from eyas.data.augment.trivial import BINS, GEOMETRIC, OPERATIONS, operated, trivially_augmented
from eyas.seeds import Draws

FILL = (124, 116, 104)
STRENGTHS = np.arange(-30, 31) / 30
GEOMETRY = {"interpolation": InterpolationMode.NEAREST, "fill": list(FILL)}


def pictures(count: int, height: int, width: int) -> torch.Tensor:
    """Return smooth pictures of few contrasts, so that there is something to stretch."""
    coarse = torch.rand(count, 3, height // 4, width // 4, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    return (20 + 180 * smooth).to(torch.uint8)


def sheared(image: torch.Tensor, *tangents: float) -> torch.Tensor:
    shear = [math.degrees(math.atan(tangent)) for tangent in tangents]
    return functional.affine(image, 0.0, [0, 0], 1.0, shear, center=[0, 0], **GEOMETRY)


def moved(image: torch.Tensor, *pixels: float) -> torch.Tensor:
    return functional.affine(image, 0.0, [int(number) for number in pixels], 1.0, [0.0, 0.0], **GEOMETRY)


TORCHVISION = {
    "identity": lambda image, s: image,
    "shear_x": lambda image, s: sheared(image, 0.99 * s, 0),
    "shear_y": lambda image, s: sheared(image, 0, 0.99 * s),
    "translate_x": lambda image, s: moved(image, 32 * s, 0),
    "translate_y": lambda image, s: moved(image, 0, 32 * s),
    "rotate": lambda image, s: functional.rotate(image, 135 * s, **GEOMETRY),
    "brightness": lambda image, s: functional.adjust_brightness(image, 1 + 0.99 * s),
    "color": lambda image, s: functional.adjust_saturation(image, 1 + 0.99 * s),
    "contrast": lambda image, s: functional.adjust_contrast(image, 1 + 0.99 * s),
    "sharpness": lambda image, s: functional.adjust_sharpness(image, 1 + 0.99 * s),
    "posterize": lambda image, s: functional.posterize(image, round(8 - 6 * abs(s))),
    "solarize": lambda image, s: functional.solarize(image, 8.5 * (30 - round(30 * abs(s)))),
    "autocontrast": lambda image, s: functional.autocontrast(image),
    "equalize": lambda image, s: functional.equalize(image),
}


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["planes", "channels last"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_strength_of_an_operation_gives_what_torchvision_gives(operation, layout):
    for size in ((32, 32), (41, 28)):
        images = pictures(len(STRENGTHS), *size).contiguous(memory_format=layout)
        numbers = np.full(len(STRENGTHS), OPERATIONS.index(operation))
        ours = operated(images, numbers, STRENGTHS, FILL)
        theirs = torch.stack([TORCHVISION[operation](*pair) for pair in zip(images, STRENGTHS.tolist(), strict=True)])
        apart = (ours.int() - theirs.int()).abs()
        if operation in GEOMETRIC:  # a position between two pixels falls to either
            assert (apart > 0).float().mean() < 0.01
        else:
            assert apart.max() <= 1
            assert (apart > 0).float().mean() < 0.01
        assert torch.equal(ours, images) == (operation == "identity")


def test_operations_and_their_number_of_strengths_are_torchvisions():
    from torchvision.transforms.v2 import TrivialAugmentWide

    theirs = [name.lower() for name in TrivialAugmentWide._AUGMENTATION_SPACE]
    assert [name.replace("_", "") for name in OPERATIONS] == theirs
    assert TrivialAugmentWide().num_magnitude_bins == BINS


def test_images_with_different_operations_in_a_batch_get_their_own():
    images = pictures(28, 32, 32)
    numbers = np.random.default_rng(0).permutation(np.arange(28) % len(OPERATIONS))
    strengths = np.linspace(-1, 1, 28)
    together = operated(images, numbers, strengths, FILL)
    for place in range(28):
        part = slice(place, place + 1)
        assert torch.equal(operated(images[part], numbers[part], strengths[part], FILL), together[part])


def test_large_images_are_changed_in_pieces_and_each_gets_its_own_strength():
    images = pictures(4, 320, 320)  # one such picture is more than a piece
    for operation in ("brightness", "rotate", "sharpness", "autocontrast"):
        numbers = np.full(4, OPERATIONS.index(operation))
        strengths = np.array([-1, -0.5, 0.5, 1])
        together = operated(images, numbers, strengths, FILL)
        alone = [operated(images[i : i + 1], numbers[:1], strengths[i : i + 1], FILL) for i in range(4)]
        assert torch.equal(torch.cat(alone), together)


def test_operations_strengths_and_signs_are_drawn_evenly():
    images = torch.full((20_000, 3, 1, 1), 100, dtype=torch.uint8)
    samples = np.arange(20_000)
    operations = Draws(1, 2, samples).below("trivial operation", len(OPERATIONS))
    brightened = operations == OPERATIONS.index("brightness")
    shares = np.bincount(operations, minlength=len(OPERATIONS)) / len(samples)
    assert np.abs(shares - 1 / len(OPERATIONS)).max() < 0.01
    levels = trivially_augmented(images, Draws(1, 2, samples), FILL)[torch.from_numpy(brightened), 0, 0, 0].int()
    assert set(levels.tolist()) == {math.floor(100 * (1 + sign * 0.99 * k / 30)) for sign in (-1, 1) for k in range(31)}
    assert abs((levels < 100).float().mean() - 30 / 62) < 0.05


def test_a_small_picture_has_no_inner_pixels_to_sharpen():
    images = pictures(3, 8, 8)[..., :2]
    numbers = np.full(3, OPERATIONS.index("sharpness"))
    assert torch.equal(operated(images, numbers, np.ones(3), FILL), images)


def test_a_picture_of_one_colour_has_no_contrast_to_stretch():
    images = torch.full((2, 3, 8, 8), 77, dtype=torch.uint8)
    for operation in ("autocontrast", "equalize"):
        assert torch.equal(operated(images, np.full(2, OPERATIONS.index(operation)), np.ones(2), FILL), images)
