"""All exceptions. Each message says what is wrong, where, and what to do next; each class has its exit code."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence


class EyasError(Exception):
    """Any failure that eyas explains to its user in words. `exit_code` is what the command returns."""

    exit_code = 70


class SettingsError(EyasError):
    """A flag, a key or a combination of settings that cannot be run."""

    exit_code = 2


class DataError(EyasError):
    """A list, a folder, a data set or an image that cannot be used as it is."""

    exit_code = 65


class ShortMemoryError(DataError):
    """An image for which memory is short now. Never a reason to leave it out: later there may be enough."""


class CheckpointError(EyasError):
    """A file of weights or of training state that is damaged, foreign or does not fit."""

    exit_code = 65


class TrainingError(EyasError):
    """The training itself went wrong: a loss that is not finite, memory that ran out."""

    exit_code = 70


class DivergedError(TrainingError):
    """A loss, a weight or a gradient is not a finite number."""


class OutOfMemoryError(TrainingError):
    """The memory of the device or of the machine ran out while training."""


class ExportError(EyasError):
    """A network that cannot be exported, or an exported file that does not answer as the model does."""

    exit_code = 70


class RunInUseError(EyasError):
    """Another process is writing to this run folder, or it holds a run that would be overwritten."""

    exit_code = 73


class FileError(EyasError):
    """Reading or writing failed: a full disk, a missing permission, a failing device."""

    exit_code = 74


INTERRUPTED = 75  # exit code of a run that was stopped, is saved, and can go on


def suggest(word: str, options: Iterable[str], *, count: int = 3, written: Callable[[str], str] = repr) -> str:
    """Return " Did you mean 'a' or 'b'?" with the options nearest to `word`, or "" where none is near."""
    known = {option.lower(): option for option in options}
    near = difflib.get_close_matches(word.lower(), known, n=count, cutoff=0.55)
    return f" Did you mean {' or '.join(written(known[word]) for word in near)}?" if near else ""


def few(names: Sequence[str], *, most: int = 5) -> str:
    """Return the first names of many for a message, and how many more there are."""
    return ", ".join(names[:most]) + (f", ... and {len(names) - most:,} more" if len(names) > most else "")
