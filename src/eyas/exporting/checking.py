"""Whether an exported file answers as the model does: run on real images of many sizes, alone and together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from eyas.data.images.imageset import ImageSet
from eyas.errors import ExportError
from eyas.exporting.graph import Answers, first_line
from eyas.exporting.pictures import batches_of, in_many_shapes
from eyas.model.classifier import Classifier

TOLERANCE = 1e-4  # of a probability; a file that differs by more is not left behind
TIE = 1e-6  # two classes of the model's own that are as near as this: either is its answer


@dataclass(frozen=True, slots=True)
class Checked:
    """What a file was run on, and how far its answers lie from the model's. Sizes are (width, height)."""

    source: str
    pictures: int
    smallest: tuple[int, int]
    largest: tuple[int, int]
    batches: tuple[int, ...]  # how many images were in one call
    difference: float  # the largest one of any probability; all labels are equal
    ties: int  # images for which model and file chose differently among classes that the model holds for equal

    def in_words(self) -> str:
        """Return one line for people."""
        small, large = ("x".join(map(str, size)) for size in (self.smallest, self.largest))
        many = " and ".join(map(str, self.batches))
        labels = "all labels equal" + (f" but for {self.ties} exact ties" if self.ties else "")
        return (
            f"{self.pictures} images of {self.source}, {small} to {large} pixels, {many} in a call: "
            f"{labels}, probabilities differ by {self.difference:.1e} at most"
        )


def check(answers: Answers, classifier: Classifier, images: ImageSet, batch: int | str) -> Checked:
    """Return how a file answers beside the model (on the CPU); raises `ExportError` for any other answer."""
    pictures = in_many_shapes(images)
    largest, ties, counts = 0.0, 0, set()
    for pixels in batches_of(pictures, batch):
        shape = "x".join(map(str, pixels.shape))
        try:
            found = answers(pixels)
        except Exception as error:  # of another library, whose errors have no common class
            raise ExportError(f"The exported file cannot take images of {shape}: {first_line(error)}") from error
        wanted = classifier.probabilities(classifier.logits(torch.from_numpy(pixels))).numpy()
        if found.shape != wanted.shape:
            raise ExportError(
                f"The exported file answers {list(found.shape)} for images of {shape}: {list(wanted.shape)} is right."
            )
        apart = float(np.abs(found - wanted).max())
        given = np.take_along_axis(wanted, found.argmax(1)[:, None], 1)[:, 0]  # what the model gives the file's label
        labels = int((given < wanted.max(1) - TIE).sum())
        if labels or not apart <= TOLERANCE:  # also where it is no number
            raise ExportError(
                f"The exported file does not answer as the model does, and was not kept: on images of {shape} a "
                f"probability differs by {apart:.2g} ({TOLERANCE:g} is allowed) and "
                f"{labels} of {len(pixels)} labels differ."
            )
        largest = max(largest, apart)
        ties += int((found.argmax(1) != wanted.argmax(1)).sum())
        counts.add(len(pixels))
    sizes = sorted((picture.size for picture in pictures), key=lambda size: size[0] * size[1])
    return Checked(images.source, len(pictures), sizes[0], sizes[-1], tuple(sorted(counts)), largest, ties)
