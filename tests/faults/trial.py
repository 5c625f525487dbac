"""Trials: real commands in processes of their own, with a fault in each, and what is asked of them afterwards."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
MAIN = "eyas.cli:main"


@dataclass(slots=True)
class Trial:
    """A command that runs, or has ended."""

    hatchery: Hatchery
    number: int  # of the process and of its group
    output: Path
    log: Path
    code: int | None = None  # what it ended with; negative: the signal

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        if self.code is None:
            self.code = self.hatchery.ask({"poll": self.number})
        return self.code

    def wait(self, seconds: float = 120) -> int:
        """Return the exit code; a trial that runs for longer is a fault of its own."""
        end = time.monotonic() + seconds
        while (code := self.poll()) is None:
            assert time.monotonic() < end, f"hangs: {self.text}"
            time.sleep(0.002)
        return code

    def send(self, number: int, *, group: bool = False) -> None:
        """Send it a signal, if it still runs; to its workers too, where asked."""
        if self.poll() is None:
            try:
                (os.killpg if group else os.kill)(self.number, number)
            except ProcessLookupError:  # it has no group of its own yet
                os.kill(self.number, number)

    def kill(self) -> None:
        """End it with its workers, at once; harmless where it has ended by itself."""
        self.send(signal.SIGKILL, group=True)
        self.wait()

    @property
    def text(self) -> str:
        """All that it printed."""
        return self.output.read_text(encoding="utf-8", errors="replace") if self.output.exists() else ""

    @property
    def told(self) -> str:
        """The message that it ended with: one of ours and no traceback, or an `AssertionError`."""
        text = self.text
        assert "Traceback" not in text, text
        found = re.search(r"^eyas: (.*)", text, re.MULTILINE | re.DOTALL)
        assert found, f"no message, exit code {self.code}: {text!r}"
        return found[1].rstrip()

    @property
    def operations(self) -> list[dict[str, Any]]:
        """The file operations that the fault's layer saw, oldest first."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


@dataclass(slots=True)
class Hatchery:
    """A process that forks trials, and the folder of their outputs. `preload` is a library for the loader."""

    folder: Path
    preload: Path | None = None
    process: subprocess.Popen[str] = field(init=False)
    count: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        quiet = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLCONFIGDIR": str(self.folder / "matplotlib")}
        loaded = {"LD_PRELOAD": str(self.preload)} if self.preload else {}
        path = os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
        with (self.folder / "hatchery.txt").open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.hatchery"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=errors, text=True, cwd=ROOT, env={**os.environ, **quiet, **loaded, "PYTHONPATH": path},
            )  # fmt: skip
        assert self._answer() == "ready", (self.folder / "hatchery.txt").read_text()

    def close(self) -> None:
        """End the process; trials that still run are left to their own end."""
        self.process.communicate()

    def ask(self, request: dict[str, Any]) -> Any:
        """Return the answer to a request."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self._answer())

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def start(
        self, *arguments: object, call: str = MAIN, fault: dict[str, Any] | None = None, **environment: str
    ) -> Trial:
        """Start `eyas ARGUMENTS`, or another `call` with them, with a fault as `injection.inject` takes it."""
        self.count += 1
        output, log = (self.folder / f"{self.count:05d}.{kind}" for kind in ("txt", "log"))
        words = [str(argument) for argument in arguments]
        request = {"call": call, "arguments": [words] if call == MAIN else words, "output": str(output),
                   "log": str(log), "fault": fault, "environment": environment}  # fmt: skip
        return Trial(self, self.ask(request), output, log)

    def run(self, *arguments: object, **how: Any) -> Trial:
        """Start a trial and wait for its end."""
        trial = self.start(*arguments, **how)
        trial.wait()
        return trial


def flags(given: dict[str, Any]) -> Sequence[str]:
    """Return settings as flags of the command."""
    parts: list[str] = []
    for name, value in given.items():
        flag = f"--{name.replace('_', '-')}"
        parts += {True: [flag], False: []}[value] if isinstance(value, bool) else [flag, str(value)]
    return parts
