"""Preprocess: turns images into network input. The only place where size, mean and std are applied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from typing import Any

import torch
from pydantic import field_validator
from torch import Tensor
from torch.nn import functional as nnf
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as v2

from eyas.config.data import PreprocessConfig
from eyas.data.images.greys import found_range
from eyas.data.images.imageset import ImageSet
from eyas.data.images.rgb import Range, to_rgb
from eyas.errors import CheckpointError, DataError, SettingsError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Deterministic preprocessing of images, stored in the model file as plain data.

    Call it with a PIL image or a uint8 tensor `[..., 3, H, W]` to get float32 `[..., 3, size, size]`. It can be used
    as the `transform` of any torchvision data set.
    """

    size: int = 256
    resize: str = "stretch"
    crop_ratio: float = 0.875
    interpolation: str = "bilinear"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    views: str = "one"
    grey_range: Range | None = None  # of files of more than 8 bits, while they are decoded; None: 0 to 65535

    def __call__(self, image: Any) -> Tensor:
        """Resize and normalise a PIL image or a uint8 tensor `[..., 3, H, W]`; return float32 `[..., 3, size, size]`.

        Raises `DataError` for a tensor of another type, whose value range is unknown.
        """
        if isinstance(image, Tensor) and image.dtype != torch.uint8:
            raise DataError(f"Preprocess takes uint8 pixels (0 to 255) or a PIL image; this tensor is {image.dtype}.")
        pixels = image if isinstance(image, Tensor) else v2.pil_to_tensor(to_rgb(image, self.grey_range))
        return self.normalize(self.resized(pixels))

    def resized(self, images: Tensor) -> Tensor:
        """Resize uint8 `[..., 3, H, W]` to uint8 `[..., 3, size, size]`, always antialiased.

        On a CPU the result differs from torchvision's transforms on PIL images by at most one grey level (when
        enlarging, by two in a few of 100,000 values, because of rounding).
        """
        if self.resize == "stretch":
            return self._scaled(images, self.size, self.size)
        height, width = images.shape[-2:]
        if self.resize == "crop":
            short = round(self.size / self.crop_ratio)
            scale = short / min(height, width)
            resized = self._scaled(images, max(short, int(height * scale)), max(short, int(width * scale)))
            cropped: Tensor = v2.center_crop(resized, [self.size, self.size])
            return cropped
        scale = self.size / max(height, width)
        resized = self._scaled(images, max(1, round(height * scale)), max(1, round(width * scale)))
        # centred on a square of the mean colour, which becomes zero in the network
        height, width = resized.shape[-2:]
        left, top = (self.size - width) // 2, (self.size - height) // 2
        square = torch.tensor(self.mean, device=resized.device).mul(255).round().to(resized.dtype).view(3, 1, 1)
        square = square.expand(*resized.shape[:-2], self.size, self.size).clone()
        square[..., top : top + height, left : left + width] = resized
        return square

    def normalize(self, images: Tensor, memory_format: torch.memory_format = torch.contiguous_format) -> Tensor:
        """Scale uint8 `[..., 3, H, W]` to 0..1, subtract the mean and divide by the std; return float32.

        The result has the given `memory_format`, whatever that of the images (channels-last needs `[B, 3, H, W]`).
        """
        whole = torch.empty(images.shape, dtype=torch.float32, device=images.device, memory_format=memory_format)
        whole.copy_(images)
        if memory_format == torch.channels_last:
            # rows of R G B R G B ...: over runs of three alone torch computes a third as fast
            batch, _, height, width = images.shape
            mean, std = (_constant(value, width, images.device) for value in (self.mean, self.std))
            whole.permute(0, 2, 3, 1).view(batch, height, 3 * width).div_(255).sub_(mean).div_(std)
            return whole
        mean, std = (_constant(value, 1, images.device).view(3, 1, 1) for value in (self.mean, self.std))
        return whole.div_(255).sub_(mean).div_(std)

    def answer(
        self, network: Callable[[Tensor], Tensor], resized: Tensor,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> Tensor:
        """Return a network's logits, float32 `[B, C]`, for images from `resized`, averaged over the test-time views."""
        return self.over_views(network, self.normalize(resized, memory_format), memory_format)

    def over_views(
        self, network: Callable[[Tensor], Tensor], images: Tensor,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> Tensor:
        """Return a network's logits, float32 `[B, C]`, for normalised images, averaged over the test-time views.

        `flip` adds the mirrored image; `shift` also adds both shifted by one pixel up-left and down-right, at half
        the weight (as in airbench94).
        """
        if self.views == "one":
            return network(images).float()
        shown = [(images, 1.0)]
        if self.views == "shift":
            wider = nnf.pad(images, (1, 1, 1, 1), "reflect")
            shown = [(images, 0.5), (wider[..., :-2, :-2], 0.25), (wider[..., 2:, 2:], 0.25)]
        views = [(view, weight / 2) for one, weight in shown for view in (one, one.flip(-1))]
        answers = [weight * network(view.contiguous(memory_format=memory_format)).float() for view, weight in views]
        return torch.stack(answers).sum(0)

    def enlarged(self, size: int) -> Preprocess:
        """Return this preprocessing for a larger image with nothing cropped, from which random crops are taken."""
        return replace(self, size=size, crop_ratio=1.0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a file header; None values are left out, so that older versions can read it."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @staticmethod
    def from_dict(data: Any) -> Preprocess:
        """Return the `Preprocess` of a `to_dict`. Raises `CheckpointError` if a key or value is missing or unknown."""
        if not isinstance(data, dict) or None in data.values():
            raise CheckpointError("The stored preprocessing is none of eyas.")
        known = {field.name for field in fields(Preprocess)}
        data = {"views": "one", "grey_range": None, **data}  # files of the first versions have none
        if set(data) != known or data["grey_range"] == "auto":
            differing = ", ".join(sorted(known ^ set(data)))
            raise CheckpointError(
                f"The stored preprocessing is not of this version of eyas (it differs in: {differing})."
            )
        try:
            return Preprocess(**_Stored(**data).model_dump())
        except SettingsError as error:
            raise CheckpointError(f"The stored preprocessing cannot be used: {error}") from None

    def in_words(self) -> str:
        """Return a one-line description."""
        mean, std = (" ".join(f"{number:g}" for number in value) for value in (self.mean, self.std))
        ratio = f" (ratio {self.crop_ratio:g})" if self.resize == "crop" else ""
        views = {"flip": "; answers averaged over 2 views", "shift": "; answers averaged over 6 views"}
        resized = f"{self.size}x{self.size} by {self.resize}{ratio}, {self.interpolation}"
        grey = "" if self.grey_range is None else "grey values {:.10g} to {:.10g} of 16 bits; ".format(*self.grey_range)
        return f"{grey}{resized}; mean {mean}; std {std}{views.get(self.views, '')}"

    def _scaled(self, images: Tensor, height: int, width: int) -> Tensor:
        if images.shape[-2:] == (height, width):
            return images
        smooth = self.interpolation != "nearest"
        # what Pillow calls nearest takes the pixel at the centre; torch's mode of that name takes one at a corner
        mode = InterpolationMode(self.interpolation if smooth else "nearest-exact")
        if smooth and images.device.type != "cpu":
            # A CPU rounds to grey levels between the two axes. In one pass of floats bicubic would be 10 levels off.
            images = v2.resize(images, [images.shape[-2], width], mode, antialias=True)
        elif mode is InterpolationMode.BILINEAR and torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
            # torchvision takes floats on such a processor. PyTorch's own kernel gives the same grey levels on all.
            batch = images.reshape(-1, *images.shape[-3:])
            whole: Tensor = nnf.interpolate(batch, (height, width), mode="bilinear", antialias=True)
            return whole.reshape(*images.shape[:-2], height, width)
        resized: Tensor = v2.resize(images, [height, width], mode, antialias=smooth)
        return resized


@lru_cache(maxsize=64)
def _constant(values: tuple[float, float, float], times: int, device: torch.device) -> Tensor:
    """Return the three values repeated, float32 [3 * times]; cached, so that they are copied to the device once."""
    return torch.tensor(values, device=device).repeat(times)


class _Stored(PreprocessConfig):
    """The preprocessing in a file. Any mean and std are accepted, because older versions trained with any."""

    @field_validator("mean", "std")
    @classmethod
    def _of_pixels(cls, value: Any) -> Any:
        return value


def resolve_preprocess(config: PreprocessConfig, expected: dict[str, Any] | None, train: ImageSet) -> Preprocess:
    """Return the preprocessing: the standard one, overridden by `expected` (of weights), overridden by `config`.

    `train` are the images that determine `--grey-range auto`.
    """
    auto = {"grey_range": found_range(train)} if config.grey_range == "auto" else {}
    asked = {name: value for name, value in (config.model_dump() | auto).items() if value is not None}
    return Preprocess(**{**(expected or {}), **asked})
