"""Reads the header of an eyas file without its tensors and without torch."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

from eyas.errors import CheckpointError, FileError

FORMAT = 1  # raised when a file of this version of eyas cannot be read by the one before
KEY = "eyas"  # of the metadata entry that carries the header
LARGEST_HEADER = 1 << 24  # bytes: names and shapes of 100,000 tensors; a larger one takes its hundredfold to be read


def read_header(path: Path, kind: str) -> dict[str, Any]:
    """Return the header of a file of `tensorfile.write_tensors`, its SHA-256 over all tensors not verified.

    Raises `FileError` where it cannot be read, `CheckpointError` where it is no whole header of this kind and format.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe waits for ever
            raise CheckpointError(f"{path}: is not a regular file.")
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            text = file.read(min(length, LARGEST_HEADER + 1))
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        header = json.loads(json.loads(json.loads(text)["__metadata__"][KEY])["header"])
        whole = header["format"] == FORMAT and header["kind"] == kind
    except (ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise CheckpointError(f"{path}: is damaged, or no {kind} file of this eyas.")
    return dict(header)
