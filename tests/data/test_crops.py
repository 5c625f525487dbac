"""Random rectangles: where they may lie, and what is made of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from eyas.data.augment.crops import Rectangles, drawn_rectangles, resampled, resized_crops
from eyas.seeds import Draws

LAYOUTS = {"planes": torch.contiguous_format, "channels last": torch.channels_last}


def pictures(count: int, size: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, size, size), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


def rectangles(count: int, side: int, share: tuple[float, float]) -> Rectangles:
    return drawn_rectangles(Draws(3, 1, np.arange(count)), "crop", side=side, share=share, aspect=(3 / 4, 4 / 3))


@pytest.mark.parametrize("share", [(0.08, 1.0), (0.9, 1.0), (0.0, 0.01), (1.0, 1.0)])
def test_rectangles_lie_inside_and_have_the_area_and_the_aspect_asked_for(share):
    cuts = rectangles(5000, 200, share)
    assert min(cuts.top.min(), cuts.left.min()) >= 0
    assert min(cuts.height.min(), cuts.width.min()) >= 1
    assert max((cuts.top + cuts.height).max(), (cuts.left + cuts.width).max()) <= 200
    areas = cuts.height * cuts.width / 200**2
    assert areas.min() >= share[0] - 0.005
    assert areas.max() <= share[1] + 0.005
    large = np.minimum(cuts.height, cuts.width) > 20
    aspects = (cuts.width / cuts.height)[large]
    assert aspects.size == 0 or (aspects.min() > 0.7 and aspects.max() < 1.45)


def test_rectangles_are_spread_over_areas_aspects_and_places():
    cuts = rectangles(20_000, 200, (0.08, 0.5))
    areas = cuts.height * cuts.width / 200**2
    assert np.abs(np.quantile(areas, [0.25, 0.5, 0.75]) - [0.185, 0.29, 0.395]).max() < 0.01
    assert abs((cuts.width > cuts.height).mean() - 0.5) < 0.02
    for start, length in ((cuts.top, cuts.height), (cuts.left, cuts.width)):
        assert abs((start / np.maximum(200 - length, 1)).mean() - 0.5) < 0.01


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("sizes", [(48, 32), (96, 32), (30, 30), (20, 33)])
@pytest.mark.parametrize("way", [resized_crops, resampled])
def test_crops_are_torchvisions_within_one_grey_level(way, sizes, layout):
    """Both ways: torch's kernel on a CPU, and the products of matrices that other devices get."""
    stored, size = sizes
    images, cuts = pictures(30, stored), rectangles(30, stored, (0.08, 1.0))
    corners = zip(cuts.top, cuts.left, cuts.height, cuts.width, strict=True)
    theirs = torch.stack([
        functional.resized_crop(image, *map(int, corner), [size, size], antialias=True)
        for image, corner in zip(images, corners, strict=True)
    ])  # fmt: skip
    ours = way(images.contiguous(memory_format=LAYOUTS[layout]), cuts, size)
    assert ours.shape == (30, 3, size, size)
    assert ours.dtype == torch.uint8
    assert (ours.int() - theirs.int()).abs().max() <= 1


@pytest.mark.parametrize("way", [resized_crops, resampled])
def test_a_whole_picture_of_the_inputs_size_stays_as_it_is(way):
    images = pictures(2, 24)
    whole = Rectangles(*(np.full(2, number) for number in (0, 0, 24, 24)))
    assert torch.equal(way(images, whole, 24), images)
