"""Pictures that the page offers to try: of a folder, or of the set that a run was measured on."""

from __future__ import annotations

import io
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from eyas.data.decode import Decoding, decode
from eyas.data.reading import read_file
from eyas.data.rgb import Range
from eyas.data.walk import Walk
from eyas.errors import DataError, EyasError, SettingsError
from eyas.headers import read_header
from eyas.origin import origin_of

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
    if asked != "auto":
        found = [Example(_jpeg(picture), label) for picture, label in _of_folder(Path(asked), _grey_range(model))]
        if not found:
            raise SettingsError(f"--examples {asked}: is no folder with pictures that can be read.")
        return found, ""
    try:
        return [Example(_jpeg(picture), label) for picture, label in _of_run(model, _grey_range(model))], ""
    except (EyasError, OSError, ValueError) as error:  # only examples: the files of a set may be long gone
        return [], str(error).partition("\n")[0].rstrip(".")


def _grey_range(model: Path) -> Range | None:
    """Return the range of grey values that a model's pictures are decoded with; `Classifier.load` checks it."""
    stored = read_header(model, "model").get("preprocess")
    found = stored.get("grey_range") if isinstance(stored, dict) else None
    return None if found is None else tuple(found)


def _of_folder(folder: Path, grey_range: Range | None) -> Iterator[Labelled]:
    walk, found = Walk(folder), 0
    for path in walk.images() if folder.is_dir() else ():
        try:
            yield decode(read_file(Path(walk.place(path))), decoding=Decoding(grey_range)), None
        except DataError:
            continue
        found += 1
        if found == COUNT:
            return


def _of_run(model: Path, grey_range: Range | None) -> Iterator[Labelled]:
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
    chosen = np.unique(np.linspace(0, len(kinds) - 1, min(COUNT, len(kinds))).round().astype(int))
    for kind in chosen:
        index = int(firsts[kind])
        yield images.images.picture(index), images.classes[int(images.labels[index])]


def _jpeg(picture: Image.Image) -> bytes:
    """Return a picture as a JPEG of at most `SIDE` pixels a side; small ones stay as they are."""
    picture.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    Image.frombytes("RGB", picture.size, picture.tobytes()).save(file, "JPEG", quality=90, subsampling=0)
    return file.getvalue()
