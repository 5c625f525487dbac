"""Reading in threads: some batches ahead of their use, in order, in bounded memory."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")
ENDING = 2.0  # seconds that threads are given to end: enough for the image that each is at, unless it hangs
AHEAD = 2  # batches that are read while one is used


class HangingError(Exception):
    """Reading `item` has not ended in the time allowed. Whoever catches it says where the item comes from."""

    def __init__(self, item: Any) -> None:
        super().__init__(item)
        self.item = item


def read_ahead(
    batches: Iterable[Sequence[A]], read: Callable[[A], B], *, threads: int | None = None, limit: float = 0.0
) -> Iterator[list[B]]:
    """Yield what `read` gives for every item of every batch, in order, read by `threads` (None: one per core).

    What `read` raises is raised when its batch is due. Raises `HangingError` where that waits for one item longer than
    `limit` seconds (0: for ever).
    """
    coming: deque[tuple[Sequence[A], list[Future[B]]]] = deque()
    readers = _Readers(read, threads or os.cpu_count() or 1)
    try:
        for batch in batches:
            coming.append((batch, [readers.ask(item) for item in batch]))
            if len(coming) > AHEAD:
                yield _results(*coming.popleft(), limit)
        while coming:
            yield _results(*coming.popleft(), limit)
    finally:
        for _, asked in coming:
            for reading in asked:
                reading.cancel()
        readers.dismiss()


def _results(batch: Sequence[A], asked: list[Future[B]], limit: float) -> list[B]:
    results = []
    for item, reading in zip(batch, asked, strict=True):
        try:
            results.append(reading.result(limit or None))
        except TimeoutError:
            if reading.done():  # it was raised by the reading itself
                raise
            raise HangingError(item) from None
    return results


class _Readers(Generic[A, B]):
    """Threads that read what they are asked for. One that hangs does not keep the process from ending.

    Those of `ThreadPoolExecutor` do: Python waits for them at its end.
    """

    def __init__(self, read: Callable[[A], B], count: int) -> None:
        self._read = read
        self._asked: SimpleQueue[tuple[A, Future[B]] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"eyas-reading-{number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def ask(self, item: A) -> Future[B]:
        """Return the future result of reading `item`."""
        reading: Future[B] = Future()
        self._asked.put((item, reading))
        return reading

    def dismiss(self) -> None:
        """Let the threads end once nothing is left to read, and wait for those that do not hang.

        A thread that is still ending when Python ends may take the process down: "terminate called without an active
        exception".
        """
        for _ in self._threads:
            self._asked.put(None)
        end = time.monotonic() + ENDING
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None:
            item, reading = asked
            if not reading.set_running_or_notify_cancel():
                continue
            try:
                reading.set_result(self._read(item))
            except BaseException as error:
                reading.set_exception(error)
            del asked, item, reading  # what was read belongs to whoever asked
