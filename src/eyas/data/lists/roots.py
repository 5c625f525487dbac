"""Where a list's images are, when they are not in its root: in the only folder beside the list that has them."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from eyas.data.images.packed import PackedStrings
from eyas.data.lists.paths import Root
from eyas.errors import DataError
from eyas.files.pathnames import is_absolute

_FOLDERS = 20  # with more of them beside a list, these are classes
_LOOKED_FOR = 20  # paths that a folder must have


def other_folders(source: Path, root: Root) -> tuple[Root, ...]:
    """Return folders that a list's paths may be relative to instead: the list's own, and those in it or in the root.

    Links are left out: what lies behind them may be anywhere.
    """
    own = source.parent
    found = [own, *_inside(own), *_inside(root.folder)]
    return tuple(Root(folder, root.outside) for folder in dict.fromkeys(found) if folder != root.folder)


def _inside(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            plain = (entry.name for entry in entries if entry.name[0] != "." and entry.is_dir(follow_symlinks=False))
            names = sorted(islice(plain, _FOLDERS + 1))
    except OSError:
        return []
    return [folder / name for name in names] if len(names) <= _FOLDERS else []


def root_of(paths: PackedStrings, source: Path, root: Root, others: tuple[Root, ...]) -> tuple[Root, tuple[str, ...]]:
    """Return the folder that a list's paths are relative to, and a note where it is another than was asked for.

    That is so where the root has none of the paths that are looked for, and one other folder has all of them: the only
    one, or the one that is called like the list. Raises `DataError` where several have them.
    """
    rows = sorted({row * len(paths) // _LOOKED_FOR for row in range(_LOOKED_FOR)})
    some = [paths[row].strip('"') for row in rows]
    if any(is_absolute(path) or path[:2] == ".." or root.finds(path) for path in some):
        return root, ()
    fit = [other for other in others if all(map(other.finds, some))]
    if len(fit) > 1:
        fit = [other for other in fit if other.folder.name == source.stem] or fit
    if len(fit) > 1:
        folders = " and ".join(str(other.folder) for other in fit[:3])
        raise DataError(f"{source}: its paths are not in {root}, but in {folders}. Say which with --root.")
    if not fit:
        return root, ()
    return fit[0], (f"{source.name}: its paths are read from {fit[0]}, where they are; none is in {root}",)
