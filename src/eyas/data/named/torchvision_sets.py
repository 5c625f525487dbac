"""The data sets of torchvision: built by its own classes, their labels read without decoding an image."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import numpy as np

from eyas.data.images.imageset import ArrayImages, ImageSet, TorchvisionImages
from eyas.data.named.download import locked, mirror_url, unreachable
from eyas.data.named.table import TorchvisionSet
from eyas.errors import DataError


def open_torchvision(name: str, entry: TorchvisionSet, split: str, directory: Path, mirror: str | None) -> ImageSet:
    """Return one split of a set, downloaded into `directory` by torchvision's own code unless it is there.

    Raises `DataError` where it cannot be downloaded or read; it says where the files belong.
    """
    dataset = make_dataset(name, entry, split, directory, mirror)
    if entry.labels == "h5":
        with dataset.h5py.File(dataset._base_folder / dataset._FILES[split]["targets"][0]) as file:
            found = np.asarray(file["y"][:, 0, 0, 0])
    else:
        values = getattr(dataset, entry.labels)
        if entry.part is not None and isinstance(values, list):
            values = [value[entry.part] for value in values]
        found = np.asarray(values)
        if found.ndim == 2:
            found = found[:, entry.part or 0]
        if found.dtype == object:
            raise DataError(f"torchvision's {entry.cls} has no labels for the split {split!r}.")
    labels = found.astype(np.int64) - entry.first
    classes = entry.classes
    if isinstance(classes, str):
        names = getattr(dataset, classes)[entry.first :]
        classes = tuple(", ".join(name) if isinstance(name, tuple) else str(name) for name in names)
    source = name if split == "whole" else f"{name}:{split}"
    if labels.min() < 0 or labels.max() >= len(classes):
        raise DataError(f"{source}: its labels do not fit its {len(classes)} classes: the files are damaged.")
    images: ArrayImages | TorchvisionImages = TorchvisionImages(source, dataset, np.arange(len(labels)))
    if entry.pixels:
        pixels = np.asarray(getattr(dataset, entry.pixels))
        if pixels.ndim == 4:
            pixels = pixels.transpose(0, 2, 3, 1)  # SVHN and STL10 keep their colours first
        images = ArrayImages.of(source, pixels.transpose(0, 2, 1) if entry.transposed else pixels)
    return ImageSet(source, classes, True, labels, images, ordered=True)


def make_dataset(name: str, entry: TorchvisionSet, split: str, directory: Path, mirror: str | None) -> Any:
    """Return torchvision's data set; downloads only where it does not find its files."""
    from torchvision import datasets

    cls = getattr(datasets, entry.cls)
    arguments = entry.common | entry.splits[split]
    quiet = {} if entry.by_hand else {"download": False}
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what torch finds in old caches, before it refuses them
            return cls(str(directory), **arguments, **quiet)
    except ImportError as error:
        raise DataError(f"{name} needs a package that is not installed: {error}") from None
    except Exception as error:  # torchvision's readers raise nearly everything on damaged files
        if entry.by_hand:
            raise DataError(f"{name} has to be downloaded by hand into {directory}: {error}") from None
    with locked(directory / name):
        try:
            if mirror:  # only downloads: what is made of a class that was made here cannot be sent to a process
                with_mirror(cls, mirror)(str(directory), **arguments, download=True)
            return cls(str(directory), **arguments, download=not mirror)
        except Exception as error:  # the same, and whatever a network does
            if isinstance(error, HTTPError):
                error.close()  # it holds the connection
            raise unreachable(f"{name} ({getattr(cls, 'url', None) or entry.cls})", directory, error) from None


def with_mirror(cls: Any, mirror: str) -> Any:
    """Return a subclass of a torchvision set that asks `mirror` for its archives."""
    base = mirror_url(mirror)
    names = [name for name in ("url", "_URL", "_DATASET_URL") if isinstance(getattr(cls, name, None), str)]
    changed: dict[str, Any] = {name: base + getattr(cls, name).rpartition("/")[2] for name in names}
    if hasattr(cls, "mirrors"):
        changed["mirrors"] = [base]
    if hasattr(cls, "split_list"):  # SVHN, USPS: {split: [address, file, checksum]}
        changed["split_list"] = {
            split: [base + address.rpartition("/")[2], *rest] for split, (address, *rest) in cls.split_list.items()
        }
    if not changed:
        raise DataError(f"torchvision's {cls.__name__} does not know mirrors. Download it by hand.")
    return type(cls.__name__, (cls,), changed)  # the name also names the folder of the MNIST family
