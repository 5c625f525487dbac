"""Data settings: which images, how they are preprocessed, and how training images are augmented."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Literal

import tyro
from pydantic import Field, field_validator

from eyas.config.section import Section

Fraction = Annotated[float, Field(ge=0, le=1)]
Triple = tuple[float, float, float]
NO_SET = "none"  # asked for as the test or validation set
Pair = tuple[float, float]
LISTS = (".txt", ".csv", ".tsv", ".lst")
OF_LISTS = ("root", "outside_root", "columns", "first_label")  # settings that say how a list is read


class Reading(Section):
    """How a data spec is read."""

    root: str | None = None
    """Folder that paths in list files are relative to. Default: the folder of the list."""
    outside_root: bool = False
    """Allow list entries that point outside that folder (absolute paths, .. or symbolic links)."""
    classes: str | None = None
    """File with one class name per line, in order of label number. Default: classes.txt next to the list."""
    columns: str | None = None
    """Columns of a list file, by number (from 0) or header name, such as path=0,label=2. Default: detected."""
    first_label: Literal["auto", "0", "1"] = "auto"
    """Whether label numbers in lists start at 0 or at 1."""
    max_megapixels: Annotated[float, Field(gt=0, le=10_000)] = 200.0
    """Maximum size of an image in megapixels; larger ones are rejected before they are decoded."""
    data_dir: str = "data"
    """Folder to download named sets to."""
    mirror: str | None = None
    """URL or path of a folder with the archives of the named sets, used instead of the official hosts."""
    cache_dir: str = "~/.cache/eyas"
    """Folder for cached images and for the results of earlier inspections."""

    def data_config(self) -> DataConfig:
        """Return the data settings."""
        return DataConfig(**self.model_dump(include=set(DataConfig.model_fields), exclude_none=True))


class Measuring(Reading):
    """How a set is read and measured."""

    skip_unreadable: bool = False
    """Skip images that cannot be decoded (they are listed and counted) instead of stopping."""
    top_k: Annotated[int, Field(ge=2)] | None = None
    """Also report top-K accuracy. Default: K = 5 with more than 10 classes, otherwise off."""


class DataConfig(Measuring):
    """Training, validation and test images."""

    train: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TRAIN")] = ""
    """Training set: a list file (.txt .csv .tsv), a folder with a subfolder per class, or a name (cifar10, digits)."""
    test: str | None = None
    """Test set, given like TRAIN; evaluated after every epoch. Default: the test split of TRAIN; none: no test set."""
    val: str | None = None
    """Validation set, used to choose the best epoch: given like TRAIN, or a fraction of TRAIN such as 0.1, or none."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Worker processes that decode uncached images and run --transform (0: threads). Does not affect results."""
    cache: Literal["auto", "ram", "disk", "none"] = "auto"
    """Where to keep decoded images: ram, or disk (a file in --cache-dir that later runs reuse). auto: ram if they fit
    in a quarter of the free memory, else disk. They are also copied to the GPU if it has room."""
    cache_gb: Annotated[float, Field(ge=0)] = 20.0
    """Maximum size of the image cache on disk, in gigabytes; the least recently used sets are deleted first."""
    worker_timeout: Annotated[float, Field(ge=0)] = 120.0
    """Seconds to wait for an image or a worker process before it is reported and given up (0: no limit)."""

    @property
    def max_pixels(self) -> int:
        """The maximum number of pixels of an image."""
        return round(self.max_megapixels * 1e6)

    @field_validator("val", mode="before")
    @classmethod
    def _share_as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, float) else value

    @field_validator("test", "val")
    @classmethod
    def _no_set(cls, value: str | None) -> str | None:
        return NO_SET if value is not None and value.strip().lower() in ("", NO_SET) else value


class PreprocessConfig(Section):
    """How images are turned into network input; the same in training, evaluation and prediction."""

    size: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Height and width of the network input, in pixels. Default: the size the given weights expect, else 256."""
    resize: Literal["stretch", "crop", "pad"] | None = None
    """stretch (default): resize both sides to --size; crop: shorter side to size/crop-ratio, then centre crop; pad:
    longer side to --size, then pad to a square."""
    crop_ratio: Annotated[float, Field(gt=0, le=1)] | None = None
    """With --resize crop: the fraction of the shorter side kept by the centre crop. Default: 0.875."""
    interpolation: Literal["nearest", "bilinear", "bicubic"] | None = None
    """Interpolation used for resizing. Default: bilinear (antialiased)."""
    mean: Triple | None = None
    """Per-channel RGB mean to subtract (0 to 1). Default: ImageNet's 0.485 0.456 0.406."""
    std: Triple | None = None
    """Per-channel RGB standard deviation to divide by. Default: ImageNet's 0.229 0.224 0.225."""
    grey_range: tuple[float, float] | Literal["auto"] | None = None
    """For images of more than 8 bits: the values mapped to black and white, such as 0 4095 for 12 bits; values outside
    are clipped. auto: the smallest bit depth that holds the training images. Default: 0 65535; others are rejected."""
    views: Literal["one", "flip", "shift"] | None = None
    """Test-time augmentation: average the outputs over several views of an image. one: off (default); flip: add the
    mirrored image (2x the work); shift: add both images shifted by one pixel in two directions (6x)."""

    @field_validator("grey_range")
    @classmethod
    def _rising(cls, value: Pair | str | None) -> Pair | str | None:
        if isinstance(value, tuple) and not (isfinite(value[0]) and isfinite(value[1]) and value[0] < value[1]):
            raise ValueError("must be two numbers, the smaller one first")
        return value

    @field_validator("std")
    @classmethod
    def _divisible(cls, value: Triple | None) -> Triple | None:
        if value is not None and min(value) <= 0:
            raise ValueError("must be larger than 0, it is divided by")
        if value is not None and min(value) < 1e-6:
            raise ValueError("must be at least 0.000001: what is divided by it must stay a number")
        return value

    @field_validator("mean", "std")
    @classmethod
    def _of_pixels(cls, value: Triple | None) -> Triple | None:
        if value is not None and max(map(abs, value)) > 1:
            divided = " ".join(f"{number / 255:.3g}" for number in value)
            raise ValueError(f"pixels are 0 to 1 here, not 0 to 255: divide by 255 ({divided})")
        return value


class AugmentConfig(Section):
    """Random augmentation, applied in training only."""

    flip: Fraction = 0.5
    """Probability of a horizontal flip."""
    vertical_flip: Fraction = 0.0
    """Probability of a vertical flip."""
    alternate_flip: bool = False
    """Choose once at random which images to mirror, then alternate every epoch: both views are seen equally often."""
    crop_padding: Annotated[int, Field(ge=0)] = 0
    """Random shift: pad by this many pixels, then crop to the input size at a random position (0: off)."""
    crop_fill: Literal["mean", "reflect"] = "mean"
    """What --crop-padding pads with: the mean colour, or the image reflected at its edges."""
    crop_scale: Fraction = 1.0
    """Random resized crop: the minimum fraction of the image area that is kept (1: off)."""
    color_jitter: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Strength of random brightness, contrast and saturation changes (0: off)."""
    trivial_augment: bool = False
    """Apply one random TrivialAugmentWide operation per image (arXiv:2103.10158)."""
    erasing: Fraction = 0.0
    """Probability of erasing a random rectangle (arXiv:1708.04896)."""
    mixup: Annotated[float, Field(ge=0)] = 0.0
    """Alpha of mixup, which blends pairs of images and their labels (0: off; arXiv:1710.09412)."""
    cutmix: Annotated[float, Field(ge=0)] = 0.0
    """Alpha of CutMix (0: off; arXiv:1905.04899). With mixup on too, each batch gets one of the two at random."""
    transform: str | None = None
    """Your own augmentation, FILE.py:NAME or module:NAME: a function from uint8 [3, H, W] to the same; runs first."""

    @field_validator("transform")
    @classmethod
    def _file_and_name(cls, value: str | None) -> str | None:
        if value is not None and not all(value.rpartition(":")[::2]):
            raise ValueError("must be FILE.py:NAME or module:NAME")
        return value


def unread(asked: Section) -> tuple[str, ...]:
    """Return a note on list settings that were given without a list."""
    fields = type(asked).model_fields
    names = [name for name in OF_LISTS if name in fields and getattr(asked, name) != fields[name].default]
    if not names:
        return ()
    flags, several = ", ".join(f"--{name.replace('_', '-')}" for name in names), len(names) > 1
    return (f"{flags} say{'s' * (not several)} how lists ({', '.join(LISTS)}) are read, and none is given: "
            f"{'they are' if several else 'it is'} not used",)  # fmt: skip
