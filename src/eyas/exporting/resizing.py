"""The resize of `Preprocess` as plain arithmetic that fits into a graph, with the same grey levels."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from eyas.data.images.preprocess import Preprocess

MOST_BITS = 22  # of a weight's fraction, and
WEIGHT = 2.0**15  # what a whole weight stays below: as torch has them in its resize of uint8
EDGE = 2  # places at both ends of an axis, whose weights may be the largest


class Axis(NamedTuple):
    """One axis of the resize: `length` and `resized` float64 scalars, `places` float64 [S] the outputs wanted."""

    length: Tensor
    resized: Tensor
    places: Tensor

    @property
    def there(self) -> Tensor:
        """Bool [S]: whether a place lies in the resized image, and not in the margin around it."""
        return (self.places >= 0) & (self.places < self.resized)


class Resize(nn.Module):
    """uint8 `[N, 3, H, W]` -> float32 `[N, 3, size, size]`: the grey levels that `Preprocess.resized` gives on a CPU.

    torchvision's antialiased resize of uint8 is two passes, along the rows and then along the columns. Each multiplies
    by weights that are whole numbers of 16 bits over a power of two, and rounds to grey levels. Here a pass is a
    product of matrices; float64 holds all of its sums exactly.
    """

    colour: Tensor

    def __init__(self, preprocess: Preprocess) -> None:
        super().__init__()
        self.preprocess = preprocess
        # what `Preprocess` fills the margin of a padded image with
        colour = torch.tensor(preprocess.mean).mul(255).round().to(torch.uint8).to(torch.float64)
        self.register_buffer("colour", colour.view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the resized images."""
        rows, columns = self.axes(*(torch.scalar_tensor(side, dtype=torch.float64) for side in images.shape[-2:]))
        if self.preprocess.interpolation == "nearest":
            resized = images[..., _nearest(columns)][..., _nearest(rows), :].to(torch.float64)
        else:
            height, width = images.shape[-2:]
            kind = self.preprocess.interpolation
            across, unit = _weights(columns, torch.arange(width, dtype=torch.float64), kind, along=0)
            resized = _grey(images.to(torch.float64) @ across, unit)
            down, unit = _weights(rows, torch.arange(height, dtype=torch.float64), kind, along=1)
            resized = _grey(down @ resized, unit)
        if self.preprocess.resize == "pad":
            resized = torch.where(rows.there[:, None] & columns.there, resized, self.colour)
        return resized.to(torch.float32)

    def axes(self, height: Tensor, width: Tensor) -> tuple[Axis, Axis]:
        """Return rows and columns: what `Preprocess.resized` resizes to, and which part of it is kept."""
        size, wanted = self.preprocess.size, torch.arange(self.preprocess.size, dtype=torch.float64)
        whole = torch.scalar_tensor(size, dtype=torch.float64)

        def axis(side: Tensor) -> Axis:
            if self.preprocess.resize == "stretch":
                return Axis(side, whole, wanted)
            if self.preprocess.resize == "crop":
                short = torch.scalar_tensor(round(size / self.preprocess.crop_ratio), dtype=torch.float64)
                to = torch.maximum(short, (side * (short / torch.minimum(height, width))).floor())
                return Axis(side, to, wanted + ((to - size) / 2).round())
            to = (side * (whole / torch.maximum(height, width))).round().clamp(min=1.0)
            return Axis(side, to, wanted - ((size - to) / 2).floor())

        return axis(height), axis(width)


def _weights(axis: Axis, source: Tensor, interpolation: str, *, along: int) -> tuple[Tensor, Tensor]:
    """Return whole numbers float64 [S, L] or [L, S], and the power of two that they are fractions of.

    As many bits as let the largest weight of the axis stay below 2^15. `source` is 0, 1, ... L - 1, float64 [L]; it
    runs `along` dimension 1 or 0. Made the way it is multiplied: a transpose before a product in float64 is fused by
    onnxruntime, which up to 1.25 cannot compute what comes of it.
    """
    source = source.unsqueeze(1 - along)
    ends = torch.arange(EDGE, dtype=torch.float64)
    places = torch.cat([axis.places, ends, axis.resized - 1 - ends])
    scale = axis.length / axis.resized
    stretch = scale.clamp(min=1.0)  # antialiased: an image that is made smaller is averaged over
    reach = (1.0 if interpolation == "bilinear" else 2.0) * stretch
    centre = scale * (places + 0.5)
    first, last = (
        (centre - reach + 0.5).trunc().clamp(min=0.0),
        torch.minimum((centre + reach + 0.5).trunc(), axis.length),
    )
    first, last, centre = (each.unsqueeze(along) for each in (first, last, centre))
    near = (source >= first) & (source < last)
    kernel = triangle if interpolation == "bilinear" else cubic
    raw = torch.where(near, kernel((source - centre + 0.5) / stretch), 0.0)
    total = raw.sum(along, keepdim=True)
    shares = raw / torch.where(total == 0, 1.0, total)  # 0 where a place lies in the margin
    shares = torch.where(((places >= 0) & (places < axis.resized)).unsqueeze(along), shares, 0.0)
    powers = torch.tensor([2.0**bits for bits in range(1, MOST_BITS + 1)], dtype=torch.float64)
    bits = ((shares.max() * powers + 0.5).floor() < WEIGHT).to(torch.float64).sum()
    unit = torch.pow(torch.scalar_tensor(2.0, dtype=torch.float64), bits)
    wanted = shares.narrow(1 - along, 0, len(axis.places)) * unit
    return wanted.sign() * (wanted.abs() + 0.5).floor(), unit


def _grey(sums: Tensor, unit: Tensor) -> Tensor:
    """Return weighted sums as grey levels: rounded as an integer shift does, and held between 0 and 255."""
    return ((sums + unit / 2) / unit).floor().clamp(0.0, 255.0)


def _nearest(axis: Axis) -> Tensor:
    """Return int64 [S]: the pixel at the centre of each place, computed in float32 as torch does."""
    scale = (axis.length.to(torch.float32) / axis.resized.to(torch.float32)).to(torch.float64)
    found = ((axis.places + 0.5) * scale).to(torch.float32).floor().to(torch.float64)
    return torch.minimum(found.clamp(min=0.0), axis.length - 1).to(torch.int64)


def triangle(distance: Tensor) -> Tensor:
    """Return the weights of linear interpolation."""
    return (1.0 - distance.abs()).clamp(min=0.0)


def cubic(distance: Tensor) -> Tensor:
    """Return the weights of cubic convolution (Keys 1981) with a = -0.5, as Pillow has it."""
    x = distance.abs()
    near, far = (1.5 * x - 2.5) * x * x + 1.0, ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return torch.where(x < 1.0, near, torch.where(x < 2.0, far, 0.0))
