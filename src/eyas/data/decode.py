"""The bytes of an image file -> RGB pixels: one documented result for every kind, or a `DataError`."""

from __future__ import annotations

import contextlib
import io
import threading
import warnings
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageFile, UnidentifiedImageError

from eyas.data.reading import read_file
from eyas.data.whole import refuse_cut, refuse_hollow, refuse_scans
from eyas.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")  # MPO is opened as JPEG
MAX_PIXELS = 50_000_000
MAX_RATIO = 1000  # of the sides: cropped from its shorter side, a longer one would become gigabytes
# what is often found under an image's name, by its first bytes: eyas says what it is and never asks another program
OTHERS = (
    (b"<", "it is a web page or XML text (an SVG, perhaps)"),
    (b"%PDF", "it is a PDF document"),
    (b"%!PS", "it is a PostScript document"),
    (b"\xc5\xd0\xd3\xc6", "it is a PostScript document"),
    (b"\x7fELF", "it is a program"),
    (b"MZ", "it is a program"),
    (b"#!", "it is a script"),
    (b"PK\x03\x04", "it is a zip archive or an office document"),
    (b"\x1f\x8b", "it is a gzip archive"),
    (b"8BPS", "it is a Photoshop file"),
    (b"\xff\x0a", "it is a JPEG XL image, which is not read"),
    (b"\x00\x00\x00\x0cJXL ", "it is a JPEG XL image, which is not read"),
    (b"\x00\x00\x00\x0cjP  ", "it is a JPEG 2000 image, which is not read"),
    (b"\x00\x00\x01\x00", "it is a Windows icon, which is not read"),
    (b"version https://git-lfs", "it is a Git LFS pointer: the image itself was not fetched (git lfs pull)"),
)
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
_Turn = Image.Transpose
_TURNS = {
    2: _Turn.FLIP_LEFT_RIGHT, 3: _Turn.ROTATE_180, 4: _Turn.FLIP_TOP_BOTTOM, 5: _Turn.TRANSPOSE,
    6: _Turn.ROTATE_270, 7: _Turn.TRANSVERSE, 8: _Turn.ROTATE_90,
}  # fmt: skip


def decode(data: bytes, name: str = "") -> Image.Image:
    """Return the image in an image file's bytes, mode RGB, upright.

    EXIF orientation is applied; of an animation the first frame is taken; transparency is laid over white;
    16-bit grey is divided by 257; palettes, grey, CMYK and LAB become RGB (docs/images.md has the table).
    Files of other formats, of more than 50 million pixels or with one side a thousand times the other (read
    from the header), truncated or damaged ones raise `DataError`: `NAME: cannot be decoded: REASON`.
    """
    return decode_with_kind(data, name)[0]


def decode_with_kind(data: bytes, name: str = "") -> tuple[Image.Image, str]:
    """Return what `decode` does, and what the file holds: its format and mode, such as `JPEG CMYK`."""
    try:
        with _quiet_pillow(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _refuse_size(image.size)
            refuse_hollow(image, data)
            refuse_scans(image, data)
            image.load()
            refuse_cut(image, data)
            turn = _TURNS.get(_orientation(image))
            upright = to_rgb(image)
            return upright if turn is None else upright.transpose(turn), f"{image.format} {image.mode}"
    except Exception as error:  # Pillow's readers raise nearly everything on damaged files
        raise DataError(f"{name or 'image'}: cannot be decoded: {_reason(error, data)}") from None


def header_pixels(data: bytes) -> int:
    """Return how many pixels an image file says that it has, 0 where it says nothing that is understood.

    Nothing is decoded for it, so a server knows beforehand how much memory `decode` will take.
    """
    try:
        with _quiet_pillow(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return image.width * image.height
    except Exception:  # as in `decode`, which says what is wrong
        return 0


def is_of_known_kind(data: bytes) -> bool:
    """Return whether a file begins as one of the kinds of images that are read, whatever follows."""
    Image.init()  # Pillow loads its readers when they are first needed
    begin = data[:32].ljust(32, b"\0")
    said = [accept(begin) for _, accept in (Image.OPEN.get(kind, (None, None)) for kind in FORMATS) if accept]
    return any(answer is True for answer in said)  # a text says why a kind cannot be read here


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
        return Image.fromarray(_eight_bits(image)).convert("RGB")
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


def _eight_bits(image: Image.Image) -> np.ndarray:
    """Return the grey values of an image of more than 8 bits as uint8 [H, W], rounded."""
    values, tags = np.asarray(image).astype(np.int64), getattr(image, "tag_v2", {})  # the tags of a TIFF
    most = 4095 if tags.get(ExifTags.Base.BitsPerSample) == (12,) else 65535
    if values.min() < 0 or values.max() > most:
        raise ValueError(f"its grey values lie outside 0 to {most}")
    if tags.get(ExifTags.Base.PhotometricInterpretation) == 0:  # Pillow turns only 8 bits over
        values = most - values
    grey = ((values * 255 + most // 2) // most).astype(np.uint8)
    if isinstance(clear := image.info.get("transparency"), int):
        grey[values == clear] = 255
    return grey


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; damaged EXIF data say nothing about how to turn the image."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # whatever Pillow makes of damaged EXIF data
        return 1


def _refuse_size(size: tuple[int, int]) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise ValueError(f"{size[0]} x {size[1]} pixels are more than {MAX_PIXELS // 10**6} million")
    if max(size) > MAX_RATIO * min(size):
        raise ValueError(f"{size[0]} x {size[1]} pixels: one side is more than {MAX_RATIO:,} times the other")


def _reason(error: Exception, data: bytes) -> str:
    if not data:
        return "the file is empty"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than {MAX_PIXELS // 10**6} million pixels"
    if "MAX_TEXT" in str(error):  # Pillow's names of its own limits
        return "its texts or its colour profile are many megabytes when they are unpacked"
    if isinstance(error, UnidentifiedImageError):
        return _other(data) or f"it is damaged, or of none of the formats {', '.join(FORMATS)}"
    return str(error) or type(error).__name__


def _other(data: bytes) -> str:
    """Return what a file is that is no image which is read, "" where its first bytes do not tell."""
    if data[4:8] == b"ftyp" and data[8:12] in HEIC:
        return "it is an HEIC image, which is not read: convert it to JPEG"
    begin = data[:64].removeprefix(BOM_UTF8).lstrip()
    return next((what for first, what in OTHERS if data.startswith(first) or begin.startswith(first)), "")


class _Quiet:
    """While any thread decodes, Pillow's warnings are off, and what is truncated is an error; after the last as before.

    `warnings.catch_warnings` is not safe in threads, and images are decoded in several. Many a script sets
    `LOAD_TRUNCATED_IMAGES`, which makes Pillow fill up with grey what is missing.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0
        self.filter: object = None
        self.truncated = False

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                warnings.filterwarnings("ignore", module=r"PIL\.")
                self.filter = warnings.filters[0]
                self.truncated, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
        try:
            yield
        finally:
            with self.lock:
                self.inside -= 1
                if self.inside == 0:
                    ImageFile.LOAD_TRUNCATED_IMAGES = self.truncated
                    if self.filter in warnings.filters:
                        warnings.filters.remove(self.filter)  # type: ignore[attr-defined]


_quiet_pillow = _Quiet()
