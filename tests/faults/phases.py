"""Commands that are stopped in a named phase: by a signal to themselves, when a function that marks the phase is called.

Python's own hook for profilers sees the calls; nothing of eyas is replaced.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

MARKS = {  # phase: (module, function, of its calls which one)
    "while it loads": ("eyas.data.images.decode", "decode_with_kind", 7),
    "before the first step": ("eyas.training.loop", "train_batches", 1),
    "in the middle of an epoch": ("eyas.training.step", "train_step", 2),
    "while it evaluates": ("eyas.evaluation.one_pass", "evaluate", 1),
    "in the second epoch": ("eyas.training.step", "train_step", 5),
    "after an epoch's last step": ("eyas.training.records", "record_epoch", 1),
    "after an evaluation": ("eyas.training.checkpoint", "_facts", 1),
    "before an epoch's file is written": ("eyas.training.checkpoint", "_write_epoch", 2),
    "between an epoch's file and the state": ("eyas.files.atomic", "link", 4),
    "while it saves": ("eyas.training.saving", "save", 2),
}


def main_stopped_at(_: str, phase: str, number: str, *command: str) -> int:
    """Run a command that gets a signal when the phase begins."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts jobs in the background without it
    from eyas.cli import main

    if phase.startswith("removal"):
        return _main_killed_at_removal(int(phase.split()[1]), list(command))
    steps = ("eyas.training.step", "train_step", int(phase.split()[1])) if phase.startswith("step") else None
    module, name, which = steps or MARKS[phase]
    calls = 0

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        if event == "call" and frame.f_code.co_name == name and frame.f_globals.get("__name__") == module:
            calls += 1
            if calls == which:
                sys.setprofile(None)
                os.kill(os.getpid(), int(number))

    threading.setprofile(watch)
    sys.setprofile(watch)
    return main(list(command))


def _main_killed_at_removal(number: int, command: list[str]) -> int:
    """Run a command that is killed at its removal of an epoch's file: even numbers just before one, odd ones after."""
    from eyas.cli import main

    removed, usual = 0, os.unlink

    def unlink(path: Any, **how: Any) -> None:
        nonlocal removed
        ours = "epochs/epoch-" in os.fsdecode(path)
        if ours and number % 2:
            usual(path, **how)
        if ours and removed == number // 2 % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        removed += ours
        if not (ours and number % 2):
            usual(path, **how)

    os.unlink = unlink
    return main(command)
