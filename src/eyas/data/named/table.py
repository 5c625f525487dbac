"""The data sets that can be named: where each comes from, its splits and classes. An explicit table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from eyas.errors import SettingsError, suggest

SHARE, SEED = 0.2, 0  # the fixed test part of sets that are published in one piece: a fifth, stratified
DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class TorchvisionSet:
    """How one of torchvision's classes is built and read.

    `splits` gives the arguments of each split ("whole": published in one piece). `labels` is the attribute
    that holds them; of pairs the second (`part=1`) or first counts. `classes` are names, or the attribute
    that holds them. `pixels` is the attribute of images in memory; `first` the number of the first class.
    """

    cls: str
    about: str
    count: int
    splits: dict[str, dict[str, Any]]
    labels: str = "_labels"
    part: int | None = None
    classes: tuple[str, ...] | str = "classes"
    pixels: str | None = None
    transposed: bool = False
    first: int = 0
    common: dict[str, Any] = field(default_factory=dict)
    by_hand: bool = False


_TRAIN_TEST: dict[str, dict[str, Any]] = {"train": {"train": True}, "test": {"train": False}}
_WHOLE: dict[str, dict[str, Any]] = {"whole": {}}


def _splits(*names: str, **renamed: str) -> dict[str, dict[str, Any]]:
    """Return splits whose argument is their name, or another one."""
    return {name: {"split": name} for name in names} | {ours: {"split": name} for ours, name in renamed.items()}


def _mnist(cls: str, about: str, classes: tuple[str, ...] | str = DIGITS, count: int = 10) -> TorchvisionSet:
    return TorchvisionSet(cls, about, count, _TRAIN_TEST, "targets", classes=classes, pixels="data")


def _emnist(split: str, count: int, first: int = 0) -> TorchvisionSet:
    return TorchvisionSet(
        "EMNIST", f"handwritten characters, {split}, 28x28 grey, turned upright", count, _TRAIN_TEST,
        "targets", pixels="data", transposed=True, first=first, common={"split": split},
    )  # fmt: skip


TORCHVISION: dict[str, TorchvisionSet] = {
    "mnist": _mnist("MNIST", "handwritten digits, 28x28 grey"),
    "fashion-mnist": _mnist("FashionMNIST", "articles of clothing, 28x28 grey", "classes"),
    "kmnist": _mnist("KMNIST", "handwritten hiragana, 28x28 grey", "classes"),
    "qmnist": TorchvisionSet(
        "QMNIST", "handwritten digits, 60,000 test images, 28x28 grey", 10, _TRAIN_TEST, "targets", part=0,
        classes=DIGITS, pixels="data",
    ),
    "emnist-balanced": _emnist("balanced", 47),
    "emnist-byclass": _emnist("byclass", 62),
    "emnist-bymerge": _emnist("bymerge", 47),
    "emnist-letters": _emnist("letters", 26, first=1),
    "emnist-digits": _emnist("digits", 10),
    "emnist-mnist": _emnist("mnist", 10),
    "usps": TorchvisionSet(
        "USPS", "digits of postal codes, 16x16 grey", 10, _TRAIN_TEST, "targets", classes=DIGITS, pixels="data",
    ),
    "semeion": TorchvisionSet(
        "SEMEION", "handwritten digits, 16x16", 10, _WHOLE, "labels", classes=DIGITS, pixels="data",
    ),
    "svhn": TorchvisionSet(
        "SVHN", "house numbers, 32x32", 10, _splits("train", "test", "extra"), "labels", classes=DIGITS, pixels="data",
    ),
    "stl10": TorchvisionSet("STL10", "objects, 96x96", 10, _splits("train", "test"), "labels", pixels="data"),
    "caltech101": TorchvisionSet("Caltech101", "objects", 101, _WHOLE, "y", classes="categories"),
    "caltech256": TorchvisionSet("Caltech256", "objects", 257, _WHOLE, "y", classes="categories"),
    "country211": TorchvisionSet(
        "Country211", "photos by country", 211, _splits("train", "test", val="valid"), "targets",
    ),
    "dtd": TorchvisionSet("DTD", "textures", 47, _splits("train", "val", "test")),
    "eurosat": TorchvisionSet("EuroSAT", "land use from satellites, 64x64", 10, _WHOLE, "targets"),
    "fgvc-aircraft": TorchvisionSet("FGVCAircraft", "aircraft", 100, _splits("train", "val", "test", "trainval")),
    "flowers102": TorchvisionSet("Flowers102", "flowers", 102, _splits("train", "val", "test")),
    "food101": TorchvisionSet("Food101", "dishes", 101, _splits("train", "test")),
    "gtsrb": TorchvisionSet(
        "GTSRB", "traffic signs", 43, _splits("train", "test"), "_samples", part=1, classes=tuple(map(str, range(43))),
    ),
    "inaturalist": TorchvisionSet(
        "INaturalist", "species, 2021; train is the mini set", 10_000,
        {"train": {"version": "2021_train_mini"}, "test": {"version": "2021_valid"}}, "index", part=0,
        classes="all_categories",
    ),
    "imagenette": TorchvisionSet(
        "Imagenette", "ten easy classes of ImageNet", 10, _splits("train", test="val"), "_samples", part=1,
    ),
    "imagenet": TorchvisionSet("ImageNet", "ILSVRC 2012", 1000, _splits("train", test="val"), "targets", by_hand=True),
    "oxford-pets": TorchvisionSet("OxfordIIITPet", "cats and dogs by breed", 37, _splits("test", train="trainval")),
    "pcam": TorchvisionSet(
        "PCAM", "lymph node tissue, 96x96 (needs h5py)", 2, _splits("train", "val", "test"), "h5",
        classes=("no tumor", "tumor"),
    ),
    "places365": TorchvisionSet(
        "Places365", "scenes, small images", 365, _splits(train="train-standard", test="val"), "targets",
        common={"small": True},
    ),
    "rendered-sst2": TorchvisionSet(
        "RenderedSST2", "sentences as images", 2, _splits("train", "val", "test"), "_samples", part=1,
    ),
    "stanford-cars": TorchvisionSet(
        "StanfordCars", "cars", 196, _splits("train", "test"), "_samples", part=1, by_hand=True,
    ),
    "sun397": TorchvisionSet("SUN397", "scenes", 397, _WHOLE),
    "fer2013": TorchvisionSet(
        "FER2013", "faces by expression, 48x48 grey", 7, _splits("train", "test"), "_samples", part=1,
        classes=("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"), by_hand=True,
    ),
    "clevr-count": TorchvisionSet(
        "CLEVRClassification", "rendered objects, counted", 11, _splits("train", test="val"),
        classes=tuple(map(str, range(11))),
    ),
}  # fmt: skip

OWN = {
    "cifar10": ("objects, 32x32", 10),
    "cifar100": ("objects, 32x32", 100),
    "digits": ("handwritten digits, 8x8 grey, part of eyas's own dependencies: no download", 10),
}


def names() -> tuple[str, ...]:
    """Return the names of all named sets, sorted."""
    return tuple(sorted((*OWN, *TORCHVISION)))


def splits_of(name: str) -> tuple[str, ...]:
    """Return the splits of a named set; raises `SettingsError` with the nearest names for an unknown one."""
    if name in OWN:
        return ("train", "test")
    if name not in TORCHVISION:
        raise SettingsError(f"There is no data set {name!r}.{suggest(name, names())} See eyas datasets.")
    splits = TORCHVISION[name].splits
    return ("train", "test", "whole") if splits is _WHOLE else tuple(splits)


def dataset_names() -> tuple[tuple[str, str], ...]:
    """Return (name, description) of all named sets: what is in it, the number of classes, the splits."""
    rows = []
    for name in names():
        entry = TORCHVISION.get(name)
        about, count = (entry.about, entry.count) if entry else OWN[name]
        by_hand = "; to be downloaded by hand" if entry and entry.by_hand else ""
        rows.append((name, f"{about}; {count:,} classes; {', '.join(splits_of(name))}{by_hand}"))
    return tuple(rows)
