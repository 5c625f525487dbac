"""Downloading an archive: resumed, verified, whole or not there; unpacking it without trusting it."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import lzma
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from eyas.errors import DataError
from eyas.files.atomic import file_lock
from eyas.files.pathnames import is_absolute
from eyas.files.system import replace

BLOCK = 1 << 18
MOST_TIMES, SPARE = 50, 1 << 26  # an archive of images hardly grows: what becomes this many times its size is a bomb
Advance = Callable[[int], object]
TIMEOUT = 60.0  # seconds without a byte
ATTEMPTS = 3  # a connection that breaks off is taken up again where it broke


def fetch(
    url: str, target: Path, *, md5: str | None = None, sha256: str | None = None, mirror: str | None = None
) -> Path:
    """Download `url` to `target` unless it is there; return `target`. A broken download is taken up again.

    `mirror` is the address (or path) of a folder that holds the file instead. The checksums are verified
    before the file gets its name. Raises `DataError` where the host cannot be reached, the body is cut off,
    or the sum is wrong.
    """
    address = _mirrored(url, mirror)
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target):
        if target.exists():
            return target
        part = target.with_name(f"{target.name}.part")
        try:
            _receive_all(address, part)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise unreachable(address, target, error) from None
        _verify(part, address, md5, sha256)
        replace(part, target)
    return target


def unreachable(address: str, target: Path, error: Exception) -> DataError:
    """Return the error that says what to do where a download fails: fetch it by hand, or name a mirror."""
    reason = " ".join(str(getattr(error, "reason", None) or error).split()) or type(error).__name__
    return DataError(
        f"{address} cannot be downloaded ({reason}). "
        f"Download it by hand to {target}, or name a folder that holds the archives with --mirror."
    )


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar or zip archive into `folder`.

    Raises `DataError` for damaged ones, those that write elsewhere, hold links out of the folder or devices, and
    those that become far larger than they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                _refuse_outside(archive, packed.namelist())
                _refuse_bomb(archive, sum(entry.file_size for entry in packed.infolist()))
                packed.extractall(folder)
        else:
            with tarfile.open(archive) as tar:
                tar.extractall(folder, _counted(tar, archive), filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError,
            RuntimeError, NotImplementedError) as error:  # fmt: skip  # of an encrypted zip, of an unknown compression
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(":.")  # tarfile lists all it has tried
        raise DataError(f"{archive}: cannot be unpacked: {reason}. Remove it to download it again.") from None


def _counted(tar: tarfile.TarFile, archive: Path) -> Iterator[tarfile.TarInfo]:
    """Yield the entries, which are unpacked one by one, until they are too much."""
    total = 0
    for entry in tar:
        total += entry.size
        _refuse_bomb(archive, total)
        _refuse_outside(archive, [entry.name])
        yield entry


def _refuse_bomb(archive: Path, total: int) -> None:
    if total > MOST_TIMES * archive.stat().st_size + SPARE:
        raise DataError(f"{archive}: would become {total / 1e6:,.0f} MB or more: no archive of images. Remove it.")


@contextlib.contextmanager
def locked(target: Path) -> Iterator[None]:
    """Let one process at a time make `target`; the others wait and then find it there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(target.with_name(f".{target.name}.lock")):
        yield


def mirror_url(mirror: str) -> str:
    """Return a mirror's address with a slash at the end; a path becomes a file address."""
    address = mirror if "://" in mirror else Path(mirror).absolute().as_uri()
    return address.rstrip("/") + "/"


def _mirrored(url: str, mirror: str | None) -> str:
    return url if mirror is None else mirror_url(mirror) + url.rpartition("/")[2]


def _receive_all(address: str, part: Path) -> None:
    """Receive into `part` until it is whole; a connection that breaks is tried again."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _receive(address, part)
            return
        except (http.client.IncompleteRead, ConnectionError, TimeoutError):
            if attempt == ATTEMPTS:
                raise


def _receive(address: str, part: Path) -> None:
    """Receive what `part` still lacks; from the start where the server ignores ranges."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"User-Agent": "eyas"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416 or not have:  # 416: the part is whole already, or of another file
            raise
        if error.headers.get("Content-Range") == f"bytes */{have}":
            return None
        part.unlink()
        return _receive(address, part)
    with response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        start = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        with part.open("ab" if resumed else "wb") as file, _shown(address, start, total) as advance:
            while block := response.read(BLOCK):
                file.write(block)
                advance(len(block))
            received = file.tell()
    if total is not None and received < total:
        raise http.client.IncompleteRead(b"", total - received)
    return None


class _Lines:
    """Progress without a terminal: a line at the start, at each quarter, and at the end."""

    def __init__(self, name: str, done: int, total: int | None) -> None:
        self.name, self.done, self.total, self.said = name, done, total, -1

    def __call__(self, count: int) -> None:
        self.done += count
        quarter = 4 * self.done // self.total if self.total else 0
        if quarter > self.said:
            self.said = quarter
            of = f" of {self.total / 1e6:.1f}" if self.total else ""
            print(f"Downloading {self.name}: {self.done / 1e6:.1f}{of} MB", file=sys.stderr)


@contextlib.contextmanager
def _shown(address: str, start: int, total: int | None) -> Iterator[Advance]:
    name = address.rpartition("/")[2]
    if not sys.stderr.isatty():
        yield _Lines(name, start, total)
        return
    from rich.console import Console

    columns = (
        TextColumn("Downloading {task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=total, completed=start)
        yield lambda count: progress.advance(task, count)


def _verify(part: Path, address: str, md5: str | None, sha256: str | None) -> None:
    """Remove `part` and raise `DataError` where a checksum is wrong."""
    for method, wanted in (("sha256", sha256), ("md5", md5)):
        if wanted is None:
            continue
        with part.open("rb") as file:
            found = hashlib.file_digest(file, method).hexdigest()
        if found != wanted:
            part.unlink()
            raise DataError(
                f"{address}: what was downloaded has the {method} checksum {found}, not {wanted}. "
                "It was removed; try again, or use another --mirror."
            )


def _refuse_outside(archive: Path, names: list[str]) -> None:
    for name in names:
        path = PurePosixPath(name.replace("\\", "/"))
        if is_absolute(str(path)) or ".." in path.parts:
            raise DataError(
                f"{archive}: holds {name!r}, which would be written outside its folder. Remove the archive."
            )
