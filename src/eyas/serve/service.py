"""The way of a request's pictures through the house: read, decoded, answered in a batch, told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

import torch
from fastapi import Request

from eyas.config.serve import ServeConfig
from eyas.model.classifier import Classifier
from eyas.serve.batching import Batcher, Job
from eyas.serve.examples import Example
from eyas.serve.limits import Gate, Guest
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
            self.classifier.logits_of_fitted(grey.expand(count, -1, -1, -1))

    def close(self) -> None:
        """Answer what waits, then let all threads end."""
        self.gate.stopping = True
        self.batcher.close(self.config.timeout)
        self.decoder.close()

    async def answer(self, request: Request, *, top: int, mapped: bool) -> str:
        """Return the answers to a request as JSON (`schema.Answers`).

        Raises `RefusalError`; `GoneError` where the client went away, whose pictures are then not computed.
        """
        with self.gate.entered() as guest:
            try:
                async with asyncio.timeout(self.config.timeout):
                    uploads = await read_uploads(request, guest, self.config)
                    return await _while_there(request, self._answers(uploads, top=top, mapped=mapped))
            except TimeoutError:
                raise _too_late(guest, self.config.timeout) from None

    async def _answers(self, uploads: Sequence[Upload], *, top: int, mapped: bool) -> str:
        answers = await _all(self._one(upload, top=top, mapped=mapped) for upload in uploads)
        self.metrics.pictures.inc(len(answers))
        # not by pydantic, for which a name that is no UTF-8 is an error; floats are written to their last digit
        return json.dumps({"model": self.classifier.model, "answers": answers})

    async def _one(self, upload: Upload, *, top: int, mapped: bool) -> dict[str, Any]:
        self.coming += 1
        try:
            fitted = await self.decoder.fitted(upload, shown=mapped)
        finally:
            self.coming -= 1
        result = await asyncio.wrap_future(self.batcher.submit(Job(fitted.image, mapped)))
        heat, shown = result.heat, fitted.shown
        address = None
        if heat is not None and shown is not None:
            address = await self.decoder.run(lambda: map_address(shown, heat))
        best = result.prediction
        return {
            "name": upload.name,
            "label": best.label,
            "probability": best.probability,
            "top": [{"label": label, "probability": share} for label, share in best.top(top)],
            "heatmap": address,
        }


async def _all(work: Any) -> list[Any]:
    """Return the results of several coroutines; where one fails, or all are given up, none goes on."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        await _given_up(*tasks)


async def _while_there(request: Request, work: Awaitable[T]) -> T:
    """Return the result of `work`, which is given up where the client goes away: raises `GoneError`."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_departure(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise GoneError
        return task.result()
    finally:
        await _given_up(task, gone)


async def _departure(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _given_up(*tasks: asyncio.Future[Any]) -> None:
    """Cancel what still runs and see it end, so that no error of it is left unheard."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _too_late(guest: Guest, seconds: float) -> RefusalError:
    if guest.arrived:
        return RefusalError(503, "too_late", f"There was no answer within {seconds:g} seconds; try again in a moment.")
    return RefusalError(408, "too_slow", f"The request did not arrive within {seconds:g} seconds.")
