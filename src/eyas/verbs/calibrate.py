"""`eyas calibrate`: fits a temperature and stores it in the model file."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eyas.config.data import DataConfig
from eyas.config.flags import CalibrateFlags, parsed
from eyas.config.training import DeviceConfig
from eyas.data.images.imageset import ImageSet
from eyas.errors import DataError, SettingsError
from eyas.evaluation.confidence import Threshold, find_temperature, log_loss, reliability, softmax, thresholds
from eyas.evaluation.scores import Scores, confusion_of
from eyas.files.atomic import folder_lock, model_file
from eyas.run_folder.origin import run_of, trained_on
from eyas.run_folder.record import read_answers

if TYPE_CHECKING:
    from eyas.model.classifier import Classifier


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of a temperature on one set. `fitted`: it was fitted on this set, so the effect is optimistic."""

    source: str
    count: int
    loss: tuple[float, float]  # mean cross entropy without and with it
    error: tuple[float, float]  # expected calibration error without and with it
    fitted: bool
    thresholds: tuple[Threshold, ...] = ()  # with it, what `--unknown-below` would do
    verdict: str = ""  # where the answers are no better than guessing: that it is so


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The temperature stored in the model file `path`, and its effects."""

    path: Path
    temperature: float
    effects: tuple[Effect, ...]


def calibrate(
    run: str | Path,
    data: str | Path | None = None,
    *,
    settings: DataConfig | None = None,
    device: str = "auto",
    reset: bool = False,
) -> Calibrated:
    """Calibrate a run's best model, or a model file, by temperature scaling, and store the temperature in the file.

    It is fitted on the predictions stored for the run's validation set, or on the set `data` (a list file, a folder or
    a named set). Predicted classes do not change, only probabilities. `reset` removes a stored temperature. Raises
    `SettingsError` if there is nothing to fit on, `DataError` if no temperature is optimal.
    """
    from eyas.model.classifier import Classifier

    path = model_file(Path(run))
    path = path.resolve() if path.is_symlink() else path  # the file that the run has, not its link
    folder = run_of(path)  # held: a training that writes to it would take the file's place
    with contextlib.nullcontext() if folder is None else folder_lock(folder):
        classifier = Classifier.load(path)
        kept = _kept(path, int(classifier.facts.get("epoch", 0)))
        if reset:
            _stored(classifier, 1.0, kept, None).save(path)
            return Calibrated(path, 1.0, ())
        sets = _to_fit_on(path, kept) if data is None else {str(data): _answered(path, str(data), settings, device)}
        (source, basis), *others = sets.items()
        try:
            temperature = find_temperature(*basis)
        except ValueError:
            raise DataError(
                f"{source}: no temperature is best: the model answers all {len(basis[1]):,} images rightly, or hardly "
                "any. Name a larger set, or a harder one."
            ) from None
        effects = tuple(
            _effect(name, answers, temperature, classifier.classes, fitted=name == source)
            for name, answers in [(source, basis), *others]
        )
        _stored(classifier, temperature, kept, {"source": source, "count": len(basis[1])}).save(path)
    return Calibrated(path, temperature, effects)


Known = tuple[np.ndarray, np.ndarray]  # logits float32 [N, C] and the true classes int [N]


def _kept(path: Path, epoch: int) -> dict[str, Known]:
    """Return the answers that a run kept of its best model, by set."""
    answers = (read_answers(path.parent, epoch) or {}) if path.name == "best.safetensors" else {}
    return {split: (one.logits, one.targets) for split, one in answers.items() if one.logits is not None}


def _to_fit_on(path: Path, kept: dict[str, Known]) -> dict[str, Known]:
    """Return the answers to fit on, then those to look at. Raises `SettingsError` where there are none."""
    if "val" not in kept:
        raise SettingsError(
            f"{path}: has no answers to a validation set to fit a temperature on. Name a set that the model was not "
            f"trained on and that you do not report on: eyas calibrate {path} DATA"
        )
    return {split: kept[split] for split in ("val", "test") if split in kept}


def _stored(
    classifier: Classifier, temperature: float, kept: dict[str, Known], on: dict[str, Any] | None
) -> Classifier:
    """Return the classifier with a temperature, and with the losses in its facts as they are at it.

    The losses of the run itself stay beside them, so that a reset gives them back.
    """
    facts = {name: value for name, value in classifier.facts.items() if name != "calibrated_on"}
    facts |= {} if on is None else {"calibrated_on": on}
    scores = {split: dict(said) for split, said in facts.get("scores", {}).items()}
    for split, said in scores.items():
        trained = said.pop("loss_uncalibrated", said["loss"])
        if on is None:
            said["loss"] = trained
        elif split in kept:
            said |= {"loss": log_loss(*kept[split], temperature), "loss_uncalibrated": trained}
    return replace(classifier, temperature=temperature, facts={**facts, "scores": scores} if scores else facts)


def _answered(path: Path, data: str, settings: DataConfig | None, device: str) -> Known:
    """Return the answers to a data spec."""
    from eyas.verbs.evaluate import evaluate

    scores, images = evaluate(path, data, settings=settings, device=DeviceConfig(device=device))
    _refuse_training(path, images, data)
    if scores.logits is None or scores.targets is None:
        raise SettingsError(f"{data}: has too many images and classes to keep every answer. Name a smaller set.")
    return scores.logits, scores.targets


def _refuse_training(model: Path, images: ImageSet, data: str) -> None:
    """Raise `SettingsError` where a set has images that the run was trained on: a model is too sure of those."""
    known = trained_on(model, images)
    if known == len(images):
        raise SettingsError(
            f"{data}: is what the model was trained on, and the model is overconfident there. Name another set."
        )
    if known:
        raise SettingsError(
            f"{data}: the model was trained on {known:,} of its {len(images):,} images, and is overconfident on "
            "those. Name a set without them."
        )


def _effect(source: str, known: Known, temperature: float, names: tuple[str, ...], *, fitted: bool) -> Effect:
    from eyas.evaluation.measures import accuracy_text, verdict_text

    logits, targets = known
    shares = softmax(logits, temperature)
    scores = Scores(names, confusion_of(targets, logits.argmax(axis=1), logits.shape[1]), 0.0)
    return Effect(
        source,
        len(targets),
        (log_loss(logits, targets), log_loss(logits, targets, temperature)),
        (reliability(softmax(logits), targets).error, reliability(shares, targets).error),
        fitted,
        thresholds(shares, targets),
        "" if scores.beats_guessing else f"{accuracy_text(scores)}{verdict_text(scores)}",
    )


def print_calibrated(found: Calibrated) -> None:
    """Print what was stored, and what it does."""
    from eyas.terminal.clean import clean
    from eyas.terminal.wording import percent_text, share_text

    print(f"temperature {found.temperature:.4f} stored in {clean(str(found.path))}")
    for effect in found.effects:
        on = f"{clean(effect.source)} ({effect.count:,} images{', fitted on these' if effect.fitted else ''})"
        loss, error = effect.loss, effect.error
        print(
            f"  {on}: loss {loss[0]:.4f} -> {loss[1]:.4f}, calibration error {100 * error[0]:.2f} % -> "
            f"{100 * error[1]:.2f} %"
        )
        if effect.verdict:
            print(f"  Its accuracy there is {clean(effect.verdict)}. A temperature does not improve such a model.")
        if not effect.fitted and loss[1] > loss[0]:
            print(f"  On {clean(effect.source)} it became worse. `eyas calibrate RUN --reset` removes the temperature.")
    for effect in found.effects[:1]:  # the set that nothing is reported on
        print(f"What --unknown-below would do, on {clean(effect.source)} ({effect.count:,} images):")
        print(f"  {'below':>5}  {'answered':>24}  accuracy of the answered (95 % interval)")
        for row in effect.thresholds:
            answered = f"{percent_text(row.share)} ({row.answered:,} of {row.count:,})"
            right = f" ({row.correct:,} of {row.answered:,})"
            said = share_text(row.correct / row.answered, row.interval) + right if row.answered else "-"
            print(f"  {row.bound:>5g}  {answered:>24}  {said}")


def command(arguments: list[str]) -> int:
    """`eyas calibrate`: calibrate the probabilities of a model by temperature scaling."""
    given = parsed(CalibrateFlags, "calibrate", arguments)
    print_calibrated(
        calibrate(given.run, given.data, settings=given.data_config(), device=given.device, reset=given.reset)
    )
    return 0
