"""What every runner shares: its flags, the lists, the networks, the clock, and the one line of JSON that it prints."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def process_started() -> float:
    """Return when this process began, in seconds since 1970, to a hundredth; now, where the system does not tell."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rsplit(") ", 1)[1].split()[19])
        up = float(Path("/proc/uptime").read_text().split()[0])
    except OSError:
        return time.time()
    return time.time() - (up - ticks / os.sysconf("SC_CLK_TCK"))


def flags(description: str | None) -> argparse.ArgumentParser:
    """Return the flags that all runners take: the same files, network, size, batches and epochs."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path, help="list file: a path, a space and a class number on each line")
    parser.add_argument("test", type=Path, help="list file of the images that are measured after every epoch")
    parser.add_argument("--model", default="alexnet", help="compact, or a name of torchvision (alexnet)")
    parser.add_argument("--size", type=int, default=256, help="height and width of the network's input (256)")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0, help="processes that load images (0)")
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--out", type=Path, help="folder for what is saved after every epoch; default: a temporary one")
    return parser


def out_folder(given: argparse.Namespace) -> Path:
    """Return the folder to save into."""
    folder = Path(given.out or tempfile.mkdtemp(prefix="benchmark-"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def read_list(path: Path) -> list[tuple[Path, int]]:
    """Return (image file, class number) for every line; paths are relative to the list."""
    pairs = (line.rsplit(" ", 1) for line in path.read_text(encoding="utf-8").splitlines())
    return [(path.parent / name, int(label)) for name, label in pairs]


def count(path: Path) -> int:
    """Return the number of images of a list, without holding it in memory."""
    with path.open(encoding="utf-8") as lines:
        return sum(1 for _ in lines)


def class_count(path: Path) -> int:
    """Return the number of classes of a list."""
    return 1 + max(label for _, label in read_list(path))


def image_tree(train: Path, test: Path, folder: Path) -> Path:
    """Link to the files of both lists into train/CLASS/ and val/CLASS/, for the trainers that read only folders.

    Does nothing where the folder is there already: making it is not part of any measurement.
    """
    if folder.exists():
        return folder
    unfinished = Path(tempfile.mkdtemp(prefix=".tree-", dir=folder.parent))
    for split, path in (("train", train), ("val", test)):
        for number, (file, label) in enumerate(read_list(path)):
            place = unfinished / split / f"{label:03d}" / f"{number:06d}{file.suffix}"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(file.resolve())
    unfinished.rename(folder)
    return folder


def network(name: str, classes: int, *, channels_last: bool = False) -> Any:
    """Return a freshly initialised network: eyas's own `compact`, or torchvision's of that name."""
    import torch

    torch.manual_seed(0)
    if name == "compact":
        from eyas.model.compact import compact

        model = compact(classes)
    else:
        from torchvision.models import get_model

        model = get_model(name, weights=None, num_classes=classes)
    return model.to(memory_format=torch.channels_last) if channels_last else model


class Stopwatch:
    """Wall seconds of training steps and of test passes, epoch by epoch, and until the first step was taken."""

    def __init__(self) -> None:
        self.began = process_started()
        self.first_step: float | None = None
        self.epochs: list[float] = []
        self.tests: list[float] = []
        self._mark = self._last = 0.0

    def epoch_begins(self) -> None:
        """The next batch will be asked for."""
        self._mark = time.perf_counter()

    def step_done(self) -> None:
        """An optimiser step was taken."""
        self._last = time.perf_counter()
        if self.first_step is None:
            self.first_step = time.time() - self.began

    def epoch_ends(self) -> None:
        """The epoch's last step was the one that was told last: what came after it is not training."""
        self.epochs.append(self._last - self._mark)

    def test_begins(self) -> None:
        """The first batch of the test set will be asked for."""
        self._mark = time.perf_counter()

    def test_ends(self) -> None:
        """All test images were counted."""
        self.tests.append(time.perf_counter() - self._mark)

    def report(self, given: argparse.Namespace, packages: list[str], **more: Any) -> None:
        """Print what was measured as one line of JSON, the last of the output."""
        measured = {
            "train_images": count(given.train),
            "test_images": count(given.test),
            "first_step_seconds": self.first_step,
            "epoch_seconds": self.epochs,
            "test_seconds": self.tests,
            "versions": {name: version(name) for name in ("torch", "torchvision", *packages)},
        }
        print("\n" + json.dumps(measured | more), flush=True)
