"""ImageSet: labelled images from files, an array or a torchvision data set."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eyas.data.images.decode import USUAL, Decoding, decode_with_kind, to_tensor
from eyas.data.images.packed import PackedStrings
from eyas.data.images.rgb import Range, to_rgb
from eyas.errors import DataError
from eyas.files.pathnames import is_absolute
from eyas.files.reading import read_file

if TYPE_CHECKING:
    from torch import Tensor

Ints = NDArray[np.int64]


class ImageSource(Protocol):
    """Where a set's images come from; picklable, for loader processes."""

    def __len__(self) -> int: ...

    def picture(self, index: int) -> Image.Image:
        """Return one image, mode RGB; raises `DataError` where it cannot be read."""

    def place(self, index: int) -> str:
        """Return where an image comes from, for messages."""

    def select(self, indices: Ints) -> ImageSource:
        """Return the source of the images at `indices`, in their order."""

    def digest(self, update: Callable[[bytes], object]) -> None:
        """Feed `update` with what identifies the images wherever they lie."""

    def identify(self, update: Callable[[bytes], object]) -> None:
        """Feed `update` with what tells that these very files are unchanged on this machine."""
        self.digest(update)

    def times(self) -> Ints:
        """Return when each image's file was changed last, int64 [N] nanoseconds; empty where they have no files."""
        return np.empty(0, np.int64)


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with labels: `labels` int64 [N] index into `classes`.

    `named` is False where the classes are bare numbers; `ordered` tells that their order was given (a class
    file, a named set) and not sorted; `skipped` counts images left out as unreadable; `notes` are sentences
    for the user; `first` is the number that bare numbers count from, where it was asked for.
    """

    source: str
    classes: tuple[str, ...]
    named: bool
    labels: Ints
    images: ImageSource
    notes: tuple[str, ...] = ()
    skipped: int = 0
    ordered: bool = False
    first: int | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int) -> Tensor:
        """Return one image, uint8 [3, H, W]; raises `DataError` where it cannot be read."""
        return to_tensor(self.images.picture(index))

    def place(self, index: int) -> str:
        """Return where an image comes from: `train.txt:42: cats/017.jpg` or `cifar10:test#17`."""
        return self.images.place(index)

    def select(self, indices: Any) -> ImageSet:
        """Return the set of the images at `indices`, in their order; classes stay."""
        chosen = np.asarray(indices, np.int64)
        return replace(self, labels=self.labels[chosen], images=self.images.select(chosen))

    @property
    def grey_range(self) -> Range | None:
        """The range of grey values of more than 8 bits that the files are decoded with, None for the usual one."""
        return self.images.decoding.grey_range if isinstance(self.images, FileImages) else None

    def decoded(self, grey_range: Range | None, max_pixels: int | None = None) -> ImageSet:
        """Return the set with its files decoded with this range of grey values, and this limit where one is given."""
        if not isinstance(files := self.images, FileImages):
            return self
        decoding = Decoding(grey_range, max_pixels or files.decoding.max_pixels)
        return replace(self, images=replace(files, decoding=decoding))

    def fingerprint(self) -> str:
        """Return a SHA-256 of classes, labels and what identifies the images: names and sizes, or pixels."""
        digest = hashlib.sha256(json.dumps([self.classes, len(self)]).encode())
        digest.update(self.labels.astype("<i8").tobytes())
        self.images.digest(digest.update)
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class FileImages(ImageSource):
    """Image files: `paths` relative to `root` or absolute, `lines` int32 [N] (0: no list), `sizes`."""

    source: str
    root: str
    paths: PackedStrings
    lines: NDArray[np.int32]
    sizes: Ints
    decoding: Decoding = USUAL

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, index: int) -> Path:
        """Return the path of one file."""
        return Path(self.root) / self.paths[index]

    def picture(self, index: int) -> Image.Image:
        return self.picture_with_kind(index)[0]

    def picture_with_kind(self, index: int) -> tuple[Image.Image, str]:
        """Return one image, mode RGB, and its file's format and mode, such as `PNG P`.

        Raises `DataError` where it cannot be read, or is of another size than it was.
        """
        path = f"{self.root}/{name}" if not is_absolute(name := self.paths[index]) else name  # a Path is slow to make
        try:
            data = read_file(path)
            if len(data) != self.sizes[index]:
                then = int(self.sizes[index])
                raise DataError(f"was changed since it was listed: {then:,} bytes then, {len(data):,} now.")
            return decode_with_kind(data, path, self.decoding)
        except DataError as error:
            raise type(error)(f"{self.place(index)}: {str(error).removeprefix(f'{path}: ')}") from None

    def place(self, index: int) -> str:
        """Return `LIST:LINE: PATH`, or the path alone where there is no list."""
        if self.lines[index]:
            return f"{self.source}:{self.lines[index]}: {self.paths[index]}"
        return str(self.path(index))

    def select(self, indices: Ints) -> FileImages:
        chosen = self.paths.take(indices)
        return replace(self, paths=chosen, lines=self.lines[indices], sizes=self.sizes[indices])

    def digest(self, update: Callable[[bytes], object]) -> None:
        """Feed `update` with the names and sizes: not with times, which change when files are copied."""
        update(self.paths.blob)
        update(self.paths.offsets.astype("<i8").tobytes())
        update(self.sizes.astype("<i8").tobytes())

    def identify(self, update: Callable[[bytes], object]) -> None:
        """Feed `update` with the folder, the names, sizes and times of the files, and with how they are decoded."""
        self.digest(update)
        update(repr(self.decoding).encode())
        update(os.fsencode(os.path.realpath(self.root)))
        update(self.times().tobytes())

    def times(self) -> Ints:
        start = f"{self.root}/"
        times = (os.stat(path if is_absolute(path) else start + path).st_mtime_ns for path in self.paths)  # noqa: PTH116
        return np.fromiter(times, np.int64, len(self))


@dataclass(frozen=True, eq=False)
class ArrayImages(ImageSource):
    """Images in memory: `pixels` uint8 [N, H, W, 3], `numbers` int64 [N] their places in the whole set `source`."""

    source: str
    pixels: NDArray[np.uint8]
    numbers: Ints

    @staticmethod
    def of(source: str, pixels: NDArray[np.uint8]) -> ArrayImages:
        """Return the images of a whole set: uint8 [N, H, W, 3], or grey [N, H, W], which is not copied."""
        if pixels.ndim == 3:
            strides = (*pixels.strides, 0)
            pixels = np.lib.stride_tricks.as_strided(pixels, (*pixels.shape, 3), strides)
        return ArrayImages(source, pixels, np.arange(len(pixels)))

    def __len__(self) -> int:
        return len(self.pixels)

    def picture(self, index: int) -> Image.Image:
        return Image.fromarray(np.ascontiguousarray(self.pixels[index]))

    def place(self, index: int) -> str:
        return f"{self.source}#{self.numbers[index]}"

    def select(self, indices: Ints) -> ArrayImages:
        return replace(self, pixels=self.pixels[indices], numbers=self.numbers[indices])

    def digest(self, update: Callable[[bytes], object]) -> None:
        update(repr(self.pixels.shape).encode())
        for start in range(0, len(self.pixels), 1000):
            update(np.ascontiguousarray(self.pixels[start : start + 1000]).tobytes())


@dataclass(frozen=True, eq=False)
class TorchvisionImages(ImageSource):
    """The images of a torchvision data set of (PIL image, ...) samples; `numbers` int64 [N] index into it."""

    source: str
    dataset: Any
    numbers: Ints

    def __len__(self) -> int:
        return len(self.numbers)

    def picture(self, index: int) -> Image.Image:
        try:
            return to_rgb(self.dataset[int(self.numbers[index])][0])
        except (OSError, ValueError, SyntaxError) as error:
            raise DataError(f"{self.place(index)}: cannot be decoded: {error}") from None

    def place(self, index: int) -> str:
        return f"{self.source}#{self.numbers[index]}"

    def select(self, indices: Ints) -> TorchvisionImages:
        return replace(self, numbers=self.numbers[indices])

    def digest(self, update: Callable[[bytes], object]) -> None:
        """Feed `update` with the set's name and the samples' numbers: a published set does not change."""
        update(self.source.encode())
        update(self.numbers.astype("<i8").tobytes())


def split_off(images: ImageSet, fraction: float, seed: int) -> tuple[ImageSet, ImageSet]:
    """Return (rest, part): `part` has `fraction` of every class, chosen by `seed`; both keep the set's order.

    Each class with two images or more has at least one in both. The same set, fraction and seed give the same
    split on every machine and version. Raises `DataError` where one of both would be empty.
    """
    order = shuffled(len(images), seed)
    labels = images.labels[order]
    counts = np.bincount(labels, minlength=len(images.classes))
    by_class = np.argsort(labels, kind="stable")
    place = np.arange(len(images)) - np.repeat(np.cumsum(counts) - counts, counts)  # of each one within its class
    exact = counts * fraction
    shares = np.floor(exact + 1e-9).astype(np.int64)  # of each class; by largest remainders the sum is right to one
    missing = round(float(counts.sum() * fraction)) - int(shares.sum())
    shares[np.argsort(shares - exact, kind="stable")[: max(missing, 0)]] += 1
    several = counts >= 2
    shares[several] = np.clip(shares[several], 1, counts[several] - 1)
    shares[~several] = 0
    part = np.sort(order[by_class[place < np.repeat(shares if 0 < fraction < 1 else 0 * shares, counts)]])
    if len(part) in (0, len(images)):
        raise DataError(
            f"{images.source}: a share of {fraction:g} of {len(images)} images leaves nothing on one side. "
            "Choose another share, or name a set of its own."
        )
    rest = np.setdiff1d(np.arange(len(images)), part)
    return images.select(rest), images.select(part)


def shuffled(count: int, seed: int) -> Ints:
    """Return 0..count-1 shuffled by `seed`, int64 [count], alike with every version of numpy (splitmix64)."""
    mixed = np.arange(count, dtype=np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15 + 1) % 2**64)
    for factor, shift in ((0x9E3779B97F4A7C15, 30), (0xBF58476D1CE4E5B9, 27), (0x94D049BB133111EB, 31)):
        mixed *= np.uint64(factor)
        mixed ^= mixed >> np.uint64(shift)
    return np.argsort(mixed, kind="stable")
