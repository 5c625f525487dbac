"""Grey images of more than 8 bits: their range of values, found while decoding, and notes about it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from PIL import Image

from eyas.data.images.ahead import read_ahead
from eyas.data.images.decode import VALUES, grey_values
from eyas.data.images.imageset import FileImages, ImageSet
from eyas.data.images.rgb import Range
from eyas.errors import DataError
from eyas.files.reading import read_file
from eyas.terminal.progress import track

FULL, FEW = 65535, 16383  # the values of 16 bits; those of 14, which become 65 of 256 grey levels
BITS = (*range(1, 9), 10, 12, 14, 16)  # that cameras and scanners give, and all below 8
_BATCH = 256


@dataclass(frozen=True, slots=True)
class Greys:
    """The pictures of 16 bits of a set. `dim` of them use `FEW` values or less, up to `dim_high`; `outside` lie partly
    outside the grey range, with `clipped` pixels; of `coarse`, in colour, the upper 8 bits were read."""

    pictures: int = 0
    low: float = math.inf
    high: float = -math.inf
    dim: int = 0
    dim_high: float = 0
    outside: int = 0
    coarse: int = 0
    coarse_high: float = 0
    clipped: int = 0  # 0 too where they were not counted

    @staticmethod
    def of(picture: Image.Image, grey_range: Range | None) -> Greys | None:
        """Return what a decoded picture is, None where its file has 8 bits."""
        values: tuple[float, float, bool, int] | None = picture.info.get(VALUES)
        return None if values is None else replace(Greys.seen(*values[:3], grey_range), clipped=values[3])

    @staticmethod
    def seen(low: float, high: float, coarse: bool, grey_range: Range | None) -> Greys:
        """Return what a picture is that has values from `low` to `high`."""
        if coarse:
            return Greys(coarse=1, coarse_high=high)
        least, most = grey_range or (0, FULL)
        dim = high <= FEW
        return Greys(1, low, high, int(dim), high * dim, int(low < least or high > most))

    def __add__(self, other: Greys) -> Greys:
        """Return what both are together."""
        return Greys(
            self.pictures + other.pictures, min(self.low, other.low), max(self.high, other.high),
            self.dim + other.dim, max(self.dim_high, other.dim_high), self.outside + other.outside,
            self.coarse + other.coarse, max(self.coarse_high, other.coarse_high),
            self.clipped + other.clipped,
        )  # fmt: skip

    def notes(self, source: str, grey_range: Range | None) -> tuple[str, ...]:
        """Return what the user should know of it."""
        said, count = [], _counted(self.pictures)
        if grey_range is not None:
            if self.outside:
                number = f"{self.clipped:,} pixel{' is' if self.clipped == 1 else 's are'}"
                pixels = f"; {number} outside" * (self.clipped > 0)
                said.append(
                    f"{self.outside:,} of {count} have values outside the grey range {in_words(grey_range)} "
                    f"(they go from {in_words((self.low, self.high))}{pixels}): those are clipped"
                )
        elif self.pictures and self.high - self.low <= FEW:
            used = f"at most {self.high:.0f}" if self.low <= FEW else f"only {in_words((self.low, self.high))}"
            low, high = fitting(self.low, self.high)
            said.append(
                f"{count} use {used} of {FULL}, which leaves {round(self.high / 257) - round(self.low / 257) + 1} of "
                f"256 grey levels: train --grey-range {low:.0f} {high:.0f} (or auto) keeps more"
            )
        elif self.dim >= 0.1 * max(1, self.pictures):
            said.append(
                f"{self.dim:,} of {count} use at most {self.dim_high:.0f} of {FULL}, others up to {self.high:.0f}: if "
                "they were made with fewer bits, bring all to one range before training"
            )
        if self.coarse and (self.coarse_high <= FEW or grey_range is not None):
            levels = f"use at most {self.coarse_high:.0f} of {FULL}: " if self.coarse_high <= FEW else ""
            said.append(
                f"{_counted(self.coarse)} in colour or with transparency {levels}only the upper 8 bits of such are "
                "read, and --grey-range does not change them; convert them to 8 bits"
            )
        return tuple(f"{source}: {note}" for note in said)


def fitting(low: float, high: float) -> Range:
    """Return the range that holds values: 0 to 2^bits - 1, or from the least to the largest one.

    The latter where values are negative, beyond 16 bits or no whole numbers, or fill less than an eighth of the former.
    """
    most = next((2**bits - 1 for bits in BITS if 2**bits > high), 0)
    whole = low >= 0 and most and low == int(low) and high == int(high)
    return (0, most) if whole and 8 * (high - low) >= most else (low, max(high, math.nextafter(low, math.inf)))


def found_range(images: ImageSet) -> Range | None:
    """Return the range that holds the values of all grey images of more than 8 bits of a set, but for dead and hot
    pixels; None without any such image."""
    files = images.images
    if not isinstance(files, FileImages):
        return None

    def look(index: int) -> Range | None:
        try:
            return grey_values(read_file(files.path(index)), files.decoding)
        except DataError:  # told when the images are read
            return None

    rows = [range(start, min(start + _BATCH, len(files))) for start in range(0, len(files), _BATCH)]
    batches = track(read_ahead(rows, look), len(rows), f"Looking at the grey values of {images.source}")
    found = [values for batch in batches for values in batch if values is not None]
    return fitting(min(low for low, _ in found), max(high for _, high in found)) if found else None


def _counted(pictures: int) -> str:
    return f"{pictures:,} picture{'s' * (pictures != 1)} of 16 bits"


def in_words(values: Range) -> str:
    """Return a range for people."""
    return f"{values[0]:.10g} to {values[1]:.10g}"
