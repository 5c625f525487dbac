"""Pipeline: from sample numbers to augmented batches on the device."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import tee
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eyas.config.data import DataConfig
from eyas.data.augment.augment import Augment
from eyas.data.augment.own_transform import Transform, own_transform, transformed
from eyas.data.images.ahead import HangingError, read_ahead
from eyas.data.images.preprocess import Preprocess
from eyas.data.loading.stores import are_small
from eyas.data.loading.workers import Wanted, read_by_processes
from eyas.data.order import Order
from eyas.data.prepared import Prepared, as_batch, decoding_remedy
from eyas.device.profile import NoSpans, Profile
from eyas.device.runtime import Runtime
from eyas.errors import TrainingError
from eyas.seeds import Indices, key, permuted

Change = Callable[[Tensor, Indices, int], Tensor]  # of pictures uint8 [B, 3, h, w], one by one, in a batch wanted


@dataclass(frozen=True)
class OwnChange:
    """The user's own function on pictures as they were read: it sees each resized, one by one.

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
        resized = self.prepared.resized(pictures)
        return transformed(resized, self.transform, seed=self.seed, epoch=epoch, samples=samples)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "transform"}


def own_change(spec: str | None, prepared: Prepared, seed: int) -> OwnChange | None:
    """Return what `--transform` does, None where none is given; `SettingsError` where its function is not there."""
    if spec is None:
        return None
    change = OwnChange(spec, prepared, seed)
    _ = change.transform
    return change


@dataclass(frozen=True, slots=True)
class Batch:
    """This process's share of a batch, on the device, augmented: uint8 images `[b, 3, S, S]`, int64 labels [b]."""

    images: Tensor
    labels: Tensor
    samples: Indices  # which samples of the training set they are, int64 [b]
    size: int  # images in the whole batch, over all processes


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Training images on their whole way, from the numbers of samples to batches on the device.

    Read (`prepared`), changed by the user's own function (`change`), flipped, resized, augmented.
    """

    prepared: Prepared
    preprocess: Preprocess
    augment: Augment
    change: Change | None
    seed: int
    sizes: tuple[int, ...]  # the side in pixels of the images of each epoch; the last one also of what is tuned

    def batches(self, order: Order, steps: range, config: DataConfig, runtime: Runtime) -> Iterator[Batch]:
        """Yield this process's share of the batch of every step."""
        wanted = order.shares(steps, runtime.rank, runtime.world)
        span = runtime.profile.span
        read = loaded(
            self.prepared, wanted, config, change=self.change, profile=runtime.profile, tell=runtime.note
        )
        for step, (samples, pixels) in zip(steps, runtime.moved(read), strict=True):
            with span("resize"):
                images = self.resized(pixels, samples, order.epoch(step))
            with span("augmentation"):
                images = self.augmented(images, samples, order.epoch(step))
            yield Batch(images, runtime.put(self.prepared.labels(samples)), samples, order.size(step))

    def resized(self, pixels: Tensor, samples: Indices, epoch: int) -> Tensor:
        """Return pictures as they were read, now flipped and resized: uint8 `[B, 3, stored, stored]`."""
        resize = self.prepared.resized if self.change is None else self.prepared.rescale
        size = self.augment_at(epoch).stored_size
        drawn: dict[str, Any] = {"seed": self.seed, "epoch": epoch, "samples": samples}
        # small pictures are flipped sooner than large ones; a stretch commutes with it bit by bit, a cut need not
        if (self.preprocess.resize, self.preprocess.interpolation) == ("stretch", "bilinear"):
            return resize(self.augment.flipped(pixels, **drawn), size)
        return self.augment.flipped(resize(pixels, size), **drawn)

    def augmented(self, resized: Tensor, samples: Indices, epoch: int) -> Tensor:
        """Return what `resized` gave with an epoch's changes: uint8 `[B, 3, S, S]`."""
        return self.augment_at(epoch)(resized, seed=self.seed, epoch=epoch, samples=samples)

    def varied(self, pixels: Tensor, samples: Indices, epoch: int) -> Tensor:
        """Return pictures as they were read on the whole way to the network: uint8 `[B, 3, S, S]`."""
        changed = pixels if self.change is None else self.change(pixels, samples, epoch)
        return self.augmented(self.resized(changed, samples, epoch), samples, epoch)

    def augment_at(self, epoch: int) -> Augment:
        """Return the augmentation to the size of an epoch (from 0)."""
        return replace(self.augment, size=self.sizes[min(epoch, len(self.sizes) - 1)])

    def placed(self, device: torch.device) -> Pipeline:
        """Return it with the pixels on a CUDA device if there is room for them."""
        # the user's own function is given pictures in the machine's memory, perhaps in other processes
        return self if self.change is not None else replace(self, prepared=self.prepared.placed(device))

    def first_images(self) -> Tensor:
        """Return the run's first training images, unchanged, for a network that looks at them before it is trained.

        uint8 `[n, 3, S, S]` on the CPU, at most 5 million pixels.
        """
        count = min(len(self.prepared), max(16, 5_000_000 // self.preprocess.size**2))
        samples = permuted(np.arange(count), len(self.prepared), key(self.seed, "order", 0))
        return self.prepared.resized(self.prepared.read(samples)).cpu()

    def waits_for(self, config: DataConfig) -> list[str]:
        """Return what a step waits for until its batch is there, and what would shorten it, in words."""
        reasons = []
        if self.prepared.store is None:
            reasons.append(f"images are decoded anew for every batch ({decoding_remedy(config)})")
        if self.change is not None and not config.workers:
            reasons.append("--transform goes image by image (--workers does it beside the training)")
        return reasons


def sizes(full: int, epochs: int, start: float) -> tuple[int, ...]:
    """Return the side in pixels of the training images of each epoch, and once more the full one.

    With --progressive-size it grows evenly from the share `start`, in steps of an eighth, and is whole in the last
    third of the run.
    """
    grain, growing = max(1, full // 8), max(1.0, min(2 * epochs / 3, epochs - 1))
    shares = (start + (1 - start) * min(1.0, epoch / growing) for epoch in range(epochs))
    return (*(full if share >= 1 else max(1, int(share * full / grain + 1e-9)) * grain for share in shares), full)


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
            tell=tell or (lambda said: warnings.warn(said, RuntimeWarning, stacklevel=2)),
        )
    read = _in_threads(prepared, wanted, profile or NoSpans(), limit=config.worker_timeout)
    return _changed(read, change, profile or NoSpans())


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
        batches = map(as_batch, read_ahead(items, decode, threads=threads, limit=limit))
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


@dataclass(frozen=True, slots=True)
class _Job:
    """What the processes do: read batches of a set, and change them."""

    prepared: Prepared
    change: Change | None

    @property
    def shape(self) -> tuple[int, int, int]:
        return 3, self.prepared.preprocess.size, self.prepared.preprocess.size

    def batch(self, samples: Indices, epoch: int, began: Callable[[int], None]) -> Tensor:
        def one(sample: int) -> Tensor:
            began(sample)
            return self.prepared.read_one(sample)

        if self.prepared.store is None:
            images = as_batch([one(sample) for sample in samples.tolist()])
        else:
            images = self.prepared.read(samples)
        return images if self.change is None else self.change(images, samples, epoch)

    def place(self, sample: int) -> str:
        return self.prepared.images.place(sample)
