"""Weights from a file into a network: read without running code, fitted whole or refused in words."""

from __future__ import annotations

import contextlib
import re
import stat
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from eyas.errors import CheckpointError, FileError
from eyas.headers import LARGEST_HEADER
from eyas.model.zoo import head_of, in_head
from eyas.tensorfile import read_safetensors

PICKLED = (".pth", ".pt", ".bin")
WRAPPERS = ("state_dict", "model", "model_state")
PREFIXES = ("module.", "_orig_mod.", "model.")  # of DataParallel, of torch.compile, of Lightning and the like
# Heads of GoogLeNet and Inception that serve training only; our networks are built without them.
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
# Names inside torchvision's published DenseNets date from before dots were forbidden in module names.
OLD_DENSENET = re.compile(
    r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.(?:weight|bias|running_mean|running_var|num_batches_tracked))$"
)

State = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class LoadedWeights:
    """What was loaded: from where, how many tensors, and whether the head was among them."""

    source: str
    tensors: int
    head_loaded: bool

    @property
    def sentence(self) -> str:
        """The same in words, for the console and the report."""
        head = (
            "the head too, its shape fits the classes exactly"
            if self.head_loaded
            else "all but the head, which starts fresh for these classes"
        )
        return f"Weights from {self.source}: {self.tensors} tensors, {head}."


def load_weights(model: nn.Module, path: str | Path) -> LoadedWeights:
    """Put the weights of a local file into `model`, in place, and return what was loaded.

    Reads .safetensors (an eyas model file too) and .pth, .pt, .bin without running code from them. All but
    the head must fit in name and shape; a head that fits exactly is taken too. Raises `FileError` where the
    file cannot be read and `CheckpointError` where it is damaged, foreign, unsafe, not finite or of another
    network; `model` is then as it was.
    """
    path = Path(path)
    return fill(model, read_state(path), source=str(path))


def read_state(path: Path) -> State:
    """Return the tensors of a weights file by name, on the CPU, unwrapped ({"state_dict": ...} and the like).

    Errors as of `load_weights`.
    """
    if path.suffix.lower() not in (".safetensors", *PICKLED):
        raise CheckpointError(f"{path}: is no weights file; eyas reads .safetensors, {', '.join(PICKLED)}.")
    if path.suffix.lower() == ".safetensors":
        return tensors_in(read_safetensors(path)[0], str(path))
    try:
        _refuse_unpacking(path)
        content = _read_pickled(path)
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}.") from error
    return tensors_in(content, str(path))


def _refuse_unpacking(path: Path) -> None:
    """Raise `CheckpointError` for what could block, and for a zip whose entries become larger when they are read.

    torch writes them as they are; a packed one can hold a thousand times its size.
    """
    if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
        raise CheckpointError(f"{path}: is not a regular file.")
    with path.open("rb") as file, contextlib.suppress(zipfile.BadZipFile):
        if file.read(4) == b"PK\x03\x04":
            entries = zipfile.ZipFile(file).infolist()
            if sum(entry.file_size for entry in entries) > path.stat().st_size:
                raise CheckpointError(f"{path}: is a packed archive, no file of torch.save. Fetch it again.")
            if any(e.filename.endswith("data.pkl") and e.file_size > LARGEST_HEADER for e in entries):
                raise CheckpointError(f"{path}: holds more than weights. Save model.state_dict() alone.")


def _read_pickled(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of TorchScript archives before it refuses them
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # damaged pickles raise whatever their bytes happen to say: there is no common kind
        raise CheckpointError(
            f"{path}: is damaged, or holds more than weights, and such a file can run code when it is read. "
            "Nothing was run. Fetch it again, or have its author save the state_dict alone, as .safetensors."
        ) from error


def tensors_in(content: Any, source: str) -> State:
    """Return the state dictionary inside `content` after checks that all of it are plain, finite tensors."""
    for _ in WRAPPERS:
        inner = [
            content[key] for key in WRAPPERS if isinstance(content, Mapping) and isinstance(content.get(key), Mapping)
        ]
        content = inner[0] if inner else content
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(
            f"{source}: holds no weights by name (a state_dict). Save model.state_dict() and give that."
        )
    for key, tensor in content.items():
        if not isinstance(key, str) or not isinstance(tensor, torch.Tensor):
            raise CheckpointError(f"{source}: '{key}' is no tensor, so this is no state_dict. Save model.state_dict().")
        if tensor.is_meta or tensor.is_quantized or tensor.layout is not torch.strided:
            raise CheckpointError(
                f"{source}: '{key}' is no plain tensor (quantised, sparse or empty); eyas cannot use it."
            )
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise CheckpointError(f"{source}: '{key}' says to be larger than its values: this is no state_dict.")
        if tensor.is_floating_point() and not _finite(tensor):
            raise CheckpointError(
                f"{source}: '{key}' holds values that are not finite. That training had failed: use another."
            )
    return content


def _finite(tensor: torch.Tensor) -> bool:
    try:
        return bool(torch.isfinite(tensor.float()).all())
    except RuntimeError:  # a type of four bits and the like: nothing is computed with it
        return False


def fill(model: nn.Module, state: State, *, source: str) -> LoadedWeights:
    """Copy `state` into `model` where all of it fits, else raise `CheckpointError` and change nothing."""
    heads = head_of(model)
    current = model.state_dict()
    given = _renamed(state, current)
    # A twin without weights takes the tensors first: the modules' own hooks for old files work, and nothing
    # is harmed.
    twin = deepcopy(model).to("meta")
    wrong = [key for key in given if key in current and not _alike(given[key], current[key])]
    mismatched = {key: given.pop(key) for key in wrong}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns where a tensor on the meta device is not assigned
        outcome = twin.load_state_dict(given, strict=False, assign=True)
    missing = [key for key in outcome.missing_keys if key not in mismatched and not key.endswith("num_batches_tracked")]
    rest = {
        "missing": [key for key in missing if not in_head(key, heads)],
        "unexpected": [key for key in outcome.unexpected_keys if not in_head(key, heads)],
        "of another shape": [_shapes(key, mismatched, current) for key in mismatched if not in_head(key, heads)],
    }
    if any(rest.values()):
        raise _misfit(source, rest, count=len(current))
    head_loaded = not any(in_head(key, heads) for key in (*missing, *mismatched, *outcome.unexpected_keys))
    filled = {key: tensor for key, tensor in twin.state_dict().items() if not tensor.is_meta}
    filled = {key: tensor for key, tensor in filled.items() if head_loaded or not in_head(key, heads)}
    with torch.no_grad():
        for key, tensor in filled.items():
            current[key].copy_(tensor)
    return LoadedWeights(source, len(filled), head_loaded)


def put_back(network: nn.Module, tensors: State) -> None:
    """Load all weights of a network of the same make, as `state_dict` gave them; raises `RuntimeError` for others.

    A file of tensors does not hold the layers' versions, which MNASNet asks for: they are those of this make.
    """
    whole = network.state_dict()
    versions = whole._metadata  # type: ignore[attr-defined]
    given = OrderedDict(tensors)
    given._metadata = versions  # type: ignore[attr-defined]
    network.load_state_dict(given)


def _renamed(state: State, current: State) -> OrderedDict[str, torch.Tensor]:
    """Return `state` without prefixes, auxiliary heads and old names, with torch's version numbers."""
    versions = getattr(state, "_metadata", None)
    keys = {key: OLD_DENSENET.sub(r"\1\2", key.replace("_orig_mod.", "")) for key in state}
    while prefix := _common_prefix(list(keys.values()), current):
        keys = {key: name.removeprefix(prefix) for key, name in keys.items()}
        versions = None
    own = {key for key in current if key.startswith(AUXILIARY)}
    renamed = OrderedDict(
        (name, state[key]) for key, name in keys.items() if name in own or not name.startswith(AUXILIARY)
    )
    # The names of modules in `_metadata` have the prefix too; without it MNASNet refuses the file for lack of
    # a version.
    versions = getattr(current, "_metadata", None) if versions is None else versions
    renamed._metadata = versions  # type: ignore[attr-defined]
    return renamed


def _common_prefix(keys: list[str], current: State) -> str:
    """Return the wrapper's prefix that all `keys` have and no name in the network has, or ""."""
    for prefix in PREFIXES:
        if keys and all(key.startswith(prefix) for key in keys) and not any(key.startswith(prefix) for key in current):
            return prefix
    return ""


def _alike(given: torch.Tensor, wanted: torch.Tensor) -> bool:
    return given.shape == wanted.shape and given.is_floating_point() == wanted.is_floating_point()


def _shapes(key: str, given: State, current: State) -> str:
    return f"{key} ({list(given[key].shape)} for {list(current[key].shape)})"


def _misfit(source: str, rest: dict[str, list[str]], *, count: int) -> CheckpointError:
    parts = [f"{len(keys)} {kind} ({_few(keys)})" for kind, keys in rest.items() if keys]
    return CheckpointError(
        f"{source}: these are weights of another network: of {count} tensors of this one {'; '.join(parts)}. "
        "Give the --model that they were trained with."
    )


def _few(keys: list[str], *, most: int = 3) -> str:
    return ", ".join(keys[:most]) + (", ..." if len(keys) > most else "")
