"""Opening a named data set: downloaded where it is not there yet, cut into fixed parts where it has none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from eyas.data.images.imageset import ArrayImages, ImageSet, split_off
from eyas.data.named.table import DIGITS, OWN, SEED, SHARE, TORCHVISION, splits_of
from eyas.errors import DataError, FileError


def open_named(name: str, split: str, data_dir: str | Path, *, mirror: str | None = None) -> ImageSet:
    """Return a split of a named set, downloaded into `data_dir` where it is not there yet.

    Sets published in one piece have a fixed test part: a fifth of every class, the same on every machine.
    Raises `SettingsError` for unknown names, `DataError` for splits it does not have and failed downloads.
    """
    there, directory = splits_of(name), Path(data_dir)
    if split not in there:
        raise DataError(f"{name} has no split {split!r}: it has {', '.join(there)}.")
    try:
        if name == "digits":
            whole = read_digits()
        elif name in OWN:
            from eyas.data.named.cifar import CIFAR10, CIFAR100, open_archive

            return open_archive(CIFAR10 if name == "cifar10" else CIFAR100, split, directory, mirror=mirror)
        else:
            from eyas.data.named.torchvision_sets import open_torchvision

            entry = TORCHVISION[name]
            if split in entry.splits:
                return open_torchvision(name, entry, split, directory, mirror)
            whole = open_torchvision(name, entry, "whole", directory, mirror)
    except OSError as error:
        raise FileError(
            f"{error.filename or data_dir}: {error.strerror or error}. --data-dir names another folder for named sets."
        ) from None
    rest, part = split_off(whole, SHARE, SEED)
    return replace(part if split == "test" else rest, source=f"{name}:{split}")


def read_digits() -> ImageSet:
    """Return scikit-learn's digits (Alpaydin and Kaynak 1998): 1,797 of 8x8, grey 0..16 as 0..255.

    Read from scikit-learn's own file where it is: to import the library and scipy with it takes longer than all else
    that happens before the first step but torch.
    """
    import gzip
    from importlib.util import find_spec

    library = find_spec("sklearn")
    file = Path(library.origin or "").parent / "datasets" / "data" / "digits.csv.gz" if library else Path()
    table = np.zeros((0, 0))  # float64 [1797, 65]: 64 grey values, then the digit
    if file.is_file():
        with gzip.open(file, "rt", encoding="ascii") as lines:
            table = np.loadtxt(lines, delimiter=",")
    if table.shape != (1797, 65):
        from sklearn.datasets import load_digits

        found = load_digits()
        table = np.column_stack([found.data, found.target])
    pixels = np.rint(table[:, :64].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    images = ArrayImages.of("digits", pixels)
    return ImageSet("digits", DIGITS, True, table[:, 64].astype(np.int64), images, ordered=True)
