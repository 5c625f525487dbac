"""The parts of a data spec that can be looked at side by side: its splits, or itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from eyas.config.data import DataConfig
from eyas.data.class_folders import find_layout
from eyas.data.classes import match_classes
from eyas.data.images.imageset import ImageSet
from eyas.data.lists.listing import listed_splits, read_usable
from eyas.data.lists.splits import SPLITS
from eyas.data.named.table import names, splits_of
from eyas.data.spec import as_image_set, is_list, open_images
from eyas.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One split of a set: its short name, its images, the lines of its list that cannot be used.

    `comparable` is False where its classes could not be matched with the first part's, for the reason `mismatch`.
    """

    name: str
    images: ImageSet
    problems: tuple[str, ...] = ()
    mismatch: str = ""


def open_parts(data: str, against: str | None, config: DataConfig) -> tuple[Part, ...]:
    """Return all parts of DATA, then those of --against, named apart, with their classes matched by name.

    Where the lines of a list cannot be used, the rest is opened all the same. Raises `DataError`, `SettingsError`.
    """
    config = config.model_copy(update={"train": data, "test": against})  # so that each set knows of the other
    parts = _parts(data, config)
    taken = {part.name for part in parts}
    for part in _parts(against, config) if against else ():
        parts.append(replace(part, name=part.name if part.name not in taken else f"{part.images.source} (against)"))
    return tuple(_matched(parts))


def _parts(spec: str, config: DataConfig) -> list[Part]:
    name, _, asked = spec.partition(":")
    path = Path(spec)
    if name in names():
        splits = (asked,) if asked else tuple(split for split in splits_of(name) if split != "whole")
        return [Part(f"{name}:{split}", open_images(f"{name}:{split}", config, split=split)) for split in splits]
    if is_list(spec) and path.is_file():
        listed = listed_splits(path, root=config.root, columns=config.columns)
        return [_of_list(path, split, config) for split in sorted(listed, key=_rank)] or [_of_list(path, None, config)]
    if path.is_dir() and (splits := tuple(find_layout(path).splits)):
        return [Part(split, open_images(spec, config, split=split)) for split in splits]
    return [Part(path.name or spec, open_images(spec, config, split="train"))]


def _rank(split: str) -> tuple[int, str]:
    """Return what puts the training part first: it is what the others are compared with."""
    return (SPLITS.index(split) if split in SPLITS else len(SPLITS), split)


def _of_list(path: Path, split: str | None, config: DataConfig) -> Part:
    listing, problems = read_usable(
        path, split=split, root=config.root, classes=config.classes, columns=config.columns,
        first_label=config.first_label, outside_root=config.outside_root,
    )  # fmt: skip
    told = tuple(f"{path}:{line}: {reason}" for line, reason in sorted(problems))
    images = as_image_set(listing).decoded(None, config.max_pixels)
    return Part(f"{path.name}:{split}" if split else path.name, images, told)


def _matched(parts: list[Part]) -> list[Part]:
    """Return the parts with labels that mean the same, as far as they can be matched with the first part's."""
    first = parts[0].images
    for part in parts[1:]:
        try:
            first, _ = match_classes(first, part.images)
        except DataError:
            continue  # told below, by the first part as it is in the end
    found = [replace(parts[0], images=first)]
    for part in parts[1:]:
        try:
            found.append(replace(part, images=match_classes(first, part.images)[1]))
        except DataError as error:
            found.append(replace(part, mismatch=str(error)))
    return found
