"""Makes the files that the rows of compare.py read, from data sets that are already on the disk.

    eyas datasets cifar10 --export build/cifar10
    python benchmarks/files.py --cifar10 build/cifar10 --flowers17 FOLDER --out build/benchmark-data

FOLDER holds photos as train/CLASS/*.jpg and val/CLASS/*.jpg (Flowers-17, or any others). Nothing is copied but the
small images that become JPEG files: lists name the images where they are.
"""

from __future__ import annotations

import argparse
import shutil
from itertools import cycle, islice
from pathlib import Path

from PIL import Image

LIGHT, ALEXNET, START = (10_000, 2_000), (640, 128), (128, 64)  # images to train on, to test on
SIZES = (1_000, 10_000, 50_000, 1_000_000)
SMALL = 5_000


def absolute(path: Path) -> list[str]:
    """Return the lines of a list with paths that hold anywhere."""
    folder = path.parent.resolve()
    pairs = (line.rsplit(" ", 1) for line in path.read_text(encoding="utf-8").splitlines())
    return [f"{folder / name} {label}" for name, label in pairs]


def write(folder: Path, classes: Path | None, **lists: list[str]) -> None:
    """Write NAME.txt for every list, with the file of class names beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in lists.items():
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    if classes is not None:
        shutil.copy(classes, folder / "classes.txt")


def as_jpeg(lines: list[str], folder: Path) -> list[str]:
    """Write the images as JPEG files of quality 95; return the lines that name them."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number, line in enumerate(lines):
        path, label = line.rsplit(" ", 1)
        place = folder.resolve() / f"{number:05d}.jpg"
        Image.open(path).convert("RGB").save(place, quality=95)
        made.append(f"{place} {label}")
    return made


def photo_lines(folder: Path) -> list[str]:
    """Return a line for every photo of a split; classes are numbered in the order of their folders' names."""
    classes = sorted(place for place in folder.iterdir() if place.is_dir())
    files = ((file, number) for number, place in enumerate(classes) for file in sorted(place.glob("*.jpg")))
    return [f"{file.resolve()} {number}" for file, number in files]


def main() -> None:
    """Write everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", type=Path, required=True, help="folder with train.txt, test.txt and classes.txt")
    parser.add_argument("--flowers17", type=Path, help="folder of photos; without it the row `photos` cannot run")
    parser.add_argument("--out", type=Path, default=Path("build/benchmark-data"))
    given = parser.parse_args()
    train, test = (absolute(given.cifar10 / f"{split}.txt") for split in ("train", "test"))
    classes = given.cifar10 / "classes.txt"
    for name, (some, others) in {"light": LIGHT, "alexnet": ALEXNET, "start": START}.items():
        write(given.out / name, classes, train=train[:some], test=test[:others])
    for size in SIZES:
        write(given.out / "sizes" / str(size), classes, train=list(islice(cycle(train), size)), test=test[:64])
    write(given.out / "small", classes, train=as_jpeg(train[:SMALL], given.out / "small" / "images"))
    if given.flowers17 is not None:
        write(given.out / "photos", None, train=photo_lines(given.flowers17 / "train"))


if __name__ == "__main__":
    main()
