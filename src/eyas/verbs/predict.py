"""`eyas predict`: classifies files, folders and lists, in order and in bounded memory."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, tee
from pathlib import Path
from typing import TYPE_CHECKING

from eyas.config.flags import PredictFlags, parsed
from eyas.config.predict import PredictConfig
from eyas.data.images.ahead import read_ahead
from eyas.data.images.decode import USUAL, Decoding, decode, to_tensor
from eyas.data.images.greys import Greys
from eyas.errors import DataError, SettingsError
from eyas.files.atomic import model_file
from eyas.files.reading import read_file
from eyas.predicting.inputs import images_in
from eyas.predicting.rows import Answer, check_not_read, open_rows, unknown_name
from eyas.predicting.sorting import Sorter, check_target
from eyas.predicting.table import check_form
from eyas.terminal.clean import clean
from eyas.terminal.progress import track

if TYPE_CHECKING:
    from torch import Tensor

    from eyas.model.classifier import Classifier

VIEWS = {"one": 1, "flip": 2, "shift": 6}


@dataclass(frozen=True, slots=True)
class Predicted:
    """Numbers of images that `predict_to` processed."""

    images: int
    unreadable: int
    unknown: int
    copied: int = 0
    there: int = 0  # not copied, since an equal file was there
    notes: tuple[str, ...] = ()  # what was left out of the folders, and what is to be said of the lists

    def in_words(self, asked: PredictConfig) -> Iterator[str]:
        """Yield the notes for the user."""
        yield from self.notes
        if self.unreadable:
            yield f"{self.unreadable} of {self.images} files could not be read; their rows carry the reason."
        if asked.unknown_below > 0:
            yield f"{self.unknown} of {self.images} are unknown: no class has a probability of {asked.unknown_below:g}."
        if asked.copy_to is not None:
            there = f"; {self.there} were there already" if self.there else ""
            yield f"{self.copied} files copied to {asked.copy_to}{there}."


def predict_files(
    classifier: Classifier,
    paths: Iterable[str],
    *,
    batch_size: int | None = None,
    unknown_below: float = 0.0,
    max_pixels: int = USUAL.max_pixels,
) -> Generator[Answer, None, None]:
    """Yield a prediction for every file, in order; for a file that cannot be decoded, the reason instead.

    If the largest probability is below `unknown_below`, the file's label is `unknown_name(classifier.classes)`.
    """
    import torch

    from eyas.device.choice import usual_batch

    preprocess = classifier.preprocess
    decoding = Decoding(preprocess.grey_range, max_pixels)

    def resized(path: str) -> tuple[Tensor, Greys | None] | str:
        try:
            picture = decode(read_file(path), path, decoding)
            return preprocess.resized(to_tensor(picture)), Greys.of(picture, preprocess.grey_range)
        except DataError as error:
            return str(error)

    unknown = unknown_name(classifier.classes)
    at_once = batch_size or usual_batch(classifier.preprocess.size, classifier.device)

    def batches() -> Iterator[list[str]]:
        remaining = iter(paths)
        while batch := list(islice(remaining, at_once)):
            yield batch

    now, later = tee(batches())
    for batch, pixels in zip(now, read_ahead(later, resized), strict=True):
        images = [image[0] for image in pixels if not isinstance(image, str)]
        predictions = iter(classifier.predictions(classifier.logits_of_resized(torch.stack(images))) if images else ())
        for path, image in zip(batch, pixels, strict=True):
            if isinstance(image, str):
                yield Answer(path, None, image)
            else:
                found = next(predictions)
                unsure = unknown_below > 0 and not found.probability >= unknown_below  # also where it is no number
                yield Answer(path, found, label=unknown if unsure else found.label, greys=image[1])


def predict_to(
    out: str | Path | None, run: str | Path, paths: Sequence[str | Path], asked: PredictConfig | None = None
) -> Predicted:
    """Write a row for every image to a file (atomically; the ending sets the format) or, for None, to stdout.

    Files that cannot be read are named on stderr. Raises `DataError` if the run or a path does not exist, and
    `SettingsError` for an unknown format.
    """
    asked = asked or PredictConfig()
    form, model = check_form(out, asked.form), model_file(Path(run))
    if asked.copy_to is not None:
        check_target(asked.copy_to, paths)
    if out is not None:
        check_not_read("--out", out, paths)
    if not paths:
        raise SettingsError("Which images? Give files, folders or lists: eyas predict RUN PATH...")
    images = images_in(paths, asked)
    from eyas.model.classifier import Classifier  # by now the mistakes that need no torch are told

    classifier = Classifier.load(model, asked.device)
    own, views = classifier.preprocess.views, asked.views
    if views is not None and views != own:
        print(
            f"Each answer is the mean over {VIEWS[views]} view(s) (--views {views}); the model was measured with "
            f"{VIEWS[own]} ({own}).", file=sys.stderr,
        )  # fmt: skip
        classifier = replace(classifier, preprocess=replace(classifier.preprocess, views=views))
    unknown = unknown_name(classifier.classes)
    sorter = Sorter(Path(asked.copy_to), (*classifier.classes, unknown)) if asked.copy_to is not None else None
    unreadable = unknowns = 0
    greys = Greys()
    answers = predict_files(
        classifier, images.paths, batch_size=asked.batch_size, unknown_below=asked.unknown_below,
        max_pixels=round(asked.max_megapixels * 1e6),
    )  # fmt: skip
    top = min(asked.top, len(classifier.classes))
    with open_rows(out, form, top, list(images.kept)) as rows, contextlib.closing(answers):
        seen = track(answers, len(images.paths), "Predicting")
        for answer, kept in zip(seen, images.cells(), strict=True):
            rows.write(answer, kept)
            greys += answer.greys or Greys()
            unknowns += answer.label == unknown
            if answer.prediction is None:
                unreadable += 1
                print(clean(answer.error), file=sys.stderr)
            elif sorter is not None:
                sorter.add(answer.path, answer.label)
    copies = (sorter.copied, sorter.there) if sorter is not None else (0, 0)
    notes = (*images.notes, *greys.notes("these images", classifier.preprocess.grey_range))
    return Predicted(len(images.paths), unreadable, unknowns, *copies, notes)


def command(arguments: list[str]) -> int:
    """`eyas predict`: classify images; write CSV, JSON lines or Parquet, or sort them into folders."""
    given = parsed(PredictFlags, "predict", arguments)
    done = predict_to(given.out, given.run, given.paths, given)
    for said in done.in_words(given):
        print(clean(said), file=sys.stderr)
    return 65 if done.unreadable == done.images else 0
