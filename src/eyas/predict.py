"""The verb `predict`: files, folders and lists of any length to rows, in bounded memory and in the input's order."""

from __future__ import annotations

import contextlib
import csv
import json
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, tee
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import numpy as np

from eyas.data.ahead import read_ahead
from eyas.data.decode import read_image
from eyas.data.listing import list_text, read_listing, report
from eyas.data.packed import PackedStrings
from eyas.data.paths import Problems, Root, file_sizes, tidy_paths
from eyas.data.shape import IMAGE_SUFFIXES
from eyas.errors import DataError, SettingsError
from eyas.files import atomic_path, model_file
from eyas.progress import track
from eyas.sinks.wording import FORMULA, no_formula
from eyas.terminal import STEERING, clean

if TYPE_CHECKING:
    from torch import Tensor

    from eyas.model.classifier import Classifier, Prediction

LISTS = frozenset({".txt", ".csv", ".tsv", ".lst"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one file: a prediction, or the reason why there is none."""

    path: str
    prediction: Prediction | None
    error: str = ""


def files_in(paths: Sequence[str | Path], *, root: str | None = None, outside_root: bool = False) -> list[str]:
    """Return the images that files, folders (with all below them, sorted) and list files name, in that order.

    Raises `DataError` for a path that does not exist and a folder without images.
    """
    found: list[str] = []
    for path in map(Path, paths):
        if path.is_dir():
            below = sorted(
                str(file) for file in path.rglob("*") if file.name.lower().endswith(IMAGE_SUFFIXES) and file.is_file()
            )
            if not below:
                raise DataError(f"{path}: holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}).")
            found += below
        elif not path.exists():
            raise DataError(f"{path}: does not exist.")
        elif path.suffix.lower() in LISTS:
            found += listed(path, root=root, outside_root=outside_root)
        else:
            found.append(str(path))
    return found


def listed(path: Path, *, root: str | None = None, outside_root: bool = False) -> list[str]:
    """Return the images that a list file names: one path a line, or any list that `eyas train` reads.

    Raises `DataError` naming the lines of files that are not there, are no regular ones, or lie outside the
    root (unless `outside_root` allows it).
    """
    folder = Root(Path(root) if root else path.parent, outside_root)
    lines = enumerate(list_text(path).decode().split("\n"), 1)
    plain = [(number, line.strip()) for number, line in lines if line.strip() and not line.startswith("#")]
    if not plain or not all(folder.has(line) for _, line in plain):
        listing = read_listing(path, root=root, outside_root=outside_root)
        return [str(listing.root / name) for name in listing.paths]
    problems: Problems = []
    paths, _ = tidy_paths(PackedStrings.of(line for _, line in plain), folder)
    file_sizes(paths, np.array([number for number, _ in plain], np.int32), folder, problems)
    report(str(path), problems)
    return [str(folder.folder / name) for name in paths]


def predict_files(classifier: Classifier, paths: Iterable[str], *, batch_size: int | None = None) -> Iterator[Answer]:
    """Yield an answer for every file, in order; a file that cannot be decoded gets its reason, and nothing stops."""
    import torch

    from eyas.device import usual_batch

    def fitted(path: str) -> Tensor | str:
        try:
            return classifier.preprocess.fit(read_image(path))
        except DataError as error:
            return str(error)

    at_once = batch_size or usual_batch(classifier.preprocess.size, classifier.device)
    now, later = tee(_batches(paths, at_once))
    for batch, pixels in zip(now, read_ahead(later, fitted), strict=True):
        images = [image for image in pixels if not isinstance(image, str)]
        predictions = iter(classifier.predictions(classifier.logits_of_fitted(torch.stack(images))) if images else ())
        for path, image in zip(batch, pixels, strict=True):
            yield Answer(path, None, image) if isinstance(image, str) else Answer(path, next(predictions))


def _batches(paths: Iterable[str], size: int) -> Iterator[list[str]]:
    remaining = iter(paths)
    while batch := list(islice(remaining, size)):
        yield batch


def predict_to(
    out: str | Path | None,
    run: str | Path,
    paths: Sequence[str | Path],
    *,
    form: str,
    top: int = 1,
    root: str | None = None,
    outside_root: bool = False,
    device: str = "auto",
    batch_size: int | None = None,
) -> tuple[int, int]:
    """Write a row for every image to a file (atomically) or, for None, to stdout; return (images, unreadable ones).

    Raises `DataError` for a run and paths that do not exist and `SettingsError` for a form that is not known.
    """
    if form not in WRITERS:
        raise SettingsError(f"{form or out}: unknown form of predictions; there are {', '.join(WRITERS)}.")
    model, files = model_file(Path(run)), files_in(paths, root=root, outside_root=outside_root)
    if not files:
        raise SettingsError("Which images? Give files, folders or lists: eyas predict RUN PATH...")
    from eyas.model.classifier import Classifier  # by now the mistakes that need no torch are told

    classifier = Classifier.load(model, device)
    unreadable = 0
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(atomic_path(Path(out))) if out else None
        stream = stack.enter_context(target.open("w", encoding="utf-8", newline="")) if target else sys.stdout
        rows = WRITERS[form](stream, min(top, len(classifier.classes)))
        for answer in track(predict_files(classifier, files, batch_size=batch_size), len(files), "Predicting"):
            rows.write(answer)
            if answer.prediction is None:
                unreadable += 1
                print(clean(answer.error), file=sys.stderr)
    return len(files), unreadable


class Rows(Protocol):
    """Writes answers to a stream."""

    def write(self, answer: Answer) -> None: ...


class CsvRows:
    """A header, then a row a file: path, label, probability, label_2, probability_2, ..., error.

    A text that a spreadsheet would run gets an apostrophe in front: taken off again, it is the same text.
    """

    def __init__(self, stream: TextIO, top: int) -> None:
        self.rows, self.top = csv.writer(stream), top
        self.said = clean if stream.isatty() else _as_utf8
        more = [f"{name}_{place}" for place in range(2, top + 1) for name in ("label", "probability")]
        self.rows.writerow(["path", "label", "probability", *more, "error"])

    def write(self, answer: Answer) -> None:
        """Write a row; cells of an unreadable file are empty but for its error."""
        best: list[Any] = [] if answer.prediction is None else answer.prediction.top(self.top)
        cells = [cell for label, share in best for cell in (self.said(no_formula(label)), f"{share:.6f}")]
        cells += [""] * (2 * self.top - len(cells))
        # a path stays a path: "./" in front of it names the same file
        path = f"./{answer.path}" if answer.path.startswith(FORMULA) else answer.path
        self.rows.writerow([self.said(path), *cells, self.said(no_formula(answer.error))])


class JsonRows:
    """One JSON object a line; what could steer a terminal is written as an escape, which says the same."""

    def __init__(self, stream: TextIO, top: int) -> None:
        self.stream, self.top = stream, top

    def write(self, answer: Answer) -> None:
        """Write a line: path, label, probability, top; or path, error."""
        row: dict[str, Any] = {"path": answer.path, "error": answer.error}
        if answer.prediction is not None:
            best = answer.prediction
            row = {"path": answer.path, "label": best.label, "probability": best.probability, "top": best.top(self.top)}
        self.stream.write(_escaped(json.dumps(row, ensure_ascii=False)) + "\n")


WRITERS: dict[str, Callable[[TextIO, int], Rows]] = {"csv": CsvRows, "jsonl": JsonRows}


def _as_utf8(text: str) -> str:
    """Return a text with the bytes of a file name that are no UTF-8 as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _escaped(line: str) -> str:
    """Return JSON that says the same, with controls, directions and undecodable bytes as escapes."""
    if line.isascii():
        return line
    parts = (json.dumps(letter)[1:-1] if unicodedata.category(letter) in STEERING else letter for letter in line)
    return "".join(parts)
