"""Pictures that the page offers to try: of a folder, or of the set that a run was measured on."""

from __future__ import annotations

import contextlib
import io
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from eyas.data.images.decode import Decoding, decode
from eyas.data.images.rgb import Range
from eyas.data.images.walk import Walk
from eyas.errors import DataError, EyasError, SettingsError
from eyas.files.headers import read_header
from eyas.files.reading import read_file
from eyas.run_folder.origin import origin_of

COUNT = 6
SIDE = 640  # pixels of the longer side
Labelled = tuple[Image.Image, str | None]


@dataclass(frozen=True, slots=True)
class Example:
    """A picture as a JPEG that says nothing of its file, and what its set says that it is."""

    jpeg: bytes
    label: str | None


def is_local(host: str) -> bool:
    """Return whether a server at this address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def find_examples(asked: str, model: Path, host: str) -> tuple[list[Example], str]:
    """Return up to `COUNT` examples, and why there are none of those that were asked for.

    "auto" is the run's test or validation set, where only this machine is served: a run's pictures are not shown to
    others unasked. Nothing is downloaded. Raises `SettingsError` where a folder was asked for that has no pictures.
    """
    if asked == "none":
        return [], ""
    if asked == "auto" and not is_local(host):
        return [], "a run's own pictures are shown to this machine alone"
    try:
        stored = read_header(model, "model").get("preprocess")  # `Classifier.load` checks it
        found = stored.get("grey_range") if isinstance(stored, dict) else None
        grey_range = None if found is None else tuple(found)
        pictures = of_run(model, grey_range) if asked == "auto" else of_folder(Path(asked), grey_range)
        examples = [Example(to_jpeg(picture), label) for picture, label in pictures]
    except (EyasError, OSError, ValueError) as error:
        if asked != "auto":
            raise
        return [], str(error).partition("\n")[0].rstrip(".")  # only examples: the files of a set may be long gone
    if asked != "auto" and not examples:
        raise SettingsError(f"--examples {asked}: is no folder with pictures that can be read.")
    return examples, ""


def of_folder(folder: Path, grey_range: Range | None) -> Iterator[Labelled]:
    """Yield the first pictures of a folder that can be read."""

    def readable() -> Iterator[Labelled]:
        walk = Walk(folder)
        for path in walk.images() if folder.is_dir() else ():
            with contextlib.suppress(DataError):
                yield decode(read_file(Path(walk.place(path))), decoding=Decoding(grey_range)), None

    return islice(readable(), COUNT)


def of_run(model: Path, grey_range: Range | None) -> Iterator[Labelled]:
    """Yield pictures of different classes of the set that a model's run was measured on.

    Raises `DataError` where there is none, and for named sets, which might have to be downloaded.
    """
    origin = origin_of(model)
    if origin.is_named:
        raise DataError("the run has a named set, which might have to be downloaded")
    if (found := origin.measured()) is None:
        raise DataError("the run had no set to measure on")
    images = found[1].decoded(grey_range)
    kinds, firsts = np.unique(images.labels, return_index=True)
    for kind in np.unique(np.linspace(0, len(kinds) - 1, min(COUNT, len(kinds))).round().astype(int)):
        index = int(firsts[kind])
        yield images.images.picture(index), images.classes[int(images.labels[index])]


def to_jpeg(picture: Image.Image) -> bytes:
    """Return a picture as a JPEG of at most `SIDE` pixels a side; small ones stay as they are."""
    picture.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    Image.frombytes("RGB", picture.size, picture.tobytes()).save(file, "JPEG", quality=90, subsampling=0)
    return file.getvalue()
