"""One evaluation pass: predictions for exactly the samples there are, and the scores."""

from __future__ import annotations

from collections.abc import Callable, Generator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from eyas.config.data import DataConfig
from eyas.data.images.preprocess import Preprocess
from eyas.data.order import Order
from eyas.data.pipeline import loaded
from eyas.data.prepared import Prepared
from eyas.device.choice import sums_type, usual_batch
from eyas.device.runtime import Runtime
from eyas.evaluation.measures import counted
from eyas.evaluation.scores import Scores

KEPT = 1 << 26  # numbers of a pass that are kept: the logits of 50,000 images of 1,000 classes, 200 MB


def evaluate(
    model: nn.Module,
    prepared: Prepared,
    preprocess: Preprocess,
    runtime: Runtime,
    *,
    data: DataConfig,
    batch_size: int | None = None,
    temperature: float = 1.0,
) -> Generator[int, None, Scores]:
    """Yield the number of samples done after every batch; return the scores.

    Batches are formed over the whole set and dealt to the processes in turn, so the same images meet in a batch, and
    the same bits come out, for any number of them. No sample is repeated to fill a batch up. Changes nothing but the
    model's mode. The loss is that of the probabilities at `temperature`; the logits that are kept are the network's.
    """
    order = Order(len(prepared), batch_size or usual_batch(preprocess.size, runtime.device), shuffle=False)
    mine = range(runtime.rank, order.steps_per_epoch, runtime.world)
    classes = len(prepared.images.classes)
    shares = counted(data, classes)
    confusion = torch.zeros(classes * classes, dtype=torch.int64, device=runtime.device)
    hits = torch.zeros(len(shares), dtype=torch.int64, device=runtime.device)
    answers = torch.zeros(len(prepared), dtype=torch.int64, device=runtime.device)
    rows = len(prepared) if len(prepared) * classes <= KEPT else 0
    kept = torch.zeros(rows, classes, device=runtime.device)
    losses = torch.zeros(order.steps_per_epoch, dtype=sums_type(runtime.device), device=runtime.device)
    model.eval()
    wanted = ((order.batch(step), 0) for step in mine)
    # threads read for it: processes would be started anew for every pass
    alone = data.model_copy(update={"workers": 0})
    read = runtime.moved(loaded(prepared, wanted, alone, profile=runtime.profile))
    for step, (samples, pixels) in zip(mine, runtime.profile.each("waiting for data", read), strict=True):
        labels = runtime.put(prepared.labels(samples))
        logits = _logits(model, preprocess, prepared.resized, runtime, pixels)
        answered = logits.argmax(1)
        confusion += torch.bincount(labels * classes + answered, minlength=classes * classes)
        for place, counts in enumerate(shares.values()):
            hits[place] += counts(logits, labels).sum()
        here = slice(samples[0], samples[-1] + 1)  # an evaluation goes through the set in its order
        answers[here] = answered
        if rows:
            kept[here] = logits
        losses[step] = nnf.cross_entropy(logits / temperature, labels, reduction="none").to(losses.dtype).sum()
        yield min(int(samples[-1]) + 1, len(prepared))
    # every process has filled its own places: the sum is taken in one order whatever their number
    total = runtime.total(losses).sum()
    sums = runtime.total(torch.cat((confusion, hits))).cpu().numpy().astype(np.int64)
    scores = Scores(
        prepared.images.classes,
        sums[: classes * classes].reshape(classes, classes),
        float(total),
        prepared.images.skipped,
        predicted=runtime.total(answers).cpu().numpy().astype(np.int32),
        targets=prepared.images.labels.astype(np.int32),
        logits=runtime.total(kept).cpu().numpy() if rows else None,
        hits=dict(zip(shares, sums[classes * classes :].tolist(), strict=True)),
    )
    if scores.count != len(prepared):
        raise AssertionError(f"{scores.count} samples were counted of {len(prepared)}")
    return scores


@torch.inference_mode()
def _logits(
    model: nn.Module, preprocess: Preprocess, resize: Callable[[Tensor], Tensor], runtime: Runtime, pixels: Tensor
) -> Tensor:
    """Return float32 `[B, C]`, in the precision of the run."""

    def answer(some: Tensor) -> Tensor:
        with runtime.autocast():
            images = resize(some)
            with runtime.profile.span("forward"):
                return preprocess.answer(model, images, runtime.memory_format)

    return runtime.room.answered(answer, pixels)
