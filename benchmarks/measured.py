"""Runs one runner in a process of its own: what it printed, its wall seconds, and the most memory that it used."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any


class RunnerError(Exception):
    """A runner ended without its line of JSON."""


def measured(command: list[str], environment: dict[str, str], log: Path) -> dict[str, Any]:
    """Return what the command reported with `wall_seconds` and `peak_mb`. Raises `RunnerError` with its last words."""
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.time()
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT)
        sampled = _Sampled(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.time() - began
        peak = max(sampled.stop(), usage.ru_maxrss * 1024)
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = [line for line in text.splitlines() if line.startswith('{"train_images"')]
    if process.returncode or not lines:
        raise RunnerError(f"{' '.join(command)}\nended with {process.returncode}:\n{text[-2000:]}")
    return json.loads(lines[-1]) | {"wall_seconds": wall, "peak_mb": peak / 2**20}


class _Sampled:
    """Looks at the memory of a process and of those it started, every second.

    A page that several processes share counts once. `ru_maxrss` knows the peak of the largest process exactly, but
    not what several use together; the larger of both is taken.
    """

    def __init__(self, pid: int) -> None:
        self._pid, self._peak, self._over = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """Return the most bytes that were seen."""
        self._over.set()
        self._thread.join()
        return self._peak

    def _watch(self) -> None:
        while not self._over.wait(1.0):
            self._peak = max(self._peak, sum(map(_proportional, _tree(self._pid))))


def _tree(pid: int) -> list[int]:
    """Return a process and everything below it."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:  # it has ended meanwhile
        return []
    return [pid, *(below for child in children for below in _tree(child))]


def _proportional(pid: int) -> int:
    """Return the bytes of a process, shared pages by their share."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0
