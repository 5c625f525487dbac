"""The data sets of a run: opened, their classes matched. Without torch, so that a mistake in a list is told at once."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from eyas.config.data import NO_SET
from eyas.config.run_config import RunConfig
from eyas.data.classes import match_classes
from eyas.data.images.imageset import ImageSet, split_off
from eyas.data.named.table import names
from eyas.data.spec import open_images, spec_of
from eyas.errors import DataError, SettingsError

Sets = tuple[ImageSet, dict[str, ImageSet]]


def open_sets(config: RunConfig) -> Sets:
    """Return the training set and the sets to measure on ("val", "test"), with classes matched by name.

    Reads lists and folders, downloads named sets, decodes nothing. Raises `DataError`, `SettingsError`.
    """
    data = config.data
    if not data.train:
        raise SettingsError("What to train on is missing: eyas train LIST_OR_FOLDER_OR_NAME (see `eyas datasets`).")
    train = open_images(data.train, data, split="train")
    others: dict[str, ImageSet] = {}
    val, test = spec_of(data, "val"), spec_of(data, "test")
    if val is not None and (share := as_share(val)) is None:
        others["val"] = open_images(val, data, split="val")
    if test is not None:
        others["test"] = open_images(test, data, split="test")
    for split in list(others):
        train, others[split] = match_classes(train, others[split])
    # a set that came first may have been matched before a later one named the numbers
    others = {split: match_classes(train, images)[1] for split, images in others.items()}
    if val is not None and share is not None:
        train, others["val"] = split_off(train, share, config.training.seed)
        others = {split: others[split] for split in ("val", "test") if split in others}
    if len(others) == 2:
        others["val"] = _apart(others["val"], others["test"])
    if len(train.classes) < 2:
        raise DataError(f"{train.source}: has one class only ({train.classes[0]!r}); a classifier needs two or more.")
    limits = config.training
    if not others and (limits.patience or limits.overfit_patience or config.schedule.plateau):
        raise SettingsError("--patience, --overfit-patience and --plateau need --test or --val: they watch its result.")
    return train, others


def _apart(val: ImageSet, test: ImageSet) -> ImageSet:
    """Return the validation set, with a note where its files are those of the test set."""
    if val.fingerprint() != test.fingerprint() or _digest(val) != _digest(test):
        return val
    said = (
        f"{val.source}: the validation set is the test set too, so the best epoch is chosen by what it is tested on: "
        "its test scores are too good. --val 0.1 chooses by a share of the training set"
    )
    return replace(val, notes=(*val.notes, said))


def _digest(images: ImageSet) -> bytes:
    """Return what tells that two sets have the very same files on this machine."""
    digest = hashlib.sha256()
    images.images.identify(digest.update)
    return digest.digest()


def as_share(text: str) -> float | None:
    """Return a validation share such as "0.1", None where the text names a set."""
    try:
        share = float(text)
    except ValueError:
        return None
    if not 0 < share < 1:
        raise SettingsError(f"--val {text}: a share of the training set must lie between 0 and 1, such as 0.1.")
    return share


def with_absolute_paths(config: RunConfig) -> RunConfig:
    """Return the settings with files and folders by their full path, so that a resume finds them from anywhere."""
    data = {name: _absolute(getattr(config.data, name)) for name in ("root", "classes")}
    data |= {name: _absolute_spec(getattr(config.data, name)) for name in ("train", "test", "val")}
    data["data_dir"] = str(Path(config.data.data_dir).absolute())
    return config.model_copy(
        update={
            "data": config.data.model_copy(update=data),
            "augment": config.augment.model_copy(update={"transform": _absolute_transform(config.augment.transform)}),
            "model": config.model.model_copy(update={"weights": _absolute(config.model.weights)}),
        }
    )


def _absolute_transform(spec: str | None) -> str | None:
    """Return `FILE.py:NAME` with its full path; a module stays a name."""
    from eyas.data.augment.own_transform import is_file, transform_parts

    if spec is None or not is_file(transform_parts(spec)[0]):
        return spec
    place, name = transform_parts(spec)
    return f"{Path(place).absolute()}:{name}"


def _absolute_spec(spec: str | None) -> str | None:
    """Return a data spec with its full path; a named set and `none` stay, and a share of the training set a number."""
    named = spec is not None and (spec.partition(":")[0] in (*names(), NO_SET) or spec.replace(".", "", 1).isdigit())
    return spec if named else _absolute(spec)


def _absolute(text: str | None) -> str | None:
    return str(Path(text).absolute()) if text and Path(text).exists() else text
