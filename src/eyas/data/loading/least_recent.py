"""A folder of cached files that several runs share: the least recently used make room for new ones."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from eyas.files.atomic import TEMPORARY
from eyas.files.system import remove

FREE = 0.9  # of what is free on the disk: so much one file may take


def mark_used(*files: Path) -> None:
    """Note in the files' times that they were used now."""
    for file in files:
        with contextlib.suppress(OSError):  # somebody else's folder may be readable only
            os.utime(file)


def make_room(
    folder: Path, suffix: str, size: int, *, limit: int, removed: Callable[[Path], object] = lambda _: None
) -> bool:
    """Remove the least recently used files `*SUFFIX` until `size` more bytes fit into `limit` and onto the disk.

    Return whether they do. Where they never can, nothing is removed. `removed` is called with each file that should go:
    a process that has it mapped keeps its pages, and on Windows the file.
    """
    whole = (path for path in folder.glob(f"*{suffix}") if not path.name.startswith(TEMPORARY))
    kept = sorted(whole, key=lambda path: path.stat().st_mtime)
    used = sum(path.stat().st_size for path in kept)
    if size > limit or size > FREE * (shutil.disk_usage(folder).free + used):
        return False
    while kept and (used + size > limit or size > FREE * shutil.disk_usage(folder).free):
        oldest = kept.pop(0)
        freed = oldest.stat().st_size
        if remove(oldest):
            used -= freed
        removed(oldest)
    return used + size <= limit
