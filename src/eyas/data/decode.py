"""The bytes of an image file -> RGB pixels: one documented result for every kind, or a `DataError`."""

from __future__ import annotations

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from eyas.data.reading import read_file
from eyas.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")  # MPO is opened as JPEG
MAX_PIXELS = 50_000_000
_Turn = Image.Transpose
_TURNS = {
    2: _Turn.FLIP_LEFT_RIGHT, 3: _Turn.ROTATE_180, 4: _Turn.FLIP_TOP_BOTTOM, 5: _Turn.TRANSPOSE,
    6: _Turn.ROTATE_270, 7: _Turn.TRANSVERSE, 8: _Turn.ROTATE_90,
}  # fmt: skip


def decode(data: bytes, name: str = "") -> Image.Image:
    """Return the image in an image file's bytes, mode RGB, upright.

    EXIF orientation is applied; of an animation the first frame is taken; transparency is laid over white;
    16-bit grey is divided by 257; palettes, grey, CMYK and LAB become RGB. Files of other formats, of more
    than 50 million pixels (read from the header), truncated or damaged ones raise `DataError`: `NAME: cannot
    be decoded: REASON`.
    """
    try:
        with _quiet_pillow(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(_too_large(image.size))
            image.load()
            turn = _TURNS.get(_orientation(image))
            upright = to_rgb(image)
            return upright if turn is None else upright.transpose(turn)
    except Exception as error:  # Pillow's readers raise nearly everything on damaged files
        raise DataError(f"{name or 'image'}: cannot be decoded: {_reason(error, data)}") from None


def read_image(path: str | Path) -> Tensor:
    """Return the image in a file as uint8 [3, H, W]; raises `DataError` where it cannot be decoded."""
    return to_tensor(decode(read_file(path), str(path)))


def to_tensor(image: Image.Image) -> Tensor:
    """Return an RGB image's pixels as uint8 [3, H, W], in memory as Pillow has them: torch resizes such fastest."""
    import torch

    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an image of any mode in RGB; raises `ValueError` where its values have no known range."""
    if image.mode.startswith("I;16") or image.mode == "I":
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, which have no agreed range")
    if image.mode == "LAB":
        lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, rgb, outputMode="RGB")
        assert converted is not None  # None only where it works in place
        return converted
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    return image.convert("RGB")


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Return grey values 0..65535 as uint8, rounded."""
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("its grey values lie outside 0 to 65535")
    return ((values.astype(np.int64) + 128) // 257).astype(np.uint8)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; damaged EXIF data say nothing about how to turn the image."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # whatever Pillow makes of damaged EXIF data
        return 1


def _too_large(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]} pixels are more than {MAX_PIXELS // 10**6} million"


def _reason(error: Exception, data: bytes) -> str:
    if not data:
        return "the file is empty"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than {MAX_PIXELS // 10**6} million pixels"
    if isinstance(error, UnidentifiedImageError):
        if data.lstrip()[:1] == b"<":
            return "it is a web page or XML text, not an image"
        return f"it is damaged, or of none of the formats {', '.join(FORMATS)}"
    return str(error) or type(error).__name__


class _Quiet:
    """Pillow's warnings are switched off while any thread decodes, and on again after the last one.

    `warnings.catch_warnings` is not safe in threads, and images are decoded in several.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0
        self.filter: object = None

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                warnings.filterwarnings("ignore", module=r"PIL\.")
                self.filter = warnings.filters[0]
        try:
            yield
        finally:
            with self.lock:
                self.inside -= 1
                if self.inside == 0 and self.filter in warnings.filters:
                    warnings.filters.remove(self.filter)  # type: ignore[attr-defined]


_quiet_pillow = _Quiet()
