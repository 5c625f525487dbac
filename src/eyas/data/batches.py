"""From a set of images to batches: decoded once where memory allows, read in parallel where not."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from eyas.data.imageset import ArrayImages, ImageSet
from eyas.data.order import Indices
from eyas.data.preprocess import Preprocess
from eyas.data.settings import DataConfig
from eyas.errors import DataError, TrainingError
from eyas.profile import NoSpans, Profile
from eyas.progress import track

SHOWN = 10  # unreadable files named in a message; the rest is counted
_CHUNK = 512  # images decoded between two looks at the memory


@dataclass(frozen=True, slots=True)
class Prepared:
    """A set whose images were all seen to be readable.

    `store` holds every image as uint8 `[N, 3, h, w]`: in its own size (`native`) where all have one size not larger
    than the network's, else fitted. Without a store images are decoded each time they are read.
    """

    images: ImageSet
    fitting: Preprocess
    store: Tensor | None = None
    native: bool = False

    def __len__(self) -> int:
        return len(self.images)

    def read(self, samples: Indices) -> Tensor:
        """Return uint8 `[B, 3, h, w]`, for `fit`. Raises `DataError` naming a file that cannot be read any more."""
        if self.store is not None:
            return self.store[torch.from_numpy(samples)]
        return torch.stack([self.fitting.fit(self.images.image(int(sample))) for sample in samples])

    def fit(self, images: Tensor) -> Tensor:
        """Return what `read` gave as uint8 `[B, 3, size, size]` of the fitting's size, on the images' device."""
        return self.fitting.fit(images) if self.native else images

    def labels(self, samples: Indices) -> Tensor:
        """Return the labels, int64 [B]."""
        return torch.from_numpy(self.images.labels[samples])

    def in_words(self) -> str:
        """Return where the pixels are, for people."""
        if self.store is None:
            return "decoded anew for every batch"
        size = self.store.numel() / 2**20
        return f"decoded once, {'x'.join(map(str, self.store.shape[2:]))}, {size:,.0f} MB in memory"


def decoding_remedy(config: DataConfig) -> str:
    """Return what would shorten the waiting for images that are not kept, in words."""
    cores = os.cpu_count() or 1
    kept = ["--cache auto keeps them if they fit into memory"] if config.cache == "none" else []
    beside = [f"--workers {cores} decodes beside the training"] if config.workers < cores else []
    return ", ".join([*kept, *beside]) or "smaller image files or more memory would help"


def prepare(images: ImageSet, fitting: Preprocess, config: DataConfig, *, checked: bool = False) -> Prepared:
    """Decode every image once: find those that cannot be, and keep the pixels if they fit into memory.

    `checked` skips the look at every image where nothing is kept (a resumed run did it before). Raises `DataError`
    listing the unreadable images, unless `--skip-unreadable` leaves them out.
    """
    if isinstance(images.images, ArrayImages):
        return Prepared(images, fitting, _as_tensor(images.images.pixels).permute(0, 3, 1, 2), native=True)
    keep = config.cache != "none"
    if checked and not keep:
        return Prepared(images, fitting)
    limit = _free_memory() // 4 if config.cache == "auto" else None
    decoded = _Decoded(fitting, limit if keep else 0)
    for sample, result in track(_decode_all(images, fitting), len(images), f"Checking {images.source}"):
        decoded.add(sample, result)
    if decoded.unreadable and not config.skip_unreadable:
        raise DataError(_report(images.source, decoded.unreadable))
    if decoded.unreadable:
        readable = np.array(decoded.samples, dtype=np.int64)
        if not len(readable):
            raise DataError(_report(images.source, decoded.unreadable))
        images = replace(images.select(readable), skipped=images.skipped + len(decoded.unreadable))
    store, native = decoded.stacked()
    return Prepared(images, fitting, store, native)


def _as_tensor(pixels: np.ndarray) -> Tensor:
    """Return the array as a tensor in the same memory; torch warns of arrays that it could write to but must not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(pixels)


class _Decoded:
    """What the look at all images found: their pixels, as long as they fit, and the unreadable ones."""

    def __init__(self, fitting: Preprocess, limit: int | None) -> None:
        self.fitting, self.limit = fitting, limit
        self.samples: list[int] = []
        self.unreadable: list[str] = []
        self.pixels: list[tuple[Tensor, bool]] | None = []
        self.bytes = 0

    def add(self, sample: int, result: tuple[Tensor, bool] | str) -> None:
        """Take one image's (pixels, whether they are fitted), or the reason why it has none."""
        if isinstance(result, str):
            self.unreadable.append(result)
            return
        self.samples.append(sample)
        self.bytes += result[0].numel()
        if self.limit is not None and self.bytes > self.limit:
            self.pixels = None
        if self.pixels is not None:
            self.pixels.append(result)

    def stacked(self) -> tuple[Tensor | None, bool]:
        """Return the store, or None, and whether it holds the images in their own size."""
        if self.pixels is None:
            return None, False
        if len({image.shape for image, _ in self.pixels}) == 1 and not any(fitted for _, fitted in self.pixels):
            return torch.stack([image for image, _ in self.pixels]), True
        size = self.fitting.size
        if self.limit is not None and len(self.pixels) * 3 * size * size > self.limit:
            return None, False
        return torch.stack([image if fitted else self.fitting.fit(image) for image, fitted in self.pixels]), False


def _decode_all(images: ImageSet, fitting: Preprocess) -> Iterator[tuple[int, tuple[Tensor, bool] | str]]:
    """Yield (sample, (pixels, fitted) or a reason), in order; several threads, since Pillow decodes without the GIL."""

    def decode(sample: int) -> tuple[Tensor, bool] | str:
        try:
            image = images.image(sample)
        except DataError as error:
            return str(error)
        small = image.shape[1] * image.shape[2] <= fitting.size * fitting.size
        return (image, False) if small else (fitting.fit(image), True)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, len(images), _CHUNK):
            samples = range(start, min(start + _CHUNK, len(images)))
            yield from zip(samples, threads.map(decode, samples), strict=True)


def _report(source: str, unreadable: list[str]) -> str:
    lines = [f"{source}: {len(unreadable)} image(s) cannot be decoded:", *unreadable[:SHOWN]]
    if len(unreadable) > SHOWN:
        lines.append(f"... and {len(unreadable) - SHOWN} more.")
    lines.append(
        "Mend or remove them, or leave them out with --skip-unreadable (they are counted beside every number)."
    )
    return "\n".join(lines)


def _free_memory() -> int:
    """Return the bytes of memory that can be had without swapping."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def loaded(
    prepared: Prepared, batches: Iterable[Indices], config: DataConfig, *, profile: Profile | None = None
) -> Iterator[Tensor]:
    """Yield uint8 `[B, 3, h, w]` for every array of sample indices, in order.

    `--workers` processes read ahead where images are decoded each time; the number changes no result. Raises
    `DataError` for a file that vanished or changed, `TrainingError` for a process that died or hangs.
    """
    workers = 0 if prepared.store is not None else config.workers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # more workers than cores: asked for, and no fault
        loader: DataLoader[Any] = DataLoader(
            _Reader(prepared, NoSpans() if workers or profile is None else profile),  # no process hears another's
            batch_sampler=_Batches(batches),
            num_workers=workers,
            collate_fn=_as_it_is,
            timeout=config.worker_timeout if workers else 0,
            worker_init_fn=_quiet_worker,
        )
        reading = iter(loader)
    try:
        for images in reading:
            if isinstance(images, DataError):
                raise images
            yield images
    except RuntimeError as error:
        if "worker" in str(error) or "timed out" in str(error):
            raise TrainingError(
                f"A process that reads images failed: {str(error).splitlines()[0]} Was memory short? The run is "
                "saved up to its last state: go on with fewer --workers, or --workers 0."
            ) from error
        raise


class _Reader(Dataset[Tensor]):
    """Reads whole batches for a DataLoader; hands errors over as values, whose words a worker would bury."""

    def __init__(self, prepared: Prepared, profile: Profile) -> None:
        self.prepared, self.profile = prepared, profile

    def __getitems__(self, samples: Indices) -> Tensor | DataError:
        try:
            with self.profile.span("decode" if self.prepared.store is None else "read"):
                return self.prepared.read(samples)
        except DataError as error:
            return error


class _Batches:
    """Makes any iterable of sample indices a batch sampler."""

    def __init__(self, batches: Iterable[Indices]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


def _as_it_is(batch: Any) -> Any:
    return batch


def _quiet_worker(_: int) -> None:
    """One thread per process, and Ctrl-C left to the training process, which saves and then ends its workers."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
