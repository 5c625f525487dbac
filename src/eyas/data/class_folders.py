"""Finds the class folders in a folder of images: directly in it, under train/val/test folders, or a level deeper."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from eyas.data.images.walk import ASIDE, EMPTY, LeftOut, Walk
from eyas.data.lists.splits import BESIDE, SPLITS, kind_of, words_in
from eyas.errors import DataError

_PICTURES = frozenset(("image", "images", "img", "imgs", "picture", "pictures", "jpegimages", "jpg", "jpeg", "png"))


@dataclass(frozen=True, slots=True)
class Layout:
    """What a folder holds: class folders in `folder`, or `splits`, each with class folders in it.

    `unlabelled` are splits whose pictures lie in no class folders; `notes` say how the folder was read.
    """

    folder: Path
    splits: dict[str, Path]
    unlabelled: dict[str, Path]
    notes: tuple[str, ...]

    def part(self, split: str) -> Path:
        """Return the folder whose folders are the classes of a split; raises `DataError` where there is none."""
        if not self.splits and not self.unlabelled:
            return self.folder
        if split in self.splits:
            return self.splits[split]
        if split in self.unlabelled:
            raise without_classes(self.unlabelled[split])
        there = " or ".join(map(str, reversed(self.splits.values() or self.unlabelled.values())))
        raise DataError(f"{self.folder}: has folders of splits, but none for {split!r}. Name the one to use: {there}")


def find_layout(folder: Path) -> Layout:
    """Return where the class folders are: the one place that decides what is a split and what a class.

    A folder is a split where all folders beside it are splits too. Raises `DataError` where either could be meant.
    """
    level, names, notes = _descended(folder, with_splits=True)
    if not names:
        return Layout(level.folder, {}, {}, notes + level.called_like_splits())
    found = Layout(level.folder, {}, {}, notes + level.without(names.values()))
    for split, name in names.items():
        part, _, noted = _descended(level.folder / name, with_splits=False)
        if any(_holds_images(part.folder / name) for name in part.names):
            found = replace(found, splits={**found.splits, split: part.folder}, notes=found.notes + noted)
        elif part.images:
            told = "holds pictures without class folders, so it cannot be measured on; classify them with eyas predict"
            notes = (*found.notes, *noted, f"{part.folder}: {told}")
            found = replace(found, unlabelled={**found.unlabelled, split: part.folder}, notes=notes)
        else:
            walk = Walk(part.folder)
            there = "" if any(walk.images()) else walk.left_out.in_words()
            told = f"{part.folder}: holds no images, so there is no {split} set in it"
            told += f"; left out: {there}" * bool(there)
            found = replace(found, notes=(*found.notes, *noted, told))
    return found


def _descended(folder: Path, *, with_splits: bool) -> tuple[_Level, dict[str, str], tuple[str, ...]]:
    """Return the level that holds the splits or the classes, which folder there is which split, and notes on it."""
    notes: tuple[str, ...] = ()
    while True:
        level = _Level.of(folder)
        splits = level.splits() if with_splits else {}
        inner = level.entered() if not splits else None
        if inner is None:
            return level, splits, notes
        notes += (f"{folder}: its images are read from {inner}", *level.without([inner.name]))
        folder = inner


def without_classes(folder: Path) -> DataError:
    """Return the error of a folder that has no class folders."""
    walk = Walk(folder)
    count = len(walk.inside())
    if not count:
        left_out = walk.left_out.in_words()
        return DataError(
            f"{folder}: holds no folders. It needs one folder per class, with its images in it."
            + f" What is there: {left_out}." * bool(left_out)
        )
    lists = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".csv", ".tsv", ".lst", ".txt"))
    such = f", such as {lists[0]}" if lists else ""
    return DataError(
        f"{folder}: holds {count} picture(s), but no folder per class, so they have no labels. Put them into folders "
        f"of classes, or name a list file with the labels{such}; eyas predict classifies pictures without labels."
    )


@dataclass(frozen=True, slots=True)
class _Level:
    """One folder, the folders in it, whether images lie beside those, and what is left out."""

    folder: Path
    names: tuple[str, ...]
    images: bool
    left_out: LeftOut

    @staticmethod
    def of(folder: Path) -> _Level:
        walk = Walk(folder)
        names, loose = walk.parted()
        return _Level(folder, names, loose, walk.left_out)

    def splits(self) -> dict[str, str]:
        """Return which folder is which split, in the order of `SPLITS`; none where the folders are something else."""
        kinds = {name: kind_of(name) for name in self.names}
        found = {split: [name for name in self.names if kinds[name][0] == split] for split in SPLITS}
        found = {split: names for split, names in found.items() if names}
        named = [name for names in found.values() for name in names]
        affixes = {kinds[name][1] for name in named} - {""}
        others = [name for name in self.names if not kinds[name][0] and _holds_images(self.folder / name)]
        if len(found) < 2 and (others or affixes or len(named) != 1):
            return {}  # a class called train, a train_images beside nothing
        if others and all(_deepest(self.folder / name).images for name in named):
            return {}  # they hold pictures, as classes do
        if others or len(affixes) > 1 or len(named) > len(found):
            beside = f"{', '.join(others[:3])} beside them not" if others else "not of the same one"
            raise DataError(f"{self.folder}: {', '.join(named)} look like parts of a set, {beside}. "
                            f"Name the folder that holds the classes: {self._fitting(named)}")  # fmt: skip
        return {split: names[0] for split, names in found.items()}

    def entered(self) -> Path | None:
        """Return the folder in this one that everything lies in, None where its folders are classes.

        Raises `DataError` where all of them hold folders only.
        """
        pictures = [name for name in self.names if "".join(words_in(name)) in _PICTURES]
        if len(pictures) == 1 and all(kind_of(name)[0] == BESIDE for name in self.names if name not in pictures):
            return self.folder / pictures[0]
        only = self.names[0] if len(self.names) == 1 else ""
        if only and (kind_of(only)[0] or "".join(words_in(only)) == "".join(words_in(self.folder.name))):
            return self.folder / only  # test/unknown, seg_pred/seg_pred: no class
        if not self.names:
            return None
        first = _deepest(self.folder / self.names[0])
        if first.images or any(_deepest(self.folder / name).images for name in self.names[1:]):
            # folders that all hold the same folders of pictures: either those or these can be the classes
            shared = [name for name in first.names if _holds_images(first.folder / name)]
            if len(shared) > 1 and all(_deepest(self.folder / name).names == first.names for name in self.names):
                fits = first.folder if len(self.names) == 1 else self._fitting(self.names)
                raise self._unsure(f"what is in it holds folders of pictures itself ({', '.join(shared[:3])})", fits)
            return None
        held = [name for name in self.names if _holds_images(self.folder / name)]
        if len(held) > 1:
            told = "; ".join(f"{name}: {', '.join(_Level.of(self.folder / name).names[:3])}" for name in held[:3])
            raise self._unsure(f"its folders hold no pictures, only folders again ({told})", self._fitting(held))
        return self.folder / held[0] if held else None

    def _unsure(self, what: str, fits: Path) -> DataError:
        return DataError(f"{self.folder}: {what}. If those are the classes, name what holds them: {fits}. "
                         "If not, give a list file with the labels.")  # fmt: skip

    def without(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the note on what is left out here where these folders are entered."""
        for name in sorted(set(self.names) - set(names)):
            self.left_out.add(ASIDE if _holds_images(self.folder / name) else EMPTY, name)
        return self.left_out.note(self.folder)

    def called_like_splits(self) -> tuple[str, ...]:
        """Return notes on classes that are called like splits; raises `DataError` where one holds the others' names."""
        notes: tuple[str, ...] = ()
        for name in self.names:
            if kind_of(name)[0] not in SPLITS or kind_of(name)[1]:
                continue
            others = [other for other in self.names if other != name]
            if set(others) & set(_Level.of(self.folder / name).names):
                raise DataError(f"{self.folder}: {name} holds folders called like those beside it. "
                                f"Name the folder that holds the classes: {self.folder / name}")  # fmt: skip
            told = f"read as a class, since {', '.join(others[:3])} beside it are no splits"
            notes += (f"{self.folder / name}: {told}",)
        return notes

    def _fitting(self, names: Iterable[str]) -> Path:
        return self.folder / min(names, key=lambda name: kind_of(name)[0] != "train")


def _holds_images(folder: Path) -> bool:
    return next(Walk(folder).images(), None) is not None


def _deepest(folder: Path) -> _Level:
    """Return a folder, or what it holds where that is nothing but one folder, and so on."""
    level = _Level.of(folder)
    while not level.images and len(level.names) == 1:
        level = _Level.of(level.folder / level.names[0])
    return level
