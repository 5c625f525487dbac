"""Settings of the server: where it listens, what it takes at once, and what it refuses."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from eyas.config.section import Section
from eyas.errors import SettingsError


class ServeConfig(Section):
    """Answer over HTTP: an API, and a page for the browser."""

    host: str = "127.0.0.1"
    """Address to listen on. 0.0.0.0 lets other machines in."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port to listen on; 0 takes a free one."""
    device: str = "auto"
    """cpu, cuda, mps or auto."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """Pictures that the network answers for at once, where as many wait."""
    max_wait: Annotated[float, Field(ge=0, le=1000)] = 5.0
    """Milliseconds that a batch waits for pictures that are being decoded; it never waits where none are."""
    queue: Annotated[int, Field(ge=1)] = 256
    """Requests, and pictures, in work at once; more are refused (503)."""
    timeout: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """Seconds that a request may take, its upload included."""
    max_mb: Annotated[float, Field(gt=0, le=1024)] = 16.0
    """Megabytes that a request may have; larger ones are refused (413)."""
    max_megapixels: Annotated[float, Field(gt=0, le=10_000)] = 64.0
    """Most million pixels of a picture; larger ones are refused before they are decoded (422)."""
    max_files: Annotated[int, Field(ge=1)] = 16
    """Pictures that a request may have; more are refused (422)."""
    allow_host: tuple[str, ...] = ()
    """Names that the server goes by (the Host header); requests for others are refused (400). Default: any."""
    examples: str = "auto"
    """Folder with pictures that the page offers to try; none; auto: the run's test set, for this machine only."""

    def checked(self) -> ServeConfig:
        """Return itself; raises `SettingsError` where a request could never be let in."""
        if self.max_files > self.queue:
            raise SettingsError(f"--queue {self.queue}: has no room for a request of --max-files {self.max_files}.")
        return self
