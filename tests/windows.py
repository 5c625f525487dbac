"""Linux that keeps Windows' rules: what is missing there is missing for eyas, what is refused there is refused.

`emulate()` changes the whole process for good, so it is called in one of its own (tests/windows_story.py). Rules of the
file system hold for everybody in it; missing modules, functions and signals are missing for eyas alone, because Python's
own library here is that of Linux.
"""

from __future__ import annotations

import builtins
import ctypes
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODULES = {"fcntl", "resource", "termios", "pwd", "grp", "syslog"}
MISSING = {
    os: {"sysconf", "setpgid", "getpgid", "killpg", "fork", "getuid", "geteuid", "mkfifo", "statvfs", "sched_getaffinity",
         "O_NONBLOCK", "O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC", "pread", "fchmod", "chown", "WNOHANG"},
    signal: {"SIGKILL", "SIGCHLD", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGSTOP", "SIGALRM", "alarm", "setitimer",
             "pthread_sigmask", "sigwait"},
    socket: {"SO_REUSEADDR", "SO_REUSEPORT", "AF_UNIX"},  # the first is there, and lets two servers share a port
}  # fmt: skip
SIGBREAK = signal.SIGUSR1  # Ctrl-Break, which Linux lacks
STILL_ACTIVE, NOT_THERE = 259, 87
DEVICES = {"con", "prn", "aux", "nul", *(f"{name}{number}" for name in ("com", "lpt") for number in range(1, 10))}
OURS = ("/dev/", "/proc/", "/sys/")  # of Linux, not files
replaced: list[str] = []  # names given to files, to show that the rules were asked


def emulate() -> None:
    """Keep Windows' rules from now on."""
    from eyas.files import system

    system.NAME = system.WINDOWS
    multiprocessing.set_start_method("spawn", force=True)
    shutil._use_fd_functions = False  # type: ignore[attr-defined]  # a tree is removed by paths
    for module, names in MISSING.items():
        _leave_out(module, names)
    signal.SIGBREAK = SIGBREAK  # type: ignore[attr-defined]
    socket.SO_EXCLUSIVEADDRUSE = socket.SO_KEEPALIVE  # type: ignore[attr-defined]  # any option that Linux takes
    ctypes.WinDLL = lambda name, use_last_error: KERNEL  # type: ignore[attr-defined]
    ctypes.get_last_error = lambda: NOT_THERE  # type: ignore[attr-defined]
    _change(builtins, "__import__", _imported)
    _change(ctypes, "CDLL", _library)
    _change(os, "kill", _killed)
    _change(os, "fsync", _forced)
    _change(signal, "signal", _handled)
    _change(os.path, "realpath", _real)
    _change(threading.Event, "wait", _waited)
    sys.addaudithook(_refuse)


def _change(place: Any, name: str, changed: Callable[..., Any]) -> None:
    """Put a function that is given the usual one, and who calls it, in that one's place."""
    usual = getattr(place, name)

    def call(*arguments: Any, **named: Any) -> Any:
        return changed(usual, _is_eyas(sys._getframe(1)), *arguments, **named)

    setattr(place, name, call)


def _is_eyas(frame: types.FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).startswith("eyas.")


def _leave_out(module: types.ModuleType, names: set[str]) -> None:
    class Lacking(types.ModuleType):
        def __getattribute__(self, name: str) -> Any:
            if name in names and _is_eyas(sys._getframe(1)):
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r} on Windows")
            return super().__getattribute__(name)

    module.__class__ = Lacking


def _imported(usual: Callable[..., Any], by_eyas: bool, name: str, *more: Any, **named: Any) -> Any:
    if by_eyas and name in MODULES:
        raise ModuleNotFoundError(f"No module named {name!r} on Windows")
    return MSVCRT if by_eyas and name == "msvcrt" else usual(name, *more, **named)


def _library(usual: Callable[..., Any], by_eyas: bool, name: str | None, *more: Any, **named: Any) -> Any:
    if by_eyas and name is None:
        raise TypeError("argument of type 'NoneType' is not iterable")  # so says ctypes of Windows
    return usual(name, *more, **named)


def _killed(usual: Callable[..., Any], by_eyas: bool, process: int, number: int) -> None:
    if by_eyas:
        raise AssertionError(f"os.kill(..., {number}) ends the process on Windows; 0 is Ctrl-C")
    usual(process, number)


def _handled(usual: Callable[..., Any], by_eyas: bool, number: int, handler: Any) -> Any:
    # PyTorch asks for this one only where it is not on Windows
    return signal.SIG_DFL if number == signal.SIGCHLD else usual(number, handler)


def _forced(usual: Callable[..., Any], by_eyas: bool, file: Any) -> None:
    import fcntl

    if fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(9, "Bad file descriptor")
    usual(file)


def _real(usual: Callable[..., Any], by_eyas: bool, path: Any, **named: Any) -> Any:
    real = usual(path, **named)
    if not by_eyas:
        return real
    return real.replace(b"/", b"\\") if isinstance(real, bytes) else real.replace("/", "\\")


def _waited(usual: Callable[..., Any], by_eyas: bool, event: threading.Event, timeout: float | None = None) -> bool:
    if by_eyas and timeout is None and threading.current_thread() is threading.main_thread():
        raise AssertionError("on Windows Ctrl-C does not wake who waits without an end")
    return bool(usual(event, timeout))


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what the file system of Windows refuses; Python asks before it does any of it."""
    if event == "open":
        path, mode, flags = arguments
        if mode is None and isinstance(path, (str, bytes, os.PathLike)) and Path(os.fsdecode(path)).is_dir():
            raise PermissionError(13, "Permission denied", path)  # os.open of a folder
        if isinstance(flags, int) and flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
            _refuse_name(path)
    elif event == "os.mkdir":
        _refuse_name(arguments[0])
    elif event == "os.link":
        _refuse_name(arguments[1])
    elif event == "os.remove":
        _refuse_held(arguments[0])
    elif event == "os.rename":
        _refuse_name(arguments[1])
        replaced.append(os.fsdecode(arguments[1]))
        _refuse_held(arguments[0])
        _refuse_held(arguments[1])


def _refuse_name(path: Any) -> None:
    if isinstance(path, int) or str(path).startswith(OURS):
        return
    for name in Path(os.fsdecode(path)).parts:
        device = name.partition(".")[0].lower() in DEVICES
        if device or (name not in ("/", ".", "..") and name[-1] in " .") or set(name) & set('\\<>:"|?*'):
            raise OSError(22, "Invalid argument (a name that Windows does not keep)", path)


def _refuse_held(path: Any) -> None:
    """Refuse what this process has open or mapped."""
    whole = os.path.abspath(os.fsdecode(path))  # noqa: PTH100
    if whole.startswith(OURS) or not os.path.isfile(whole) or os.path.islink(whole):  # noqa: PTH113, PTH114
        return
    same = os.stat(whole)  # noqa: PTH116
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            there = os.fstat(int(number))
        except OSError:
            continue
        if (there.st_dev, there.st_ino) == (same.st_dev, same.st_ino):
            raise PermissionError(13, "WinError 32: the file is in use (open)", whole)
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:  # noqa: PTH123
        if any(f" {same.st_ino} " in line and line.rstrip("\n").endswith("/" + whole.rpartition("/")[2]) for line in maps):
            raise PermissionError(13, "WinError 32: the file is in use (mapped)", whole)


def _locking(number: int, how: int, count: int) -> None:
    """Lock bytes of an open file, or let go of them, as `msvcrt` does."""
    import fcntl

    if os.lseek(number, 0, os.SEEK_CUR) < os.fstat(number).st_size:
        raise AssertionError("the lock lies on the text, which then nobody else can read")
    try:
        fcntl.flock(number, fcntl.LOCK_UN if how == MSVCRT.LK_UNLCK else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(13, "Permission denied") from None


MSVCRT = types.SimpleNamespace(LK_UNLCK=0, LK_NBLCK=2, locking=_locking)


def _open_process(access: int, inherit: bool, process: Any) -> int:
    return int(process.value) if Path(f"/proc/{process.value}").exists() else 0


def _exit_code(handle: Any, code: Any) -> int:
    code._obj.value = STILL_ACTIVE
    return 1


def _memory(status: Any) -> int:
    assert status._obj[0] == ctypes.sizeof(status._obj) == 64, "the length of what is to be filled in"
    status._obj[1], status._obj[2] = 8 << 30, 4 << 30
    return 1


KERNEL = types.SimpleNamespace(
    OpenProcess=_open_process,
    GetExitCodeProcess=_exit_code,
    CloseHandle=lambda handle: 1,
    GlobalMemoryStatusEx=_memory,
)
