"""What the results of a run depend on, and which images it used: a resume compares both."""

from __future__ import annotations

import platform
import zlib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from eyas.config.run_config import defaults
from eyas.data.augment.own_transform import transform_fingerprint
from eyas.data.images.imageset import FileImages, ImageSet
from eyas.data.images.packed import PackedStrings
from eyas.data.run_sets import as_share
from eyas.errors import EyasError, few
from eyas.files.reading import LARGEST_LIST
from eyas.files.tensors import read_tensors, write_tensors
from eyas.training.optim import HORIZON

if TYPE_CHECKING:
    from eyas.training.plan import Plan

_NEVER = 2**63 - 1  # no file is newer: states of earlier versions do not tell


def fingerprint_of(plan: Plan) -> dict[str, Any]:
    """Return what the results depend on: a resume compares it. Lengths, places and speeds are not in it."""
    config = plan.config
    training = config.training.model_dump(exclude={"epochs", "patience", "overfit_patience", "on_nan"})
    grows = config.training.progressive_size < 1
    horizon = {"epochs": config.training.epochs} if grows or config.schedule.schedule in HORIZON else {}
    return {
        "training data": plan.train.images.fingerprint(),
        **{f"{split} data": prepared.images.fingerprint() for split, prepared in plan.evaluations.items()},
        "classes": list(plan.classes),
        "selects on": plan.selects_on,
        "model": config.model.model,
        "precision": config.device.precision,
        **{f"preprocess {name}": _plain(value) for name, value in plan.preprocess.to_dict().items()},
        **config.augment.model_dump(exclude={"transform"}),
        "transform": transform_fingerprint(config.augment.transform),
        **config.optim.model_dump(),
        **config.schedule.model_dump(),
        **training,
        **horizon,
    }


def newest_files(train: ImageSet, others: dict[str, ImageSet]) -> dict[str, int]:
    """Return when the newest file of each set was changed, in nanoseconds; only of sets that have files."""
    times = {split: images.images.times() for split, images in {"training": train, **others}.items()}
    return {split: int(found.max()) for split, found in times.items() if len(found)}


def changed_files(then: dict[str, int], train: ImageSet, others: dict[str, ImageSet]) -> list[str]:
    """Return the places of files that are newer than the newest was `then`: they changed, though maybe not in size.

    Where all files of a set are, it was copied: their sizes are compared anyway, and their content was not kept.
    """
    found = []
    for split, images in {"training": train, **others}.items():
        newer = np.flatnonzero(images.images.times() > then.get(split, _NEVER))
        if len(newer) < len(images):
            found += [images.place(int(sample)) for sample in newer]
    return found


def _plain(value: Any) -> Any:
    """Return the value as JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value


def software() -> str:
    """Return the versions that a result depends on, in words."""
    return f"eyas {version('eyas')}, torch {torch.__version__}, Python {platform.python_version()}"


SAMPLES = "samples.safetensors"
PARTS = ("paths", "offsets", "sizes", "labels")  # of a set in the file: each packed, as bytes
OTHERS = "its images or labels are others than those that the run began with"
Columns = tuple[PackedStrings, np.ndarray, np.ndarray, tuple[str, ...]]  # paths, sizes, labels, classes
Known = dict[str, tuple[int, str]]  # by path: the file's size and its class


def keep_samples(plan: Plan) -> None:
    """Write the paths, sizes and labels of a run's image files into its folder, if they are not there yet."""
    path = plan.directory / SAMPLES
    files = {name: _columns(images) for name, images in _sets(plan).items() if isinstance(images.images, FileImages)}
    if not files or path.exists():
        return
    tensors = {
        f"{name}/{part}": torch.frombuffer(bytearray(zlib.compress(data, 1)), dtype=torch.uint8)
        for name, (paths, sizes, labels, _) in files.items()
        for part, data in zip(
            PARTS, (paths.blob, *(n.astype("<i8").tobytes() for n in (paths.offsets, sizes, labels))), strict=True
        )
    }
    write_tensors(path, "samples", tensors, {"classes": {name: columns[-1] for name, columns in files.items()}})


def changed_samples(plan: Plan, changed: list[str]) -> Iterator[str]:
    """Yield a line for each set of the fingerprint's entries `changed`: which images differ from the run's, and how.

    A validation share and what it was taken from are told as one: an image more or less draws both anew.
    """
    now, then = _sets(plan), _kept(plan.directory)
    groups = {f"{name} data": [name] for name in now}
    val = plan.config.data.val
    if val is not None and as_share(val) is not None:
        groups = {"training and validation data": ["training", "val"]} | {
            name: sets for name, sets in groups.items() if sets[0] not in ("training", "val")
        }
    for group, names in groups.items():
        if any(f"{name} data" in changed for name in names):
            before = [then[name] for name in names if name in then]
            files = [now[name] for name in names if isinstance(now[name].images, FileImages)]
            known = len(before) == len(files) == len(names)
            said = _difference(_known(before), _known([_columns(images) for images in files])) if known else OTHERS
            yield f"  {group}: {said}"


def _sets(plan: Plan) -> dict[str, ImageSet]:
    return {"training": plan.train.images, **{name: part.images for name, part in plan.evaluations.items()}}


def _columns(images: ImageSet) -> Columns:
    assert isinstance(images.images, FileImages)
    return images.images.paths, images.images.sizes, images.labels, images.classes


def _kept(directory: Path) -> dict[str, Columns]:
    """Return the images that a run was begun with, by set; nothing where its folder does not say, or is damaged."""
    try:
        tensors, header = read_tensors(directory / SAMPLES, "samples")
        found = {}
        for name, classes in header["classes"].items():
            packed = (tensors[f"{name}/{part}"].numpy().tobytes() for part in PARTS)
            paths, *numbers = (zlib.decompressobj().decompress(part, LARGEST_LIST) for part in packed)
            offsets, sizes, labels = (np.frombuffer(part, "<i8") for part in numbers)
            found[name] = (PackedStrings(paths, offsets), sizes, labels, tuple(classes))
        return found
    except (EyasError, KeyError, ValueError, AttributeError, zlib.error):
        return {}


def _known(sets: list[Columns]) -> Known:
    return {
        path: (size, classes[label])
        for paths, sizes, labels, classes in sets
        for path, size, label in zip(paths, sizes.tolist(), labels.tolist(), strict=True)
    }


def _difference(then: Known, now: Known) -> str:
    """Return which images differ, by kind, the first few by name."""
    both = [path for path in now if path in then and now[path] != then[path]]
    kinds = {
        "added": [path for path in now if path not in then],
        "gone": [path for path in then if path not in now],
        "changed in size": [path for path in both if now[path][0] != then[path][0]],
        "with another label": [path for path in both if now[path][1] != then[path][1]],
    }
    found = [f"{len(paths):,} {kind} ({few(sorted(paths))})" for kind, paths in kinds.items() if paths]
    return f"of {len(then):,} images {'; '.join(found)}" if found else "the same images, in another order or split"


def changes(then: dict[str, Any], now: dict[str, Any], allowed: frozenset[str] = frozenset()) -> list[str]:
    """Return a line for every entry that differs between two fingerprints, but for the allowed ones.

    A setting that the earlier version did not have stood at its default.
    """
    before, lines = {**defaults(), **then}, []
    for key in dict.fromkeys([*then, *now]):
        was, is_now = before.get(key), now.get(key)
        if key in allowed or was == is_now:
            continue
        if key.endswith(" data"):  # a hash says nothing
            there = {True: "none", False: "one"}
            lines.append(f"  {key}: there was {there[was is None]}, there is {there[is_now is None]} now")
        else:
            lines.append(f"  {key}: was {was!r}, is {is_now!r}")
    return lines
