"""`eyas evaluate`: evaluates a trained model on a labelled set."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from eyas.config.data import DataConfig
from eyas.config.flags import EvaluateFlags, parsed
from eyas.config.training import DeviceConfig
from eyas.data.classes import match_outputs
from eyas.data.images.imageset import ImageSet
from eyas.data.spec import open_images
from eyas.errors import DataError, SettingsError
from eyas.evaluation.scores import Scores
from eyas.files.atomic import model_file
from eyas.run_folder.origin import Origin, origin_of, trained_on
from eyas.terminal.progress import track

if TYPE_CHECKING:
    from eyas.model.classifier import Classifier


def evaluate(
    run: str | Path,
    data: str | Path | None = None,
    *,
    settings: DataConfig | None = None,
    device: DeviceConfig | None = None,
    batch_size: int | None = None,
    answers: str | Path | None = None,
) -> tuple[Scores, ImageSet]:
    """Evaluate a run's best model, or a model file, and return the scores and the evaluated set.

    `data` is a list file, a folder or a named set; its classes are matched with the model's by name. Default: the
    run's own test set, else its validation set (if that was split off the training set, the same split). `answers` is
    a file (.csv, .jsonl or .parquet) for per-image predictions. Raises `DataError` if the classes do not match the
    model's, or an image cannot be decoded.
    """
    if answers is not None:
        _check_answers(Path(answers), data)
    settings, model = settings or DataConfig(), model_file(Path(run))
    if data is None:
        own = _own_set(model, settings)
        opened, settings = own[2], own[0].config.data
    else:
        own, opened = None, open_images(data, settings, split="test")
        if known := trained_on(model, opened):
            said = f"the model was trained on {known:,} of these images, and is more often right on them than on others"
            opened = replace(opened, notes=(*opened.notes, said))
    from eyas.data.prepared import prepare
    from eyas.device.choice import usual_batch
    from eyas.device.runtime import open_runtime
    from eyas.evaluation.one_pass import evaluate as pass_over
    from eyas.model.classifier import Classifier

    with open_runtime(device or DeviceConfig()) as runtime:
        classifier = Classifier.load(model, str(runtime.device))
        images = for_classes(classifier, opened)
        prepared = prepare(images, classifier.preprocess, settings).placed(runtime.device)
        measured = prepared.images if own is None else _checked(own, prepared.images)
        scores: list[Scores] = []

        def passing() -> Generator[int, None, None]:
            result = yield from pass_over(
                classifier.network,
                prepared,
                classifier.preprocess,
                runtime,
                data=settings,
                batch_size=batch_size,
                temperature=classifier.temperature,
            )
            scores.append(result)

        at_once = batch_size or usual_batch(classifier.preprocess.size, runtime.device)
        for _ in track(passing(), -(-len(prepared) // at_once), f"Evaluating {images.source}"):
            pass
        if answers is not None:
            _write_answers(Path(answers), scores[0], measured, classifier.temperature)
        return scores[0], measured


def _check_answers(path: Path, data: str | Path | None) -> None:
    """Raise `SettingsError` for a file that cannot be written: told before the images are looked at."""
    from eyas.predicting.rows import check_not_read
    from eyas.predicting.table import check_form

    check_form(path, None)
    check_not_read("--answers", path, () if data is None else (data,))


def _write_answers(path: Path, scores: Scores, images: ImageSet, temperature: float) -> None:
    """Write each image's path, its label, the answer, how probable that is (if it was kept), whether it is right."""
    from eyas.evaluation.confidence import softmax
    from eyas.predicting.table import path_of, write_table

    assert scores.predicted is not None and scores.targets is not None
    sure = None if scores.logits is None else softmax(scores.logits, temperature).max(axis=1)
    pairs = enumerate(zip(scores.targets.tolist(), scores.predicted.tolist(), strict=True))
    rows = (
        (path_of(images, i), scores.classes[label], scores.classes[answer], None if sure is None else float(sure[i]),
         label == answer)
        for i, (label, answer) in pairs
    )  # fmt: skip
    kinds = {"path": str, "label": str, "answer": str, "probability": float, "right": bool}
    write_table(path, kinds, rows)


def _own_set(model: Path, given: DataConfig) -> tuple[Origin, str, ImageSet]:
    """Return a model's run, with its settings of the data but for those given, and the set that it was measured on."""
    try:
        origin = origin_of(model, given)
    except DataError as error:
        raise SettingsError(f"Which set? {error}: eyas evaluate {model} DATA") from None
    try:
        found = origin.measured()
    except DataError as error:
        raise DataError(f"{error}\nOr name another set: eyas evaluate {model} DATA") from None
    if found is None:
        where = "With this --train the run has" if given.train else "The run had"
        raise SettingsError(f"Which set? {where} none to measure on: eyas evaluate {model} DATA")
    said = f"the run's own {'test' if found[0] == 'test' else 'validation'} set"
    return origin, found[0], replace(found[1], notes=(said, *found[1].notes))


def _checked(own: tuple[Origin, str, ImageSet], images: ImageSet) -> ImageSet:
    """Return a run's own set with a note where it changed. Raises `DataError` where training images may be in it."""
    origin, split, _ = own
    if origin.is_as_measured(split, images):
        return images
    if split == "val" and origin.val_is_share:
        raise DataError(
            f"{images.source}: its images or labels changed since the run was trained, and so would the share of them "
            f"that it was not trained on. Name a set that is new to it: eyas evaluate {origin.folder} DATA"
        )
    return replace(images, notes=(*images.notes, "its images or labels changed since the run measured it"))


def for_classes(classifier: Classifier, images: ImageSet) -> ImageSet:
    """Return the set with labels that index the classifier's outputs, matched by the classes' names."""
    return match_outputs(classifier.classes, classifier.model, images)


def print_scores(scores: Scores, images: ImageSet) -> None:
    """Print every measure of a set, and the classes."""
    from rich.console import Console

    from eyas.evaluation.measures import ACCURACY, ONCE, measured, numbers_of, verdict_text
    from eyas.sinks.summary import class_table
    from eyas.terminal.tables import pairs

    left_out = f" ({scores.skipped:,} unreadable left out)" if scores.skipped else ""
    rows = [("measured on", f"{images.source}: {scores.count:,} images{left_out}")]
    rows += [("note", note) for note in images.notes]
    numbers = numbers_of(scores)
    for one in measured(numbers, ONCE):
        said = one.text_of(numbers) + (" (95 % interval)" if one.interval else "")
        said += verdict_text(scores) if one is ACCURACY else ""
        rows.append((one.label, said if one.is_share else f"{said} on average, {scores.loss_sum:.4f} in sum"))
    console = Console(soft_wrap=True)
    console.print(pairs(rows))
    console.print()
    for part in class_table("Classes", scores):
        console.print(part)


def write_scores(scores: Scores, images: ImageSet, *, json_file: str | None, charts: str | None) -> None:
    """Write all metrics to a JSON file and the charts to a folder, if given."""
    if json_file is not None:
        from eyas.files.json_file import write_json
        from eyas.sinks.jsonl import scored

        numbers = {"data": images.source, "classes": scores.classes, **scored(scores), "confusion": scores.confusion}
        write_json(json_file, numbers | {"guess": scores.guess, "beats_guessing": scores.beats_guessing})
    if charts is not None:
        from eyas.render.figures import save_scores

        save_scores(scores, Path(charts))


def command(arguments: list[str]) -> int:
    """`eyas evaluate`: evaluate a trained model on a labelled set."""
    given = parsed(EvaluateFlags, "evaluate", arguments)
    if given.data is not None and given.train is not None:
        raise SettingsError("--train says where the run's own set lies now, and DATA names another. Give one of them.")
    data, device = given.data_config(), given.device_config()
    scores, images = evaluate(
        given.run, given.data, settings=data, device=device, batch_size=given.batch_size, answers=given.answers
    )
    print_scores(scores, images)
    write_scores(scores, images, json_file=given.json_file, charts=given.charts)
    return 0
