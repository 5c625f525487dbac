"""The command `eyas`: one short function per verb. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from eyas.errors import INTERRUPTED, DataError, EyasError, SettingsError, suggest
from eyas.terminal import clean, clean_lines

Arguments = list[str]


def train(arguments: Arguments) -> int:
    """Train a classifier from a list, a folder or a named data set."""
    from eyas.cli_flags import parse_config

    config = parse_config(arguments)
    from eyas.run import train_config

    return _exit_code(train_config(config))


def resume(arguments: Arguments) -> int:
    """Go on with a run where it stopped."""
    from eyas.cli_flags import ResumeFlags, parsed

    given = parsed(ResumeFlags, "resume", arguments)
    from eyas.run import resume as go_on

    try:
        finished = go_on(given.run, **given.model_dump(exclude={"run"}))
    except KeyboardInterrupt:  # before it trained, or for the second time
        return _told(f"Stopped at once. What was saved is whole; go on with `eyas resume {given.run}`.", INTERRUPTED)
    if finished is None:
        name = clean(given.run)
        print(f"{name}: is complete; nothing was changed. To train longer: eyas resume {name} --epochs N")
        return 0
    return _exit_code(finished)


def evaluate(arguments: Arguments) -> int:
    """Measure a trained model on any labelled set."""
    from eyas.cli_flags import EvaluateFlags, parsed

    given = parsed(EvaluateFlags, "evaluate", arguments)
    from eyas.measure import evaluate as measure
    from eyas.measure import print_scores, write_scores

    data, device = given.data_config(), given.device_config()
    scores, images = measure(given.run, given.data, settings=data, device=device, batch_size=given.batch_size)
    print_scores(scores, images)
    write_scores(scores, images, json_file=given.json_file, charts=given.charts)
    return 0


def predict(arguments: Arguments) -> int:
    """Classify files, folders and lists; CSV or JSON lines."""
    from eyas.cli_flags import PredictFlags, parsed

    given = parsed(PredictFlags, "predict", arguments)
    from eyas.predict import predict_to

    form = Path(given.out).suffix.removeprefix(".").lower() if given.out else given.form
    count, unreadable = predict_to(
        given.out, given.run, given.paths, form=form, top=given.top, root=given.root,
        outside_root=given.outside_root, device=given.device, batch_size=given.batch_size,
    )  # fmt: skip
    if unreadable:
        print(f"{unreadable} of {count} files could not be read; their rows carry the reason.", file=sys.stderr)
    return 65 if unreadable == count else 0


def compare(arguments: Arguments) -> int:
    """Compare runs, and tell which differences are larger than chance."""
    from eyas.cli_flags import CompareFlags, parsed

    given = parsed(CompareFlags, "compare", arguments)
    from eyas.compare import compare as side_by_side
    from eyas.compare import print_comparison, write_comparison

    comparison = side_by_side(*given.runs)
    print_comparison(comparison)
    if given.json_file is not None:
        write_comparison(comparison, given.json_file)
    return 0


def inspect(arguments: Arguments) -> int:
    """Look at a set before training: unreadable files, duplicates, leaks, wrong labels."""
    from eyas.cli_flags import InspectFlags, parsed

    given = parsed(InspectFlags, "inspect", arguments)
    from eyas.auditing import inspect as audit
    from eyas.auditing import print_audit, write_audit

    found = audit(given.data, given.against, settings=given.data_config(), html=given.html)
    write_audit(found, json_file=given.json_file, csv_file=given.csv_file)
    print_audit(found)
    return DataError.exit_code if given.strict and found.wrong else 0


def models(arguments: Arguments) -> int:
    """List the networks that can be named."""
    from eyas.cli_flags import ModelsFlags, parsed

    text = parsed(ModelsFlags, "models", arguments).text
    from eyas.model.zoo import model_names

    found = model_names(text)
    if not found:
        raise SettingsError(f"No network has {text!r} in its name.{suggest(text, [m.name for m in model_names()])}")
    for model in found:
        print(f"{model.name:48} {model.library}")
    return 0


def datasets(arguments: Arguments) -> int:
    """List the named data sets, or write one as image files and lists."""
    from eyas.cli_flags import DatasetsFlags, parsed

    given = parsed(DatasetsFlags, "datasets", arguments)
    if given.export is None:
        from eyas.data.named import dataset_names

        rows = [row for row in dataset_names() if given.name in row[0]]
        if not rows:
            raise SettingsError(f"{given.name}: no such set.{suggest(given.name, [row[0] for row in dataset_names()])}")
        for name, about in rows:
            print(f"{name:22} {about}")
        return 0
    if not given.name:
        raise SettingsError("Which set? eyas datasets NAME --export FOLDER")
    from eyas.data.export import export_named
    from eyas.data.settings import DataConfig

    for path in export_named(given.name, given.export, DataConfig(data_dir=given.data_dir, mirror=given.mirror)):
        print(clean(path))
    return 0


COMMANDS: dict[str, Callable[[Arguments], int]] = {
    "train": train,
    "resume": resume,
    "evaluate": evaluate,
    "predict": predict,
    "compare": compare,
    "inspect": inspect,
    "models": models,
    "datasets": datasets,
}


def main(arguments: Arguments | None = None) -> int:
    """Run the command and return its exit code; every failure that eyas can name is one message on stderr."""
    given = sys.argv[1:] if arguments is None else arguments
    _calm_threads()
    try:
        with _stopped_alike():
            return _run(given)
    except EyasError as error:
        return _told(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _told("Stopped at once. What was saved before is whole; a run goes on with `eyas resume RUN`.", 130)
    except BrokenPipeError:  # whoever read the output went away: `eyas models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _told(f"{error.filename or 'a file'}: {error.strerror or error}", 74)
    except MemoryError:
        return _told("The memory of this machine did not suffice. Close other programs, or give less at a time.", 70)


@contextmanager
def _stopped_alike() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does, so that it clears away what it has half done."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread: signals belong to whoever owns it
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _calm_threads() -> None:
    """Let the arithmetic's idle threads sleep soon instead of spinning; a setting of the user's own wins.

    On a shared machine, where another guest takes a core away for a while, GNU OpenMP's long spinning made a step up to
    25 times as slow (docs/why.md). It reads the environment when torch is loaded, so this stands before all verbs.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def _run(given: Arguments) -> int:
    if not given or given[0] in ("-h", "--help"):
        print(_overview())
        return 0 if given else 2
    if given[0] == "--version":
        from importlib.metadata import version

        print(f"eyas {version('eyas')}")
        return 0
    if given[0] not in COMMANDS:
        raise SettingsError(f"There is no command {given[0]!r}.{suggest(given[0], COMMANDS)} See `eyas --help`.")
    return COMMANDS[given[0]](given[1:])


def _overview() -> str:
    rows = "\n".join(f"  {name:10} {(verb.__doc__ or '').splitlines()[0]}" for name, verb in COMMANDS.items())
    return f"""eyas trains image classifiers with PyTorch.

usage: eyas COMMAND ...    (eyas COMMAND --help explains it)

{rows}

Try it: eyas train digits --model compact --size 32"""


def _exit_code(run: Any) -> int:
    return INTERRUPTED if run.finished.reason == "interrupted" else 0


def _told(message: str, code: int) -> int:
    print(f"eyas: {clean_lines(message)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
