"""What a file of weights holds: mappings of names to tensors, and names of classes; read without running its code."""

from __future__ import annotations

import argparse
import contextlib
import re
import stat
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from eyas.errors import CheckpointError, DataError, FileError
from eyas.files.atomic import CONFIG, model_file
from eyas.files.headers import LARGEST_HEADER
from eyas.files.tensors import ARCHIVE, PICKLE, begins_as, read_safetensors, read_tensors, written_by_eyas

PICKLED = (".pth", ".pt", ".bin", ".ckpt", ".tar")
DEEPEST = 4  # mappings in mappings that are looked into
# Entries under which other scripts keep their classes: names in order, or names and numbers in either direction.
CLASS_ENTRIES = ("classes", "class_names", "names", "labels", "label_names", "categories", "class_to_idx",
                 "idx_to_class", "id2label", "label2id")  # fmt: skip

State = Mapping[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Weights:
    """What a file holds: `states` by the entry that they lie in ("" where the file itself is one).

    `classes` are the names of the outputs, None where the file names none; `model` is the network's name where eyas
    wrote the file.
    """

    source: str
    states: dict[str, State]
    classes: tuple[str, ...] | None = None
    model: str | None = None


def weights_file(path: str | Path) -> Path:
    """Return the file that `--weights` means: the file itself, or the model of a run folder.

    Raises `CheckpointError` for another folder, with the files of weights in it, and `DataError` where it has none.
    """
    folder = Path(path)
    if not folder.is_dir():
        return folder
    try:
        return model_file(folder)
    except DataError:
        endings = (".safetensors", *PICKLED)
        inside = [file for ending in endings for file in sorted(folder.glob(f"*{ending}"))]
        if not inside or (folder / CONFIG).exists():
            raise
        told = f"is no run folder of eyas. Name the file of weights in it: --weights {inside[0]}"
        raise CheckpointError(f"{path}: {told}") from None


def read_weights(path: str | Path) -> Weights:
    """Return what a weights file holds, on the CPU.

    Raises `FileError` where it cannot be read, `CheckpointError` where it is damaged, unsafe or holds no weights.
    """
    given, path = path, weights_file(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():  # to open a pipe would wait for ever
            raise CheckpointError(f"{path}: is not a regular file.")
        kind = begins_as(path)
    except FileNotFoundError as error:
        what = "is no file but an address; fetch it first" if "://" in str(given) else "there is no such file or folder"
        raise FileError(f"{given}: {what}. Published weights of a network come by --pretrained.") from error
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}.") from error
    # by the content: a model file is renamed, and weights have many endings
    if kind not in (None, ARCHIVE, PICKLE):
        raise CheckpointError(f"{path}: is no weights file of PyTorch but {kind}.")
    if kind is None:
        with path.open("rb") as file:
            safetensors = path.suffix.lower() == ".safetensors" or file.read(9)[8:] == b"{"
        if safetensors and not written_by_eyas(path):
            return weights_in(read_safetensors(path)[0], str(path))
        if safetensors:
            tensors, header = read_tensors(path, "model")
            model = name if isinstance(name := header.get("model"), str) else None
            return replace(weights_in(tensors, str(path)), classes=_in_order(header.get("classes")), model=model)
        if path.suffix.lower() not in PICKLED:
            written = "what torch.save and safetensors write"
            raise CheckpointError(f"{path}: is no weights file of PyTorch; eyas reads {written}.")
    try:
        return weights_in(_read_pickled(path), str(path))
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}.") from error


def _read_pickled(path: Path) -> Any:
    """Return what torch.save wrote; raises `CheckpointError` for what could run code, or grows when it is unpacked."""
    with path.open("rb") as file:  # of a path torch reads the ending
        with contextlib.suppress(zipfile.BadZipFile):
            entries = zipfile.ZipFile(file).infolist() if file.read(4) == b"PK\x03\x04" else None
            pickles = [entry for entry in entries or () if entry.filename.endswith("data.pkl")]
            if entries is not None and any(entry.filename.endswith("/constants.pkl") for entry in entries):
                raise CheckpointError(f"{path}: {_why_unread('TorchScript')}")
            if entries is not None and not pickles:
                raise CheckpointError(
                    f"{path}: is {ARCHIVE}, but none of torch.save. If the weights lie in it: unpack it."
                )
            # torch writes entries as they are; a packed one can hold a thousand times its size
            if sum(entry.file_size for entry in entries or ()) > path.stat().st_size:
                raise CheckpointError(f"{path}: is a packed archive, no file of torch.save. Fetch it again.")
            if any(entry.file_size > LARGEST_HEADER for entry in pickles):
                raise CheckpointError(
                    f"{path}: holds {LARGEST_HEADER >> 20} MB or more beside its tensors. Save the weights alone."
                )
        file.seek(0)
        # a Namespace, as training scripts save their arguments in, holds values and has no code
        with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
            warnings.simplefilter("ignore")  # torch warns of TorchScript archives before it refuses them
            try:
                return torch.load(file, map_location="cpu", weights_only=True)
            except OSError:
                raise
            except Exception as error:  # damaged pickles raise whatever their bytes happen to say
                raise CheckpointError(f"{path}: {_why_unread(str(error))}") from error


def _why_unread(error: str) -> str:
    """Return what keeps a pickled file from being read, and what helps, in one line."""
    alone = "save its weights alone: torch.save(model.state_dict(), FILE)"
    if (kind := re.search(r"GLOBAL ([\w.]+)", error)) is not None:
        return (
            f"holds an object of the type {kind[1]}, not only weights, and such a file can run code when it is read. "
            f"Nothing was run. In the script that wrote it, {alone}"
        )
    if "TorchScript" in error:
        return f"is a TorchScript program, which can run code. Nothing was run. After torch.jit.load, {alone}"
    return (
        "is damaged, or holds more than weights, and such a file can run code when it is read. "
        f"Nothing was run. Fetch it again, or, in the script that wrote it, {alone}"
    )


def weights_in(content: Any, source: str) -> Weights:
    """Return the mappings of names to tensors inside `content`, and the classes that it names.

    Raises `CheckpointError` where there is no such mapping, and for tensors that are no plain ones.
    """
    states = dict(state_dicts(content, "", set()))
    if not states:
        kind = f"an object of the type {type(content).__name__}"
        held = f"only {', '.join(map(str, list(content)[:5]))}" if isinstance(content, Mapping) and content else kind
        raise CheckpointError(
            f"{source}: holds no weights by name (a state_dict), {held}. Save model.state_dict() and give that."
        )
    for state in states.values():
        for key, tensor in state.items():
            if tensor.is_meta or tensor.is_quantized or tensor.layout is not torch.strided:
                plain = "is no plain tensor (quantised, sparse or empty); eyas cannot use it."
                raise CheckpointError(f"{source}: '{key}' {plain}")
            if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
                raise CheckpointError(f"{source}: '{key}' says to be larger than its values: this is no state_dict.")
    # the names of the outputs, which a checkpoint has beside its weights; () where it contradicts itself
    inner = content.values() if isinstance(content, Mapping) else ()
    places = [place for place in (content, *inner) if isinstance(place, Mapping)]
    found = {names for place in places for key in CLASS_ENTRIES if (names := _in_order(place.get(key))) is not None}
    return Weights(source, states, found.pop() if len(found) == 1 else () if found else None)


def state_dicts(content: Any, place: str, seen: set[int]) -> Iterator[tuple[str, State]]:
    """Yield every mapping of names to tensors by its place. What else such a mapping holds is no weight."""
    if not isinstance(content, Mapping) or id(content) in seen or place.count("\0") >= DEEPEST:
        return
    seen.add(id(content))  # a hostile file may hold itself
    tensors = {key: tensor for key, tensor in content.items() if isinstance(tensor, torch.Tensor)}
    if tensors and all(isinstance(key, str) for key in tensors):
        state = OrderedDict(tensors)
        state._metadata = getattr(content, "_metadata", None)  # type: ignore[attr-defined]
        yield place.replace("\0", "."), state
    for key, inner in content.items():
        yield from state_dicts(inner, f"{place}\0{key}" if place else str(key), seen)


def _in_order(given: Any) -> tuple[str, ...] | None:
    """Return names in the order of their numbers: of a list, of names to numbers, or of numbers to names.

    None where it is something else; () where a name or a number is there twice, or numbers are left out.
    """
    if isinstance(given, Mapping):
        pairs = [(one, other) if isinstance(other, int) else (other, one) for one, other in given.items()]
        if not all(isinstance(name, str) and str(number).isdecimal() for name, number in pairs):
            return None
        numbered = {int(number): name for name, number in pairs}
        if sorted(numbered) != list(range(len(pairs))):
            return ()
        given = [numbered[number] for number in range(len(pairs))]
    if isinstance(given, list | tuple) and given and all(isinstance(name, str) for name in given):
        return tuple(given) if len(set(given)) == len(given) else ()
    return None


def put_back(network: nn.Module, tensors: State) -> None:
    """Load all weights of a network of the same make, as `state_dict` gave them; raises `RuntimeError` for others.

    A file of tensors does not hold the layers' versions, which MNASNet asks for: they are those of this make.
    """
    whole = network.state_dict()
    versions = whole._metadata  # type: ignore[attr-defined]
    given = OrderedDict(tensors)
    given._metadata = versions  # type: ignore[attr-defined]
    network.load_state_dict(given)
