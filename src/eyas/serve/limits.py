"""Who is let in: how many requests, pictures and bytes are in the house at once."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

from eyas.config.serve import ServeConfig
from eyas.serve.refusal import RefusalError


class Gate:
    """Counts what is in the house. All of it is asked and changed on the event loop's thread, so nothing is locked."""

    def __init__(self, config: ServeConfig) -> None:
        self.config = config
        self.pictures = 0  # whose request has arrived whole
        self.bytes = 0  # of requests, arrived or arriving
        self.requests: Counter[str] = Counter()  # by the client's address
        self.stopping = False

    def check(self, client: str) -> None:
        """Raise `RefusalError` 429 or 503 where a request of a client would not be let in now."""
        most = self.config.per_client
        if self.stopping:
            raise RefusalError(503, "stopping", "The server is stopping.")
        if most and self.requests[client] >= most:
            words = f"{most} requests of yours are in work; try again when one is done."
            raise RefusalError(429, "too_many_requests", words)
        self.refuse_full(1)

    @contextlib.contextmanager
    def entered(self, client: str) -> Iterator[Guest]:
        """Let a request in for the time of the block; raises what `check` does, before a byte of it is read."""
        self.check(client)
        guest = Guest(self)
        self.requests[client] += 1
        try:
            yield guest
        finally:
            self.pictures -= guest.pictures
            self.bytes -= guest.bytes
            self.requests[client] -= 1
            if not self.requests[client]:
                del self.requests[client]

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
        if length is not None and length.isdecimal():
            self._refuse_bytes(int(length))

    def hold(self, count: int) -> None:
        """Take `count` bytes more; raises `RefusalError` 413 where they are too many, 503 where there is no room."""
        self._refuse_bytes(self.bytes + count)
        if self.gate.bytes + count > self.gate.config.memory_mb * 1e6:
            raise RefusalError(503, "busy", "Too many requests are being read; try again in a moment.")
        self.bytes += count
        self.gate.bytes += count

    def bring(self, pictures: int) -> None:
        """Take places for the pictures of a request that has arrived; raises `RefusalError` 422 or 503."""
        most = self.gate.config.max_files
        if not pictures:
            raise RefusalError(
                422, "no_picture", "The request holds no picture: send a form with a file called `file`."
            )
        if pictures > most:
            raise RefusalError(422, "too_many_pictures", f"A request may have {most} pictures; this one has more.")
        self.gate.refuse_full(pictures)
        self.arrived = True
        self.pictures += pictures
        self.gate.pictures += pictures

    def _refuse_bytes(self, count: int) -> None:
        if count > self.gate.config.max_mb * 1e6:
            raise RefusalError(
                413, "too_large", f"A request may have {self.gate.config.max_mb:g} MB; this one has more."
            )
