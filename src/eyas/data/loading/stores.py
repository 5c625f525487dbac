"""Stores of decoded pixels: in memory, in a file that outlives the run, or on the device."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eyas.data.images.ahead import read_ahead
from eyas.data.images.decode import to_tensor
from eyas.data.images.greys import Greys
from eyas.data.images.imageset import ImageSet
from eyas.data.images.preprocess import Preprocess
from eyas.errors import DataError, ShortMemoryError
from eyas.seeds import Indices
from eyas.terminal.progress import track

Pixels = NDArray[np.uint8]
Marks = NDArray[np.uint64]
# pixels uint8 [3, h, w], whether they are resized, the mark of the picture, and what an image of more than 8 bits holds
Decoded = tuple[Tensor, bool, int, Greys | None]
Allocate = Callable[[tuple[int, ...]], Pixels | None]
_BATCH = 170  # images: of three such batches some may be decoded ahead of the one that is put away
_SMALL = 100 * 100  # pixels


@dataclass(frozen=True, slots=True, eq=False)
class Store:
    """Decoded images: `pixels` uint8 `[N, h, w, 3]`, in their own size (`native`) or resized; `file` if in one.

    `rows` int64 [M] says in which row each sample is, where some have none. A batch is copied row by row and comes
    out channels-last, as torch resizes it fastest.
    """

    pixels: Tensor
    native: bool
    file: Path | None = None
    rows: Indices | None = None

    def read(self, samples: Indices) -> Tensor:
        """Return uint8 `[B, 3, h, w]`, channels-last in memory, on the device of the pixels."""
        count, height, width, channels = self.pixels.shape
        rows = samples if self.rows is None else self.rows[samples]
        chosen = torch.from_numpy(rows).to(self.pixels.device, non_blocking=True)
        batch = self.pixels.view(count, -1).index_select(0, chosen)
        return batch.view(-1, height, width, channels).permute(0, 3, 1, 2)

    def placed(self, device: torch.device) -> Store:
        """Return the store on a CUDA device if it fits into a quarter of what is free there, else itself."""
        if device.type != "cuda" or self.pixels.numel() > torch.cuda.mem_get_info(device)[0] // 4:
            return self
        return replace(self, pixels=self.pixels.to(device), file=None)

    def __reduce__(self) -> tuple[Callable[..., Store], tuple[object, ...]]:
        """Send a file's path to a process that is spawned, where PyTorch would copy all pixels into shared memory."""
        if self.file is None:
            return Store, (self.pixels, self.native, self.file, self.rows)
        return _reopened, (self.native, self.file, self.rows)

    def in_words(self) -> str:
        """Return what is kept and where, for people."""
        size = self.pixels.numel() / 2**20
        where = "in the memory of the GPU" if self.pixels.is_cuda else f"in {self.file}" if self.file else "in memory"
        return f"decoded once, {'x'.join(map(str, self.pixels.shape[1:3]))}, {size:,.0f} MB {where}"


def _reopened(native: bool, file: Path, rows: Indices | None) -> Store:
    return Store(as_tensor(np.load(file, mmap_mode="r")), native, file, rows)


@dataclass(slots=True)
class Filling:
    """A store being filled in the order of the samples: in the images' own size for as long as they all have one.

    `allocate` gives the memory or the file for a shape, None where there is no room. Then a `patient` one only looks at
    the rest, and another leaves it to its successor. `marks` uint64 [N] tell pictures apart (0: not readable).
    """

    count: int
    preprocess: Preprocess
    allocate: Allocate
    patient: bool = True
    pixels: Pixels | None = None
    native: bool = True
    full: bool = False
    readable: list[int] = field(default_factory=list)
    unreadable: list[tuple[int, str]] = field(default_factory=list)
    greys: Greys = field(default_factory=Greys)
    marks: Marks = field(init=False)

    def __post_init__(self) -> None:
        self.marks = np.zeros(self.count, np.uint64)

    def add(self, sample: int, result: Decoded | str) -> None:
        """Take one sample's picture, or the reason why it has none."""
        if isinstance(result, str):
            self.unreadable.append((sample, result))
            return
        image, resized, self.marks[sample], greys = result
        if greys is not None:
            self.greys += greys
        if self.pixels is None and not self.full:
            self.native = not resized
            self._grow(tuple(image.shape[1:]))
        elif self.native and self.pixels is not None and (resized or image.shape[1:] != self.pixels.shape[1:3]):
            before, self.native = self.pixels, False  # start over: this set's images have more than one size
            self._grow((self.preprocess.size, self.preprocess.size))
            for row in self.readable if self.pixels is not None else ():
                self._put(row, self.preprocess.resized(torch.from_numpy(before[row]).permute(2, 0, 1)))
        if self.pixels is not None:
            self._put(sample, image if self.native or resized else self.preprocess.resized(image))
        self.readable.append(sample)

    def _grow(self, shape: tuple[int, ...]) -> None:
        self.pixels = self.allocate((self.count, *shape, 3))
        self.full = self.pixels is None

    def _put(self, row: int, image: Tensor) -> None:
        assert self.pixels is not None
        self.pixels[row] = image.permute(1, 2, 0).numpy()

    def fill(self, images: ImageSet) -> None:
        """Decode every image of the set, large ones in several threads, with a progress bar.

        Raises `ShortMemoryError`: which images a set has must not depend on how much memory is free.
        """
        preprocess = self.preprocess

        def decode(sample: int) -> Decoded | str:
            try:
                picture = images.images.picture(sample)
            except ShortMemoryError:
                raise
            except DataError as error:
                return str(error)
            image, greys = to_tensor(picture), Greys.of(picture, preprocess.grey_range)
            small = image.shape[1] * image.shape[2] <= preprocess.size * preprocess.size
            mark = mark_of(image.permute(1, 2, 0).numpy())
            return (image, False, mark, greys) if small else (preprocess.resized(image), True, mark, greys)

        samples = range(len(images))
        batches = [samples[start : start + _BATCH] for start in samples[::_BATCH]]
        decoded = map(decode, samples) if are_small(images) else chain.from_iterable(read_ahead(batches, decode))
        for sample, result in enumerate(track(decoded, len(images), f"Checking {images.source}")):
            self.add(sample, result)
            if self.full and not self.patient:
                return


def are_small(images: ImageSet) -> bool:
    """Return whether images are so small, by the first readable one, that one thread decodes them faster than two.

    Pillow leaves the interpreter to others while it decodes; for a small image that is so short that the threads
    spend their time on waiting for each other (docs/why.md).
    """
    for sample in range(min(len(images), 20)):
        try:
            _, height, width = images.image(sample).shape
        except DataError:
            continue
        return height * width <= _SMALL
    return False


def as_tensor(pixels: Pixels) -> Tensor:
    """Return the array as a tensor in the same memory; torch warns of arrays that it could write to but must not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(pixels)


def in_memory(limit: int | None) -> Allocate:
    """Return an allocation in memory that refuses more than `limit` bytes (None: without limit).

    The system hands pages out when they are written: a store that is never filled costs nothing.
    """

    def allocate(shape: tuple[int, ...]) -> Pixels | None:
        fits = limit is None or int(np.prod(shape, dtype=np.int64)) <= limit
        return np.empty(shape, np.uint8) if fits else None

    return allocate


def mark_of(picture: NDArray[np.uint8]) -> int:
    """Return 64 bits that tell a decoded picture, uint8 [h, w, 3], from others: two checksums of its size and pixels.

    0 for a single colour, which says nothing.
    """
    height, width, _ = picture.shape
    some = picture[:: max(1, height // 8), :: max(1, width // 8)]
    if not (some != picture[0, 0]).any() and not (picture != picture[0, 0]).any():
        return 0
    pixels, size = np.ascontiguousarray(picture).data, height << 16 | width & 0xFFFF
    return zlib.crc32(pixels, size & 0xFFFFFFFF) << 32 | zlib.adler32(pixels, size & 0xFFFFFFFF) or 1
