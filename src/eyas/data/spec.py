"""What a data spec means: a list file, a folder, or a named set, opened as one kind of `ImageSet`."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from eyas.config.data import LISTS, NO_SET, DataConfig, unread
from eyas.data.class_folders import find_layout
from eyas.data.export import export_named
from eyas.data.folders import open_folder
from eyas.data.images.imageset import FileImages, ImageSet
from eyas.data.images.packed import Coded
from eyas.data.lists.class_names import read_class_names
from eyas.data.lists.labels import read_labels, without_images
from eyas.data.lists.listing import Listing, listed_splits, read_listing
from eyas.data.lists.paths import REPORTED, Problems
from eyas.data.named.opening import open_named
from eyas.data.named.table import dataset_names, names, splits_of
from eyas.errors import DataError, SettingsError, suggest

__all__ = ["dataset_names", "export_named", "open_images", "spec_of"]


def open_images(spec: str | Path, config: DataConfig, *, split: str) -> ImageSet:
    """Return the images that a data spec names; `split` (train, val, test) where the spec itself names none.

    A spec is a list file (.txt .csv .tsv .lst), a folder with a folder per class, or `NAME` or `NAME:SPLIT`;
    a folder called like a named set is written with a slash (`./digits`). Raises `DataError`,
    `SettingsError`.
    """
    images = _opened(str(spec), config, split).decoded(None, config.max_pixels)
    sets = (str(spec), config.train, config.test, config.val)
    if any(one and is_list(one) for one in sets):
        return images
    by_file = config.classes is not None  # then --first-label is of the numbers in that file too
    asked = config.model_copy(update={"first_label": "auto"}) if by_file else config
    return replace(images, notes=(*images.notes, *unread(asked)))


def is_list(spec: str) -> bool:
    """Return whether a data spec means a list file."""
    path = Path(spec)
    return spec.partition(":")[0] not in names() and path.suffix.lower() in LISTS and not path.is_dir()


def _opened(spec: str, config: DataConfig, split: str) -> ImageSet:
    name, _, asked = spec.partition(":")
    if name in names():
        images = open_named(name, asked or split, config.data_dir, mirror=config.mirror)
        beside = [f"{name}: the named set; the folder of this name is ./{name}"] * Path(name).is_dir()
        unused = [f"{name}: has names of its own; --classes is for lists and folders"] * (config.classes is not None)
        return replace(images, notes=(*images.notes, *beside, *unused))
    path = Path(spec)
    if is_list(spec):
        return _open_list(path, config, split)
    if path.is_dir():
        images = open_folder(path, split)
        return images if config.classes is None else _by_class_file(images, Path(config.classes), config.first_label)
    if path.exists():
        raise DataError(f"{spec}: a list of images ends in {', '.join(LISTS)}.")
    if re.fullmatch(r"[0-9]*[.,]?[0-9]+ ?%?", spec):
        raise SettingsError(f"{spec}: is no data set. Only --val takes a share of the training set, written as 0.2.")
    if "/" in spec or "\\" in spec or path.suffix:
        raise DataError(f"{spec}: there is no such file or folder.")
    raise SettingsError(
        f"{spec}: neither a list file, nor a folder, nor a named data set.{suggest(name, names())} See eyas datasets."
    )


def _by_class_file(images: ImageSet, file: Path, first_label: str) -> ImageSet:
    """Return the images of class folders with the classes of a file: the folders' names are read as labels.

    Raises `DataError` for a folder that the file has no class for.
    """
    problems: Problems = []
    folder = images.labels.astype(np.int32)  # in the place of a line
    found = read_labels(Coded(folder, [*images.classes]), folder, read_class_names(file), first_label, problems)
    if problems:
        reasons = {f"{images.source}/{images.classes[number]}: {reason}": None for number, reason in sorted(problems)}
        raise DataError("\n".join([*reasons][:REPORTED]))
    notes = (*images.notes, *found.notes, *without_images(images.source, found.classes, found.numbers))
    return replace(images, classes=found.classes, labels=found.numbers, ordered=True, notes=notes)


def spec_of(config: DataConfig, split: Literal["val", "test"]) -> str | None:
    """Return the spec of the validation or test set: the one asked for, else what the training set has of its own.

    None where there is none, and where none was asked for.
    """
    spec: str | None = getattr(config, split)
    if spec is not None:
        return spec if spec != NO_SET else None
    name, _, asked = config.train.partition(":")
    path = Path(config.train)
    if name in names():
        return f"{name}:{split}" if split in splits_of(name) and asked in ("", "train") else None
    if path.is_dir():
        return config.train if split in find_layout(path).splits else None
    if is_list(config.train) and path.is_file():
        return config.train if split in listed_splits(path, root=config.root, columns=config.columns) else None
    return None


def _open_list(path: Path, config: DataConfig, split: str) -> ImageSet:
    listing = read_listing(
        path,
        root=config.root,
        classes=config.classes,
        columns=config.columns,
        first_label=config.first_label,
        split=split,
        outside_root=config.outside_root,
    )
    return as_image_set(listing)


def as_image_set(listing: Listing) -> ImageSet:
    """Return the images of a list."""
    files = FileImages(listing.source, str(listing.root), listing.paths, listing.lines, listing.sizes)
    return ImageSet(
        listing.source, listing.classes, listing.named, listing.labels, files, listing.notes,
        ordered=listing.ordered, first=listing.first,
    )  # fmt: skip
