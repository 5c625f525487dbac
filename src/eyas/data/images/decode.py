"""Decodes the bytes of an image file to RGB: one documented result for every kind, or a `DataError`."""

from __future__ import annotations

import contextlib
import io
import os
import re
import threading
import warnings
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from eyas.data.images import formats
from eyas.data.images.rgb import Range, upright
from eyas.data.images.whole import ROOM, refuse_bomb, refuse_cut
from eyas.errors import DataError, ShortMemoryError
from eyas.files.reading import read_file
from eyas.files.system import free_memory

if TYPE_CHECKING:
    from torch import Tensor

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")  # MPO is opened as JPEG
PER_PIXEL = 16  # bytes at most while a picture is decoded: four pictures of 4, with alpha or turned by EXIF
LARGE = 50_000_000  # pixels: of larger pictures as many are decoded at once as memory has room for
MAX_RATIO = 1000  # of the sides: cropped from its shorter side, a longer one would become gigabytes
# what is often found under an image's name, by its first bytes: eyas says what it is and never asks another program
OTHERS = {
    (b"<",): "it is a web page or XML text (an SVG, perhaps)",
    (b"%PDF",): "it is a PDF document",
    (b"%!PS", b"\xc5\xd0\xd3\xc6"): "it is a PostScript document",
    (b"\x7fELF", b"MZ"): "it is a program",
    (b"#!",): "it is a script",
    (b"PK\x03\x04",): "it is a zip archive or an office document",
    (b"\x1f\x8b",): "it is a gzip archive",
    (b"8BPS",): "it is a Photoshop file",
    (b"\xff\x0a", b"\x00\x00\x00\x0cJXL "): "it is a JPEG XL image, which is not read",
    (b"\x00\x00\x00\x0cjP  ",): "it is a JPEG 2000 image, which is not read",
    (b"\x00\x00\x01\x00",): "it is a Windows icon, which is not read",
    (b"version https://git-lfs",): "it is a Git LFS pointer: the image itself was not fetched (git lfs pull)",
}
STRAYS = 10_000  # of so many pixels one may be dead or hot
VALUES = "values of more than 8 bits"  # what `Image.info` has under this name: see `_values`


@dataclass(frozen=True, slots=True)
class Decoding:
    """What is asked of decoding: the grey values of more than 8 bits that become 0 to 255, and the most pixels."""

    grey_range: Range | None = None  # None: 0 to 65535, and what lies outside is refused
    max_pixels: int = 200_000_000


USUAL = Decoding()


def decode(data: bytes, name: str = "", decoding: Decoding = USUAL) -> Image.Image:
    """Return the image in an image file's bytes, mode RGB, upright.

    EXIF orientation is applied; of an animation the first frame is taken; transparency is laid over white;
    16-bit grey is divided by 257, or a range of it becomes 0 to 255; palettes, grey, CMYK and LAB become RGB
    (docs/images.md has the table). Files of other formats, of more pixels than `decoding` allows or with one side a
    thousand times the other (read from the header), truncated or damaged ones raise `DataError`: `NAME: cannot be
    decoded: REASON`; `ShortMemoryError` where it is only that memory is short.
    """
    return decode_with_kind(data, name, decoding)[0]


def decode_with_kind(data: bytes, name: str = "", decoding: Decoding = USUAL) -> tuple[Image.Image, str]:
    """Return what `decode` does, and what the file holds: its format and mode, such as `JPEG CMYK`."""
    try:
        with _opened(data, decoding) as image:
            # opened and not yet loaded, an image of 16 bits of which Pillow will give the upper 8 can be told
            coarse = not _is_deep(image) and any(";16" in str(tile.args) for tile in image.tile)
            image.load()
            refuse_cut(image, data)
            picture = upright(image, decoding.grey_range)
            if (values := _values(image, coarse, decoding)) is not None:
                picture.info[VALUES] = values
            return picture, f"{image.format} {image.mode}"
    except Exception as error:  # Pillow's readers raise nearly everything on damaged files
        kind = ShortMemoryError if isinstance(error, MemoryError) else DataError
        raise kind(f"{name or 'image'}: cannot be decoded: {_reason(error, data, decoding)}") from None


def grey_values(data: bytes, decoding: Decoding = USUAL) -> tuple[float, float] | None:
    """Return the range of a grey image of more than 8 bits, but for dead and hot pixels; None for any other file.

    Those are, at either end, one of `STRAYS` or a single one, where all others fill less than a sixteenth of the whole.
    """
    try:
        with _opened(data, decoding) as image:
            if not _is_deep(image):
                return None
            values = np.asarray(image)
            few = max(1, values.size // STRAYS)
            ends = [0, few, -few - 1, -1] if values.size > few else [0, 0, 0, 0]
            low, least, most, high = np.partition(values, ends, axis=None)[ends].astype(np.float64).tolist()
            wide = most - least
            if 0 < 16 * wide < high - low:
                return (least if least - low > wide else low), (most if high - most > wide else high)
            return low, high
    except Exception:  # as in `decode`, which says what is wrong
        return None


def header_pixels(data: bytes) -> int:
    """Return how many pixels an image file says that it has, 0 where it says nothing that is understood.

    Nothing is decoded for it, so a server knows beforehand how much memory `decode` will take.
    """
    try:
        with _quiet_pillow(USUAL.max_pixels), Image.open(io.BytesIO(data), formats=_formats(data)) as image:
            return image.width * image.height
    except Exception:  # as in `decode`, which says what is wrong
        return 0


def is_of_known_kind(data: bytes) -> bool:
    """Return whether a file begins as one of the kinds of images that are read, whatever follows."""
    kinds = _formats(data)
    Image.init()  # Pillow loads its readers when they are first needed
    begin = data[:32].ljust(32, b"\0")
    said = [accept(begin) for _, accept in (Image.OPEN.get(kind, (None, None)) for kind in kinds) if accept]
    return any(answer is True for answer in said)  # a text says why a kind cannot be read here


def read_image(path: str | Path, decoding: Decoding = USUAL) -> Tensor:
    """Return the image in a file as uint8 [3, H, W]; raises `DataError` where it cannot be decoded."""
    return to_tensor(decode(read_file(path), str(path), decoding))


def to_tensor(image: Image.Image) -> Tensor:
    """Return an RGB image's pixels as uint8 [3, H, W], in memory as Pillow has them: torch resizes such fastest."""
    import torch

    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


@contextlib.contextmanager
def _opened(data: bytes, decoding: Decoding) -> Iterator[ImageFile.ImageFile]:
    """Open a file whose header is no reason to refuse it; what is larger than most waits for its room in memory."""
    most = min(decoding.max_pixels, max(LARGE, ROOM * len(data)))
    with _quiet_pillow(most), Image.open(io.BytesIO(data), formats=_formats(data)) as image:
        width, height = image.size
        if width * height > most:
            raise ValueError(_too_many(f"{width} x {height}", width * height, data, decoding))
        if max(width, height) > MAX_RATIO * min(width, height):
            raise ValueError(f"{width} x {height} pixels: one side is more than {MAX_RATIO:,} times the other")
        refuse_bomb(image, data)
        with room_for(width * height) if width * height > LARGE else contextlib.nullcontext():
            yield image


def _too_many(shown: str, pixels: int, data: bytes, decoding: Decoding) -> str:
    if pixels > decoding.max_pixels:
        return f"{shown} pixels are more than {decoding.max_pixels / 1e6:g} million (--max-megapixels allows more)"
    return f"{shown} pixels in {len(data):,} bytes: above {LARGE // 10**6} million, {ROOM:,} pixels a byte are the most"


def _formats(data: bytes) -> tuple[str, ...]:
    """Return the formats to open a file by: HEIC only where it says to be that and the extra is installed."""
    return (*FORMATS, "HEIF") if formats.is_heic(data) and formats.reader_added() else FORMATS


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith("I;16") or image.mode in ("I", "F")


def _values(image: Image.Image, coarse: bool, decoding: Decoding) -> tuple[float, float, bool, int] | None:
    """Return the least and the largest value of a decoded image of 16 bits, whether only 8 of them were read, and how
    many pixels lie outside the grey range.

    None for images of 8 bits, and for those of 12 whose own range is taken.
    """
    if coarse:
        without_alpha = np.asarray(image).reshape(-1, len(image.mode))[:, : len(image.mode.rstrip("Aa"))]
        return 257.0 * int(without_alpha.min()), 257.0 * int(without_alpha.max()), True, 0
    twelve = decoding.grey_range is None and getattr(image, "tag_v2", {}).get(258) == (12,)
    if twelve or not _is_deep(image):
        return None
    values = np.asarray(image)
    low, high, (least, most) = float(values.min()), float(values.max()), decoding.grey_range or (-np.inf, np.inf)
    outside = 0 if least <= low and high <= most else np.count_nonzero((values < least) | (values > most))
    return low, high, False, int(outside)


def _reason(error: Exception, data: bytes, decoding: Decoding) -> str:
    if not data:
        return "the file is empty"
    if isinstance(error, Image.DecompressionBombError):
        pixels = int(re.findall(r"\d+", str(error))[0])
        return _too_many(f"{pixels:,}", pixels, data, decoding)
    if "MAX_TEXT" in str(error):  # Pillow's names of its own limits
        return "its texts or its colour profile are many megabytes when they are unpacked"
    if not isinstance(error, UnidentifiedImageError):
        return str(error) or type(error).__name__
    if formats.is_heic(data):
        return "it is a damaged HEIC photo" if formats.is_installed() else f"it is an HEIC photo: {formats.REMEDY}"
    if data[128:132] == b"DICM":
        return "it is a DICOM file: convert it to PNG, which keeps its 16 bits, and see train --grey-range"
    begin = data[:64].removeprefix(BOM_UTF8).lstrip()
    said = (what for firsts, what in OTHERS.items() if data.startswith(firsts) or begin.startswith(firsts))
    return next(said, f"it is damaged, or of none of the formats {', '.join(FORMATS)}")


class _Quiet:
    """While any thread decodes, Pillow's warnings are off, and what is truncated is an error; after the last as before.

    `warnings.catch_warnings` is not safe in threads, and images are decoded in several. Many a script sets
    `LOAD_TRUNCATED_IMAGES`, which makes Pillow fill up with grey what is missing. Pillow's own limit of pixels, global
    to the process, admits what eyas does meanwhile.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0
        self.filter: object = None
        self.before: tuple[bool, int | None] = False, None

    @contextlib.contextmanager
    def __call__(self, pixels: int) -> Iterator[None]:
        with self.lock:
            self.inside += 1
            half = -(-pixels // 2)  # Pillow warns above its limit, and refuses what has twice as many
            if self.inside == 1:
                self.before = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS
                ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = False, half
                warnings.filterwarnings("ignore", module=r"PIL\.")
                self.filter = warnings.filters[0]
            Image.MAX_IMAGE_PIXELS = max(half, Image.MAX_IMAGE_PIXELS or 0)
        try:
            yield
        finally:
            with self.lock:
                self.inside -= 1
                if self.inside == 0:
                    ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = self.before
                    if self.filter in warnings.filters:
                        warnings.filters.remove(self.filter)  # type: ignore[attr-defined]


class _Room:
    """The bytes that pictures which are being decoded take. One object a process, for memory is the process's."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.taken = 0
        self.process = os.getpid()

    @contextlib.contextmanager
    def __call__(self, pixels: int) -> Iterator[None]:
        """Wait until there is room for a picture, and hold it; raises `MemoryError` where it has none even alone."""
        need = pixels * PER_PIXEL
        with self.changed:
            if self.process != os.getpid():  # a fork: the threads that held the rest are not in this process
                self.process, self.taken = os.getpid(), 0
            while self.taken and self.taken + need > free_memory():
                self.changed.wait()
            if need > (free := free_memory()):
                raise MemoryError(
                    f"{pixels / 1e6:,.0f} million pixels take up to {need / 1e9:.1f} GB while they are decoded, and "
                    f"{free / 1e9:.1f} GB of memory are free"
                )
            self.taken += need
        try:
            yield
        finally:
            with self.changed:
                self.taken -= need
                self.changed.notify_all()


_quiet_pillow, room_for = _Quiet(), _Room()
