"""Everything that Linux, macOS and Windows do differently, behind common functions. The only such file."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

LINUX, MACOS, WINDOWS = "linux", "darwin", "win32"
NAME = sys.platform  # the one switch: a test sets it, to run this file by another system's rules

_LOCKED_BYTE = 1 << 30  # Windows keeps others from reading what is locked: so it lies far behind any text
_BRIEFLY = 50  # tries, a fiftieth of a second apart, while a virus scanner has a file that was just written open
_END_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux's prctl.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGEST_HEAP_BLOCK = 2**25  # bytes: as far as glibc raises its own threshold, which it no longer moves once it was set
_LIMIT_FILES = {  # by controller: its limit, what is used, and what of it are files that were read and can be forgotten
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
_STILL_RUNS, _DENIED, _LOOK_AT = 259, 5, 0x1000  # STILL_ACTIVE, ERROR_ACCESS_DENIED, PROCESS_QUERY_LIMITED_INFORMATION


@contextlib.contextmanager
def locked(file: IO[Any], *, shared: bool = False, wait: bool = False) -> Iterator[None]:
    """Hold a lock on an open file; it goes with the file, and with the process however that ends.

    Raises `BlockingIOError` where another has it, unless `wait`. Others can read the file meanwhile. `shared` is for a
    look: it keeps out who wants the file for himself (on Windows also another look, for as long as it takes).
    """
    if NAME != WINDOWS:
        import fcntl

        how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(file, how if wait else how | fcntl.LOCK_NB)
        yield  # it is not given back here: processes that inherited the file hold it as long as they live
        return
    while not _byte_locked(file, hold=True):
        if not wait:
            raise BlockingIOError
        time.sleep(0.05)
    try:
        yield
    finally:
        _byte_locked(file, hold=False)


def _byte_locked(file: IO[Any], *, hold: bool) -> bool:
    """Lock one byte of a file, or let go of it; return whether that could be done."""
    import msvcrt

    number = file.fileno()
    place = os.lseek(number, 0, os.SEEK_CUR)
    os.lseek(number, _LOCKED_BYTE, os.SEEK_SET)
    try:
        msvcrt.locking(number, msvcrt.LK_NBLCK if hold else msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]
    except PermissionError:  # another has it
        return False
    finally:
        os.lseek(number, place, os.SEEK_SET)
    return True


def flush(path: Path) -> None:
    """Force a file's bytes, or a folder's names, to the disk; Windows has nothing to force a folder's names by."""
    if NAME == WINDOWS and path.is_dir():
        return
    access = os.O_RDWR | getattr(os, "O_BINARY", 0) if NAME == WINDOWS else os.O_RDONLY
    descriptor = os.open(path, access)
    try:
        if NAME == MACOS:
            import fcntl

            with contextlib.suppress(OSError):  # a disk that does not know it
                fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # type: ignore[attr-defined]  # fsync leaves it in the drive
                return
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(source: Path, target: Path) -> None:
    """Give `source` the name `target`, whatever had it before; on Windows again while somebody looks at one of them."""
    for tries_left in reversed(range(_BRIEFLY if NAME == WINDOWS else 1)):
        try:
            os.replace(source, target)  # noqa: PTH105
            return
        except PermissionError:
            if not tries_left:
                raise
            time.sleep(0.02)


def remove(path: Path) -> bool:
    """Remove a file where it is there; return whether it is gone. Windows keeps what somebody has open or mapped."""
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        if NAME != WINDOWS:
            raise
        return False
    return True


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` another name of a file, or a copy of it where the disk knows no such names."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def reading_flags() -> int:
    """Return how a file is opened to be read byte by byte, without waiting where it is a pipe."""
    if NAME == WINDOWS:
        return os.O_RDONLY | int(getattr(os, "O_BINARY", 0))
    return os.O_RDONLY | os.O_NONBLOCK


def runs(process: int) -> bool:
    """Return whether a process of this number runs on this machine."""
    if NAME == WINDOWS:
        return _runs_on_windows(process)
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it does, and is not ours
        return True
    return True


def _runs_on_windows(process: int) -> bool:
    """Ask the kernel: signal 0 would be Ctrl-C there."""
    if process >= 2**32:
        return False
    kernel = _kernel()
    kernel.OpenProcess.restype = ctypes.c_void_p  # a handle is as wide as a pointer
    handle = kernel.OpenProcess(_LOOK_AT, False, ctypes.c_ulong(process))
    if not handle:
        return bool(ctypes.get_last_error() == _DENIED)  # type: ignore[attr-defined]  # it runs, and is not ours
    code = ctypes.c_ulong()
    known = kernel.GetExitCodeProcess(ctypes.c_void_p(handle), ctypes.byref(code))
    kernel.CloseHandle(ctypes.c_void_p(handle))
    return bool(known) and code.value == _STILL_RUNS


def _kernel() -> Any:
    return ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined]


def ending_signals() -> tuple[signal.Signals, ...]:
    """Return the signals beside Ctrl-C that ask a command to end: that of `kill`; on Windows Ctrl-Break."""
    return (signal.SIGTERM, signal.SIGBREAK) if NAME == WINDOWS else (signal.SIGTERM,)  # type: ignore[attr-defined]


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that ask a command to end, Ctrl-C first."""
    return (signal.SIGINT, *ending_signals())


def leave_signals_to_parent() -> None:
    """Keep from this process what is sent to all of a job: Ctrl-C, Ctrl-Break, `kill -TERM -GROUP`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if NAME == WINDOWS:
        signal.signal(signal.SIGBREAK, signal.SIG_IGN)  # type: ignore[attr-defined]
    else:
        os.setpgid(0, 0)


def end_with_parent() -> None:
    """End this process when its parent dies, where the kernel can do that; elsewhere PyTorch looks for it."""
    if NAME != LINUX:
        return
    parent = os.getppid()
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


@contextlib.contextmanager
def same_answer_to_dead_children(but: str) -> Iterator[None]:
    """Put back what was done when a child dies, should it be changed inside; what library `but` does is left out."""
    if NAME == WINDOWS:
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    if before is None or getattr(before, "__module__", "").startswith(but):
        before = signal.SIG_DFL
    yield
    with contextlib.suppress(ValueError):  # not the main thread: then nothing was changed
        signal.signal(signal.SIGCHLD, before)


def end_text(code: int) -> str:
    """Return how a process ended that has this exit code."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # a real-time signal has no name
        name = f"signal {-code}"
    return f"was killed by {name}" + (" (was memory short?)" if name == "SIGKILL" else "")


def claim_address(door: socket.socket) -> None:
    """Let a socket have an address that a server just gave back, and no other program have it at the same time."""
    if NAME == WINDOWS:  # there the other option would let two servers share a port
        door.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)  # type: ignore[attr-defined]
    else:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


@contextlib.contextmanager
def keep_memory() -> Iterator[None]:
    """Let glibc keep the memory of one step for the next: to fault its pages in anew took a third of the time."""
    _set_thresholds(heap=2**30, trim=2**31 - 1)
    try:
        yield
    finally:
        _set_thresholds(heap=_LARGEST_HEAP_BLOCK, trim=2 * _LARGEST_HEAP_BLOCK)
        give_back_memory()


def _set_thresholds(*, heap: int, trim: int) -> None:
    """Set how large a block may be to lie in the heap, and how much that is free at its end is kept."""
    if NAME == LINUX:
        with contextlib.suppress(OSError, AttributeError):  # another C library than glibc: it does as it likes
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(_MMAP_THRESHOLD, heap)
            mallopt(_TRIM_THRESHOLD, trim)


def give_back_memory() -> None:
    """Let glibc give back to the system what is free."""
    if NAME == LINUX:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def free_memory(root: Path = Path("/")) -> int:
    """Return the bytes of memory that can be had without swapping, in a container or a job within its limits.

    `root` is where Linux tells of itself.
    """
    if NAME == WINDOWS:
        status = (ctypes.c_ulonglong * 8)(64)  # MEMORYSTATUSEX: its length, all there is, what is free, and more
        _kernel().GlobalMemoryStatusEx(ctypes.byref(status))
        return int(status[2])
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
        free = 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2  # macOS tells only how much there is
    return max(0, min([free, *_left_of_limits(root)]))


def _left_of_limits(root: Path) -> Iterator[int]:
    """Yield what is left of every limit that this process is under: of its control group, and of each one above it."""
    try:
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    for group in groups:  # NUMBER:CONTROLLERS:/PATH, without controllers in version 2
        _, controllers, path = group.split(":", 2)
        kind = "memory" if "memory" in controllers.split(",") else controllers
        if kind in _LIMIT_FILES:
            top = root / "sys/fs/cgroup" / kind
            whole = top / path.strip("/")
            # a container may have its own group at the top, and be told the path that it has outside
            levels = {top, whole, *(level for level in whole.parents if level.is_relative_to(top))}
            yield from (left for level in levels if (left := _left(level, *_LIMIT_FILES[kind])) is not None)


def _left(group: Path, limit: str, used: str, cached: str) -> int | None:
    """Return how many bytes a control group may still take; None where it is not there or has no limit."""
    try:
        left = int((group / limit).read_text(encoding="ascii")) - int((group / used).read_text(encoding="ascii"))
    except (OSError, ValueError):  # of "max"
        return None
    try:
        lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
        return left + next(int(line.split()[1]) for line in lines if line.startswith(f"{cached} "))
    except (OSError, ValueError, IndexError, StopIteration):  # then nothing of it is counted as free
        return left
