"""Classifier: a trained model with its class names, preprocessing and training facts, stored in one file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from eyas.data.images.decode import Decoding, read_image, to_tensor
from eyas.data.images.preprocess import Preprocess
from eyas.data.images.rgb import Range, upright
from eyas.device.choice import Room, choose_device
from eyas.errors import CheckpointError, DataError, SettingsError, suggest
from eyas.evaluation.measures import ACCURACY, ONCE, measured
from eyas.files.atomic import model_file
from eyas.files.tensors import read_tensors, write_tensors
from eyas.model.heatmap import heatmap
from eyas.model.weights import put_back
from eyas.model.zoo import build, outline

Picture = str | Path | Image.Image | Tensor | np.ndarray


@dataclass(frozen=True, slots=True)
class Prediction:
    """The prediction of a classifier for one image."""

    label: str  # the class of the largest probability
    probability: float
    probabilities: dict[str, float]  # of every class, largest first

    def top(self, count: int) -> list[tuple[str, float]]:
        """Return the `count` most likely classes with their probabilities, largest first."""
        return list(self.probabilities.items())[:count]

    def _repr_html_(self) -> str:
        """Show the likeliest classes as bars in a notebook."""
        from eyas.terminal.cards import prediction_card

        return prediction_card(list(self.probabilities.items()))


@dataclass(frozen=True, slots=True, repr=False)
class Classifier:
    """A trained network with its class names and preprocessing. `facts` says how it was trained (epoch, scores)."""

    network: nn.Module
    model: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    facts: dict[str, Any] = field(default_factory=dict)
    temperature: float = 1.0  # logits are divided by it before the softmax; `eyas calibrate` finds it
    room: Room = field(default_factory=Room, init=False, compare=False)  # where a GPU's memory runs out: halves

    @staticmethod
    def load(path: str | Path, device: str = "cpu") -> Classifier:
        """Load a model file, or the best model of a run folder, onto `device`, in evaluation mode.

        Raises `CheckpointError` if the file is damaged or not an eyas model, `DataError` if it does not exist.
        """
        file = model_file(Path(path))
        tensors, header = read_tensors(file, "model")
        classes, facts = header.get("classes"), header.get("facts")
        named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
        known = isinstance(header.get("model"), str) and isinstance(facts, dict) and "preprocess" in header
        if not (named and classes and known):
            raise CheckpointError(f"{file}: its header does not say what a model of eyas is: name, classes and facts.")
        if len(set(classes)) < len(classes):
            raise CheckpointError(f"{file}: names a class twice.")
        temperature = header.get("temperature", 1.0)  # files of the first version have none
        if not (isinstance(temperature, float) and 0 < temperature < math.inf):
            raise CheckpointError(f"{file}: its temperature, {temperature!r}, is no number above zero.")
        try:
            preprocess = Preprocess.from_dict(header["preprocess"])
        except CheckpointError as error:
            raise CheckpointError(f"{file}: {error}") from None
        try:
            network = filled(header["model"], len(classes), tensors)
        except (SettingsError, RuntimeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[-1].strip()
            raise CheckpointError(
                f"{file}: its weights do not fit {header['model']} as the installed library builds it ({reason})"
            ) from error
        network.to(choose_device(device)).eval()
        return Classifier(network, header["model"], tuple(classes), preprocess, header["facts"], temperature)

    def save(self, path: str | Path) -> None:
        """Save to a file that `load` can read; written atomically."""
        header = model_header(self.model, self.classes, self.preprocess, self.facts) | {"temperature": self.temperature}
        write_tensors(Path(path), "model", dict(self.network.state_dict()), header)

    def __repr__(self) -> str:
        """Return a one-line summary; the network itself would fill pages."""
        return f"Classifier({self.model}, {len(self.classes)} classes, {self.preprocess.in_words()})"

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.network.parameters()).device

    def logits(self, images: Tensor) -> Tensor:
        """Return logits, float32 `[B, C]` on the classifier's device, for uint8 images `[B, 3, H, W]` of any size."""
        return self.logits_of_resized(self.preprocess.resized(images.to(self.device)))

    @torch.inference_mode()
    def logits_of_resized(self, images: Tensor) -> Tensor:
        """Return logits, float32 `[B, C]`, for images already resized by `preprocess.resized`."""
        self.network.eval()
        return self.room.answered(lambda some: self.preprocess.answer(self.network, some.to(self.device)), images)

    @overload
    def predict(self, images: Picture) -> Prediction: ...  # type: ignore[overload-overlap]  # a str is a Sequence too
    @overload
    def predict(self, images: Sequence[Picture]) -> list[Prediction]: ...
    def predict(self, images: Picture | Sequence[Picture]) -> Prediction | list[Prediction]:
        """Classify an image, or a list of images, and return the prediction or a list of them.

        An image is a path, a PIL image, a uint8 tensor `[3, H, W]`, or a uint8 array `[H, W, 3]` or `[H, W]`. Raises
        `DataError` naming the file if an image cannot be decoded.
        """
        if isinstance(images, str | Path | Image.Image) or (
            isinstance(images, Tensor | np.ndarray) and images.ndim < 4
        ):
            return self.predict([images])[0]
        # each image is resized before they meet in a batch: they come in all sizes
        pixels = [self.preprocess.resized(_pixels(image, self.preprocess.grey_range)) for image in images]
        parts = (torch.stack(pixels[start : start + 64]) for start in range(0, len(pixels), 64))
        return [prediction for part in parts for prediction in self.predictions(self.logits_of_resized(part))]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the softmax of logits `[B, C]` at the classifier's temperature, float64 `[B, C]` on the CPU."""
        return (logits.cpu().double() / self.temperature).softmax(1)

    def predictions(self, logits: Tensor) -> list[Prediction]:
        """Return the predictions for logits `[B, C]`."""
        ordered, positions = self.probabilities(logits).sort(dim=1, descending=True, stable=True)
        return [
            Prediction(self.classes[order[0]], row[0], {self.classes[i]: p for i, p in zip(order, row, strict=True)})
            for row, order in zip(ordered.tolist(), positions.tolist(), strict=True)
        ]

    def heatmap(self, image: Picture, label: str | None = None) -> Tensor | None:
        """Return the Grad-CAM heatmap for `label` (default: the predicted class), float32 [h, w] from 0 to 1.

        None where Grad-CAM does not apply to the network. The map covers the resized image, without test-time views.
        """
        resized = self.preprocess.resized(_pixels(image, self.preprocess.grey_range))[None].to(self.device)
        if label is not None and label not in self.classes:
            raise SettingsError(f"{label}: the model has no such class.{suggest(label, self.classes)}")
        target = int(self.logits_of_resized(resized).argmax()) if label is None else self.classes.index(label)
        return heatmap(self.network, self.preprocess.normalize(resized), target)

    def _repr_html_(self) -> str:
        """Show the network, classes, preprocessing and scores in a notebook."""
        from eyas.terminal.cards import classifier_card

        weights = sum(parameter.numel() for parameter in self.network.parameters())
        about = [("weights", f"{weights:,} on {self.device}"), ("images", self.preprocess.in_words())]
        if self.temperature != 1:
            about.append(("temperature", f"{self.temperature:.3f}"))
        if "epoch" in self.facts:
            how = f", {split} chose it" if (split := self.facts.get("selects_on")) else ""
            about.append(("trained", f"epoch {self.facts['epoch']}{how}"))
        for split, found in self.facts.get("scores", {}).items():
            of = f" of {found['count']:,} images ({found['source']})"
            said = (f"{one.label} {one.said(found)}{of if one is ACCURACY else ''}" for one in measured(found, ONCE))
            about.append((f"{split} set", "; ".join(said)))
        return classifier_card(self.model, self.classes, about)


def filled(model: str, classes: int, tensors: dict[str, Tensor]) -> nn.Module:
    """Return the network `model` with these weights; raises `RuntimeError` where they do not fit.

    Their shapes are compared first: a small file must not build a network of gigabytes.
    """
    wanted = {name: tensor.shape for name, tensor in outline(model, classes).state_dict().items()}
    given = {name: tensor.shape for name, tensor in tensors.items()}
    for name in sorted(wanted.keys() | given.keys()):
        one, other = (list(shapes[name]) if name in shapes else "nothing" for shapes in (given, wanted))
        if one != other:
            raise RuntimeError(f"{name}: {one} for {other}")
    network = build(model, classes)
    put_back(network, tensors)
    return network


def model_header(model: str, classes: Sequence[str], preprocess: Preprocess, facts: dict[str, Any]) -> dict[str, Any]:
    """Return what a model file says beside its weights."""
    about = {"model": model, "classes": list(classes), "preprocess": preprocess.to_dict()}
    return {**about, "facts": facts, "temperature": 1.0}


def _pixels(image: Picture, grey_range: Range | None = None) -> Tensor:
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
            given = f"{image.dtype} [{'x'.join(map(str, image.shape))}]"
            raise DataError(f"An image array must be uint8 [H, W, 3] (RGB) or [H, W]; this one is {given}.")
        image = Image.fromarray(image)
    if isinstance(image, Tensor):
        if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] != 3:
            given = f"{image.dtype} [{'x'.join(map(str, image.shape))}]"
            raise DataError(f"An image tensor must be uint8 [3, H, W] (RGB, 0 to 255); this one is {given}.")
        return image
    if not isinstance(image, Image.Image):
        return read_image(Path(image), Decoding(grey_range))
    try:
        return to_tensor(upright(image, grey_range))  # in RGB, as a file becomes
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"The image cannot be used: {error}") from None
