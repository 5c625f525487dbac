"""Handles a request's images: read, decode, predict in a batch, answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import torch
from fastapi import Request

from eyas.config.serve import ServeConfig
from eyas.model.classifier import Classifier
from eyas.serve.batching import Batcher, Job
from eyas.serve.examples import Example
from eyas.serve.limits import Gate
from eyas.serve.metrics import Metrics
from eyas.serve.pictures import Decoder, Upload, map_address
from eyas.serve.refusal import RefusalError
from eyas.serve.uploads import read_uploads

T = TypeVar("T")


class GoneError(Exception):
    """The client went away before its answer was there."""


class Service:
    """A classifier with all that stands between it and its clients."""

    def __init__(self, classifier: Classifier, config: ServeConfig) -> None:
        self.classifier, self.config = classifier, config
        self.gate = Gate(config)
        self.decoder = Decoder(classifier.preprocess, round(config.max_megapixels * 1e6))
        self.coming = 0  # pictures that are being decoded
        self.examples: Sequence[Example] = ()
        self.metrics = Metrics(lambda: len(self.batcher), lambda: self.gate.pictures)
        self.batcher = Batcher(
            classifier,
            batch_size=config.batch_size,
            max_wait=config.max_wait / 1000,
            coming=lambda: self.coming,
            batched=self.metrics.batches.observe,
        )

    @property
    def ready(self) -> bool:
        """Whether a request would be answered now."""
        return self.batcher.alive and not self.gate.stopping

    def warm_up(self) -> None:
        """Answer for a grey picture, alone and in a full batch: the first answers are slow and take the memory."""
        size = self.classifier.preprocess.size
        grey = torch.full((3, size, size), 128, dtype=torch.uint8)
        for count in {1, self.config.batch_size}:
            self.classifier.logits_of_resized(grey.expand(count, -1, -1, -1))

    def close(self) -> None:
        """Answer what waits, then let all threads end."""
        self.gate.stopping = True
        self.batcher.close(self.config.timeout)
        self.decoder.close()

    async def answer(self, request: Request, *, top: int, mapped: bool) -> str:
        """Return the answers to a request as JSON (`schema.Answers`).

        Raises `RefusalError`; `GoneError` where the client went away, whose pictures are then not computed.
        """
        seconds = self.config.timeout
        with self.gate.entered() as guest:
            try:
                async with asyncio.timeout(seconds):
                    uploads = await read_uploads(request, guest, self.config)
                    work = [self.answer_one(upload, top=top, mapped=mapped) for upload in uploads]
                    answers = await while_connected(request, work)
            except TimeoutError:
                if guest.arrived:
                    message = f"There was no answer within {seconds:g} seconds; try again in a moment."
                    raise RefusalError(503, "too_late", message) from None
                message = f"The request did not arrive within {seconds:g} seconds."
                raise RefusalError(408, "too_slow", message) from None
        self.metrics.pictures.inc(len(answers))
        # not by pydantic, for which a name that is no UTF-8 is an error; floats are written to their last digit
        return json.dumps({"model": self.classifier.model, "answers": answers})

    async def answer_one(self, upload: Upload, *, top: int, mapped: bool) -> dict[str, Any]:
        """Return the answer for one picture, as plain data (`schema.Answer`)."""
        self.coming += 1
        try:
            resized = await self.decoder.prepared(upload, shown=mapped)
        finally:
            self.coming -= 1
        result = await asyncio.wrap_future(self.batcher.submit(Job(resized.image, mapped)))
        heat, shown = result.heat, resized.shown
        address = None
        if heat is not None and shown is not None:
            address = await self.decoder.small.run(lambda: map_address(shown, heat))
        best = result.prediction
        return {
            "name": upload.name,
            "label": best.label,
            "probability": best.probability,
            "top": [{"label": label, "probability": share} for label, share in best.top(top)],
            "heatmap": address,
        }


async def while_connected(request: Request, work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results of all coroutines. Where one fails, or the client goes away (`GoneError`), none goes on."""

    async def departure() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    tasks = [asyncio.ensure_future(one) for one in work]
    every: asyncio.Future[list[T]] = asyncio.gather(*tasks)
    gone: asyncio.Future[Any] = asyncio.ensure_future(departure())
    either: set[asyncio.Future[Any]] = {every, gone}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not every.done():
            raise GoneError
        return every.result()
    finally:
        for task in (*tasks, gone):
            task.cancel()
        await asyncio.gather(*tasks, gone, every, return_exceptions=True)  # so that no error of theirs is left unheard
