"""Power loss: what may be on a disk after it, worked out from a journal of what a run asked the system to do.

The model of a disk, as hard as the standard allows. A file's bytes are there once the file was flushed; before, it may be
there empty, or half. A name is there once its folder was flushed; of the names that were made, moved or removed since then
any may have come to the disk and any not, but for one file's they come in order.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.injection import before, path_of


def keep_journal(root: Path, log: Path) -> None:
    """Write down in `log` each flush and each change of a name below `root`, and keep the bytes that were flushed.

    With each stands the newest step that the run has told to be saved.
    """
    store = log.with_suffix(".store")
    store.mkdir()
    lock, count, events = threading.Lock(), 0, root / "events.jsonl"
    journal = log.open("a", buffering=1)

    def happens(kind: str, *paths: Any) -> None:
        """Write down an operation, and with a flush the bytes of its file."""
        nonlocal count
        names = [os.path.abspath(os.fsdecode(path)) for path in paths]  # noqa: PTH100
        if not names[-1].startswith(str(root)):
            return
        with lock:
            count += 1
            entry = {"number": count, "kind": kind, "paths": names, "told": _told(events)}
            if kind == "flush":
                shutil.copyfile(names[0], store / str(count))
            journal.write(json.dumps(entry) + "\n")

    def flushed(file: int) -> None:
        path = path_of(file)
        happens("flush folder" if path.is_dir() else "flush", path)

    os.fsync = before(os.fsync, flushed)
    os.replace = before(os.replace, lambda source, target, **_: happens("replace", source, target))
    os.link = before(os.link, lambda source, target, **_: happens("link", source, target))
    os.unlink = before(os.unlink, lambda path, **_: happens("unlink", path))
    os.mkdir = before(os.mkdir, lambda path, *_, **__: happens("mkdir", path))


def _told(events: Path) -> int:
    """Return the newest step whose state the records call saved."""
    lines = events.read_text().splitlines() if events.exists() else []
    told = [json.loads(line) for line in lines if line.startswith('{"event": "saved"') and line.endswith("}")]
    return max((record["step"] for record in told if record["kind"] == "state"), default=0)


@dataclass(slots=True)
class Inode:
    """A file: the number of the flush that its bytes came to the disk with, None before."""

    flushed: int | None = None


@dataclass(slots=True)
class Disk:
    """What names there are, as processes see them and as they are on the disk."""

    root: str
    seen: dict[str, Inode] = field(default_factory=dict)
    kept: dict[str, Inode] = field(default_factory=dict)
    pending: list[list[tuple[str, Inode | None]]] = field(default_factory=list)  # changes of names, each whole or not
    folders: set[str] = field(default_factory=set)

    def happens(self, entry: dict[str, Any]) -> None:
        """Take in one entry of the journal."""
        kind, paths = entry["kind"], entry["paths"]
        match kind:
            case "flush":  # a file is first heard of when it is flushed: its name was made before
                if paths[0] not in self.seen:
                    self._names([(paths[0], Inode())])
                self.seen[paths[0]].flushed = entry["number"]
            case "replace" if paths[0] in self.seen:
                self._names([(paths[1], self.seen[paths[0]]), (paths[0], None)])
            case "replace":  # was never flushed: its bytes may be lost
                self._names([(paths[1], Inode())])
            case "link" if paths[0] in self.seen:
                self._names([(paths[1], self.seen[paths[0]])])
            case "unlink" if paths[0] in self.seen:
                self._names([(paths[0], None)])
            case "flush folder":
                self._flush(paths[0])

    def _names(self, changes: list[tuple[str, Inode | None]]) -> None:
        self.pending.append(changes)
        _apply(self.seen, changes)

    def _flush(self, folder: str) -> None:
        still = []
        for changes in self.pending:
            if os.path.dirname(changes[0][0]) == folder:  # noqa: PTH120
                _apply(self.kept, changes)
            else:
                still.append(changes)
        self.pending = still

    def losses(self, tries: int, chance: random.Random) -> Iterator[dict[str, Inode]]:
        """Yield the names that may be there after a loss now: the least, the most, and `tries` in between."""
        for share in (0.0, 1.0, *(chance.random() for _ in range(tries))):
            names = dict(self.kept)
            for changes in self.pending:
                if chance.random() < share:
                    _apply(names, changes)
            yield names


def _apply(names: dict[str, Inode], changes: list[tuple[str, Inode | None]]) -> None:
    for name, inode in changes:
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode


def rebuild(names: dict[str, Inode], root: Path, store: Path, target: Path) -> None:
    """Make in `target` what is on the disk; a file whose bytes were never flushed is empty."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for name, inode in names.items():
        path = target / Path(name).relative_to(root)
        path.parent.mkdir(parents=True, exist_ok=True)
        if inode.flushed is None:
            path.touch()
        else:
            os.link(store / str(inode.flushed), path)
