"""Saves in a thread: the loop only waits for a copy in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

import torch

from eyas.device.runtime import Runtime
from eyas.training.checkpoint import Checkpoint, EpochDone, checkpoint_of, write_checkpoint
from eyas.training.events import Saved
from eyas.training.state import Snapshot, TrainState

if TYPE_CHECKING:
    from eyas.training.plan import Plan


class Saver:
    """Saves a run's states and models, one save at a time.

    Used as a context: when it is left, however it is left, what was being written is whole on the disk and its
    thread has ended. A `Saved` is yielded only for what is whole on the disk. What the writing raises (`FileError`,
    `TrainingError` for numbers that are not finite) is raised by the next method called after it.
    """

    def __init__(self, plan: Plan, runtime: Runtime) -> None:
        self._plan, self._runtime = plan, runtime
        self._snapshot = Snapshot()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="eyas-saving")
        self._work: Future[tuple[Saved, ...]] | Future[None] | None = None
        self._has_room = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._thread.shutdown()

    def step_done(self, state: TrainState) -> Iterator[Saved]:
        """Yield what has come to the disk meanwhile; waits for nothing."""
        if self._work is not None and self._work.done():
            yield from self.wait()
        elif not self._has_room and self._runtime.is_main:
            # the optimiser has its memory from its first step: only now is it known how much a save will need
            self._work = self._thread.submit(self._snapshot.make_room, state.saved()[0])
            self._has_room = True

    def save(self, state: TrainState, done: EpochDone | None) -> Iterator[Saved]:
        """Save what `state` holds now, and the model where an epoch is `done`; yield what was saved before.

        Waits for the save before it, then for the copy: both are in the event's seconds. Every process calls it;
        the first one writes.
        """
        began = time.perf_counter()
        for sums in (state.window, state.epoch):  # what all have counted becomes the first one's
            total = self._runtime.total(sums.values)
            sums.values.copy_(total if self._runtime.is_main else torch.zeros_like(total))
        self._runtime.saved()
        if not self._runtime.is_main:
            return
        before = self.wait()
        self._has_room = True
        checkpoint = checkpoint_of(state, self._snapshot, done, self._plan, self._runtime)
        self._work = self._thread.submit(self._written, checkpoint, time.perf_counter() - began)
        yield from before

    def _written(self, checkpoint: Checkpoint, seconds: float) -> tuple[Saved, ...]:
        with self._runtime.profile.span("writing to the disk"):
            return write_checkpoint(checkpoint, seconds)

    def wait(self) -> tuple[Saved, ...]:
        """Return what was saved, once it is on the disk; nothing if all of that has been told."""
        work, self._work = self._work, None
        return (work.result() if work is not None else None) or ()
