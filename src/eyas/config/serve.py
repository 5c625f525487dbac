"""Settings of the server: address and limits."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from eyas.config.section import Section
from eyas.errors import SettingsError


class ServeConfig(Section):
    """Serve a model over HTTP: an API and a web page."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 accepts connections from other machines."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port to listen on; 0: any free port."""
    device: str = "auto"
    """cpu, cuda, mps or auto."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """Maximum number of images in a batch."""
    max_wait: Annotated[float, Field(ge=0, le=1000)] = 5.0
    """Milliseconds that a batch may wait for images still being decoded; if there are none, it does not wait."""
    queue: Annotated[int, Field(ge=1)] = 256
    """Maximum number of requests, and of images, in progress at once; beyond it, requests are rejected (503)."""
    timeout: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """Maximum duration of a request in seconds, including its upload."""
    max_mb: Annotated[float, Field(gt=0, le=1024)] = 16.0
    """Maximum size of a request in megabytes; larger ones are rejected (413)."""
    max_megapixels: Annotated[float, Field(gt=0, le=10_000)] = 64.0
    """Maximum size of an image in megapixels; larger ones are rejected before they are decoded (422)."""
    max_files: Annotated[int, Field(ge=1)] = 16
    """Maximum number of images in a request; requests with more are rejected (422)."""
    allow_host: tuple[str, ...] = ()
    """Accepted Host headers; requests with others are rejected (400). Default: any."""
    examples: str = "auto"
    """Folder of example images for the page, or none. auto: the run's test set, if --host is this machine only."""

    def checked(self) -> ServeConfig:
        """Return itself; raises `SettingsError` if the queue is too small for a full request."""
        if self.max_files > self.queue:
            raise SettingsError(f"--queue {self.queue}: has no room for a request of --max-files {self.max_files}.")
        return self
