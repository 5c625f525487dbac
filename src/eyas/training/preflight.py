"""Runs one batch through the whole path before the first step, so that errors come at once."""

from __future__ import annotations

import copy
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from eyas.device.choice import first_line, is_out_of_memory
from eyas.device.runtime import Runtime
from eyas.errors import CheckpointError, FileError, SettingsError
from eyas.files.atomic import TEMPORARY
from eyas.files.tensors import read_tensors, write_tensors
from eyas.model.classifier import Classifier
from eyas.model.failures import explain_failure
from eyas.model.shapes import check_logits, check_size, shape_table, values_normalised
from eyas.training.events import Pictured
from eyas.training.state import TrainState

if TYPE_CHECKING:
    from eyas.training.plan import Plan

PICTURES = 32
SHOWN_SIZE = 128  # pixels of the images that are shown with their answers: as large as a chart draws them
LARGE = 32 * 2**20  # bytes of a model that is not written whole to try it: that would take longer than a step
FEW_VALUES = 8  # of a channel: with fewer, a step of batch normalisation can change the weights beyond measure
_IMAGES = 2  # the least that batch normalisation takes; the time of a whole batch would be lost on a CPU


@dataclass(frozen=True, slots=True)
class Preflight:
    """What became of the batch: rows (stage, shape, note), and the first images as the network will see them."""

    shapes: tuple[tuple[str, str, str], ...]
    pictures: np.ndarray  # uint8 [n, H, W, 3]
    labels: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def preflight(state: TrainState, network: Any, plan: Plan, runtime: Runtime) -> Preflight:
    """Take the model through load, forward, loss, backward, save and reload. Changes nothing.

    `network` is the model as it will be called, perhaps compiled: then it is compiled here. Raises `SettingsError`
    with an explanation where a size, a count of channels or classes does not fit.
    """
    name, classes = plan.config.model.model, len(plan.classes)
    if plan.shortest_batch < runtime.world:
        raise SettingsError(
            f"An epoch's last batch has {plan.shortest_batch} image(s) for {runtime.world} processes. "
            "Start fewer processes, or use another --batch-size or --drop-last."
        )
    for size in sorted({*plan.pipeline.sizes}):
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
    images = runtime.put(plan.pipeline.varied(raw, samples, epoch))
    rows.append(("augmented", _shape(images[:_IMAGES]), "as the network's input, still grey levels"))
    inputs = plan.preprocess.normalize(images[:_IMAGES], runtime.memory_format)
    if plan.smallest_part(runtime.world) == 1:
        inputs = inputs[:1]  # batch normalisation refuses one value: better now than at the epoch's end
    rows.append(("network input", _shape(inputs), f"{inputs.min().item():.2f} to {inputs.max().item():.2f}"))
    rows += shape_table(state.model, inputs)
    labels = runtime.put(plan.train.labels(samples[: len(inputs)]))
    with _left_as_it_was(state.model):
        with values_normalised(state.model) as values:
            rows.append(_loss_row(state.model, inputs, labels, plan, runtime))
        if runtime.config.compile == "on":
            rows.append(_compiled_row(network, state, plan, runtime, size=images.shape[-1]))
    if runtime.is_main and state.step == 0:
        rows.append(_file_row(state.model, plan, images[:1]))
    words = tuple(plan.classes[label] for label in plan.train.labels(samples).tolist())
    warnings = _warnings(values, len(inputs), plan, runtime)
    return Preflight(tuple(rows), images.permute(0, 2, 3, 1).cpu().numpy(), words, warnings)


def _warnings(values: dict[str, int], images: int, plan: Plan, runtime: Runtime) -> tuple[str, ...]:
    """Return what is said where batch normalisation sees very few values; `values` are those of so many `images`."""
    layer, fewest = min(values.items(), key=lambda item: item[1], default=("", FEW_VALUES * images))
    enough = -(-FEW_VALUES * images // fewest)  # images
    full, last = plan.order.size(0), plan.shortest_batch
    parts = {size: plan.part(size, runtime.world) for size in (full, last)}
    size = min(parts, key=lambda size: parts[size])
    if parts[size] >= enough:
        return ()
    which = "the last batch of an epoch" if size < full else "a batch"
    seen = "" if parts[size] == size else f", of which the network sees {parts[size]} at once"
    remedies = ["--drop-last leaves it out"] if size < full and parts[full] >= enough else []
    remedies += ["another --batch-size"]
    remedies += ["a smaller --accumulate"] if plan.config.training.accumulate > 1 else []
    found = f"{which} has {size} image(s){seen}: {layer} (batch normalisation) takes its variance from"
    means = f"{parts[size] * fewest // images} values per channel, and a step with so few can ruin the weights."
    return (f"{found} {means} What helps: {', '.join(remedies)}, or a larger --size.",)


def pictured(plan: Plan) -> tuple[Pictured, ...]:
    """Return some images of each split that is evaluated, evenly spread over it: a set is often sorted by class."""
    found = []
    for split, prepared in plan.evaluations.items():
        samples = np.unique(np.linspace(0, len(prepared) - 1, PICTURES).round().astype(np.int64))
        resized = prepared.resized(prepared.read(samples), min(prepared.preprocess.size, SHOWN_SIZE))
        found.append(Pictured(split, samples, resized.permute(0, 2, 3, 1).cpu().numpy()))
    return tuple(found)


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


def _compiled_row(network: Any, state: TrainState, plan: Plan, runtime: Runtime, *, size: int) -> tuple[str, str, str]:
    """Run the compiled network on a part of a batch as the steps will have it: it is compiled for that once."""
    count = max(1, plan.order.size(0) // runtime.world // state.parts(plan))
    images = plan.preprocess.normalize(torch.zeros(count, 3, size, size, dtype=torch.uint8), runtime.memory_format)
    runtime.begin_step(plan.seed, 0)
    try:
        with runtime.autocast():
            logits = network(runtime.put(images))
        logits.float().sum().backward()
    except Exception as error:  # of a compiler, any kind
        if is_out_of_memory(error):
            raise
        said = first_line(error)
        compiler = "PyTorch needs a C compiler for it (Debian, Ubuntu: apt-get install gcc g++). "
        raise SettingsError(
            f"--compile on: {plan.config.model.model} cannot be compiled here: {said}. "
            f"{compiler if 'compiler' in said.lower() else ''}Train without: --compile off "
            '(to go on with a run: compile = "off" in its config.toml).'
        ) from error
    if runtime.world > 1:
        runtime.forget_compiled()  # joined with others it is compiled in pieces, so that gradients travel meanwhile
    return "compiled", _shape(images), "as the steps will call it"


@contextmanager
def _left_as_it_was(model: nn.Module) -> Iterator[None]:
    """Put back what a forward and a backward pass inside change: running statistics, gradients, the mode."""
    mode, before = model.training, [buffer.clone() for buffer in model.buffers()]
    try:
        yield
    finally:
        model.train(mode).zero_grad(set_to_none=True)
        for buffer, value in zip(model.buffers(), before, strict=True):
            buffer.copy_(value)


def _file_row(model: nn.Module, plan: Plan, images: Tensor) -> tuple[str, str, str]:
    """Save the model, load it again, and compare the answers; of a large one the smaller tensors are enough."""
    path = plan.directory / f"{TEMPORARY}preflight.safetensors"
    size = sum(tensor.nbytes for tensor in model.state_dict().values())
    free = shutil.disk_usage(plan.directory).free
    if free < 4 * size:  # a model, and an exact state twice
        raise FileError(
            f"{plan.directory}: the disk has {free / 1e6:,.0f} MB left; a model of {size / 1e6:,.0f} MB and its states "
            f"need {4 * size / 1e6:,.0f}. Make room, or train into a folder elsewhere (eyas train --out)."
        )
    try:
        if size > LARGE:
            tensors = {name: one.cpu() for name, one in model.state_dict().items() if one.nbytes <= LARGE // 64}
            write_tensors(path, "model", tensors, {})
            again, _ = read_tensors(path, "model")
            same = again.keys() == tensors.keys() and all(torch.equal(again[name], tensors[name]) for name in tensors)
        else:  # compared as the file is loaded: on another device or in another memory format the last bits differ
            plain = copy.deepcopy(model).cpu().to(memory_format=torch.contiguous_format)
            classifier = Classifier(plain, plan.config.model.model, plan.classes, plan.preprocess, {})
            classifier.save(path)
            pixels = images.cpu()
            same = torch.equal(Classifier.load(path).logits(pixels), classifier.logits(pixels))
    finally:
        path.unlink(missing_ok=True)
    if not same:
        raise CheckpointError(f"{plan.config.model.model}: saved and loaded again it is another.")
    if size > LARGE:
        note = f"the smaller tensors come back; {free / 1e9:,.0f} GB are free"
        return "saved and loaded", f"{size / 1e6:,.1f} MB", note
    return "saved and loaded", f"{size / 1e6:,.1f} MB", "gives the same answer"


def _shape(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {'x'.join(map(str, tensor.shape))}"
