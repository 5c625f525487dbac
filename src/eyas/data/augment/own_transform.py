"""A user's own function of one image: found by its name, called under a seed of its own, its answer checked."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import random
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from eyas.errors import DataError, SettingsError, suggest
from eyas.seeds import Indices, key

Transform: TypeAlias = Callable[[Tensor], Tensor]


def own_transform(spec: str | None) -> Transform | None:
    """Return the function that `FILE.py:NAME` or `module:NAME` names, None for None. This runs the file or module.

    Raises `SettingsError` where the file or module cannot be found or run, or has no such function.
    """
    if spec is None:
        return None
    place, name = transform_parts(spec)
    module = _run_file(_existing(place), spec) if is_file(place) else _import_module(place, spec)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise _wrong(spec, f"there is no {part!r} in {place}.{suggest(part, _public(found))}")
        found = getattr(found, part)
    if not callable(found):
        raise _wrong(spec, f"{name} is no function, but {type(found).__name__}.")
    function: Transform = found
    return function


def transform_fingerprint(spec: str | None) -> str | None:
    """Return the SHA-256 of the file that holds the function and the function's name, None for None.

    Wherever the file lies, the same text gives the same; what the file imports is not in it.
    """
    if spec is None:
        return None
    place, name = transform_parts(spec)
    path = _existing(place) if is_file(place) else _source(place, spec)
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()}:{name}"


def transformed(images: Tensor, transform: Transform | None, *, seed: int, epoch: int, samples: Indices) -> Tensor:
    """Return uint8 `[B, 3, H, W]` with the function applied to each image; `samples` are int64 [B]. None: unchanged.

    The function gets a copy of its own, with the generators of torch (the processor's), Python and numpy set by (seed,
    epoch, sample): what it draws is the same in any batch, process and resumed run. Raises `DataError` where it fails
    or gives anything but uint8 of the image's own shape.
    """
    if transform is None:
        return images
    changed = torch.empty_like(images)
    for place, sample in enumerate(samples.tolist()):
        seed_all(key(seed, "transform", epoch, sample))
        changed[place] = _checked(transform, images[place], sample)
    return changed


def seed_all(number: int) -> None:
    """Set the three generators that a foreign transform may draw from (torch's default one, Python's, numpy's)."""
    torch.default_generator.manual_seed(number)
    random.seed(number)
    np.random.seed(number % 2**32)


def transform_parts(spec: str) -> tuple[str, str]:
    """Return the file or module, and the name in it."""
    place, _, name = spec.rpartition(":")
    if not place or not name:
        raise _wrong(spec, "must be FILE.py:NAME or module:NAME.")
    return place, name


def is_file(place: str) -> bool:
    """Return whether the first part of a spec is a file, not a module."""
    return place.endswith(".py") or "/" in place or "\\" in place


def _checked(transform: Transform, image: Tensor, sample: int) -> Tensor:
    """Return what the function makes of a copy of an image."""
    try:
        changed = transform(image.clone(memory_format=torch.contiguous_format))
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        told = f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
        raise DataError(f"Training image {sample} (from 0): your transform failed with {told}") from error
    if isinstance(changed, Tensor) and changed.dtype == torch.uint8 and changed.shape == image.shape:
        return changed
    raise DataError(
        f"Training image {sample} (from 0): your transform gave {_in_words(changed)}; "
        f"it must give what it gets, {_in_words(image)}."
    )


def _in_words(value: object) -> str:
    if not isinstance(value, Tensor):
        return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"


def _existing(place: str) -> Path:
    path = Path(place)
    if path.is_file():
        return path
    near = [str(path.parent / other.name) for other in sorted(path.parent.glob("*.py"))]
    raise SettingsError(f"--transform {place}: there is no such file.{suggest(place, near)}")


def _run_file(path: Path, spec: str) -> ModuleType:
    """Return the module that a file is."""
    name = f"eyas_transform_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise _wrong(spec, "the file's name must end in .py.")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # dataclasses and the like look their module up
    try:
        found.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise _wrong(spec, f"the file cannot be run: {type(error).__name__}: {error}.") from error
    return module


def _import_module(place: str, spec: str) -> ModuleType:
    _source(place, spec)
    try:
        return importlib.import_module(place)
    except Exception as error:
        raise _wrong(spec, f"the module cannot be imported: {type(error).__name__}: {error}.") from error


def _source(place: str, spec: str) -> Path:
    """Return the file of a module."""
    try:
        found = importlib.util.find_spec(place)
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise _wrong(spec, f"there is no module {place!r}. A file is named with its ending: {place}.py.")
    if not found.has_location or found.origin is None:
        raise _wrong(spec, f"module {place!r} has no file whose content could be noted.")
    return Path(found.origin)


def _public(found: object) -> list[str]:
    return [name for name in dir(found) if not name.startswith("_")]


def _wrong(spec: str, what: str) -> SettingsError:
    return SettingsError(f"--transform {spec}: {what}")
