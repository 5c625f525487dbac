"""Settings of the data path: which images, how they are prepared, what is varied in training."""

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
    """Folder that the paths in list files are relative to. Default: the folder of the list."""
    outside_root: bool = False
    """Read also those files that a list names outside that folder: by an absolute path, by .. or through a link."""
    classes: str | None = None
    """File with one class name per line, in the order of the labels' numbers. Default: classes.txt beside the list."""
    columns: str | None = None
    """Columns of a list file by number from 0 or by header name, such as path=0,label=2. Default: found by itself."""
    first_label: Literal["auto", "0", "1"] = "auto"
    """What the list's smallest label number means: numbers count from 0, or from 1."""
    max_megapixels: Annotated[float, Field(gt=0, le=10_000)] = 200.0
    """Most million pixels of an image; larger ones are refused before they are decoded."""
    data_dir: str = "data"
    """Folder that named sets are downloaded into."""
    mirror: str | None = None
    """Address of a folder that holds the named sets' archives, used instead of their official hosts."""
    cache_dir: str = "~/.cache/eyas"
    """Folder that keeps decoded images, and what was seen of each file, for later."""

    def data_config(self) -> DataConfig:
        """Return what concerns the data."""
        return DataConfig(**self.model_dump(include=set(DataConfig.model_fields), exclude_none=True))


class Measuring(Reading):
    """How a set is read and measured."""

    skip_unreadable: bool = False
    """Leave images out that cannot be decoded (they are listed and counted) instead of stopping at once."""
    top_k: Annotated[int, Field(ge=2)] | None = None
    """Also measure how often the right class is among the K most probable ones. Default: 5 of more than 10 classes."""


class DataConfig(Measuring):
    """Which images to train and to measure on."""

    train: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TRAIN")] = ""
    """Training set: a list file (.txt .csv .tsv), a folder with one folder per class, or a name (cifar10, digits)."""
    test: str | None = None
    """Test set, named like the training set; read after every epoch. Default: that set's own; none: no test set."""
    val: str | None = None
    """Validation set that chooses the best epoch: a data spec, a share of the training set such as 0.1, or none."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Processes that decode images not kept, and run a --transform; 0: threads do. Results are equal."""
    cache: Literal["auto", "ram", "disk", "none"] = "auto"
    """Keep decoded images: in memory, or in a file in --cache-dir for later runs too. auto: in memory where they fit
    into a quarter of what is free, else on the disk. A GPU gets a copy of its own where it has room."""
    cache_gb: Annotated[float, Field(ge=0)] = 20.0
    """Most gigabytes in that folder: the longest unused sets make room for a new one."""
    worker_timeout: Annotated[float, Field(ge=0)] = 120.0
    """Seconds that one image or one loading process may take before it is named and given up (0: for ever)."""

    @property
    def max_pixels(self) -> int:
        """The most pixels of an image."""
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
    """How every image becomes the network's input: the same in training, evaluation and prediction."""

    size: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Height and width in pixels of the network's input. Default: 256, or what the given weights were trained with."""
    resize: Literal["stretch", "crop", "pad"] | None = None
    """stretch both sides to size; crop: shorter side to size/crop-ratio, centre cut out; pad: longer side to size."""
    crop_ratio: Annotated[float, Field(gt=0, le=1)] | None = None
    """With --resize crop: the share of the shorter side that the centre crop keeps. Default 0.875."""
    interpolation: Literal["nearest", "bilinear", "bicubic"] | None = None
    """How pixels are interpolated. Default: bilinear, antialiased."""
    mean: Triple | None = None
    """Mean of red, green, blue (0 to 1) that is subtracted. Default: ImageNet's 0.485 0.456 0.406."""
    std: Triple | None = None
    """Standard deviation of red, green, blue that is divided by. Default: ImageNet's 0.229 0.224 0.225."""
    grey_range: tuple[float, float] | Literal["auto"] | None = None
    """Grey values of images of more than 8 bits that become black and white, such as 0 4095 for 12 bits; others are
    clipped. auto: the fewest bits that hold the training images' values. Default: 0 65535, and others are refused."""
    views: Literal["one", "flip", "shift"] | None = None
    """Views of an image whose answers are averaged in evaluation and prediction. Default: one; flip: also the mirrored
    image (twice the work); shift: both also moved by a pixel two ways (six times)."""

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
    """Random changes to training images; none in evaluation and prediction."""

    flip: Fraction = 0.5
    """Probability of a horizontal flip."""
    vertical_flip: Fraction = 0.0
    """Probability of a vertical flip."""
    alternate_flip: bool = False
    """Draw once which images are mirrored, then turn all over every epoch: both views are seen equally often."""
    crop_padding: Annotated[int, Field(ge=0)] = 0
    """Shift by up to this many pixels: pad by it, then cut out a window of the input's size."""
    crop_fill: Literal["mean", "reflect"] = "mean"
    """What --crop-padding pads with: the mean colour, or the picture mirrored at its edge."""
    crop_scale: Fraction = 1.0
    """Cut out a random rectangle of at least this share of the image and resize it to the input (1: off)."""
    color_jitter: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Strength of random brightness, contrast and saturation changes (0: off)."""
    trivial_augment: bool = False
    """One random operation of TrivialAugmentWide (arXiv:2103.10158) per image."""
    erasing: Fraction = 0.0
    """Probability of erasing a random rectangle (arXiv:1708.04896)."""
    mixup: Annotated[float, Field(ge=0)] = 0.0
    """Alpha of mixup (arXiv:1710.09412), blends pairs of images and their labels (0: off)."""
    cutmix: Annotated[float, Field(ge=0)] = 0.0
    """Alpha of CutMix (arXiv:1905.04899), pastes rectangles between images (0: off); with mixup, one of both."""
    transform: str | None = None
    """A function of your own as FILE.py:NAME or module:NAME: uint8 [3, H, W] to the same; before all other changes."""

    @field_validator("transform")
    @classmethod
    def _file_and_name(cls, value: str | None) -> str | None:
        if value is not None and not all(value.rpartition(":")[::2]):
            raise ValueError("must be FILE.py:NAME or module:NAME")
        return value


def unread(asked: Section) -> tuple[str, ...]:
    """Return a note on settings of lists, for where no list is given."""
    fields = type(asked).model_fields
    names = [name for name in OF_LISTS if name in fields and getattr(asked, name) != fields[name].default]
    if not names:
        return ()
    flags, several = ", ".join(f"--{name.replace('_', '-')}" for name in names), len(names) > 1
    return (f"{flags} say{'s' * (not several)} how lists ({', '.join(LISTS)}) are read, and none is given: "
            f"{'they are' if several else 'it is'} not used",)  # fmt: skip
