"""Downloading an archive: resumed, verified by its checksum, whole or not there; then unpacked."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import lzma
import sys
import tarfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from eyas.errors import DataError
from eyas.files.atomic import file_lock
from eyas.files.system import replace

BLOCK = 1 << 18
TIMEOUT = 60.0  # seconds without a byte
ATTEMPTS = 3  # a connection that breaks off is taken up again where it broke


def fetch(
    url: str, target: Path, *, md5: str | None = None, sha256: str | None = None, mirror: str | None = None
) -> Path:
    """Download `url` to `target` unless it is there; return `target`. A broken download is taken up again.

    `mirror` is the address (or path) of a folder that holds the file instead. A file that is there has to have the
    checksums too. Raises `DataError` where the host cannot be reached, the body is cut off, or a sum is wrong.
    """
    address = url if mirror is None else mirror_url(mirror) + url.rpartition("/")[2]
    with locked(target):
        if target.exists():
            if wrong := wrong_checksum(target, md5, sha256):
                raise DataError(f"{target}: has {wrong}: not whole. Remove it to download the set.")
            return target
        part = target.with_name(f"{target.name}.part")
        try:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    receive(address, part)
                    break
                except (http.client.IncompleteRead, ConnectionError, TimeoutError):
                    if attempt == ATTEMPTS:
                        raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise unreachable(address, target, error) from None
        if wrong := wrong_checksum(part, md5, sha256):
            part.unlink()
            again = "It was removed; try again, or use another --mirror."
            raise DataError(f"{address}: what was downloaded has {wrong}. {again}")
        replace(part, target)
    return target


def wrong_checksum(path: Path, md5: str | None, sha256: str | None) -> str:
    """Return which checksum a file has instead of the one that it should have; "" where there is nothing wrong."""
    for method, wanted in (("sha256", sha256), ("md5", md5)):
        if wanted is not None:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, method).hexdigest()
            if found != wanted:
                return f"the {method} checksum {found}, not {wanted}"
    return ""


def unreachable(address: str, target: Path, error: Exception) -> DataError:
    """Return the error that says what to do where a download fails: fetch it by hand, or name a mirror."""
    reason = " ".join(str(getattr(error, "reason", None) or error).split()) or type(error).__name__
    return DataError(
        f"{address} cannot be downloaded ({reason}). "
        f"Download it by hand to {target}, or name a folder that holds the archives with --mirror."
    )


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar archive into `folder`; raises `DataError` for a damaged one, or one that reaches out of it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(":.")  # tarfile lists all it has tried
        raise DataError(f"{archive}: cannot be unpacked: {reason}. Remove it to download it again.") from None


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


def receive(address: str, part: Path) -> None:
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
        return receive(address, part)
    with response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        start = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        with part.open("ab" if resumed else "wb") as file, progress(address, start, total) as advance:
            while block := response.read(BLOCK):
                file.write(block)
                advance(len(block))
            received = file.tell()
    if total is not None and received < total:
        raise http.client.IncompleteRead(b"", total - received)
    return None


@contextlib.contextmanager
def progress(address: str, start: int, total: int | None) -> Iterator[Callable[[int], object]]:
    """Show how far a download is: a bar on a terminal, else a line at its start, at each quarter and at its end."""
    name, done, said = address.rpartition("/")[2], start, -1

    def lines(count: int) -> None:
        nonlocal done, said
        done += count
        quarter = 4 * done // total if total else 0
        if quarter > said:
            said = quarter
            of = f" of {total / 1e6:.1f}" if total else ""
            print(f"Downloading {name}: {done / 1e6:.1f}{of} MB", file=sys.stderr)

    if not sys.stderr.isatty():
        yield lines
        return
    from rich.console import Console

    columns = (TextColumn("Downloading {task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=total, completed=start)
        yield lambda count: bar.advance(task, count)
