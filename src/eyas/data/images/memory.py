"""Memory for large pictures: as many are decoded at the same time as there is room for, in all threads together."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

from eyas.files.system import free_memory

PER_PIXEL = 16  # bytes at most while a picture is decoded: four pictures of 4, with alpha or turned by EXIF


class _Room:
    """The bytes that pictures which are being decoded take. One object a process, for memory is the process's."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.taken = 0
        self.process = os.getpid()

    @contextlib.contextmanager
    def __call__(self, pixels: int) -> Iterator[None]:
        """Wait until there is room for a picture, and hold it; raises `MemoryError` where it has none even alone."""
        need = pixels * PER_PIXEL
        with self.changed:
            if self.process != os.getpid():  # a fork: the threads that held the rest are not in this process
                self.process, self.taken = os.getpid(), 0
            while self.taken and self.taken + need > free_memory():
                self.changed.wait()
            if need > (free := free_memory()):
                raise MemoryError(
                    f"{pixels / 1e6:,.0f} million pixels take up to {need / 1e9:.1f} GB while they are decoded, and "
                    f"{free / 1e9:.1f} GB of memory are free"
                )
            self.taken += need
        try:
            yield
        finally:
            with self.changed:
                self.taken -= need
                self.changed.notify_all()


room_for = _Room()
