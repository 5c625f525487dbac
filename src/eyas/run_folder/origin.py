"""Which run a model belongs to, and which sets it was trained and measured on. All verbs ask here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eyas.config.data import DataConfig
from eyas.data.images.imageset import FileImages, ImageSet
from eyas.data.named.table import names
from eyas.errors import DataError, EyasError
from eyas.files import headers
from eyas.files.atomic import CONFIG, PREDICTIONS

if TYPE_CHECKING:  # a model is used without what a training is set by, unless it asks for its run
    from eyas.config.run_config import RunConfig
    from eyas.data.run_sets import Sets

PLACES = ("train", "test", "val", "root", "classes")  # settings of the data that name a file or a folder


@dataclass(frozen=True, slots=True)
class Origin:
    """A run folder and its settings; `config.data` says where its sets lie."""

    folder: Path
    config: RunConfig

    @property
    def val_is_share(self) -> bool:
        """Whether the validation set is a share of the training set, which other images in this would change."""
        from eyas.data.run_sets import as_share

        return self.config.data.val is not None and as_share(self.config.data.val) is not None

    @property
    def is_named(self) -> bool:
        """Whether a set is one of those that can be named, and might have to be downloaded."""
        data = self.config.data
        return any(spec and spec.partition(":")[0] in names() for spec in (data.train, data.test, data.val))

    def sets(self) -> Sets:
        """Return the training set and the sets that were measured on.

        Raises `DataError` naming what is not where it was, and how to say where it is now.
        """
        from eyas.data.run_sets import open_sets

        for name in PLACES:
            given = getattr(self.config.data, name)
            if given and Path(given).is_absolute() and not Path(given).exists():
                raise DataError(
                    f"{given}: there is no such list or folder any more; the run has it as --{name}. "
                    f"If it was moved: eyas resume {self.folder} --{name} PATH"
                )
        return open_sets(self.config)

    def measured(self) -> tuple[str, ImageSet] | None:
        """Return the set that the run was measured on and its name: test, else val; None where there was none."""
        others = self.sets()[1]
        return next(((split, others[split]) for split in ("test", "val") if split in others), None)

    def is_as_measured(self, split: str, images: ImageSet) -> bool:
        """Return whether a set has the samples that the run was measured on, as far as the run says which."""
        try:
            samples = headers.read_header(self.folder / PREDICTIONS, "predictions")["samples"]
            return bool(samples[split] == images.fingerprint())
        except (EyasError, KeyError, TypeError):  # an earlier run, or one that was not measured yet, says nothing
            return True


def run_of(path: str | Path) -> Path | None:
    """Return the run folder that a path is, or that it lies in as a model does, also by a link; None where in none."""
    given = Path(path)
    place = given.resolve() if given.is_symlink() and given.is_file() else given
    folder = place if place.is_dir() else place.parent
    above = (folder, folder.parent) if folder.absolute().name == "epochs" else (folder,)
    return next((one for one in above if (one / CONFIG).is_file()), None)


def origin_of(path: str | Path, moved: DataConfig | None = None) -> Origin:
    """Return the run that a run folder is, or that a model file is of; `moved` has settings of the data instead of its.

    Raises `DataError` where it is of no run, with what the file says of its data, and `SettingsError` where the run's
    settings cannot be read.
    """
    folder, facts = run_of(path), _facts(Path(path))
    if folder is None:
        raise DataError(f"{path} lies in no run folder{_said(facts)}")
    from eyas.config.run_config import make_config

    config = make_config(file=folder / CONFIG)
    last, best = (_facts(folder / f"{name}.safetensors") for name in ("last", "best"))
    asked = {"model": config.model.model, "seed": config.training.seed}
    asked |= {name: last[name] for name in ("classes", "count") if name in last}  # no resume changes them
    foreign = any(facts.get(name, value) != value for name, value in asked.items())
    # a run that was moved more than once was trained from more places than its best and its last model know
    of_epoch = Path(path).absolute().parent.name == "epochs"
    sources = {one["source"] for one in (last, best, facts if of_epoch else last) if "source" in one}
    if foreign or ("source" in facts and sources and facts["source"] not in sources):
        raise DataError(f"{path} is no model of the run in whose folder it lies{_said(facts)}")
    usual = DataConfig()
    given = {name: value for name, value in moved or () if value != getattr(usual, name)}
    return Origin(folder, placed(config, given))


def trained_on(model: Path, images: ImageSet) -> int:
    """Return how many of a set's images a model's run was trained on; 0 where it is of no run, or its images are gone.

    Nothing is opened for a set whose files lie elsewhere.
    """
    try:
        origin = origin_of(model)
        data, root = origin.config.data, getattr(images.images, "root", None)
        base = Path(data.root or data.train or "")
        one, other = (base if base.is_dir() else base.parent).resolve(), Path(root or "").resolve()
        if root is not None and not (one.is_relative_to(other) or other.is_relative_to(one)):
            return 0
        train = set(_places(origin.sets()[0]))
    except EyasError:
        return 0
    return sum(place in train for place in _places(images))


def _places(images: ImageSet) -> Iterator[str]:
    """Yield the files of a set, or its images by name."""
    root = os.path.realpath(getattr(images.images, "root", ""))
    for number in range(len(images)):
        if isinstance(images.images, FileImages):
            yield os.path.join(root, images.images.paths[number])  # noqa: PTH118 - of many files
        else:
            yield images.place(number)


def placed(config: RunConfig, moved: Mapping[str, object]) -> RunConfig:
    """Return a run's settings with other ones of the data, files and folders by their full path.

    Raises `SettingsError` for a setting that there is not.
    """
    from eyas.data.run_sets import with_absolute_paths

    data = DataConfig(**{**config.data.model_dump(), **moved})
    return with_absolute_paths(config.model_copy(update={"data": data})) if moved else config


def _facts(model: Path) -> dict[str, object]:
    """Return what a model file says of its training, its network and its classes; nothing where it cannot be read."""
    try:
        header = headers.read_header(model, "model")
        facts = {**header["facts"], "model": header["model"], "classes": header["classes"]}
    except (EyasError, KeyError, TypeError):
        return {}
    train = facts.get("train")
    return {**facts, **train} if isinstance(train, dict) else facts


def _said(facts: dict[str, object]) -> str:
    """Return what a model file says of its data, for the end of a sentence."""
    if "source" not in facts:
        return ""
    return f" (it was trained on {facts['source']}, {facts.get('count', 0):,} images)"
