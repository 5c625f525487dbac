"""From a set of images to batches: decoded once where there is room, read in parallel where not."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import tee
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from eyas.config.data import DataConfig
from eyas.data.augment.own_transform import Transform, own_transform, transformed
from eyas.data.images.ahead import HangingError, read_ahead
from eyas.data.images.imageset import ArrayImages, ImageSet
from eyas.data.images.preprocess import Preprocess
from eyas.data.loading.pixel_cache import PixelCache
from eyas.data.loading.stores import Filling, Marks, Store, are_small, as_tensor, in_memory, mark_of
from eyas.data.loading.workers import Wanted, read_by_processes
from eyas.device.profile import NoSpans, Profile
from eyas.errors import DataError, FileError, TrainingError
from eyas.files.system import free_memory
from eyas.seeds import Indices

SHOWN = 10  # unreadable files named in a message; the rest is counted

Change = Callable[[Tensor, Indices, int], Tensor]  # of pictures uint8 [B, 3, h, w], one by one, in a batch wanted


@dataclass(frozen=True, slots=True)
class Prepared:
    """A set whose images were all seen to be readable. Without a store they are decoded each time they are read."""

    images: ImageSet
    fitting: Preprocess
    store: Store | None
    targets: Tensor  # all labels, int64 [N], on the device of the store
    marks: Marks | None = None  # of the pictures as they were decoded, uint64 [N]

    @staticmethod
    def of(images: ImageSet, fitting: Preprocess, store: Store | None, marks: Marks | None = None) -> Prepared:
        """Return the set with its labels as a tensor."""
        return Prepared(images, fitting, store, torch.from_numpy(images.labels), marks)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, samples: Indices) -> Tensor:
        """Return uint8 `[B, 3, h, w]`, for `fit`. Raises `DataError` naming a file that cannot be read any more."""
        if self.store is not None:
            return self.store.read(samples)
        return _as_batch([self.read_one(int(sample)) for sample in samples])

    def read_one(self, sample: int) -> Tensor:
        """Return one image decoded and fitted, uint8 `[3, size, size]`."""
        return self.fitting.fit(self.images.image(sample))

    def fit(self, images: Tensor, size: int | None = None) -> Tensor:
        """Return what `read` gave as uint8 `[B, 3, size, size]` (default: the fitting's size), where it is."""
        native = self.store is not None and self.store.native
        # another size is made of the fitted image, as where nothing is kept: the cache must not change a result
        return self.rescale(self.fitting.fit(images) if native else images, size or self.fitting.size)

    def rescale(self, fitted: Tensor, size: int) -> Tensor:
        """Return fitted images in another size: nothing is cut off or padded a second time."""
        return replace(self.fitting, size=size, resize="stretch").fit(fitted)

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


@dataclass(frozen=True)
class OwnChange:
    """The user's own function on pictures as they were read: it sees each fitted, one by one.

    Only its name goes to a process that is spawned: a function of the user's need not be one that can be sent.
    """

    spec: str
    prepared: Prepared
    seed: int

    @cached_property
    def transform(self) -> Transform | None:
        """The function, found by its name when a process first asks for it; `SettingsError` where it is not there."""
        return own_transform(self.spec)

    def __call__(self, pictures: Tensor, samples: Indices, epoch: int) -> Tensor:
        """Return the changed pictures."""
        fitted = self.prepared.fit(pictures)
        return transformed(fitted, self.transform, seed=self.seed, epoch=epoch, samples=samples)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "transform"}


def own_change(spec: str | None, prepared: Prepared, seed: int) -> OwnChange | None:
    """Return what `--transform` does, None where none is given; `SettingsError` where its function is not there."""
    if spec is None:
        return None
    change = OwnChange(spec, prepared, seed)
    _ = change.transform
    return change


def decoding_remedy(config: DataConfig) -> str:
    """Return what would shorten the waiting for images that are not kept, in words."""
    if config.cache == "none":
        return "--cache auto keeps them in memory or on the disk"
    return f"the disk keeps them where --cache-dir has room, and --cache-gb is above {config.cache_gb:g}"


def prepare(images: ImageSet, fitting: Preprocess, config: DataConfig, *, checked: bool = False) -> Prepared:
    """Decode every image once: find those that cannot be, and keep the pixels where `--cache` says there is room.

    `checked` skips the look at every image where nothing is kept (a resumed run did it before). Raises `DataError`
    listing the unreadable images, unless `--skip-unreadable` leaves them out.
    """
    if isinstance(images.images, ArrayImages):
        # grey ones may be a view with three times the same plane
        pixels = np.ascontiguousarray(images.images.pixels)
        marks = np.array([mark_of(picture) for picture in pixels], np.uint64)
        return Prepared.of(images, fitting, Store(as_tensor(pixels), native=True), marks)
    images = images.decoded(fitting.grey_range, config.max_pixels)
    if checked and config.cache == "none":
        return Prepared.of(images, fitting, None)
    store, seen, refused = _filled(images, fitting, config)
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
    images = replace(images, notes=(*images.notes, *seen.greys.notes(images.source, fitting.grey_range)))
    return Prepared.of(images, fitting, store, marks)


def _filled(images: ImageSet, fitting: Preprocess, config: DataConfig) -> tuple[Store | None, Filling, str]:
    """Return the store of a set, None where nothing is kept, what was seen of its images, and why not in a file."""
    if config.cache != "disk":
        limit = {"ram": None, "none": 0}.get(config.cache, free_memory() // 4)
        store, filling = _in_memory(images, fitting, limit, patient=config.cache != "auto")
        if store is not None or config.cache != "auto":
            return store, filling, ""
    try:
        cache = PixelCache(Path(config.cache_dir).expanduser(), int(config.cache_gb * 1e9))
        return *cache.filled(images, fitting), ""
    except (OSError, FileError) as error:  # the images themselves raise `DataError`
        why = getattr(error, "strerror", None)
        refused = f"{config.cache_dir}: {why}" if why else str(error)
        return *_in_memory(images, fitting, free_memory() // 4), refused


def _in_memory(
    images: ImageSet, fitting: Preprocess, limit: int | None, *, patient: bool = True
) -> tuple[Store | None, Filling]:
    filling = Filling(len(images), fitting, in_memory(limit), patient=patient)
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


def loaded(
    prepared: Prepared,
    wanted: Iterable[Wanted],
    config: DataConfig,
    *,
    change: Change | None = None,
    profile: Profile | None = None,
    tell: Callable[[str], None] | None = None,
) -> Iterator[tuple[Indices, Tensor]]:
    """Yield (samples, uint8 `[B, 3, h, w]`) for every batch wanted, in order, changed by `change` where there is one.

    Pixels in memory are read when they are needed; others ahead, by threads, or by `--workers` processes, which also
    do the changing. Neither their number nor their kind changes a result. Raises `DataError` for a file that vanished
    or changed, `TrainingError` for a thread that hangs or a process that died, each with the file it was on; a process
    is begun anew three times before, and `tell` (default: a Python warning) is called with what is said of it.
    """
    if config.workers and (change is not None or prepared.store is None):
        return read_by_processes(
            _Job(prepared, change),
            wanted,
            workers=config.workers,
            limit=config.worker_timeout,
            tell=tell or _warn,
        )
    read = _in_threads(prepared, wanted, profile or NoSpans(), limit=config.worker_timeout)
    return _changed(read, change, profile or NoSpans())


def _warn(said: str) -> None:
    warnings.warn(said, RuntimeWarning, stacklevel=2)


def _changed(
    read: Iterator[tuple[Wanted, Tensor]], change: Change | None, profile: Profile
) -> Iterator[tuple[Indices, Tensor]]:
    for (samples, epoch), images in read:
        if change is not None:
            with profile.span("transform"):
                images = change(images, samples, epoch)
        yield samples, images


def _in_threads(
    prepared: Prepared, wanted: Iterable[Wanted], profile: Profile, *, limit: float
) -> Iterator[tuple[Wanted, Tensor]]:
    """Yield what was wanted and its images, read by the caller itself where they lie in memory."""

    def read(samples: Indices) -> Tensor:
        with profile.span("read"):
            return prepared.read(samples)

    def decode(sample: int) -> Tensor:
        with profile.span("decode"):
            return prepared.read_one(sample)

    now, later = tee(wanted)
    if prepared.store is None:
        threads = 1 if are_small(prepared.images) else None
        items = (samples.tolist() for samples, _ in later)
        batches = map(_as_batch, read_ahead(items, decode, threads=threads, limit=limit))
    elif prepared.store.file is None:
        batches = map(read, (samples for samples, _ in later))
    else:  # its pages may have to come from the disk
        batches = map(itemgetter(0), read_ahead(([samples] for samples, _ in later), read, limit=limit))
    try:
        yield from zip(now, batches, strict=True)
    except HangingError as hanging:
        first = hanging.item if isinstance(hanging.item, int) else int(hanging.item[0])
        raise TrainingError(
            f"{prepared.images.place(first)}: reading it has not ended in {limit:g} seconds. What was saved before is "
            "whole: go on once the disk answers. How long to wait is set by eyas train --worker-timeout, and by "
            "worker_timeout in a run's config.toml."
        ) from None


def _as_batch(images: list[Tensor]) -> Tensor:
    """Return images of one size as one tensor, channels-last in memory."""
    return torch.stack([image.permute(1, 2, 0) for image in images]).permute(0, 3, 1, 2)


@dataclass(frozen=True, slots=True)
class _Job:
    """What the processes do: read batches of a set, and change them."""

    prepared: Prepared
    change: Change | None

    @property
    def shape(self) -> tuple[int, int, int]:
        return 3, self.prepared.fitting.size, self.prepared.fitting.size

    def batch(self, samples: Indices, epoch: int, began: Callable[[int], None]) -> Tensor:
        def one(sample: int) -> Tensor:
            began(sample)
            return self.prepared.read_one(sample)

        if self.prepared.store is None:
            images = _as_batch([one(sample) for sample in samples.tolist()])
        else:
            images = self.prepared.read(samples)
        return images if self.change is None else self.change(images, samples, epoch)

    def place(self, sample: int) -> str:
        return self.prepared.images.place(sample)
