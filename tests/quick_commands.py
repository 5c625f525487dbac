"""A shell's `eyas` that is forked from a process which has loaded everything: a start takes seconds, most for PyTorch."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.trial import Hatchery

STAND_IN = """#!{python} -SE
import json, os, socket, sys
if sys.argv[1] in ("inspect", "runs", "datasets"):  # they start quickly, so the installed command itself is tried
    os.execv({real!r}, [{real!r}, *sys.argv[1:]])
with socket.create_connection(("127.0.0.1", {port})) as line, line.makefile("rw", encoding="utf-8") as both:
    print(json.dumps([os.getcwd(), *sys.argv[1:]]), file=both, flush=True)
    code, text = json.loads(both.readline())
print(text, end="")
sys.exit(code)
"""


def main_in(folder: str, *words: str) -> int:
    """Run `eyas WORDS` in a folder."""
    from eyas.cli import main

    os.chdir(folder)
    return main(list(words))


def code_in(folder: str, text: str) -> None:
    """Run a program of Python in a folder."""
    os.chdir(folder)
    exec(compile(text, "<program>", "exec"), {"__name__": "__main__"})


@contextmanager
def quick_commands(hatchery: Hatchery | None, folder: Path) -> Iterator[dict[str, str]]:
    """Yield the environment of a shell whose `eyas` the hatchery runs, where there is one; `folder` is for the stand-in."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if hatchery is None:
        yield {**os.environ, "PATH": path}
        return
    real = shutil.which("eyas", path=path)
    assert real, "eyas is installed beside this Python"
    with socket.create_server(("127.0.0.1", 0)) as door:
        stand_in = folder / "eyas"
        stand_in.write_text(STAND_IN.format(python=sys.executable, real=real, port=door.getsockname()[1]))
        stand_in.chmod(0o755)
        thread = threading.Thread(target=_answer, args=(door, hatchery))
        thread.start()
        try:
            yield {**os.environ, "PATH": f"{folder}{os.pathsep}{path}"}
        finally:
            socket.create_connection(door.getsockname()).close()  # it says nothing: the last one
            thread.join()


def _answer(door: socket.socket, hatchery: Hatchery) -> None:
    while True:
        line, _ = door.accept()
        with line, line.makefile("rw", encoding="utf-8") as both:
            asked = both.readline()
            if not asked:
                return
            trial = hatchery.start(*json.loads(asked), call="tests.quick_commands:main_in")
            try:
                trial.wait(300)
            except AssertionError:  # it hangs
                trial.kill()
            print(json.dumps([trial.code, trial.text]), file=both, flush=True)
