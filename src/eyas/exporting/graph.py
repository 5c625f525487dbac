"""Preprocessing, network and softmax as one module; its graph as `torch.export` sees it, and as a `.pt2` file."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from eyas.data.images.preprocess import Preprocess
from eyas.errors import ExportError
from eyas.exporting.resizing import Resize
from eyas.model.classifier import Classifier

NETWORK = "network"  # the part of the graph that was trained; all else is exact arithmetic
INPUT, OUTPUT = "images", "probabilities"
Answers = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # uint8 [N, 3, H, W] -> probabilities [N, C]
FAILURES = (RuntimeError, ValueError, TypeError, AttributeError, AssertionError, NotImplementedError, KeyError)
EXAMPLE = (60, 80)  # height and width while the graph is drawn: neither may be a size that means something


class WholeClassifier(nn.Module):
    """uint8 `[N, 3, H, W]` -> probabilities float32 `[N, C]`: what `Classifier` says of the same pixels."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, preprocess: Preprocess, temperature: float) -> None:
        super().__init__()
        self.resize = Resize(preprocess)
        self.network = network
        self.preprocess = preprocess
        self.temperature = temperature
        self.register_buffer("mean", torch.tensor(preprocess.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preprocess.std).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the probabilities."""
        normal = (self.resize(images) / 255 - self.mean) / self.std
        logits = self.preprocess.over_views(self.network, normal)
        return (logits / self.temperature).softmax(1)


def whole(classifier: Classifier) -> WholeClassifier:
    """Return a classifier as one module on the CPU, in evaluation mode; the classifier itself stays as it is."""
    network = copy.deepcopy(classifier.network).cpu().float().eval().requires_grad_(False)
    return WholeClassifier(
        network.to(memory_format=torch.contiguous_format), classifier.preprocess, classifier.temperature
    ).eval()


def traced(module: WholeClassifier, model: str, batch: int | str) -> ExportedProgram:
    """Return the graph, for images of any height and width and for any or for a fixed number of them.

    Raises `ExportError` where the network decides by its numbers what it does: a graph cannot.
    """
    sides = {2: Dim("height"), 3: Dim("width")}
    shapes = sides if batch != "dynamic" else {0: Dim("batch"), **sides}
    count = 2 if batch == "dynamic" else int(batch)  # 1 would be taken for a constant
    example = torch.zeros((count, 3, *EXAMPLE), dtype=torch.uint8)
    try:
        with quiet():
            program = torch.export.export(module, (example,), dynamic_shapes={INPUT: shapes})
    except FAILURES as error:
        raise ExportError(f"{model} cannot be exported: torch.export says: {first_line(error)}") from error
    return program


def to_pt2(program: ExportedProgram, texts: dict[str, str]) -> bytes:
    """Return the bytes of a `.pt2` file with the texts as extra files; the same bytes for the same model."""
    for module in program.graph_module.modules():
        for node in getattr(getattr(module, "graph", None), "nodes", ()):
            node.meta.pop("stack_trace", None)  # names files of this machine
    buffer = io.BytesIO()
    with quiet():
        torch.export.save(program, buffer, extra_files={f"{key}.json": text for key, text in texts.items()})
    return buffer.getvalue()


def open_pt2(path: Path) -> Answers:
    """Return the function that a `.pt2` file holds."""
    with quiet():
        module = torch.export.load(str(path)).module()

    @torch.inference_mode()
    def answers(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = module(torch.from_numpy(images)).numpy()
        return found

    return answers


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries from saying what only their own authors need."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir", "root")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def first_line(error: BaseException) -> str:
    """Return an error's name and the first line of what it says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
