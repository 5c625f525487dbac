"""A trained classifier in one file: weights, class names, preprocessing, the network's name, how it was trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import torch
from PIL import Image
from torch import Tensor, nn

from eyas.data.decode import read_image, to_tensor
from eyas.data.preprocess import Preprocess
from eyas.device import choose_device
from eyas.errors import CheckpointError, DataError
from eyas.files import model_file
from eyas.model.zoo import build
from eyas.tensorfile import read_tensors, write_tensors

Picture = str | Path | Image.Image | Tensor


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a classifier says of one image."""

    label: str  # the class of the largest probability
    probability: float
    probabilities: dict[str, float]  # of every class, largest first

    def top(self, count: int) -> list[tuple[str, float]]:
        """Return the `count` most likely classes with their probabilities, largest first."""
        return list(self.probabilities.items())[:count]


@dataclass(frozen=True, slots=True)
class Classifier:
    """A network that knows its classes and its preprocessing. `facts` says how it came about (epoch, accuracy)."""

    network: nn.Module
    model: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    facts: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def load(path: str | Path, device: str = "cpu") -> Classifier:
        """Return the classifier of a model file, or the best one of a run folder, in evaluation mode on `device`.

        Raises `CheckpointError` if the file is damaged or not a model of eyas, `DataError` if there is none.
        """
        file = model_file(Path(path))
        tensors, header = read_tensors(file, "model")
        model, classes, preprocess, facts = _parts(header, file)
        network = build(model, len(classes))
        try:
            network.load_state_dict(tensors)
        except RuntimeError as error:
            raise CheckpointError(
                f"{file}: its weights do not fit {model} as the installed library builds it "
                f"({str(error).splitlines()[-1].strip()})"
            ) from error
        network.to(choose_device(device)).eval()
        return Classifier(network, model, classes, preprocess, facts)

    def save(self, path: str | Path) -> None:
        """Write the one file that `load` reads, atomically."""
        header = model_header(self.model, self.classes, self.preprocess, self.facts)
        write_tensors(Path(path), "model", dict(self.network.state_dict()), header)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    def logits(self, images: Tensor) -> Tensor:
        """Return float32 `[B, C]` on the classifier's device for uint8 `[B, 3, H, W]` of any size."""
        return self.logits_of_fitted(self.preprocess.fit(images.to(self.device)))

    @torch.inference_mode()
    def logits_of_fitted(self, images: Tensor) -> Tensor:
        """Return float32 `[B, C]` for what `preprocess.fit` gave: fitted twice, a crop would be cut out of the crop."""
        self.network.eval()
        return self.preprocess.answer(self.network, images.to(self.device))

    @overload
    def predict(self, images: Picture) -> Prediction: ...  # type: ignore[overload-overlap]  # a str is a Sequence too
    @overload
    def predict(self, images: Sequence[Picture]) -> list[Prediction]: ...
    def predict(self, images: Picture | Sequence[Picture]) -> Prediction | list[Prediction]:
        """Return the prediction for an image (path, PIL, or uint8 tensor `[3, H, W]`), or a list for a list.

        Raises `DataError` naming the file if an image cannot be decoded.
        """
        if isinstance(images, (str, Path, Image.Image)) or (isinstance(images, Tensor) and images.ndim == 3):
            return self.predict([images])[0]
        # each image is resized before they meet in a batch: they come in all sizes
        pixels = [self.preprocess.fit(_pixels(image)) for image in images]
        parts = (torch.stack(pixels[start : start + 64]) for start in range(0, len(pixels), 64))
        return [prediction for part in parts for prediction in self.predictions(self.logits_of_fitted(part))]

    def predictions(self, logits: Tensor) -> list[Prediction]:
        """Return the predictions that logits `[B, C]` mean (softmax)."""
        ordered, positions = logits.double().softmax(1).cpu().sort(dim=1, descending=True, stable=True)
        return [
            Prediction(self.classes[order[0]], row[0], {self.classes[i]: p for i, p in zip(order, row, strict=True)})
            for row, order in zip(ordered.tolist(), positions.tolist(), strict=True)
        ]


def model_header(model: str, classes: Sequence[str], preprocess: Preprocess, facts: dict[str, Any]) -> dict[str, Any]:
    """Return what a model file says beside its weights."""
    return {"model": model, "classes": list(classes), "preprocess": preprocess.to_dict(), "facts": facts}


def _parts(header: dict[str, Any], file: Path) -> tuple[str, tuple[str, ...], Preprocess, dict[str, Any]]:
    """Return what `model_header` was made of. Raises `CheckpointError`: anybody can seal a header, also nonsense."""
    model, facts, names = header.get("model"), header.get("facts"), header.get("classes")
    classes = tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()
    if not (isinstance(model, str) and isinstance(facts, dict) and len(set(classes)) == len(classes) > 0):
        raise CheckpointError(f"{file}: is no model of eyas: its header does not name a network and its classes.")
    try:
        return model, classes, Preprocess.from_dict(header.get("preprocess")), facts
    except CheckpointError as error:
        raise CheckpointError(f"{file}: {error}") from None


def _pixels(image: Picture) -> Tensor:
    if isinstance(image, Tensor):
        if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] != 3:
            shape = "x".join(map(str, image.shape))
            raise DataError(
                f"An image tensor must be uint8 [3, H, W] (RGB, 0 to 255); this one is {image.dtype} [{shape}]."
            )
        return image
    return to_tensor(image) if isinstance(image, Image.Image) else read_image(Path(image))
