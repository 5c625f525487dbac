"""Faults in file operations, put in from below: between a command and its files, never inside eyas.

Three layers. `library` is a C library under all code of the process (`failing.c`, for LD_PRELOAD). `python` needs no
compiler: an audit hook of the interpreter, which may refuse an operation, and `os.fsync`; it does not see what other
languages do. `journal` lets everything happen and keeps what a power loss would have left.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

ERRORS = ("ENOSPC", "EIO", "EACCES", "EROFS", "EDQUOT")
KILL = "KILL"  # in an error's place: the process ends at that operation, as by SIGKILL
ROOM = ("ENOSPC", "EDQUOT")  # a full disk still removes files
KINDS = {"open": "open", "os.rename": "rename", "os.link": "link", "os.remove": "unlink", "os.mkdir": "mkdir",
         "os.truncate": "truncate"}  # fmt: skip


def inject(fault: dict[str, Any] | None, log: Path) -> None:
    """Put a fault into this process: its `layer`, the `root` it is below, and for which operation it is meant.

    `at` counts from 1 (0: none fails, all are logged); `error` is a name of ERRORS or KILL; `forever`: from there on.
    """
    if fault is None:
        return
    layer, root = fault["layer"], fault["root"]
    if layer == "journal":
        from tests.faults.power import keep_journal

        keep_journal(Path(root), log)
    elif layer == "library":
        _arm_library(fault, log)
    else:
        _arm_python(fault, log)


def _arm_library(fault: dict[str, Any], log: Path) -> None:
    report = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    name = fault["error"]
    number = 0 if name == KILL else getattr(errno, name)
    arm = ctypes.CDLL(None).failing_arm
    arm(fault["root"].encode(), ctypes.c_long(fault["at"]), number, int(fault["forever"]), int(name in ROOM), report)


def _arm_python(fault: dict[str, Any], log: Path) -> None:
    root, lock = fault["root"], threading.Lock()
    report = log.open("a", buffering=1)
    count = 0

    def happens(kind: str, path: str, *, takes_room: bool) -> None:
        nonlocal count
        if not path.startswith(root):
            return
        with lock:
            count += 1
            beyond = fault["forever"] and count > fault["at"] and (takes_room or fault["error"] not in ROOM)
            hit = count == fault["at"] or beyond
            report.write(json.dumps({"number": count, "kind": kind, "path": path, "hit": hit}) + "\n")
        if hit and fault["error"] == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        if hit:
            number = getattr(errno, fault["error"])
            raise OSError(number, os.strerror(number), path)

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if (kind := KINDS.get(event)) is None or isinstance(arguments[0], int):
            return
        path = os.fsdecode(arguments[1] if event in ("os.rename", "os.link") else arguments[0])
        writes = event != "open" or bool(arguments[2] & (os.O_CREAT | os.O_WRONLY | os.O_RDWR))
        happens(kind, path, takes_room=writes and kind != "unlink")

    sys.addaudithook(heard)
    os.fsync = before(os.fsync, lambda file: happens("fsync", str(path_of(file)), takes_room=True))


def path_of(file: int) -> Path:
    """Return the path of an open file, or folder."""
    return Path(f"/proc/self/fd/{file}").readlink()


def before(usual: Callable[..., Any], act: Callable[..., None]) -> Callable[..., Any]:
    """Return `usual` with `act` called before it, with the same arguments."""

    def both(*arguments: Any, **named: Any) -> Any:
        act(*arguments)
        return usual(*arguments, **named)

    return both
