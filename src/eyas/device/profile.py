"""Measures where the time goes, in named spans on any thread; `NoSpans` has the same interface and does nothing."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

from eyas.device.trace import Span, write_trace
from eyas.errors import FileError

T = TypeVar("T")
Names: TypeAlias = tuple[str, ...]  # of the spans that a span lies in, from the outermost, and its own
OLDEST, NEWEST = 100_000, 200_000  # spans that a trace keeps, of a long run its begin and its end: about 60 MB


@dataclass(frozen=True, slots=True)
class Share:
    """A line of the table: all spans of one name that lie in the same others."""

    name: str
    depth: int  # spans that they lie in
    seconds: float  # with what lies in them
    count: int
    threads: int  # in how many threads beside the one that trains; 0: in that one


@dataclass(frozen=True, slots=True)
class Lap:
    """The sums of a while, over every span that ended in it.

    The training thread's lines of depth 0 add up to the while, but for what lies in no span. What lies in a span of
    another thread that has not ended by then is told of in the whole.
    """

    seconds: float
    shares: tuple[Share, ...]  # the longest first, each followed by those that lie in it; the training thread's before
    dropped: int  # spans so far that the trace will not hold; the sums do


class Profile(Protocol):
    """What the work is marked with: `Spans` where times are asked for, else `NoSpans`, which costs next to nothing."""

    def span(self, name: str, *, step: int | None = None, epoch: int | None = None) -> AbstractContextManager[None]: ...
    def each(self, name: str, items: Iterable[T]) -> Iterable[T]: ...
    def lap(self) -> Lap | None: ...
    def whole(self) -> Lap | None: ...
    def traced(self, path: Path) -> AbstractContextManager[None]: ...


class NoSpans:
    """Measures nothing."""

    def __init__(self) -> None:
        self._nothing = nullcontext()  # one for all: it has no state

    def span(self, name: str, *, step: int | None = None, epoch: int | None = None) -> AbstractContextManager[None]:
        """Do nothing about what runs inside."""
        return self._nothing

    def each(self, name: str, items: Iterable[T]) -> Iterable[T]:
        """Return the items."""
        return items

    def lap(self) -> None:
        """Return nothing."""

    def whole(self) -> None:
        """Return nothing."""

    def traced(self, path: Path) -> AbstractContextManager[None]:
        """Write nothing."""
        return self._nothing


@dataclass(slots=True)
class _Sum:
    nanoseconds: int = 0
    count: int = 0
    threads: set[int] = field(default_factory=set)


Sums: TypeAlias = dict[tuple[bool, Names], _Sum]  # (in the training thread, names): what they come to


class Spans:
    """Measures spans. The thread that makes it is the one that trains.

    `settle` returns when the device has done what it was given. It is called at both ends of the training thread's
    spans, so that a span's time is that of its own work; the other threads never wait for the device.
    """

    def __init__(
        self, settle: Callable[[], None] = lambda: None, *, oldest: int = OLDEST, newest: int = NEWEST
    ) -> None:
        self._settle = settle
        self._home = threading.get_ident()
        self._here = threading.local()  # .names: of the spans that are open in this thread
        self._lock = threading.RLock()  # a generator that is collected meanwhile may end a span in this very thread
        self._began = self._lap_began = time.perf_counter_ns()
        self._sums: Sums = {}  # of this lap
        self._before: Sums = {}  # of the laps before
        self._room = oldest
        self._oldest: list[Span] = []
        self._newest: deque[Span] = deque(maxlen=newest)
        self._dropped = 0
        self._threads = {self._home: "training"}

    @contextmanager
    def span(self, name: str, *, step: int | None = None, epoch: int | None = None) -> Iterator[None]:
        """Measure what runs inside, in this thread. The numbers are for the trace. Spans lie in each other or apart."""
        thread = threading.get_ident()
        outer: Names = getattr(self._here, "names", ())
        names = self._here.names = (*outer, name)
        place = thread == self._home, names
        if place[0]:
            self._settle()
        began = time.perf_counter_ns()
        try:
            yield
            if place[0]:
                self._settle()
        finally:
            ended = time.perf_counter_ns()
            self._here.names = outer
            with self._lock:
                found = self._sums.get(place) or self._sums.setdefault(place, _Sum())
                found.nanoseconds += ended - began
                found.count += 1
                found.threads.add(thread)
                self._keep(Span(name, thread, began, ended, step, epoch))

    def each(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """Yield the items, each made in a span; what is done with them is outside."""
        iterator, end = iter(items), object()
        while True:
            with self.span(name):
                item = next(iterator, end)
            if item is end:
                return
            yield item  # type: ignore[misc]

    def lap(self) -> Lap:
        """Return the sums since the last lap, or since this was made, and begin the next. Outside all spans."""
        with self._lock:
            now = time.perf_counter_ns()
            seconds, self._lap_began = (now - self._lap_began) / 1e9, now
            sums, self._sums = self._sums, {}
            _merge(self._before, sums)
            return Lap(seconds, _shares(sums), self._dropped)

    def whole(self) -> Lap:
        """Return the sums since this was made. Outside all spans."""
        with self._lock:
            sums: Sums = {}
            for part in (self._before, self._sums):
                _merge(sums, part)
            return Lap((time.perf_counter_ns() - self._began) / 1e9, _shares(sums), self._dropped)

    @contextmanager
    def traced(self, path: Path) -> Iterator[None]:
        """Write the trace to `path` at the end, also where what runs inside fails. Raises `FileError`."""
        try:
            yield
        except BaseException:
            with suppress(FileError):  # the first fault is the one to be told
                self._write(path)
            raise
        self._write(path)

    def _keep(self, span: Span) -> None:
        if span.thread not in self._threads:
            self._threads[span.thread] = threading.current_thread().name
        if len(self._oldest) < self._room:
            self._oldest.append(span)
            return
        self._dropped += len(self._newest) == self._newest.maxlen
        self._newest.append(span)

    def _write(self, path: Path) -> None:
        with self._lock:
            spans, threads = [*self._oldest, *self._newest], dict(self._threads)
        write_trace(path, spans, threads, zero=self._began, dropped=self._dropped)


def _merge(sums: Sums, others: Sums) -> None:
    for place, other in others.items():
        found = sums.setdefault(place, _Sum())
        found.nanoseconds += other.nanoseconds
        found.count += other.count
        found.threads |= other.threads


def _shares(sums: Sums) -> tuple[Share, ...]:
    """Return the sums as the lines of a table."""

    def within(home: bool, outer: Names) -> Iterator[Share]:
        found = [(names, part) for (here, names), part in sums.items() if here == home and names[:-1] == outer]
        for names, part in sorted(found, key=lambda pair: -pair[1].nanoseconds):
            threads = 0 if home else len(part.threads)
            yield Share(names[-1], len(outer), part.nanoseconds / 1e9, part.count, threads)
            yield from within(home, names)

    return (*within(True, ()), *within(False, ()))
