"""One kind of input: how it is made, the command that meets it, and what eyas says or does."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

QUICK = "--model compact --size 16 --epochs 1 --batch-size 8 --device cpu --report none --out run"


@dataclass(frozen=True)
class Case:
    """An input of everyday life.

    `make` writes it into the current folder, which is empty; `command` is what follows `eyas`; `says` are parts of the
    output (stdout and stderr, spaces and line ends alike) in the page's order; `check` looks at what was done.
    """

    what: str
    make: Callable[[], object]
    command: str
    says: tuple[str, ...]
    code: int = 0
    check: Callable[[], object] = lambda: None


def train(data: str, options: str = "") -> str:
    """Return a command that trains a moment on `data`."""
    return f"train {data} {options} {QUICK}".replace("  ", " ")


def picture(path: str | Path, size: tuple[int, int] = (20, 16)) -> None:
    """Write a small noisy picture; its colour tells its folder, so that classes in folders can be learnt."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    said = "/".join(target.parts[-3:] if target.is_absolute() else target.parts)  # no folder's chance name
    noise = np.random.default_rng(zlib.crc32(said.encode())).integers(-40, 41, (size[1], size[0], 3))
    colour = np.random.default_rng(zlib.crc32(target.parent.name.encode())).integers(60, 196, 3)
    pixels = (colour + noise).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(target)


def pictures(folder: str, classes: Sequence[str], count: int = 4) -> None:
    """Write `count` pictures, 0.png on, into a folder for each class."""
    for name in classes:
        for number in range(count):
            picture(f"{folder}/{name}/{number}.png")


def numbered(count: int, folder: str = ".") -> list[str]:
    """Write pictures 0.png on into a folder; return their names."""
    names = [f"{number}.png" for number in range(count)]
    for name in names:
        picture(f"{folder}/{name}")
    return names


def write(path: str, *lines: str) -> None:
    """Write a text file of these lines."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
