"""Reading in threads: some batches ahead of their use, in order, in bounded memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")
AHEAD = 2  # batches that are read while one is used


def read_ahead(
    batches: Iterable[Sequence[A]], read: Callable[[A], B], *, threads: int | None = None
) -> Iterator[list[B]]:
    """Yield what `read` gives for every item of every batch, in order, read by `threads` (None: one per core).

    What `read` raises is raised when its batch is due.
    """
    coming: deque[list[Future[B]]] = deque()
    pool = ThreadPoolExecutor(threads or os.cpu_count())
    try:
        for batch in batches:
            coming.append([pool.submit(read, item) for item in batch])
            if len(coming) > AHEAD:
                yield [reading.result() for reading in coming.popleft()]
        while coming:
            yield [reading.result() for reading in coming.popleft()]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
