"""Atomic file writes: written beside the target, flushed, renamed. And the lock of a run folder."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from eyas.errors import DataError, FileError, RunInUseError
from eyas.files import system
from eyas.files.pathnames import refused_name

CONFIG = "config.toml"  # in a run folder: all settings
PREDICTIONS = "predictions.safetensors"  # in a run folder: what its best model answered, sample by sample
TEMPORARY = ".tmp-"  # files of this prefix were left by a run that was cut off; only the lock's holder removes them
_LEFT_OVER = re.compile(r"\.tmp-(\d+)-.+|\.tmp-preflight\..+|\.tmp[A-Za-z0-9]{6}")  # last: of safetensors
_DYING = 10.0  # seconds that the loader processes of a killed training may outlive it: they inherited its lock
_GLANCE = 0.1  # seconds that `is_locked` of another process may hold it
_LITTLE = 100e6  # bytes free on a disk, below which a failure to write says how many there are


@contextlib.contextmanager
def atomic_path(target: Path, *, lasting: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `target`; what is written there becomes `target` whole, or not at all.

    Without `lasting` the disk is not waited for: enough for what can be made again after a power loss.
    Raises `FileError` with the path where the disk is full or not writable; nothing temporary stays behind.
    """
    check_name(target)
    temporary = target.with_name(f"{TEMPORARY}{os.getpid()}-{target.name}")
    try:
        yield temporary
        if lasting:
            system.flush(temporary)
        system.replace(temporary, target)
        if lasting:
            system.flush(target.parent)
    except OSError as error:
        raise FileError(f"{target}: cannot be written: {error.strerror or error}{_room(target.parent)}") from error
    finally:
        with contextlib.suppress(OSError):  # what kept it from being written may keep it from being looked for
            temporary.unlink()


def write_bytes(target: Path, content: bytes) -> None:
    """Write `content` to `target`, atomically."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)


def write_text(target: Path, content: str) -> None:
    """Write `content` to `target` in UTF-8, atomically."""
    write_bytes(target, content.encode())


def link(source: Path, target: Path) -> None:
    """Make `target` another name of `source`'s content, atomically; a copy where the disk knows no links.

    Safe because no file of a run is ever changed in place: a new version is a new file.
    """
    with atomic_path(target) as temporary:
        temporary.unlink(missing_ok=True)
        system.link_or_copy(source, temporary)


def make_folder(folder: Path) -> None:
    """Make `folder` and what is missing above it; a power loss takes none of it away again. Raises `FileError`."""
    check_name(folder)
    try:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for path in missing:
            with contextlib.suppress(PermissionError):  # to write in a folder one need not be able to read it
                system.flush(path.parent)
    except OSError as error:
        raise FileError(f"{folder}: cannot be made: {error.strerror or error}{_room(folder.parent)}") from error


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; the kernel lets go of it however the process ends.

    What a process that was killed left half-written is removed. Raises `RunInUseError` naming the holder if another
    process has it, `FileError` where there can be no lock.
    """
    with contextlib.ExitStack() as held:
        try:
            file = held.enter_context((folder / ".lock").open("a+", encoding="utf-8", errors="replace"))
            _lock(file, held)
            _remove_temporary_files(folder)
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}")
            file.flush()
        except BlockingIOError:
            file.seek(0)
            raise RunInUseError(
                f"{folder}: another eyas is writing to this run folder ({file.read().strip() or 'holder unknown'}). "
                "Wait for it, or stop it."
            ) from None
        except OSError as error:
            reason = f"{error.strerror or error}{_room(folder)}"
            raise FileError(f"{folder / '.lock'}: the folder cannot be locked: {reason}") from error
        yield


def remove_lock(folder: Path) -> None:
    """Remove the lock of a folder that was removed while it was held, and the folder: Windows has kept both."""
    if system.NAME == system.WINDOWS:
        with contextlib.suppress(OSError):  # somebody has it by now
            (folder / ".lock").unlink(missing_ok=True)
            folder.rmdir()


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold a file that is there for its lock alone, once whoever has it lets go of it."""
    with path.open("ab") as file, system.locked(file, wait=True):
        yield


def is_locked(folder: Path) -> bool:
    """Return whether a process holds `folder`'s lock. Looking takes it for an instant, which `_lock` waits out."""
    try:
        with (folder / ".lock").open("rb") as file, system.locked(file, shared=True):
            return False
    except BlockingIOError:
        return True
    except OSError:  # there is none, or it is not ours to look at
        return False


def _lock(file: TextIO, held: contextlib.ExitStack) -> None:
    """Lock an open file for as long as `held` lasts.

    Raises `BlockingIOError` if another has it, soon unless that one is just dying.
    """
    begun = time.monotonic()
    end = begun + _DYING
    while True:
        try:
            return held.enter_context(system.locked(file))
        except BlockingIOError:
            file.seek(0)
            holder = re.match(r"process (\d+) on (.*) since", file.read())
            here = holder is not None and holder[2] == socket.gethostname()
            lives = holder is None or not here or system.runs(int(holder[1]))
            if (lives and time.monotonic() > begun + _GLANCE) or time.monotonic() > end:
                raise
            time.sleep(0.02)


def _remove_temporary_files(folder: Path) -> None:
    """Remove what processes that are dead left half-written in `folder` and the folders in it; nothing else."""
    for place in (folder, *(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())):
        for path in place.glob(".tmp*"):
            found = _LEFT_OVER.fullmatch(path.name)
            if found is None or path.is_symlink() or not path.is_file():
                continue
            writer = int(found[1] or os.getpid())
            if writer == os.getpid() or not system.runs(writer):
                system.remove(path)


def _room(folder: Path) -> str:
    """Return words on how much room is left on a disk, where that is little."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return ""
    return f" ({free / 1e6:.1f} MB are free on this disk)" if free < _LITTLE else ""


def check_name(path: Path) -> None:
    """Raise `FileError` for a path that the system would refuse, or write under another name."""
    if (name := refused_name(path)) is not None:
        raise FileError(f"{path}: Windows keeps no file or folder of the name {name!r}. Choose another name.")


def model_file(path: Path) -> Path:
    """Return the model file that RUN means: the file itself, or best, else last, of a run folder; or `DataError`."""
    if path.is_file():
        return path
    for candidate in (path / "best.safetensors", path / "last.safetensors"):
        if candidate.is_file():
            return candidate
    what = "holds no model yet (best.safetensors)" if path.is_dir() else "does not exist"
    raise DataError(f"{path}: {what}. Give a run folder of `eyas train`, or a .safetensors file in it.")


def disk_use(folder: Path) -> tuple[int, float]:
    """Return a folder's bytes, a file of several names counted once, and when the newest of its files was changed."""
    seen: dict[tuple[int, int], int] = {}
    newest = folder.stat().st_mtime
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                found = os.lstat(os.path.join(place, name))  # noqa: PTH118 - of many files
            except OSError:  # a running training replaces its files
                continue
            seen[found.st_dev, found.st_ino] = found.st_size
            newest = max(newest, found.st_mtime)
    return sum(seen.values()), newest
