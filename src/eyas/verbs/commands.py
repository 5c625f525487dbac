"""What each command of `eyas` does: flags -> verb -> exit code. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from eyas.errors import INTERRUPTED, DataError, SettingsError, suggest
from eyas.terminal.clean import clean, clean_lines

Arguments = list[str]


def train(arguments: Arguments) -> int:
    """Train a classifier from a list, a folder or a named data set."""
    from eyas.config.flags import parse_config

    config = parse_config(arguments)
    from eyas.verbs.train import train_config

    return _exit_code(train_config(config))


def resume(arguments: Arguments) -> int:
    """Go on with a run where it stopped."""
    from eyas.config.flags import ResumeFlags, parsed

    given = parsed(ResumeFlags, "resume", arguments)
    from eyas.verbs.train import resume as go_on

    try:
        finished = go_on(given.run, **given.model_dump(exclude={"run"}))
    except KeyboardInterrupt:  # before it trained, or for the second time
        return told(f"Stopped at once. What was saved is whole; go on with `eyas resume {given.run}`.", INTERRUPTED)
    if finished is None:
        name = clean(given.run)
        moved = any((given.train, given.test, given.val, given.root, given.classes))
        done = "its data is the same, and is looked for there from now on" if moved else "nothing was changed"
        print(f"{name}: is complete; {done}. To train longer: eyas resume {name} --epochs N")
        return 0
    return _exit_code(finished)


def evaluate(arguments: Arguments) -> int:
    """Measure a trained model on any labelled set."""
    from eyas.config.flags import EvaluateFlags, parsed

    given = parsed(EvaluateFlags, "evaluate", arguments)
    if given.data is not None and given.train is not None:
        raise SettingsError("--train says where the run's own set lies now, and DATA names another. Give one of them.")
    from eyas.verbs.evaluate import evaluate as measure
    from eyas.verbs.evaluate import print_scores, write_scores

    data, device = given.data_config(), given.device_config()
    scores, images = measure(
        given.run, given.data, settings=data, device=device, batch_size=given.batch_size, answers=given.answers
    )
    print_scores(scores, images)
    write_scores(scores, images, json_file=given.json_file, charts=given.charts)
    return 0


def predict(arguments: Arguments) -> int:
    """Classify files, folders and lists; CSV, JSON lines or Parquet, or sorted into folders."""
    from eyas.config.flags import PredictFlags, parsed

    given = parsed(PredictFlags, "predict", arguments)
    from eyas.verbs.predict import predict_to

    done = predict_to(given.out, given.run, given.paths, given)
    for said in done.in_words(given):
        print(clean(said), file=sys.stderr)
    return 65 if done.unreadable == done.images else 0


def serve(arguments: Arguments) -> int:
    """Answer over HTTP: an API, and a page for the browser."""
    from eyas.config.flags import ServeFlags, parsed

    given = parsed(ServeFlags, "serve", arguments)
    from eyas.verbs.serve import serve as answer

    answer(given.run, given.serve_config())
    return 0


def report(arguments: Arguments) -> int:
    """Write a page on a run: its results, how sure it is, its mistakes."""
    from eyas.config.flags import ReportFlags, parsed

    given = parsed(ReportFlags, "report", arguments)
    from eyas.verbs.report import report as write_report

    path = write_report(given.run, out=given.out, language=given.language, device=given.device, audit=given.audit)
    print(clean(str(path)))
    return 0


def calibrate(arguments: Arguments) -> int:
    """Make a model as sure as it is right, by a temperature."""
    from eyas.config.flags import CalibrateFlags, parsed

    given = parsed(CalibrateFlags, "calibrate", arguments)
    from eyas.verbs.calibrate import calibrate as fit_temperature
    from eyas.verbs.calibrate import print_calibrated

    print_calibrated(
        fit_temperature(given.run, given.data, settings=given.data_config(), device=given.device, reset=given.reset)
    )
    return 0


def compare(arguments: Arguments) -> int:
    """Compare runs, and tell which differences are larger than chance."""
    from eyas.config.flags import CompareFlags, parsed

    given = parsed(CompareFlags, "compare", arguments)
    from eyas.verbs.compare import compare as side_by_side
    from eyas.verbs.compare import print_comparison, write_comparison, write_page

    comparison = side_by_side(*given.runs)
    print_comparison(comparison)
    if given.json_file is not None:
        write_comparison(comparison, given.json_file)
    if given.html is not None:
        write_page(comparison, given.html, given.language)
    return 0


def runs(arguments: Arguments) -> int:
    """List the runs of a folder, best first."""
    from eyas.config.flags import RunsFlags, parsed

    given = parsed(RunsFlags, "runs", arguments)
    from eyas.verbs.runs import print_overview, write_overview
    from eyas.verbs.runs import runs as runs_in

    overview = runs_in(given.folder, sort=given.sort)
    print_overview(overview, given.folder)
    if given.json_file is not None:
        write_overview(overview, given.json_file)
    return 0


def export(arguments: Arguments) -> int:
    """Write a trained model as one file for use without eyas, and check its answers."""
    from eyas.config.flags import ExportFlags, parsed

    given = parsed(ExportFlags, "export", arguments)
    from eyas.verbs.export import export_as, print_export

    print_export(export_as(given.run, given.out, given.config()))
    return 0


def inspect(arguments: Arguments) -> int:
    """Look at a set before training: unreadable files, duplicates, leaks, wrong labels."""
    from eyas.config.flags import InspectFlags, parsed

    given = parsed(InspectFlags, "inspect", arguments)
    from eyas.verbs.inspect import inspect as audit
    from eyas.verbs.inspect import print_audit, write_audit

    found = audit(given.data, given.against, settings=given.data_config(), html=given.html, language=given.language)
    write_audit(found, json_file=given.json_file, csv_file=given.csv_file)
    print_audit(found)
    return DataError.exit_code if given.strict and found.wrong else 0


def models(arguments: Arguments) -> int:
    """List the networks that can be named."""
    from eyas.config.flags import ModelsFlags, parsed

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
    from eyas.config.flags import DatasetsFlags, parsed

    given = parsed(DatasetsFlags, "datasets", arguments)
    if given.export is None:
        from eyas.data.named.table import dataset_names

        rows = [row for row in dataset_names() if given.name in row[0]]
        if not rows:
            raise SettingsError(f"{given.name}: no such set.{suggest(given.name, [row[0] for row in dataset_names()])}")
        for name, about in rows:
            print(f"{name:22} {about}")
        return 0
    if not given.name:
        raise SettingsError("Which set? eyas datasets NAME --export FOLDER")
    from eyas.config.data import DataConfig
    from eyas.data.export import export_named

    for path in export_named(given.name, given.export, DataConfig(data_dir=given.data_dir, mirror=given.mirror)):
        print(clean(path))
    return 0


COMMANDS: dict[str, Callable[[Arguments], int]] = {
    "train": train,
    "resume": resume,
    "evaluate": evaluate,
    "predict": predict,
    "serve": serve,
    "report": report,
    "calibrate": calibrate,
    "compare": compare,
    "runs": runs,
    "export": export,
    "inspect": inspect,
    "models": models,
    "datasets": datasets,
}


def _exit_code(run: Any) -> int:
    return INTERRUPTED if run.finished.reason == "interrupted" else 0


def told(message: str, code: int) -> int:
    """Print a message on stderr; return the exit code."""
    print(f"eyas: {clean_lines(message)}", file=sys.stderr)
    return code
