"""Decodes uploaded images in threads and bounded memory; encodes heat maps as PNG."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import re
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as v2

from eyas.data.images.decode import USUAL, Decoding, decode, header_pixels, is_of_known_kind, to_tensor
from eyas.data.images.preprocess import Preprocess
from eyas.errors import DataError
from eyas.render.overlay import overlay
from eyas.serve.refusal import RefusalError
from eyas.terminal.clean import clean

T = TypeVar("T")
LARGE = 12_000_000  # pixels: of larger pictures one at a time is decoded: each takes up to 16 bytes a pixel
MAP_SIDE = 384  # pixels of a map's longer side
_ADDRESS = re.compile(r"<[^<>]* object at 0x[0-9a-fA-F]+>")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a client sent: its bytes, and what it calls it."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Resized:
    """A picture as `Preprocess.resized` gives it, uint8 [3, S, S]; `shown` uint8 [3, h, w]: the same part to show."""

    image: Tensor
    shown: Tensor | None


class Decoder:
    """Threads that decode, as many as there are cores, and one for large pictures."""

    def __init__(self, preprocess: Preprocess, max_pixels: int = USUAL.max_pixels) -> None:
        self.preprocess = preprocess
        self.decoding = Decoding(preprocess.grey_range, max_pixels)
        self.small = Threads("eyas-decoding", min(8, os.cpu_count() or 1))
        self.large = Threads("eyas-decoding-large", 1)

    async def prepared(self, upload: Upload, *, shown: bool) -> Resized:
        """Return a picture that the network can take. Raises `RefusalError` 415 or 422, saying which file and why."""

        def small() -> Resized | None:
            return None if header_pixels(upload.data) > LARGE else self.resized(upload, shown)

        resized = await self.small.run(small)
        return await self.large.run(lambda: self.resized(upload, shown)) if resized is None else resized

    def resized(self, upload: Upload, shown: bool) -> Resized:
        """Return a file's picture prepared as `eyas predict` does it; raises `RefusalError` 415 or 422."""
        try:
            pixels = to_tensor(decode(upload.data, upload.name, self.decoding))
            return Resized(self.preprocess.resized(pixels), view(pixels, self.preprocess) if shown else None)
        except DataError as error:
            message = clean(_ADDRESS.sub("the file", str(error)))
            if upload.data and not is_of_known_kind(upload.data):
                raise RefusalError(415, "unknown_kind", message) from None
            raise RefusalError(422, "unreadable", message) from None

    def close(self) -> None:
        """Let the threads end."""
        self.small.dismiss()
        self.large.dismiss()


class Threads:
    """A few daemon threads: unlike those of an executor, one that hangs does not keep the process from ending."""

    def __init__(self, name: str, count: int) -> None:
        self.asked: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        self.count = count
        for number in range(count):
            Thread(target=self.work, name=f"{name}-{number}", daemon=True).start()

    async def run(self, work: Callable[[], T]) -> T:
        """Return the result of `work`, computed in one of the threads."""
        future: Future[T] = Future()
        self.asked.put((work, future))
        return await asyncio.wrap_future(future)

    def dismiss(self) -> None:
        """Let each thread end when it has done what was asked before."""
        for _ in range(self.count):
            self.asked.put(None)

    def work(self) -> None:
        """Compute what is asked, one after the other."""
        while (asked := self.asked.get()) is not None:
            work, future = asked
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:
                    future.set_exception(error)
            del asked, work, future  # while this thread waits, what was read must not stay in memory


def view(pixels: Tensor, preprocess: Preprocess) -> Tensor:
    """Return the part of a picture uint8 [3, H, W] that the network sees, in its own shape, for people to look at."""
    height, width = pixels.shape[-2:]
    if preprocess.resize == "stretch":
        scale = min(1.0, MAP_SIDE / max(height, width))
        size = [max(1, round(height * scale)), max(1, round(width * scale))]
        return torch.as_tensor(v2.resize(pixels, size, antialias=True))
    return replace(preprocess, size=max(preprocess.size, MAP_SIDE), interpolation="bilinear").resized(pixels)


def map_address(shown: Tensor, heat: Tensor) -> str:
    """Return a heat map float32 [h, w] laid over a picture uint8 [3, H, W], as the data URL of a PNG."""
    file = io.BytesIO()
    overlay(shown, heat).save(file, "PNG", compress_level=3)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
