"""A heat map laid over its picture."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as nnf

# from cold to hot, in grey levels of red, green, blue: brightness rises all the way, so it reads without colour too
COLOURS = ((0, 0, 40), (70, 15, 110), (180, 40, 90), (245, 125, 20), (250, 250, 160))
STRENGTH = 0.65  # of the colour where the map is hottest; the picture shows through everywhere


def overlay(pixels: Tensor, heat: Tensor) -> Image.Image:
    """Return the picture with the map over it, mode RGB.

    `pixels` is uint8 [3, H, W]; `heat` float32 [h, w] of any size, 0 to 1.
    """
    height, width = pixels.shape[-2:]
    wide = nnf.interpolate(heat[None, None].float().cpu(), (height, width), mode="bicubic").clamp(0, 1)[0, 0]
    anchors = torch.tensor(COLOURS, dtype=torch.float32)
    place = wide * (len(COLOURS) - 1)
    below = place.floor().long().clamp(max=len(COLOURS) - 2)
    share = (place - below)[..., None]
    colour = (anchors[below] * (1 - share) + anchors[below + 1] * share).permute(2, 0, 1)
    weight = STRENGTH * (0.25 + 0.75 * wide)
    mixed = pixels.cpu().float() * (1 - weight) + colour * weight
    return Image.fromarray(mixed.round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy())
