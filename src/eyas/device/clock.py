"""Measures an epoch's time: training, waiting for data, saving."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
_TICK = 0.5  # seconds between two signs of life


class Clock:
    """Counts an epoch's seconds, going on from those before an interruption; evaluation and saving are not in them.

    They are in `whole`, with everything else that this process did in the epoch; `saving` is what of it the loop adds.
    """

    def __init__(self, seconds: float, waited: float) -> None:
        self.seconds, self.waited = seconds, waited
        self.saving = self._aside = 0.0
        self._began = self._mark = self._ticked = time.perf_counter()
        self._recent: list[tuple[float, int]] = []

    def timed(self, batches: Iterable[T]) -> Iterator[T]:
        """Yield the batches, counting the time until each came as waiting."""
        asked = time.perf_counter()
        for batch in batches:
            self.waited += time.perf_counter() - asked
            yield batch
            asked = time.perf_counter()

    def step_done(self, images: int) -> None:
        """Count a step: the time since the last one, or since the training began or went on."""
        now = time.perf_counter()
        self.seconds += now - self._mark
        self._mark = now
        self._recent = [*self._recent[-19:], (now, images)]

    def go_on(self) -> None:
        """Leave out the time since the last step: it was spent on evaluating and saving."""
        now = time.perf_counter()
        self._aside += now - self._mark
        self._mark = now
        self._recent = []

    def new_epoch(self) -> None:
        """Begin to count from zero."""
        self.go_on()
        self.seconds = self.waited = self.saving = self._aside = 0.0

    def tick(self) -> bool:
        """Return whether it is time for a sign of life, at most twice a second."""
        now = time.perf_counter()
        if now - self._ticked < _TICK:
            return False
        self._ticked = now
        return True

    @property
    def waiting(self) -> float:
        """Share of the epoch's seconds spent waiting for data, 0 to 1."""
        return min(1.0, self.waited / self.seconds) if self.seconds else 0.0

    @property
    def whole(self) -> float:
        """Seconds of the epoch so far, all things included."""
        return self.seconds + self._aside + time.perf_counter() - self._mark

    @property
    def rate(self) -> float:
        """Images per second over the last steps."""
        if len(self._recent) < 2:
            return 0.0
        return sum(images for _, images in self._recent[1:]) / max(1e-9, self._recent[-1][0] - self._recent[0][0])

    @property
    def running(self) -> float:
        """Seconds since this process began to train, all things included."""
        return time.perf_counter() - self._began
