"""The command line: finds the command that was asked for, and turns every error into a message and an exit code."""

from __future__ import annotations

import io
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import TextIO

from eyas.errors import EyasError, SettingsError, suggest
from eyas.files import system
from eyas.files.system import ending_signals
from eyas.terminal.clean import clean, failed

COMMANDS = {  # each is a module of `eyas.verbs`
    "train": "Train a classifier from a list, a folder or a named data set.",
    "resume": "Continue a run from where it stopped.",
    "evaluate": "Evaluate a trained model on a labelled set.",
    "predict": "Classify images; write CSV, JSON lines or Parquet, or sort them into folders.",
    "serve": "Serve a model over HTTP: an API and a web page.",
    "report": "Write an HTML report on a run: results, calibration and mistakes.",
    "calibrate": "Calibrate the probabilities of a model by temperature scaling.",
    "compare": "Compare runs, and test which differences are statistically significant.",
    "runs": "List the runs in a folder, best first.",
    "export": "Export a trained model to one file that runs without eyas, and check its outputs.",
    "inspect": "Check a data set before training: unreadable files, duplicates, leaks, wrong labels.",
    "models": "List the available networks.",
    "datasets": "List the named data sets, or export one as image files and lists.",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code; every failure that eyas can name is one message on stderr."""
    given = sys.argv[1:] if arguments is None else arguments
    _set_environment()
    for stream in (sys.stdout, sys.stderr):
        escape_unencodable(stream)
    try:
        with _sigterm_as_interrupt(), _plain_warnings():
            if not given or given[0] in ("-h", "--help"):
                print(_overview())
                return 0 if given else 2
            if given[0] == "--version":
                from importlib.metadata import version

                print(f"eyas {version('eyas')}")
                return 0
            return _chosen(given)(given[1:])
    except EyasError as error:
        return failed(str(error), error.exit_code)
    except KeyboardInterrupt:
        return failed("Stopped at once. What was saved before is whole; a run goes on with `eyas resume RUN`.", 130)
    except BrokenPipeError:  # whoever read the output went away: `eyas models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return failed(f"{error.filename or 'a file'}: {error.strerror or error}", 74)
    except MemoryError:
        return failed("The memory of this machine did not suffice. Close other programs, or give less at a time.", 70)


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM and Ctrl-Break end a command as Ctrl-C does, so that it clears away what it has half done."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = {number: signal.signal(number, stop) for number in ending_signals()}
    except ValueError:  # not the main thread: signals belong to whoever owns it
        yield
        return
    try:
        yield
    finally:
        for number, usual in before.items():
            signal.signal(number, usual)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Print Python warnings as what they say, without the line of code that they come from."""
    usual = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"{clean(message)}\n"
    try:
        yield
    finally:
        warnings.formatwarning = usual


def escape_unencodable(stream: TextIO) -> None:
    """Let a stream write what it has no letters for as escapes; on Windows let it write UTF-8, and lines as they are.

    Windows would write each end of a line as two characters, also that of a CSV, which has two of its own.
    """
    if isinstance(stream, io.TextIOWrapper) and system.NAME == system.WINDOWS:
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="")
    elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="backslashreplace")


def _set_environment() -> None:
    """Make idle OpenMP threads sleep instead of spin, unless the user has set it otherwise.

    On a shared machine, where another guest takes a core away for a while, GNU OpenMP's long spinning made a step up to
    25 times as slow (docs/why.md). It reads the environment when torch is loaded, so this stands before all verbs.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    # on a Mac, let the CPU compute what MPS cannot, rather than end the run
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")


def _chosen(given: list[str]) -> Callable[[list[str]], int]:
    """Return the command that was meant; raises `SettingsError` with the nearest names where there is none."""
    if given[0] not in COMMANDS:
        raise SettingsError(f"There is no command {given[0]!r}.{suggest(given[0], COMMANDS)} See `eyas --help`.")
    command: Callable[[list[str]], int] = import_module(f"eyas.verbs.{given[0]}").command
    return command


def _overview() -> str:
    rows = "\n".join(f"  {name:10} {line}" for name, line in COMMANDS.items())
    return f"""eyas trains image classifiers with PyTorch.

usage: eyas COMMAND ...    (eyas COMMAND --help explains it)

{rows}

Try it: eyas train digits --model compact --size 32"""


if __name__ == "__main__":
    sys.exit(main())
