"""The resize inside an exported graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.scenes import scene

from eyas.data.images.preprocess import Preprocess
from eyas.exporting.resizing import Resize

SIZES = [(64, 64), (150, 90), (90, 150), (31, 300), (500, 333), (7, 3), (1, 1)]  # (width, height)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize(("resize", "ratio"), [("stretch", 0.875), ("crop", 0.875), ("crop", 1.0), ("pad", 0.875)])
def test_it_gives_the_grey_levels_of_the_preprocessing_exactly(interpolation, resize, ratio):
    for size in (16, 64, 100):
        preprocess = Preprocess(size=size, resize=resize, crop_ratio=ratio, interpolation=interpolation)
        for seed, shape in enumerate(SIZES):
            pixels = torch.from_numpy(np.array(scene(seed, shape))).permute(2, 0, 1)
            noise = torch.randint(
                0, 256, pixels.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
            )
            images = torch.stack([pixels, noise])
            assert torch.equal(Resize(preprocess)(images), preprocess.resized(images).float()), (size, shape)
