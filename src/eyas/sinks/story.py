"""What a reader of a run needs to know so far: its epochs, put together from events, and how fast it goes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from eyas.training.events import EpochOver, EpochTrained, Evaluated, Event, Noted, Progress, Saved, Started, Weighed

KNOWN_STEPS, KNOWN_SECONDS = 20, 10.0  # after either of them the speed is worth an estimate
REMEMBERED = 120  # intervals between signs of life, about a minute: old ones say little about the speed now


@dataclass(slots=True)
class EpochRow:
    """One epoch: its training and its evaluations; either is missing where a resume lies between them."""

    epoch: int
    trained: EpochTrained | None = None
    evaluated: dict[str, Evaluated] = field(default_factory=dict)
    over: EpochOver | None = None

    @property
    def best(self) -> bool:
        """Whether this epoch is the best so far."""
        return any(result.selects and result.improved for result in self.evaluated.values())

    @property
    def shown(self) -> Evaluated | None:
        """The evaluation that speaks for the epoch: test before val."""
        return self.evaluated.get("test") or next(iter(self.evaluated.values()), None)


class Story:
    """Collects events into epochs and says when one is over; remembers the best and the last."""

    def __init__(self) -> None:
        self.started: Started | None = None
        self.best: EpochRow | None = None
        self.last: EpochRow | None = None
        self._row: EpochRow | None = None
        self._notes: list[Noted] = []

    def hear(self, event: Event) -> list[EpochRow | Noted]:
        """Take in an event; return what can be shown now: an epoch that is over, and notes.

        An epoch is over with the first event that is no longer part of it; notes wait until its row is shown.
        """
        match event:
            case Started():
                self.started = event
            case EpochTrained():
                ready = self.rest()
                self._row = EpochRow(event.epoch, trained=event)
                return ready
            case Evaluated():
                ready = self.rest() if self._row is None or self._row.epoch != event.epoch else []
                self._row = self._row or EpochRow(event.epoch)
                self._row.evaluated[event.split] = event
                return ready
            case Saved() | Weighed() if self._row:
                return []
            case EpochOver() if self._row:
                self._row.over = event
            case Noted():
                self._notes.append(event)
                return [] if self._row else self.rest()
            case Progress() if event.stage != "train":
                return []
        return self.rest()

    def rest(self) -> list[EpochRow | Noted]:
        """Return what was held back: the open epoch as it is, then the notes."""
        ready: list[EpochRow | Noted] = [*([self._row] if self._row else []), *self._notes]
        if self._row:
            self.last = self._row
            self.best = self._row if self._row.best else self.best
        self._row, self._notes = None, []
        return ready


class Pace:
    """How fast the run goes, and from that how long it will take."""

    def __init__(self, started: Started, clock: Callable[[], float]) -> None:
        """Begin without knowing anything; `clock` gives seconds."""
        self._clock, self._started = clock, started
        self._intervals: deque[tuple[float, int]] = deque(maxlen=REMEMBERED)
        self._last: tuple[float, int] | None = None
        self._evaluating: dict[str, float] = {}

    def watch(self, event: Progress | Evaluated) -> None:
        """Learn from a sign of life; what lies between two of different stages is no speed of training."""
        if isinstance(event, Evaluated):
            self._evaluating[event.split] = event.seconds
        if not isinstance(event, Progress) or event.stage != "train":
            self._last = None
            return
        now = self._clock()
        if self._last is not None:
            self._intervals.append((now - self._last[0], event.step - self._last[1]))
        self._last = now, event.step

    def left(self, step: int) -> float | None:
        """Return the estimated seconds from `step` to the end, None while not known.

        Evaluations count as soon as one of them has been seen.
        """
        seconds, steps = sum(part[0] for part in self._intervals), sum(part[1] for part in self._intervals)
        if steps < KNOWN_STEPS and (not steps or seconds < KNOWN_SECONDS):
            return None
        per_epoch, epochs = self._started.steps_per_epoch, self._started.epochs
        to_evaluate = epochs - step // per_epoch
        return (per_epoch * epochs - step) * seconds / steps + to_evaluate * sum(self._evaluating.values())
