"""A user's own function of one image: found by name, called under its own seed, its result checked."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import random
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
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
    path = _source(place, spec)
    found: Any
    if is_file(place):
        # the file runs under a name of its own, so that it cannot stand in the way of a module
        of_file = f"eyas_transform_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
        about = importlib.util.spec_from_file_location(of_file, path)
        if about is None or about.loader is None:
            raise _wrong(spec, "the file's name must end in .py.")
        found = importlib.util.module_from_spec(about)
        sys.modules[of_file] = found  # dataclasses and the like look their module up
        try:
            about.loader.exec_module(found)
        except Exception as error:
            del sys.modules[of_file]
            raise _wrong(spec, f"the file cannot be run: {type(error).__name__}: {error}.") from error
    else:
        try:
            found = importlib.import_module(place)
        except Exception as error:
            raise _wrong(spec, f"the module cannot be imported: {type(error).__name__}: {error}.") from error
    for part in name.split("."):
        if not hasattr(found, part):
            near = suggest(part, [public for public in dir(found) if not public.startswith("_")])
            raise _wrong(spec, f"there is no {part!r} in {place}.{near}")
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
    return f"{hashlib.sha256(_source(place, spec).read_bytes()).hexdigest()}:{name}"


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
        image = images[place]
        try:
            made = transform(image.clone(memory_format=torch.contiguous_format))
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            told = f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
            raise DataError(f"Training image {sample} (from 0): your transform failed with {told}") from error
        if not isinstance(made, Tensor) or made.dtype != torch.uint8 or made.shape != image.shape:
            raise DataError(
                f"Training image {sample} (from 0): your transform gave {_in_words(made)}; "
                f"it must give what it gets, {_in_words(image)}."
            )
        changed[place] = made
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


def _in_words(value: object) -> str:
    if not isinstance(value, Tensor):
        return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"


def _source(place: str, spec: str) -> Path:
    """Return the file that is named, or that of a module."""
    if is_file(place):
        if not (path := Path(place)).is_file():
            near = [str(path.parent / other.name) for other in sorted(path.parent.glob("*.py"))]
            raise SettingsError(f"--transform {place}: there is no such file.{suggest(place, near)}")
        return path
    try:
        found = importlib.util.find_spec(place)
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise _wrong(spec, f"there is no module {place!r}. A file is named with its ending: {place}.py.")
    if not found.has_location or found.origin is None:
        raise _wrong(spec, f"module {place!r} has no file whose content could be noted.")
    return Path(found.origin)


def _wrong(spec: str, what: str) -> SettingsError:
    return SettingsError(f"--transform {spec}: {what}")
