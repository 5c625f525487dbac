"""A cache of decoded pixels on disk, shared by runs: checked, and bounded in size."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch

from eyas.data.images.ahead import read_ahead
from eyas.data.images.greys import Greys
from eyas.data.images.imageset import ImageSet
from eyas.data.images.preprocess import Preprocess
from eyas.data.loading.least_recent import make_room, mark_used
from eyas.data.loading.stores import Filling, Pixels, Store, as_tensor
from eyas.files.atomic import TEMPORARY, file_lock, make_folder, write_text
from eyas.files.system import remove, replace

FORMAT = 2  # raised when the same images would be written otherwise
_BLOCK = 2**26  # bytes under one checksum
_GENERATIONS = 100


@dataclass(frozen=True, slots=True)
class PixelCache:
    """An LRU directory of decoded data sets, at most `limit` bytes of them."""

    folder: Path
    limit: int

    def filled(self, images: ImageSet, preprocess: Preprocess) -> tuple[Store | None, Filling]:
        """Return the store of a set and what is known of its images, from the folder or decoded into it.

        The store is None where there is no room. Two runs that need the same one decode it once: the second waits.
        """
        make_folder(self.folder)
        name = identity(images, preprocess)
        if (found := self._opened(name, preprocess)) is not None:
            return found
        with file_lock(self.folder / f"{name}.lock"):  # the kernel lets go of it however this process ends
            for rubbish in self.folder.glob(f"{TEMPORARY}*-{name}.npy"):
                remove(rubbish)
            return self._opened(name, preprocess) or self._made(name, images, preprocess)

    def _made(self, name: str, images: ImageSet, preprocess: Preprocess) -> tuple[Store | None, Filling]:
        """Decode a set into a file of the folder, whose name this process holds."""
        attempts: list[Path] = []

        def allocate(shape: tuple[int, ...]) -> Pixels | None:
            size = int(np.prod(shape, dtype=np.int64))
            if not make_room(self.folder, ".npy", size, limit=self.limit, removed=self._forget):
                return None
            # a filling that starts over still reads its first attempt
            attempts.append(self.folder / f"{TEMPORARY}{os.getpid()}-{len(attempts)}-{name}.npy")
            pixels: Pixels = np.lib.format.open_memmap(attempts[-1], mode="w+", dtype=np.uint8, shape=shape)
            return pixels

        try:
            filling = Filling(len(images), preprocess, allocate)
            filling.fill(images)
            if filling.pixels is None:
                return None, filling
            about = {
                "format": FORMAT,
                "source": images.source,
                "native": filling.native,
                "unreadable": filling.unreadable,
                "marks": filling.marks.astype("<u8").tobytes().hex(),
                "greys": asdict(filling.greys),
                "shape": filling.pixels.shape,
                "sums": checksums(filling.pixels),
            }
            if isinstance(filling.pixels, np.memmap):
                filling.pixels.flush()
            filling.pixels = None  # Windows renames no file that is mapped
            target = next(path for path in self._generations(name) if remove(path))
            replace(attempts[-1], target)
        finally:
            for attempt in attempts:
                remove(attempt)
        # written last: what has no description is not there
        write_text(self.folder / f"{name}.json", json.dumps({"file": target.name, **about}))
        return self._opened(name, preprocess) or (None, filling)

    def _opened(self, name: str, preprocess: Preprocess) -> tuple[Store, Filling] | None:
        """Return what the folder has under a name, None where it has nothing that is whole."""
        description = self.folder / f"{name}.json"
        try:
            about: dict[str, Any] = json.loads(description.read_text(encoding="utf-8"))
            path = next(path for path in self._generations(name) if path.name == about["file"])
            pixels: Pixels = np.load(path, mmap_mode="r")
            marks = np.frombuffer(bytes.fromhex(about["marks"]), "<u8")
            whole = tuple(about["shape"]) == pixels.shape and about["sums"] == checksums(pixels)
        except (OSError, ValueError, KeyError, StopIteration):
            return None
        if not whole:
            del pixels  # Windows removes no file that is mapped
            for damaged in (description, path):
                remove(damaged)
            return None
        mark_used(path, description)
        unreadable = [(int(sample), str(reason)) for sample, reason in about["unreadable"]]
        bad = {sample for sample, _ in unreadable}
        readable = [sample for sample in range(len(pixels)) if sample not in bad]
        greys = Greys(**about["greys"])
        known = Filling(len(pixels), preprocess, lambda _: None, readable=readable, unreadable=unreadable, greys=greys)
        known.marks[:] = marks
        return Store(as_tensor(pixels), about["native"], path), known

    def _generations(self, name: str) -> Iterator[Path]:
        """Yield the names that a set's pixels may have: Windows may keep an older file, because it is mapped."""
        yield from (self.folder / f"{name}{f'-{number}' if number else ''}.npy" for number in range(_GENERATIONS))

    def _forget(self, pixels: Path) -> None:
        """Remove the description of a set without pixels. Its lock stays: somebody may be waiting for it."""
        name = pixels.stem.partition("-")[0]
        if not any(path.exists() for path in self._generations(name)):
            remove(self.folder / f"{name}.json")


def identity(images: ImageSet, preprocess: Preprocess) -> str:
    """Return a name that changes with the files, with what is made of them, and with the libraries that make it."""
    way = preprocess
    made = [FORMAT, way.size, way.resize, way.crop_ratio, way.interpolation, way.mean]
    digest = hashlib.sha256(json.dumps([made, PIL.__version__, torch.__version__, len(images)]).encode())
    images.images.identify(digest.update)
    return digest.hexdigest()[:40]


def checksums(pixels: Pixels) -> list[int]:
    """Return a CRC-32 of every 64 MB: a file that was damaged on the disk is made anew, not trained on."""
    flat = memoryview(pixels.reshape(-1))  # type: ignore[arg-type]  # an array is a buffer
    starts = range(0, len(flat), _BLOCK)
    return next(read_ahead([starts], lambda start: zlib.crc32(flat[start : start + _BLOCK])))
