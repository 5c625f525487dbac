"""Pictures of nothing that are as rich as photos: made from a number, each unlike the others."""

from __future__ import annotations

import numpy as np
from PIL import Image


def scene(seed: int, size: tuple[int, int] = (96, 96)) -> Image.Image:
    """Return a picture of soft blots with detail in them."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((size[1], size[0], 3))
    for cells, weight in ((4, 1.0), (8, 0.7), (16, 0.4)):
        blots = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        picture += weight * np.asarray(blots.resize(size, Image.Resampling.BICUBIC), float)
    picture = (picture - picture.min()) / (picture.max() - picture.min()) * 255
    return Image.fromarray(picture.astype(np.uint8))
