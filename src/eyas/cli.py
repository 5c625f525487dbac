"""The command `eyas`: one short function per verb. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from eyas.errors import INTERRUPTED, EyasError, SettingsError, suggest

Arguments = list[str]
T = TypeVar("T")


def train(arguments: Arguments) -> int:
    """Train a classifier from a list, a folder or a named data set."""
    from eyas.cli_flags import parse_config

    config = parse_config(arguments)
    from eyas.run import train_config

    return _exit_code(train_config(config))


def resume(arguments: Arguments) -> int:
    """Go on with a run where it stopped."""
    import tyro
    from tyro.conf import Positional

    def flags(
        run: Annotated[Positional[str], tyro.conf.arg(help="Run folder of `eyas train`.")],
        epochs: Annotated[int | None, tyro.conf.arg(help="Train to this epoch, more than first asked for.")] = None,
        patience: Annotated[int | None, tyro.conf.arg(help="Another patience of early stopping (0: never).")] = None,
        stretch_schedule: Annotated[bool, tyro.conf.arg(help="Let cosine or onecycle take a longer course.")] = False,
    ) -> tuple[str, dict[str, Any]]:
        return run, {"epochs": epochs, "patience": patience, "stretch_schedule": stretch_schedule}

    run, given = _parsed(flags, "resume", arguments)
    from eyas.run import resume as resume_run

    gone_on = resume_run(run, **given)
    if gone_on is None:
        print(f"{run}: is already complete; nothing was changed. To train longer: eyas resume {run} --epochs N")
        return 0
    return _exit_code(gone_on)


def evaluate(arguments: Arguments) -> int:
    """Measure a trained model on any labelled set."""
    import tyro
    from tyro.conf import Positional

    from eyas.cli_flags import MeasureFlags

    def flags(
        run: Annotated[Positional[str], tyro.conf.arg(help="Run folder, or a .safetensors file in it.")],
        data: Annotated[Positional[str], tyro.conf.arg(help="List, folder or named set, such as cifar10:test.")],
        options: MeasureFlags = MeasureFlags(),  # noqa: B008
    ) -> tuple[str, str, MeasureFlags]:
        return run, data, options

    run, data, options = _parsed(flags, "evaluate", arguments)
    from eyas.measure import measure
    from eyas.sinks.summary import print_scores, scores_to_dict

    scores, images = measure(
        run, data, settings=options.data_config(), device=options.device_config(), batch_size=options.batch_size
    )
    print_scores(scores, source=images.source, notes=images.notes)
    if options.json_file is not None:
        import json

        from eyas.files import write_text

        write_text(Path(options.json_file), json.dumps(scores_to_dict(scores), ensure_ascii=False, indent=1) + "\n")
    return 0


def predict(arguments: Arguments) -> int:
    """Classify files, folders and lists; CSV or JSON lines."""
    import tyro
    from tyro.conf import Positional

    def flags(
        run: Annotated[Positional[str], tyro.conf.arg(help="Run folder, or a .safetensors file in it.")],
        paths: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(help="Images, folders, list files.")],
        out: Annotated[str | None, tyro.conf.arg(help="File to write, .csv or .jsonl. Default: the terminal.")] = None,
        form: Annotated[Literal["csv", "jsonl"], tyro.conf.arg(help="Form on the terminal.")] = "csv",
        top: Annotated[int, tyro.conf.arg(help="Number of most likely classes per image.")] = 1,
        root: Annotated[str | None, tyro.conf.arg(help="Folder that paths in lists are relative to.")] = None,
        device: Annotated[str, tyro.conf.arg(help="cpu, cuda, mps or auto.")] = "auto",
        batch_size: Annotated[int, tyro.conf.arg(help="Images per batch.")] = 64,
    ) -> dict[str, Any]:
        return locals()

    given = _parsed(flags, "predict", arguments)
    if given["top"] < 1 or given["batch_size"] < 1:
        raise SettingsError("--top and --batch-size must be 1 or more.")
    return _predict(**given)


def _predict(
    run: str, paths: tuple[str, ...], out: str | None, form: str, top: int, root: str | None, device: str, batch_size: int
) -> int:
    import contextlib

    from eyas.files import atomic_path
    from eyas.model.classifier import Classifier
    from eyas.predict import files_in, predict_files, rows_to
    from eyas.progress import track

    if out is not None:
        form = Path(out).suffix.removeprefix(".").lower()
    if not paths:
        raise SettingsError("Which images? Give files, folders or lists: eyas predict RUN PATH...")
    files = files_in(paths, root=root)
    classifier = Classifier.load(run, device)
    bad = 0
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(atomic_path(Path(out))) if out else None
        stream = stack.enter_context(target.open("w", encoding="utf-8", newline="")) if target else sys.stdout
        rows = rows_to(stream, form, top=min(top, len(classifier.classes)))
        for answer in track(predict_files(classifier, files, batch_size=batch_size), len(files), "Predicting"):
            rows.write(answer)
            if answer.prediction is None:
                bad += 1
                print(answer.error, file=sys.stderr)
    if bad:
        print(f"{bad} of {len(files)} files could not be read; their rows carry the reason.", file=sys.stderr)
    return 65 if bad == len(files) else 0


def models(arguments: Arguments) -> int:
    """List the networks that can be named."""
    import tyro
    from tyro.conf import Positional

    def flags(text: Annotated[Positional[str], tyro.conf.arg(help="Only names with this in them.")] = "") -> str:
        return text

    text = _parsed(flags, "models", arguments)
    from eyas.model.zoo import model_names

    found = model_names(text)
    if not found:
        raise SettingsError(f"No network has {text!r} in its name.{suggest(text, [m.name for m in model_names()])}")
    for model in found:
        print(f"{model.name:48} {model.library}")
    return 0


def datasets(arguments: Arguments) -> int:
    """List the named data sets, or write one as image files and lists."""
    import tyro
    from tyro.conf import Positional

    def flags(
        name: Annotated[Positional[str], tyro.conf.arg(help="A named set; without one all are listed.")] = "",
        export: Annotated[str | None, tyro.conf.arg(help="Empty folder to write image files and lists to.")] = None,
        data_dir: Annotated[str, tyro.conf.arg(help="Folder that sets are downloaded into.")] = "data",
        mirror: Annotated[str | None, tyro.conf.arg(help="Address of a folder with the archives.")] = None,
    ) -> tuple[str, str | None, str, str | None]:
        return name, export, data_dir, mirror

    name, export, data_dir, mirror = _parsed(flags, "datasets", arguments)
    if export is None:
        from eyas.data.named import dataset_names

        rows = [row for row in dataset_names() if name in row[0]]
        if not rows:
            raise SettingsError(f"{name}: no such set.{suggest(name, [row[0] for row in dataset_names()])}")
        for row in rows:
            print(f"{row[0]:22} {row[1]}")
        return 0
    if not name:
        raise SettingsError("Which set? eyas datasets NAME --export FOLDER")
    from eyas.data.export import export_named
    from eyas.data.settings import DataConfig

    for path in export_named(name, export, DataConfig(data_dir=data_dir, mirror=mirror)):
        print(path)
    return 0


COMMANDS: dict[str, Callable[[Arguments], int]] = {
    "train": train,
    "resume": resume,
    "evaluate": evaluate,
    "predict": predict,
    "models": models,
    "datasets": datasets,
}


def main(arguments: Arguments | None = None) -> int:
    """Run the command and return its exit code; every failure that eyas can name is one message on stderr."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        return _run(given)
    except EyasError as error:
        return _told(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _told("Stopped at once. What was saved last is whole: go on with `eyas resume RUN`.", INTERRUPTED)
    except BrokenPipeError:  # whoever read the output went away: `eyas models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _told(f"{error.filename or 'a file'}: {error.strerror or error}", 74)


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


def _parsed(flags: Callable[..., T], command: str, arguments: Arguments) -> T:
    """Return what `flags` makes of the command line."""
    from eyas.cli_flags import parsed

    return parsed(flags, command, arguments)


def _exit_code(run: Any) -> int:
    return INTERRUPTED if run.finished.reason == "interrupted" else 0


def _told(message: str, code: int) -> int:
    print(f"eyas: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
