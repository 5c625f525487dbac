"""Reads a regular file with a size limit; pipes and devices are refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from eyas.errors import DataError
from eyas.files.system import reading_flags

LARGEST_IMAGE = 1 << 29  # bytes: 50 million pixels of 16-bit RGBA without compression are 400 million
LARGEST_LIST = 1 << 32  # bytes: a hundred million lines


def read_file(path: str | Path, most: int = LARGEST_IMAGE) -> bytes:
    """Return the bytes of a regular file; pipes, devices and more than `most` bytes raise `DataError`."""
    try:
        descriptor = os.open(path, reading_flags())
        try:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                raise DataError(f"{path}: is not a regular file.")
            return _all(descriptor, about.st_size, most, path)
        finally:
            os.close(descriptor)
    except MemoryError:
        raise DataError(f"{path}: cannot be read: there is not enough memory for it.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _all(descriptor: int, size: int, most: int, path: str | Path) -> bytes:
    """Return what a descriptor gives: by the system's own call, for a file object is as dear as a small image."""
    parts, have = [], 0
    # the kernel's own files say that they have no bytes, and some of them never end
    while have <= most and size <= most and (part := os.read(descriptor, max(size + 1, 4096))):
        parts.append(part)
        have += len(part)
    if max(have, size) > most:
        raise DataError(f"{path}: cannot be read: it has more than {most >> 20:,} MB.")
    return b"".join(parts)
