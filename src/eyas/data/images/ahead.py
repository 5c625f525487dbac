"""Reads in threads: some batches ahead of their use, in order, in bounded memory."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import chain
from queue import SimpleQueue
from typing import Any, TypeVar

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
    asked: SimpleQueue[tuple[A, Future[B]] | None] = SimpleQueue()
    coming: deque[list[tuple[A, Future[B]]]] = deque()

    def work() -> None:
        while (wanted := asked.get()) is not None:
            item, reading = wanted
            if reading.set_running_or_notify_cancel():
                try:
                    reading.set_result(read(item))
                except BaseException as error:
                    reading.set_exception(error)
            del wanted, item, reading  # what was read belongs to whoever asked

    def results(batch: list[tuple[A, Future[B]]]) -> Iterator[B]:
        for item, reading in batch:
            try:
                yield reading.result(limit or None)
            except TimeoutError:
                if reading.done():  # it was raised by the reading itself
                    raise
                raise HangingError(item) from None

    # Not a `ThreadPoolExecutor`: Python waits at its end for the threads of those, also for one that hangs.
    names = (f"eyas-reading-{number}" for number in range(threads or os.cpu_count() or 1))
    readers = [threading.Thread(target=work, name=name, daemon=True) for name in names]
    for reader in readers:
        reader.start()
    try:
        for batch in batches:
            coming.append([(item, Future()) for item in batch])
            for wanted in coming[-1]:
                asked.put(wanted)
            if len(coming) > AHEAD:
                yield list(results(coming.popleft()))
        while coming:
            yield list(results(coming.popleft()))
    finally:
        for _, reading in chain.from_iterable(coming):
            reading.cancel()
        for _ in readers:
            asked.put(None)
        # A thread that is still ending when Python ends may take the process down ("terminate called without an active
        # exception"): those that do not hang are waited for.
        end = time.monotonic() + ENDING
        for reader in readers:
            reader.join(max(0.0, end - time.monotonic()))
