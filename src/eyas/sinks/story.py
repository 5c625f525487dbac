"""What has happened in a run so far, an epoch at a time: events put together for a reader."""

from __future__ import annotations

from dataclasses import dataclass, field

from eyas.training.events import EpochOver, EpochTrained, Evaluated, Event, Noted, Progress, Saved, Started, Weighed


@dataclass(slots=True)
class EpochRow:
    """One epoch: its training and its evaluations; either is missing where a resume lies between them."""

    epoch: int
    trained: EpochTrained | None = None
    evaluated: dict[str, Evaluated] = field(default_factory=dict)
    over: EpochOver | None = None

    @property
    def best(self) -> bool:
        """Say whether this epoch is the best so far."""
        return any(result.selects and result.improved for result in self.evaluated.values())

    @property
    def shown(self) -> Evaluated | None:
        """The evaluation that speaks for the epoch: test before val."""
        return self.evaluated.get("test") or next(iter(self.evaluated.values()), None)


class Story:
    """Collects events into epochs and says when one is over; remembers the best and the last."""

    def __init__(self) -> None:
        """Begin with nothing heard."""
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
