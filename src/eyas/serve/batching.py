"""Runs the network in one thread, on batches of the images that wait."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import torch
from torch import Tensor

from eyas.model.classifier import Classifier, Prediction
from eyas.model.heatmap import heatmap


@dataclass(frozen=True, slots=True)
class Result:
    """What the network says of one picture; `heat` float32 [h, w] in 0..1 where one was asked for and there is one."""

    prediction: Prediction
    heat: Tensor | None = None


@dataclass(slots=True, eq=False)
class Job:
    """A picture that waits for its answer: `image` uint8 [3, S, S], as `Preprocess.resized` gives it."""

    image: Tensor
    mapped: bool = False
    future: Future[Result] = field(default_factory=Future)


class Batcher:
    """Answers for pictures, several at once where several wait.

    A batch takes what waits, up to `batch_size`. It waits `max_wait` seconds at most, and only while `coming` says that
    pictures are being decoded. A job whose future was cancelled before its turn is not computed.
    `batched` gets the size of every batch.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        batch_size: int,
        max_wait: float,
        coming: Callable[[], int] = lambda: 0,
        batched: Callable[[int], object] = lambda size: None,
    ) -> None:
        self.classifier, self.batch_size, self.max_wait = classifier, batch_size, max_wait
        self.coming, self.batched = coming, batched
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="eyas-network", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """The number of pictures that wait."""
        return len(self._waiting)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive() and not self._closed

    def submit(self, job: Job) -> Future[Result]:
        """Return the future result of a job."""
        with self._changed:
            if self._closed:
                job.future.cancel()
            else:
                self._waiting.append(job)
                self._changed.notify()
        return job.future

    def close(self, seconds: float = 10.0) -> bool:
        """Answer what waits and end; return whether that was done within `seconds`."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        """Answer batch after batch, until the batcher is closed and nothing waits any more."""
        while True:
            jobs: list[Job] = []
            with self._changed:
                while not self._waiting:
                    if self._closed:
                        return
                    self._changed.wait()
                end = time.monotonic() + self.max_wait
                while len(self._waiting) < self.batch_size and self.coming() and (left := end - time.monotonic()) > 0:
                    self._changed.wait(left)
                while self._waiting and len(jobs) < self.batch_size:
                    job = self._waiting.popleft()
                    if job.future.set_running_or_notify_cancel():
                        jobs.append(job)
            if jobs:
                self.batched(len(jobs))
                self._answer(jobs)
            del jobs, job  # while this thread waits, the pictures of the last batch must not stay in memory

    def _answer(self, jobs: Sequence[Job]) -> None:
        """Give every job its result or its error; a map takes long, so jobs that ask for one come last."""
        try:
            logits = self.classifier.logits_of_resized(torch.stack([job.image for job in jobs]))
            predictions = self.classifier.predictions(logits)
            if not all(math.isfinite(prediction.probability) for prediction in predictions):
                raise ArithmeticError("the network gave numbers that are not finite")
        except Exception as error:  # whatever a network raises: the server answers the next request
            if len(jobs) == 1:
                jobs[0].future.set_exception(error)
            else:  # one picture, or the size of the batch, may be what it fails for
                for job in jobs:
                    self._answer([job])
            return
        for job, prediction in sorted(zip(jobs, predictions, strict=True), key=lambda answer: answer[0].mapped):
            heat = None
            try:
                if job.mapped:
                    inputs = self.classifier.preprocess.normalize(job.image[None].to(self.classifier.device))
                    number = self.classifier.classes.index(prediction.label)
                    heat = heatmap(self.classifier.network, inputs, number)
            except Exception as error:
                job.future.set_exception(error)
            else:
                job.future.set_result(Result(prediction, heat))
