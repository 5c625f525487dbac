"""Loads images in worker processes. One that dies or hangs is restarted; the error names the file it was reading."""

from __future__ import annotations

import math
import multiprocessing
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from eyas.errors import DataError, TrainingError
from eyas.files.system import end_text, end_with_parent, leave_signals_to_parent, same_answer_to_dead_children
from eyas.seeds import Indices

Wanted = tuple[Indices, int]  # samples of a batch, and the epoch that sees them
Slot = int  # which piece of the shared memory a batch is put into
RETRIES = 3  # times that all processes are restarted after one failed
PREFETCH = 2  # batches that each process has ready
_BEGINNING = 120.0  # seconds in which processes must begin
_LOOK = 1.0  # seconds between two looks at whether all processes live
_FAILURES = (RuntimeError, OSError, EOFError)  # what asking a dead process ends in


class Reading(Protocol):
    """What the processes do; picklable."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of every image: (3, h, w)."""

    def batch(self, samples: Indices, epoch: int, began: Callable[[int], None]) -> Tensor:
        """Return uint8 `[B, 3, h, w]`; calls `began` with each sample before it is read."""

    def place(self, sample: int) -> str:
        """Return where a sample comes from, for messages."""


def read_by_processes(
    reading: Reading, wanted: Iterable[Wanted], *, workers: int, limit: float, tell: Callable[[str], None]
) -> Iterator[tuple[Indices, Tensor]]:
    """Yield (samples, uint8 `[B, 3, h, w]`) for every batch wanted, in order, read by `workers` processes.

    A process that dies or gives nothing for `limit` seconds (0: for ever) ends all of them; they are restarted with the
    batch that was due, three times, and `tell` is called with a sentence each time. Raises `DataError` as `reading`
    did, `TrainingError` naming the file at the fourth failure.
    """
    work = _Work(reading, wanted, workers)
    for attempt in range(1 + RETRIES):
        images = work.begin(limit)
        try:
            while work.is_left:
                yield work.take(_next(images, limit, work.begun))
            return
        except _FAILURES as error:
            said = work.fault(images, limit, error)
        finally:
            for worker in images._workers:
                worker.kill()  # also stopped ones, for which Python would wait for ever
            images._shutdown_workers()
        if attempt == RETRIES:
            raise TrainingError(
                f"{said} What was saved before is whole. Take fewer --workers, or --workers 0 (to go on with a run: "
                "workers = 0 in its config.toml)."
            )
        tell(f"{said} All workers are restarted at the same batch ({attempt + 1} of {RETRIES} times).")


class _Work:
    """The batches wanted, those under way, and the memory they come in.

    That memory is set aside once and used again: a tensor sent by a process would need it to live until it is read,
    and its share of /dev/shm, which is small in containers.
    """

    def __init__(self, reading: Reading, wanted: Iterable[Wanted], workers: int) -> None:
        self._reading, self._wanted, self._workers = reading, iter(wanted), workers
        self._ready = deque[Wanted]()  # taken from those wanted, not yet handed out
        self._out = deque[tuple[Wanted, Slot]]()  # handed out, not yet back
        self._memory: list[Any] = []
        self._free: list[Slot] = []

    def begin(self, limit: float) -> Any:
        """Start the processes, at the first batch that has not come; return the loader's iterator."""
        self._ready.extendleft(batch for batch, _ in reversed(self._out))
        self._out.clear()
        if self.is_left and not self._memory:
            images = max(len(self._ready[0][0]), 1)
            size = images * math.prod(self._reading.shape)
            self._memory = [multiprocessing.RawArray("B", size) for _ in range(self._workers * PREFETCH + 1)]
        self._free = list(range(len(self._memory)))
        self._doing = multiprocessing.RawArray("q", self._workers)  # each process's sample + 1, 0 between two
        self._since = multiprocessing.RawArray("d", self._workers)  # when it began with that
        # PyTorch would raise an error wherever the training stands at the moment that a process dies, also where it was
        # a loader of before that asked for it; whether all live is looked at every second
        with warnings.catch_warnings(), same_answer_to_dead_children(but="torch."):
            warnings.simplefilter("ignore")  # more workers than cores: asked for, and no fault
            loader: DataLoader[Any] = DataLoader(
                _Reader(self._reading, self._memory, self._doing, self._since),
                batch_sampler=self,  # type: ignore[arg-type]
                num_workers=self._workers,
                prefetch_factor=PREFETCH,
                collate_fn=_as_it_is,
                timeout=min(_LOOK, limit) if limit else _LOOK,
                worker_init_fn=partial(_quiet_worker, since=self._since),
            )
            try:
                return iter(loader)
            except OSError:
                raise
            except Exception as error:  # whatever a foreign class raises when it is pickled for a spawned process
                if multiprocessing.get_start_method() == "fork":
                    raise
                raise TrainingError(
                    f"{self._reading.place(0)}: images such as this one cannot be handed to processes that read them "
                    f"({str(error).splitlines()[0]}). --workers 0 (in a run's config.toml: workers = 0) reads them by "
                    "threads."
                ) from error

    def begun(self) -> bool:
        """Return whether one of the processes has begun: those that are spawned load PyTorch first."""
        return any(self._since)

    @property
    def is_left(self) -> bool:
        """Whether a batch is yet to come."""
        if not self._out and not self._ready:
            self._ready.extend(batch for batch in [next(self._wanted, None)] if batch is not None)
        return bool(self._out or self._ready)

    def __iter__(self) -> Iterator[tuple[Wanted, Slot]]:
        """Hand out batches, each with the memory to put it into."""
        while True:
            batch = self._ready.popleft() if self._ready else next(self._wanted, None)
            if batch is None:
                return
            self._out.append((batch, self._free.pop()))
            yield self._out[-1]

    def take(self, came: DataError | NDArray[np.uint8] | None) -> tuple[Indices, Tensor]:
        """Return the batch that was due: what came itself, or copied out of its memory, which is free again."""
        if isinstance(came, DataError):
            raise came
        (samples, _), slot = self._out.popleft()
        images = _view(self._memory[slot], len(samples), self._reading.shape).copy() if came is None else came
        self._free.append(slot)
        return samples, torch.from_numpy(images).permute(0, 3, 1, 2)

    def fault(self, images: Any, limit: float, error: Exception) -> str:
        """Return what happened to which process, and on which file it was."""
        for number, worker in enumerate(images._workers):
            if (code := worker.exitcode) is not None:
                return f"A process that reads images, {worker.pid}, {end_text(code)}{self._on(number)}."
        if "timed out" not in str(error):
            return f"A process that reads images failed: {str(error).splitlines()[0]}"
        busy = [number for number in range(self._workers) if self._doing[number]]
        if not busy:
            return f"The processes that read images have given nothing for {limit:g} seconds."
        number = min(busy, key=lambda one: self._since[one])  # the others wait for it, or have just begun
        pid, on = images._workers[number].pid, self._on(number)
        return f"A process that reads images, {pid}, has given nothing for {limit:g} seconds{on}."

    def _on(self, number: int) -> str:
        noted = self._doing[number]
        return f", while it read {self._reading.place(noted - 1)}" if noted else ""


def _next(images: Iterator[Any], limit: float, begun: Callable[[], bool]) -> Any:
    """Return what the loader gives next; raises if a process has died, or nothing came for `limit` seconds.

    The time that the processes take to begin is not counted, up to two minutes.
    """
    since, spare = time.monotonic(), 0.0 if begun() else _BEGINNING
    while True:
        try:
            return next(images)
        except StopIteration:
            raise RuntimeError("the loader ended before its last batch") from None
        except RuntimeError as error:
            if spare and begun():
                since, spare = time.monotonic(), 0.0
            if "timed out" not in str(error) or (limit and time.monotonic() - since >= limit + spare):
                raise


def _view(memory: Any, count: int, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return the memory of a batch as uint8 `[count, h, w, 3]`: channels-last, as images are read."""
    planes, height, width = shape
    size = count * math.prod(shape)
    return np.frombuffer(memory, np.uint8, size).reshape(count, height, width, planes)


class _Reader(Dataset[Tensor]):
    """Reads whole batches for a DataLoader; hands errors over as values, whose words a worker would bury."""

    def __init__(self, reading: Reading, memory: list[Any], doing: Any, since: Any) -> None:
        self.reading, self.memory, self.doing, self.since = reading, memory, doing, since

    def __getitems__(self, handed: tuple[Wanted, Slot]) -> DataError | NDArray[np.uint8] | None:
        (samples, epoch), slot = handed
        about = get_worker_info()
        assert about is not None

        def began(sample: int) -> None:
            self.doing[about.id], self.since[about.id] = sample + 1, time.monotonic()

        try:
            images = self.reading.batch(samples, epoch, began)
        except DataError as error:
            return error
        rows = np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())
        fits = rows.nbytes <= len(self.memory[slot])  # it was set aside for the first batch; a larger one is sent
        if fits:
            _view(self.memory[slot], len(samples), self.reading.shape)[...] = rows
        self.doing[about.id] = 0
        return None if fits else rows


def _as_it_is(batch: Any) -> Any:
    return batch


def _quiet_worker(number: int, since: Any) -> None:
    """One thread per process, and signals left to the training process, which saves and then ends its workers.

    It ends with that one: where it has inherited the run's lock, nobody else could have the run. `since` tells there
    that it has begun.
    """
    torch.set_num_threads(1)
    leave_signals_to_parent()
    end_with_parent()
    since[number] = time.monotonic()
