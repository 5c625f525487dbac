"""The process that trials come from: it has loaded everything once, and forks a real command for each trial.

A start of eyas takes two seconds, most of them for PyTorch; a fork takes milliseconds. The process has one thread and a
pipe: it is forked from safely, and what it forks is a group of its own, which can be killed with all its workers.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


def serve() -> None:
    """Answer requests, one JSON object a line, until the pipe is closed."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints belongs to no answer
    _warm_up()
    print("ready", file=answers)
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            number, status = os.waitpid(request["poll"], os.WNOHANG)
            print(json.dumps(None if number == 0 else os.waitstatus_to_exitcode(status)), file=answers)
        else:
            print(_forked(request), file=answers)
    os._exit(0)  # to let go of all that was loaded, piece by piece, takes seconds


def _warm_up() -> None:
    """Take one run the whole way, so that no trial has to load anything."""
    from eyas.cli import main

    with tempfile.TemporaryDirectory() as folder:
        run = f"{folder}/run"
        quick = ["--size", "16", "--epochs", "1", "--batch-size", "512", "--device", "cpu", "--view", "plain"]
        assert main(["train", "digits", "--model", "compact", *quick, "--threads", "1", "--out", run]) == 0
        assert main(["resume", run, "--epochs", "2"]) == 0
    importlib.import_module("tests.faults.injection")
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "only a process of one thread is forked from safely"


def _forked(request: dict[str, Any]) -> int:
    """Fork a trial: `call` names a function "module:name" of the `arguments`; return its process number."""
    number = os.fork()
    if number:
        return number
    code = 99
    try:
        os.setsid()
        output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(output, stream)
        os.environ |= request["environment"]
        tempfile.tempdir = None
        code = _call(request)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except KeyboardInterrupt:  # it came before the command could hear it, as while Python starts
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _call(request: dict[str, Any]) -> int:
    from tests.faults.injection import inject

    module, _, name = request["call"].partition(":")
    function: Callable[..., int | None] = getattr(importlib.import_module(module), name)
    inject(request["fault"], Path(request["log"]))
    return function(*request["arguments"]) or 0


if __name__ == "__main__":
    serve()
