"""Which real images an exported file is run on: the run's own, those that were named, or embedded ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eyas.config.data import DataConfig
from eyas.config.export import ExportConfig
from eyas.data.images.imageset import ImageSet, shuffled
from eyas.data.images.rgb import Range
from eyas.data.spec import open_images
from eyas.errors import DataError, EyasError, SettingsError
from eyas.run_folder.origin import origin_of

Pixels = NDArray[np.uint8]  # [N, 3, H, W]
DRAWN = 24  # images that a file is checked on as they are; some of them again in other shapes
VARIED = 6  # images that are also cut to a portrait and a landscape, enlarged and made smaller
CALIBRATION = 256  # images that show the quantiser how large the numbers in the network become
TOGETHER = 8  # images in the larger batches of the check
LARGEST_SIDE = 2048  # to which an image is enlarged


@dataclass(frozen=True, eq=False)
class Sources:
    """Where images come from: to `check` answers on, and for `calibration` of int8. None: there are none."""

    check: ImageSet
    calibration: ImageSet | None
    notes: tuple[str, ...]

    def decoded(self, grey_range: Range | None) -> Sources:
        """Return the sources with their files decoded as the model's are."""
        calibration = None if self.calibration is None else self.calibration.decoded(grey_range)
        return replace(self, check=self.check.decoded(grey_range), calibration=calibration)


def open_sources(model: Path, settings: ExportConfig) -> Sources:
    """Return the images that --check names, else those of the run that the model file lies in, else digits.

    Decodes nothing. int8 is calibrated on the run's training set, else on a part of the images that is then not
    measured. Raises `DataError` and `SettingsError` where --check names none, and where int8 has no labelled images.
    """
    notes: tuple[str, ...] = ()
    train = check = None
    try:
        train, others = origin_of(model).sets()
        check = others.get("test") or others.get("val") or train
    except EyasError as error:
        reason = str(error).splitlines()[0].removesuffix(".").removesuffix(":")
    if settings.check is not None:
        check = open_images(settings.check, settings.data_config(), split="test")
    if check is None:
        if settings.int8:
            raise SettingsError(f"--int8 needs labelled images of the model's classes: --check SPEC. {reason}")
        check = open_images("digits", DataConfig(), split="test")
        notes = (f"Checked on the embedded digits, enlarged: {reason}. --check SPEC names images of your own.",)
    if settings.int8 and (train is None or train is check):
        order, count = shuffled(len(check), 0), min(CALIBRATION, len(check) // 2)
        notes = (*notes, f"Calibrated on a part of {check.source}, measured on the rest of it.")
        train, check = check.select(np.sort(order[:count])), check.select(np.sort(order[count:]))
    return Sources(check, train, notes)


def drawn(images: ImageSet, count: int) -> Iterator[Image.Image]:
    """Yield up to `count` images of a set, chosen alike every time; those that cannot be decoded are passed over."""
    for index in np.sort(shuffled(len(images), 0)[:count]):
        try:
            yield images.images.picture(int(index))
        except DataError:
            continue


def in_many_shapes(images: ImageSet) -> list[Image.Image]:
    """Return images of a set in their own sizes, and some in others: portraits, landscapes, larger and smaller ones.

    Raises `DataError` where none of them can be decoded.
    """
    found = list(drawn(images, DRAWN))
    if not found:
        raise DataError(f"{images.source}: none of its images can be decoded, so the file cannot be checked on them.")
    varied: list[Image.Image] = []
    for number, image in enumerate(found[:VARIED]):
        width, height = image.size
        varied.append(image.crop((0, 0, max(1, width * 5 // 8), height)))
        varied.append(image.crop((0, 0, width, max(1, height * 5 // 8))))
        wider, higher = 3 * width + 7 * number + 40, 2 * height + 5 * number + 30
        varied.append(image.resize((min(wider, LARGEST_SIDE), min(higher, LARGEST_SIDE))))
        varied.append(image.resize((max(1, width // 2), max(1, height // 3))))
    return found + varied


def batches_of(pictures: Sequence[Image.Image], batch: int | str) -> Iterator[Pixels]:
    """Yield what a file is run on: every picture alone and some together, or always `batch` of them."""
    if batch == "dynamic":
        yield from (stacked(pictures, place, 1) for place in range(len(pictures)))
        yield from (stacked(pictures, place, TOGETHER) for place in (0, -1, -2, -3, -4))
    else:
        step = max(1, len(pictures) * int(batch) // 200)  # large batches: fewer of them
        yield from (stacked(pictures, place, int(batch)) for place in range(-1, -len(pictures) - 1, -step))


def stacked(pictures: Sequence[Image.Image], start: int, count: int) -> Pixels:
    """Return `count` pictures from `start` on (after the last the first follows) as one array, in the first's size."""
    some = [pictures[(start + number) % len(pictures)] for number in range(count)]
    alike = [picture if picture.size == some[0].size else picture.resize(some[0].size) for picture in some]
    return np.stack([np.asarray(picture).transpose(2, 0, 1) for picture in alike])
