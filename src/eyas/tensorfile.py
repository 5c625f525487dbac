"""Tensors with a header of plain data in one safetensors file that knows when it is damaged. No pickle."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from eyas.errors import CheckpointError, FileError
from eyas.files import atomic_path

FORMAT = 1  # raised when a file of this version of eyas cannot be read by the one before
_KEY = "eyas"


def write_tensors(path: Path, kind: str, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write tensors and header to `path`, atomically. `kind` says what the file is for ("model", "state").

    The header also gets the format's version and a SHA-256 over everything: safetensors itself does not notice a
    flipped bit. Raises `FileError` if the disk refuses.
    """
    whole = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    text = json.dumps({"format": FORMAT, "kind": kind, **header}, ensure_ascii=False, sort_keys=True)
    # one entry only: safetensors writes several in a random order, and equal runs shall give equal files
    metadata = {_KEY: json.dumps({"header": text, "sha256": _digest(whole, text)}, ensure_ascii=False)}
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
    try:
        path.open("rb").close()  # the library's own error would not say why
        # read, not mapped: a mapped file that shrinks takes the process down; tensor by tensor, never twice in memory
        with safetensors.safe_open(path, framework="pt", backend="pread") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.offset_keys()}
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or _first_line(error)}") from error
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path}: is damaged or no safetensors file ({_first_line(error)}).") from error
    if _KEY not in metadata:
        raise CheckpointError(f"{path}: was not written by eyas. Foreign weights are given with --weights.")
    try:
        sealed = json.loads(metadata[_KEY])
        text, digest = sealed["header"], sealed["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        text, digest = "", ""
    if not isinstance(text, str) or digest != _digest(tensors, text):
        raise CheckpointError(f"{path}: is damaged: its content does not match its SHA-256.")
    header = _header(text)
    if header.get("format") != FORMAT:
        raise CheckpointError(f"{path}: has format {header.get('format')}; this eyas reads format {FORMAT}.")
    if header.get("kind") != kind:
        raise CheckpointError(f"{path}: is a {header.get('kind')} file; a {kind} file is needed here.")
    return tensors, header


def written_by_eyas(path: Path) -> bool:
    """Return whether a safetensors file carries a header of eyas; nothing else of it is read or verified."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return _KEY in (file.metadata() or {})
    except (OSError, safetensors.SafetensorError):
        return False


def _header(text: str) -> dict[str, Any]:
    """Return what a header says; nothing where it is no JSON object, whoever sealed it."""
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return header if isinstance(header, dict) else {}


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
