"""Admission control: how many requests, pictures and bytes the server holds at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from eyas.config.serve import ServeConfig
from eyas.serve.refusal import RefusalError

MEMORY = 512e6  # bytes of all requests together; more only where a single request may have more


class Gate:
    """Counts requests, pictures and bytes in flight. Used only on the event loop's thread, so it needs no locks."""

    def __init__(self, config: ServeConfig) -> None:
        self.config = config
        self.memory = max(MEMORY, config.max_mb * 1e6)
        self.requests = 0
        self.pictures = 0  # of requests that have arrived whole
        self.bytes = 0  # of requests, arrived or arriving
        self.stopping = False

    def check(self) -> None:
        """Raise `RefusalError` 503 where a request would not be let in now."""
        if self.stopping:
            raise RefusalError(503, "stopping", "The server is stopping.")
        self.refuse_full(1 + max(0, self.requests - self.pictures))  # a request that has not arrived holds a place too

    @contextlib.contextmanager
    def entered(self) -> Iterator[Guest]:
        """Let a request in for the time of the block; raises what `check` does, before a byte of it is read."""
        self.check()
        guest = Guest(self)
        self.requests += 1
        try:
            yield guest
        finally:
            self.requests -= 1
            self.pictures -= guest.pictures
            self.bytes -= guest.bytes

    def refuse_full(self, pictures: int) -> None:
        """Raise `RefusalError` 503 where so many more pictures have no place."""
        if self.pictures + pictures > self.config.queue:
            raise RefusalError(503, "busy", "Too many pictures are waiting; try again in a moment.")


class Guest:
    """A request that was let in: what it holds, given back when it leaves."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.pictures = 0
        self.bytes = 0
        self.arrived = False  # whole: from here on the server is who is slow

    def announce(self, length: str | None) -> None:
        """Refuse by Content-Length what would be refused while it is read."""
        most = self.gate.config.max_mb
        if length is not None and length.isdecimal() and int(length) > most * 1e6:
            raise RefusalError(413, "too_large", f"A request may have {most:g} MB; this one has more.")

    def hold(self, count: int) -> None:
        """Take `count` bytes more; raises `RefusalError` 413 where they are too many, 503 where there is no room."""
        self.announce(str(self.bytes + count))
        if self.gate.bytes + count > self.gate.memory:
            raise RefusalError(503, "busy", "Too many requests are being read; try again in a moment.")
        self.bytes += count
        self.gate.bytes += count

    def bring(self, pictures: int) -> None:
        """Take places for the pictures of a request that has arrived; raises `RefusalError` 422 or 503."""
        most = self.gate.config.max_files
        if not pictures:
            message = "The request holds no picture: send a form with a file called `file`."
            raise RefusalError(422, "no_picture", message)
        if pictures > most:
            raise RefusalError(422, "too_many_pictures", f"A request may have {most} pictures; this one has more.")
        self.gate.refuse_full(pictures)
        self.arrived = True
        self.pictures += pictures
        self.gate.pictures += pictures
