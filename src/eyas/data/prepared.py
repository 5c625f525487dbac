"""A data set ready for reading: every image decoded once, and its pixels kept where there is room."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from eyas.config.data import DataConfig
from eyas.data.images.imageset import ArrayImages, ImageSet
from eyas.data.images.preprocess import Preprocess
from eyas.data.loading.pixel_cache import PixelCache
from eyas.data.loading.stores import Filling, Marks, Store, as_tensor, in_memory, mark_of
from eyas.errors import DataError, FileError
from eyas.files.system import free_memory
from eyas.seeds import Indices

SHOWN = 10  # unreadable files named in a message; the rest is counted


@dataclass(frozen=True, slots=True)
class Prepared:
    """A set whose images were all seen to be readable. Without a store they are decoded each time they are read."""

    images: ImageSet
    preprocess: Preprocess
    store: Store | None
    targets: Tensor  # all labels, int64 [N], on the device of the store
    marks: Marks | None = None  # of the pictures as they were decoded, uint64 [N]

    @staticmethod
    def of(images: ImageSet, preprocess: Preprocess, store: Store | None, marks: Marks | None = None) -> Prepared:
        """Return the set with its labels as a tensor."""
        return Prepared(images, preprocess, store, torch.from_numpy(images.labels), marks)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, samples: Indices) -> Tensor:
        """Return uint8 `[B, 3, h, w]`, for `fit`. Raises `DataError` naming a file that cannot be read any more."""
        if self.store is not None:
            return self.store.read(samples)
        return as_batch([self.read_one(int(sample)) for sample in samples])

    def read_one(self, sample: int) -> Tensor:
        """Return one image decoded and resized, uint8 `[3, size, size]`."""
        return self.preprocess.resized(self.images.image(sample))

    def resized(self, images: Tensor, size: int | None = None) -> Tensor:
        """Return what `read` gave as uint8 `[B, 3, size, size]` (default: the preprocess's size), where it is."""
        native = self.store is not None and self.store.native
        # another size is made of the resized image, as where nothing is kept: the cache must not change a result
        return self.rescale(self.preprocess.resized(images) if native else images, size or self.preprocess.size)

    def rescale(self, resized: Tensor, size: int) -> Tensor:
        """Return resized images in another size: nothing is cut off or padded a second time."""
        return replace(self.preprocess, size=size, resize="stretch").resized(resized)

    def labels(self, samples: Indices) -> Tensor:
        """Return the labels, int64 [B], on the device of the store."""
        return self.targets[torch.from_numpy(samples).to(self.targets.device, non_blocking=True)]

    def placed(self, device: torch.device) -> Prepared:
        """Return the set with its pixels and labels on a CUDA device if there is room for them."""
        store = None if self.store is None else self.store.placed(device)
        if store is None or not store.pixels.is_cuda:
            return self
        return replace(self, store=store, targets=self.targets.to(device))

    def in_words(self) -> str:
        """Return where the pixels are, for people."""
        return "decoded anew for every batch" if self.store is None else self.store.in_words()


def decoding_remedy(config: DataConfig) -> str:
    """Return what would shorten the waiting for images that are not kept, in words."""
    if config.cache == "none":
        return "--cache auto keeps them in memory or on the disk"
    return f"the disk keeps them where --cache-dir has room, and --cache-gb is above {config.cache_gb:g}"


def prepare(images: ImageSet, preprocess: Preprocess, config: DataConfig, *, checked: bool = False) -> Prepared:
    """Decode every image once: find those that cannot be, and keep the pixels where `--cache` says there is room.

    `checked` skips the look at every image where nothing is kept (a resumed run did it before). Raises `DataError`
    listing the unreadable images, unless `--skip-unreadable` leaves them out.
    """
    if isinstance(images.images, ArrayImages):
        # grey ones may be a view with three times the same plane
        pixels = np.ascontiguousarray(images.images.pixels)
        marks = np.array([mark_of(picture) for picture in pixels], np.uint64)
        return Prepared.of(images, preprocess, Store(as_tensor(pixels), native=True), marks)
    images = images.decoded(preprocess.grey_range, config.max_pixels)
    if checked and config.cache == "none":
        return Prepared.of(images, preprocess, None)
    store, seen, refused = _filled(images, preprocess, config)
    marks = seen.marks
    if refused:
        where = "kept in memory" if store is not None else "decoded anew for every batch"
        remedy = "cache_dir in its config.toml" if checked else "--cache-dir"
        note = f"no folder for decoded images ({refused}): they are {where}; {remedy} names another folder"
        images = replace(images, notes=(*images.notes, note))
    if seen.unreadable and not (config.skip_unreadable and seen.readable):
        raise DataError(_report(images.source, [reason for _, reason in seen.unreadable]))
    if seen.unreadable:
        rows = np.array(seen.readable, dtype=np.int64)
        images = replace(images.select(rows), skipped=images.skipped + len(seen.unreadable))
        store, marks = None if store is None else replace(store, rows=rows), marks[rows]
    images = replace(images, notes=(*images.notes, *seen.greys.notes(images.source, preprocess.grey_range)))
    return Prepared.of(images, preprocess, store, marks)


def _filled(images: ImageSet, preprocess: Preprocess, config: DataConfig) -> tuple[Store | None, Filling, str]:
    """Return the store of a set, None where nothing is kept, what was seen of its images, and why not in a file."""
    if config.cache != "disk":
        limit = {"ram": None, "none": 0}.get(config.cache, free_memory() // 4)
        store, filling = _in_memory(images, preprocess, limit, patient=config.cache != "auto")
        if store is not None or config.cache != "auto":
            return store, filling, ""
    try:
        cache = PixelCache(Path(config.cache_dir).expanduser(), int(config.cache_gb * 1e9))
        return *cache.filled(images, preprocess), ""
    except (OSError, FileError) as error:  # the images themselves raise `DataError`
        why = getattr(error, "strerror", None)
        refused = f"{config.cache_dir}: {why}" if why else str(error)
        return *_in_memory(images, preprocess, free_memory() // 4), refused


def _in_memory(
    images: ImageSet, preprocess: Preprocess, limit: int | None, *, patient: bool = True
) -> tuple[Store | None, Filling]:
    filling = Filling(len(images), preprocess, in_memory(limit), patient=patient)
    filling.fill(images)
    store = None if filling.pixels is None else Store(torch.from_numpy(filling.pixels), filling.native)
    return store, filling


def _report(source: str, unreadable: list[str]) -> str:
    lines = [f"{source}: {len(unreadable)} image(s) cannot be decoded:", *unreadable[:SHOWN]]
    if len(unreadable) > SHOWN:
        lines.append(f"... and {len(unreadable) - SHOWN} more.")
    lines.append(
        "Mend or remove them, or leave them out with --skip-unreadable (they are counted beside every number)."
    )
    return "\n".join(lines)


def as_batch(images: list[Tensor]) -> Tensor:
    """Return images of one size as one tensor, channels-last in memory."""
    return torch.stack([image.permute(1, 2, 0) for image in images]).permute(0, 3, 1, 2)
