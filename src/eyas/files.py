"""Files that are whole or not there: written beside the target, flushed, renamed, the folder flushed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from eyas.errors import DataError, FileError, RunInUseError

PREDICTIONS = "predictions.safetensors"  # in a run folder: what its best model answered, sample by sample
TEMPORARY = ".tmp-"  # files of this prefix are rubbish of a run that was cut off; only the lock's holder removes them


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; what is written there becomes `target` whole, or not at all.

    Raises `FileError` with the path where the disk is full or not writable; nothing temporary stays behind.
    """
    temporary = target.with_name(f"{TEMPORARY}{os.getpid()}-{target.name}")
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(target)
        _flush(target.parent)
    except OSError as error:
        raise FileError(f"{target}: cannot be written: {error.strerror or error}") from error
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
    import shutil

    with atomic_path(target) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            temporary.hardlink_to(source)
        except OSError:
            shutil.copyfile(source, temporary)


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; the kernel lets go of it however the process ends.

    Raises `RunInUseError` naming the holder if another process has it.
    """
    with (folder / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise RunInUseError(
                f"{folder}: another eyas is writing to this run folder ({file.read().strip() or 'holder unknown'}). "
                "Wait for it, stop it, or choose another folder with --out."
            ) from None
        for rubbish in folder.glob(f"**/{TEMPORARY}*"):
            rubbish.unlink(missing_ok=True)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}")
        file.flush()
        yield


def _flush(path: Path) -> None:
    """Force a file's bytes, or a folder's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def model_file(path: Path) -> Path:
    """Return the model file that RUN means: the file itself, or best, else last, of a run folder; or `DataError`."""
    if path.is_file():
        return path
    for candidate in (path / "best.safetensors", path / "last.safetensors"):
        if candidate.is_file():
            return candidate
    what = "holds no model yet (best.safetensors)" if path.is_dir() else "does not exist"
    raise DataError(f"{path}: {what}. Give a run folder of `eyas train`, or a .safetensors file in it.")
