"""A list file as a data set for any PyTorch `DataLoader`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from eyas.data.class_names import ClassNames
from eyas.data.datasets import as_image_set
from eyas.data.listing import read_listing


class ImageTxtDataset(Dataset[tuple[Any, int]]):
    """The images of a text file, one `path label` per line, as a data set for any PyTorch `DataLoader`.

    `[i]` is `(transform(image), label)`: the image is a PIL image, mode RGB; the label an int that indexes
    `classes`. `root` is the folder that paths are relative to (default: the list's); `classes` are the names
    in the order of the labels' numbers, or the path of a file of them; `outside_root` lets paths lead out of
    the root. Raises `DataError` with every problem of the list by line.
    """

    def __init__(
        self,
        list_file: str | Path,
        root: str | Path | None = None,
        classes: str | Path | Sequence[str] | None = None,
        transform: Callable[[Any], Any] | None = None,
        *,
        outside_root: bool = False,
    ) -> None:
        given = classes if classes is None or isinstance(classes, str | Path) else _given(classes)
        self.images = as_image_set(read_listing(list_file, root=root, classes=given, outside_root=outside_root))
        self.transform = transform
        self.classes = list(self.images.classes)
        self.class_to_idx = {name: number for number, name in enumerate(self.classes)}

    @property
    def targets(self) -> list[int]:
        """All labels, in the list's order."""
        labels: list[int] = self.images.labels.tolist()
        return labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.images.source} has {len(self)} images; there is no number {index}.")
        index %= len(self)
        picture = self.images.images.picture(index)
        label = int(self.images.labels[index])
        return (picture if self.transform is None else self.transform(picture)), label


def _given(classes: Sequence[str]) -> ClassNames:
    return ClassNames(Path("classes"), tuple(classes))
