"""A PyTorch `Dataset` of the images in a list file."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from eyas.data.lists.class_names import ClassNames
from eyas.data.lists.listing import listed_splits, read_listing
from eyas.data.spec import as_image_set
from eyas.errors import DataError


class ImageTxtDataset(Dataset[tuple[Any, Any]]):
    """A PyTorch `Dataset` of the images in a text file with one `path label` per line.

    `dataset[i]` is `(transform(image), target_transform(label))`; the image is a PIL image in RGB, the label an index
    into `classes`. `root`: folder that paths are relative to (default: the folder of the list; a relative `root` may
    also be next to the list). `classes`: names in order of label number, or a file of them. `split`: train, val or
    test, if a column of the list names the split ("all": all lines). `columns`: as for `--columns`. `outside_root`:
    allow paths that point outside `root`. A positional callable is always a transform. Raises
    `DataError` with the problems of all lines, or if the list has several splits and `split` is not given. Lines that
    were skipped or corrected cause a warning and are listed in `notes`.
    """

    def __init__(
        self,
        list_file: str | Path,
        root: str | Path | Callable[[Any], Any] | None = None,
        transform: Callable[[Any], Any] | str | Path | Sequence[str] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        *,
        classes: str | Path | Sequence[str] | None = None,
        split: str | None = None,
        columns: str | None = None,
        outside_root: bool = False,
    ) -> None:
        places: list[Any] = [root, transform, target_transform]
        if callable(root):  # (list, transform, target_transform)
            places = [None, root, target_transform or transform]
        if places[1] is not None and not callable(places[1]):  # (list, root, classes, transform)
            classes, places = places[1], [places[0], places[2], None]
        at, self.transform, self.target_transform = places
        source = Path(list_file)
        given = classes if isinstance(classes, str | Path | None) else ClassNames(Path("classes"), tuple(classes))
        folder = None if at is None else Path(at)
        if folder is not None and not folder.exists() and (beside := source.parent / folder).is_dir():
            folder = beside  # as tutorials join them
        splits = () if split is not None else listed_splits(source, root=folder, columns=columns)
        if len(splits) > 1:  # nobody trains on test lines without having said so
            asked = " or ".join(f"split={split!r}" for split in (*splits, "all"))
            told = f"a column names the split ({', '.join(splits)}). Say which lines to read: {asked}."
            raise DataError(f"{source}: {told}")
        self.images = as_image_set(read_listing(
            list_file, root=folder, classes=given, columns=columns, split=None if split == "all" else split,
            outside_root=outside_root,
        ))  # fmt: skip
        self.notes = self.images.notes
        if self.notes:
            warnings.warn(f"{list_file}: {'; '.join(self.notes)}", stacklevel=2)
        self.classes = list(self.images.classes)
        self.class_to_idx = {name: number for number, name in enumerate(self.classes)}

    @property
    def targets(self) -> list[int]:
        """All labels, in the order of the list."""
        labels: list[int] = self.images.labels.tolist()
        return labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.images.source} has {len(self)} images; there is no number {index}.")
        index %= len(self)
        picture = self.images.images.picture(index)
        label = int(self.images.labels[index])
        return (
            picture if self.transform is None else self.transform(picture),
            label if self.target_transform is None else self.target_transform(label),
        )
