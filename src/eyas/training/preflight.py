"""One batch through the whole path before the first step: what would fail in an hour fails now, in words."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from eyas.errors import CheckpointError, SettingsError
from eyas.files import TEMPORARY
from eyas.model.classifier import Classifier
from eyas.model.shapes import check_logits, check_size, explain_failure, shape_table
from eyas.training.runtime import Runtime
from eyas.training.state import TrainState

if TYPE_CHECKING:
    from eyas.plan import Plan

PICTURES = 32
_IMAGES = 2  # the least that batch normalisation takes; the time of a whole batch would be lost on a CPU


@dataclass(frozen=True, slots=True)
class Preflight:
    """What became of the batch: rows (stage, shape, note), and the first images as the network will see them."""

    shapes: tuple[tuple[str, str, str], ...]
    pictures: np.ndarray  # uint8 [n, H, W, 3]
    labels: tuple[str, ...]


def preflight(state: TrainState, plan: Plan, runtime: Runtime) -> Preflight:
    """Take a copy of the model through load, forward, loss, backward, save and reload. Changes nothing.

    Raises `SettingsError` with an explanation where a size, a count of channels or classes does not fit.
    """
    name, classes = plan.config.model.model, len(plan.classes)
    if plan.shortest_batch < runtime.world:
        raise SettingsError(
            f"An epoch's last batch has {plan.shortest_batch} image(s) for {runtime.world} processes. "
            "Use another --batch-size, or --drop-last."
        )
    for size in sorted({plan.size(epoch) for epoch in range(plan.config.training.epochs)} | {plan.preprocess.size}):
        try:
            check_size(name, classes, size)
        except SettingsError as error:
            if size == plan.preprocess.size:
                raise
            start = f"--progressive-size {plan.config.training.progressive_size:g} begins with {size} pixels"
            raise SettingsError(f"{start}, and {name} cannot: {error} Or begin larger.") from error
    rows: list[tuple[str, str, str]] = []
    samples = plan.order.batch(state.step % plan.order.steps_per_epoch)[:PICTURES]
    raw = plan.train.read(samples)
    rows.append(("images read", _shape(raw[:_IMAGES]), plan.train.images.place(int(samples[0]))))
    epoch = plan.order.epoch(state.step)
    images = runtime.put(plan.varied(raw, samples, epoch))
    rows.append(("augmented", _shape(images[:_IMAGES]), "as the network's input, still grey levels"))
    inputs = plan.preprocess.normalize(images[:_IMAGES], runtime.order)
    if plan.smallest_part(runtime.world) == 1:
        inputs = inputs[:1]  # batch normalisation refuses one value: better now than at the epoch's end
    rows.append(("network input", _shape(inputs), f"{inputs.min().item():.2f} to {inputs.max().item():.2f}"))
    model = copy.deepcopy(state.model)
    rows += shape_table(model, inputs)
    labels = runtime.put(plan.train.labels(samples[: len(inputs)]))
    rows.append(_loss_row(model, inputs, labels, plan, runtime))
    if runtime.is_main and state.step == 0:
        rows.append(_file_row(model, plan, images[:1]))
    words = tuple(plan.classes[label] for label in plan.train.labels(samples).tolist())
    return Preflight(tuple(rows), images.permute(0, 2, 3, 1).cpu().numpy(), words)


def _loss_row(model: nn.Module, inputs: Tensor, labels: Tensor, plan: Plan, runtime: Runtime) -> tuple[str, str, str]:
    """Run a training step's arithmetic once."""
    name, classes = plan.config.model.model, len(plan.classes)
    runtime.seed(plan.seed, 0)
    try:
        with runtime.autocast():
            logits = model.train()(inputs)
            check_logits(logits, name, batch_size=len(inputs), num_classes=classes)
            loss = plan.loss(logits, labels) / len(inputs)
        loss.backward()  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError, AssertionError) as error:
        raise explain_failure(error, name, tuple(inputs.shape), classes) from error
    weights = sum(parameter.numel() for parameter in model.parameters() if parameter.grad is not None)
    return "loss, gradients", f"{weights:,} weights", f"loss {loss.item():.3f}; a guess has {math.log(classes):.3f}"


def _file_row(model: nn.Module, plan: Plan, images: Tensor) -> tuple[str, str, str]:
    """Save the model, load it again, and compare the answers."""
    path = plan.directory / f"{TEMPORARY}preflight.safetensors"
    # as the file is loaded: on another device or in another memory order the last bits differ
    model = model.cpu().to(memory_format=torch.contiguous_format)
    classifier = Classifier(model, plan.config.model.model, plan.classes, plan.preprocess, {})
    try:
        classifier.save(path)
        again = Classifier.load(path)
        size = path.stat().st_size
    finally:
        path.unlink(missing_ok=True)
    fitted = images.cpu()
    if not torch.equal(again.logits(fitted), classifier.logits(fitted)):
        raise CheckpointError(f"{plan.config.model.model}: saved and loaded again it gives another answer.")
    return "saved and loaded", f"{size / 1e6:,.1f} MB", "gives the same answer"


def _shape(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {'x'.join(map(str, tensor.shape))}"
