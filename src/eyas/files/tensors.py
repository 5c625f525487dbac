"""Tensors with a JSON header and a SHA-256 in one safetensors file. No pickle."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from eyas.errors import CheckpointError, FileError
from eyas.files.atomic import atomic_path
from eyas.files.headers import FORMAT, KEY, LARGEST_HEADER

MOST_SIDES = 64  # of a tensor, as torch has it
ARCHIVE, PICKLE = "a zip archive", "a pickle"
STARTS = (  # of files that are taken for weights
    (b"PK\x03\x04", ARCHIVE),
    (b"\x80", PICKLE),
    (b"\x89HDF", "an HDF5 file, as Keras writes"),
    (b"version https://git-lfs", "a Git LFS pointer: the file itself was not fetched (git lfs pull)"),
    (b"<", "a web page: its download asked for something first"),
)


def write_tensors(path: Path, kind: str, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write tensors and header to `path`, atomically. `kind` says what the file is for ("model", "state").

    The header also gets the format's version and a SHA-256 over everything: safetensors itself does not notice a
    flipped bit. Raises `FileError` if the disk refuses.
    """
    whole = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    text = json.dumps({"format": FORMAT, "kind": kind, **header}, ensure_ascii=False, sort_keys=True)
    # one entry only: safetensors writes several in a random order, and equal runs shall give equal files
    metadata = {KEY: json.dumps({"header": text, "sha256": _digest(whole, text)}, ensure_ascii=False)}
    if len(metadata[KEY]) > LARGEST_HEADER // 2:
        raise CheckpointError(f"{path}: its classes' names take {len(text):,} bytes, more than a file can carry.")
    with atomic_path(path) as temporary:
        temporary.touch()
        usual = temporary.stat().st_mode  # as the user's other files: the library makes one that only its owner reads
        try:
            safetensors.torch.save_file(_unshared(whole), temporary, metadata)
            temporary.chmod(usual)
        except safetensors.SafetensorError as error:  # how the library reports a full disk
            raise OSError(None, str(error)) from error


def read_tensors(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors (on the CPU) and the header of a file of `write_tensors`, both verified.

    Raises `CheckpointError` if the file is damaged, of another kind or version, or was not written by eyas.
    """
    tensors, metadata = read_safetensors(path)
    if KEY not in metadata:
        raise CheckpointError(f"{path}: was not written by eyas. Foreign weights are for `eyas train --weights FILE`.")
    try:
        sealed = json.loads(metadata[KEY])
        text, digest = sealed["header"], sealed["sha256"]
        whole = digest == _digest(tensors, text)
        header = json.loads(text)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError):  # RecursionError is of this kind
        whole, header = False, {}
    if not whole or not isinstance(header, dict) or not {"format", "kind"} <= header.keys():
        raise CheckpointError(f"{path}: is damaged: its content does not match its SHA-256.")
    if header["format"] != FORMAT:
        raise CheckpointError(f"{path}: has format {header['format']}; this eyas reads format {FORMAT}.")
    if header["kind"] != kind:
        raise CheckpointError(f"{path}: is a {header['kind']} file; a {kind} file is needed here.")
    return tensors, header


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors (on the CPU) and the metadata of any safetensors file.

    Raises `FileError` where it cannot be read, `CheckpointError` where it is damaged, foreign, or its header absurd.
    """
    try:
        _refuse_absurd(path)
        # read, not mapped: a mapped file that shrinks takes the process down; tensor by tensor, never twice in memory
        with safetensors.safe_open(path, framework="pt", backend="pread") as file:
            names = file.offset_keys()
            if any(len(file.get_slice(name).get_shape()) > MOST_SIDES for name in names):
                raise CheckpointError(f"{path}: holds a tensor of more than {MOST_SIDES} dimensions.")
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or _first_line(error)}") from error
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path}: is damaged or no safetensors file ({_first_line(error)}).") from error
    except (RuntimeError, ValueError, TypeError, MemoryError) as error:  # types and shapes that torch does not know
        raise CheckpointError(f"{path}: holds tensors that cannot be read ({_first_line(error)}).") from error


def _refuse_absurd(path: Path) -> None:
    """Raise where a file could block or its header would take more memory than any model's."""
    if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe waits for ever
        raise CheckpointError(f"{path}: is not a regular file.")
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > LARGEST_HEADER and (kind := begins_as(path)) is not None:
        foreign = ", as torch.save writes. Foreign weights are for eyas train --weights FILE" if kind == ARCHIVE else ""
        raise CheckpointError(f"{path}: is no safetensors file but {kind}{foreign}.")
    if length > LARGEST_HEADER:
        raise CheckpointError(
            f"{path}: is damaged or no safetensors file (a header of {length:,} bytes; eyas reads {LARGEST_HEADER:,})."
        )


def begins_as(path: Path) -> str | None:
    """Return what a file is by its first bytes, in words; None for safetensors and what is not known.

    Raises `OSError` where it cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe waits for ever
        return None
    with path.open("rb") as file:
        start = file.read(32)
    if start[8:9] == b"{":  # safetensors, and its length may begin as anything
        return None
    return next((kind for first, kind in STARTS if start.startswith(first)), None if start else "an empty file")


def written_by_eyas(path: Path) -> bool:
    """Return whether a safetensors file carries a header of eyas; nothing else of it is read or verified."""
    try:
        _refuse_absurd(path)
        with safetensors.safe_open(path, framework="pt") as file:
            return KEY in (file.metadata() or {})
    except (OSError, safetensors.SafetensorError, CheckpointError):
        return False


def _digest(tensors: dict[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _unshared(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors that lie in one memory (tied weights), which safetensors refuses."""
    seen: set[int] = set()
    apart = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return apart


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
