"""All exceptions. A message says what is wrong, where, and what to do; each class has an exit code."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence


class EyasError(Exception):
    """Base class of all errors of eyas. `exit_code` is the exit code of the command."""

    exit_code = 70


class SettingsError(EyasError):
    """An invalid flag, key or combination of settings."""

    exit_code = 2


class DataError(EyasError):
    """A list, folder, data set or image that cannot be used."""

    exit_code = 65


class ShortMemoryError(DataError):
    """Not enough memory to decode an image now. The image is never skipped for this: it may work later."""


class CheckpointError(EyasError):
    """A file of weights or training state that is damaged, of another program, or does not match."""

    exit_code = 65


class TrainingError(EyasError):
    """Training failed: the loss is not finite, or memory ran out."""

    exit_code = 70


class DivergedError(TrainingError):
    """A loss, a weight or a gradient is not a finite number."""


class OutOfMemoryError(TrainingError):
    """The device or the machine ran out of memory during training."""


class ExportError(EyasError):
    """A network that cannot be exported, or an exported file whose outputs differ from the model's."""

    exit_code = 70


class RunInUseError(EyasError):
    """Another process is writing to the run folder, or it contains a run that would be overwritten."""

    exit_code = 73


class FileError(EyasError):
    """Reading or writing failed: disk full, permission denied, device error."""

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
