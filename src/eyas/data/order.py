"""Which samples are in which batch: a pure function of (seed, step), so that a run can resume anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from eyas.seeds import Indices, key, permuted

_AT_ONCE = 4096  # samples whose order is computed at once


@dataclass(frozen=True, slots=True)
class Order:
    """The batches of a run over `count` samples, `batch_size` at a time; an epoch has each sample exactly once.

    The last batch of an epoch is short unless `drop_last`. Without `shuffle` samples come in their own order.
    """

    count: int
    batch_size: int
    seed: int = 0
    shuffle: bool = True
    drop_last: bool = False

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return self.count // self.batch_size if self.drop_last else -(-self.count // self.batch_size)

    def epoch(self, step: int) -> int:
        """Return the epoch, from 0, that the step after `step` taken ones belongs to."""
        return step // self.steps_per_epoch

    def size(self, step: int) -> int:
        """Return the number of samples in the whole batch of a step."""
        return min(self.batch_size, self.count - step % self.steps_per_epoch * self.batch_size)

    def batch(self, step: int) -> Indices:
        """Return the samples of the whole batch of a step (from 0), int64 [B]."""
        return next(self.batches(range(step, step + 1)))

    def batches(self, steps: range) -> Iterator[Indices]:
        """Yield `batch` of every step; the order of many steps is computed at once, a tenth of the work."""
        step = steps.start
        while step < steps.stop:
            epoch, first = divmod(step, self.steps_per_epoch)
            last = min(first + max(1, _AT_ONCE // self.batch_size), self.steps_per_epoch, first + steps.stop - step)
            start, stop = first * self.batch_size, min(last * self.batch_size, self.count)
            samples = np.arange(start, stop, dtype=np.int64)
            if self.shuffle:
                samples = permuted(samples, self.count, key(self.seed, "order", epoch))
            yield from (samples[at : at + self.batch_size] for at in range(0, len(samples), self.batch_size))
            step += last - first

    def shares(self, steps: range, rank: int, world: int) -> Iterator[tuple[Indices, int]]:
        """Yield `share` of every step and the step's epoch."""
        for step, batch in zip(steps, self.batches(steps), strict=True):
            yield np.array_split(batch, world)[rank] if world > 1 else batch, self.epoch(step)

    def share(self, step: int, rank: int, world: int) -> Indices:
        """Return the part of `batch(step)` that process `rank` of `world` computes; the parts make up the batch."""
        return np.array_split(self.batch(step), world)[rank]
