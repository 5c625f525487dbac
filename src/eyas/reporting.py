"""The verb `report`: from a run folder to one page that shows what the model can do, and where it fails."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from eyas.confidence import doubtful_labels, fitted_temperature, reliability, softmax
from eyas.config import RunConfig, make_config
from eyas.data.findings import Audit
from eyas.data.imageset import ImageSet
from eyas.data.parts import Part
from eyas.data.settings import PreprocessConfig
from eyas.errors import DataError, EyasError, SettingsError, suggest
from eyas.events import Event, Finished
from eyas.files import write_bytes
from eyas.pathnames import last_part, quoted
from eyas.record import Record, read_record
from eyas.render.material import Calibration, Material, Shot, Shots
from eyas.render.page import page
from eyas.render.words import LANGUAGES
from eyas.terminal import clean

if TYPE_CHECKING:
    from eyas.model.classifier import Classifier

REPORT = "report.html"
ERRORS_SHOWN = 12  # each with a map of where the network looked
DOUBTS_SHOWN = 12
_UNSAID = {  # settings that change no result
    *("out", "view", "report", "profile", "data_dir", "cache_dir"),
    *("histograms", "graph", "wandb", "mlflow", "log_model"),
}


def report(
    run: str | Path,
    *,
    out: str | Path | None = None,
    language: str = "en",
    sets: dict[str, ImageSet] | None = None,
    device: str = "auto",
    audit: bool = False,
) -> Path:
    """Write the page of a run, by default into its folder, and return the file's path.

    `sets` has the sets that were measured, where the caller has them open; else they are opened as the run's settings
    name them, and where they are gone, or are no more what they were, the page goes without pictures. `audit` looks at
    every image of the run, as `eyas inspect` does. Raises `DataError` or `CheckpointError` where there is no run, and
    where a page with pictures would be overwritten by one without.
    """
    if language not in LANGUAGES:
        raise SettingsError(f"--language {language}: there are {', '.join(LANGUAGES)}.{suggest(language, LANGUAGES)}")
    record = read_record(run)
    target = Path(out) if out is not None else record.folder / REPORT
    material = material_of(record, sets, device)
    if out is None and material.missing and target.exists() and b"<img" in target.read_bytes():
        raise DataError(f"{target}: is left as it is, since its pictures are gone now: {material.missing[0]} "
                        "--out FILE writes a page without them.")  # fmt: skip
    text = page(replace(material, audit=_audit(record)) if audit else material, language)
    write_bytes(target, text.encode("utf-8", "backslashreplace"))
    return target


class AtTheEnd:
    """Writes the page of a run when it has ended: an observer, whose failure ends no run."""

    def __init__(self, folder: Path, language: str, sets: dict[str, ImageSet], device: str) -> None:
        self._folder, self._language, self._sets, self._device = folder, language, sets, device

    def write(self, event: Event) -> None:
        """Write the page at a `Finished`, unless there is more to come, or none is wanted."""
        if not isinstance(event, Finished) or event.reason == "interrupted" or self._language == "none":
            return
        try:
            report(self._folder, language=self._language, sets=self._sets, device=self._device)
        except (EyasError, OSError, RuntimeError, MemoryError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            print(
                f"eyas: {clean(f'{REPORT} was not written: {reason} Try again: eyas report {self._folder}')}",
                file=sys.stderr,
            )

    def close(self) -> None:
        """Nothing to do: what was written is whole."""


def material_of(record: Record, sets: dict[str, ImageSet] | None, device: str) -> Material:
    """Return everything that a page shows of a run."""
    split = next((name for name in ("test", "val") if name in record.scores), None)
    errors = doubts = found = None
    missing: list[str] = []
    if split is not None:
        pictures = _Pictures.of(record, split, sets, device, missing)
        errors, doubts = _errors(record, split, pictures), _doubts(record, split, pictures)
        found = _calibration(record, split)
    started = next((event for event in record.events if event["event"] == "started"), {})
    noted = [(event["message"], event["warning"]) for event in record.events if event["event"] == "noted"]
    return Material(
        name=record.folder.absolute().name,
        model=record.header["model"],
        facts=record.header["facts"],
        rows=record.rows,
        told=tuple((name, said) for name, said in started.get("facts", ())),
        notes=tuple(noted),
        scores=record.scores,
        split=split,
        calibration=found,
        errors=errors,
        doubts=doubts,
        settings=_settings(record.config),
        toml=(record.folder / "config.toml").read_text(encoding="utf-8"),
        commands=_commands(record),
        audit=None,
        missing=tuple(missing),
        version=version("eyas"),
    )


class _Pictures:
    """The pictures of a set, and where the model looks in them; without a set, or a model, none."""

    def __init__(self, images: ImageSet | None, classifier: Classifier | None) -> None:
        self._images, self._classifier = images, classifier

    @staticmethod
    def of(record: Record, split: str, sets: dict[str, ImageSet] | None, device: str, missing: list[str]) -> _Pictures:
        """Open what there is; what is not is added to `missing` as a reason."""
        try:
            images = _images(record, split, sets)
            from eyas.model.classifier import Classifier

            classifier = Classifier.load(record.folder / "best.safetensors", device)
            return _Pictures(images.decoded(classifier.preprocess.grey_range), classifier)
        except (EyasError, OSError) as error:
            missing.append(str(error).splitlines()[0])
            return _Pictures(None, None)

    def shot(self, sample: int, said: tuple[str, str, float, float], *, heat: bool) -> Shot:
        """Return a sample with its picture and, where asked for, its map; `said`: label, answer, how likely each is."""
        if self._images is None or self._classifier is None:
            return Shot(None, None, *said, f"#{sample}")
        place = last_part(self._images.place(sample))
        try:
            image = self._images.images.picture(sample)
        except DataError:
            return Shot(None, None, *said, place)
        return Shot(image, self._heat(image, said[1]) if heat else None, *said, place)

    def _heat(self, image: Image.Image, answer: str) -> Image.Image | None:
        from eyas.data.decode import to_tensor
        from eyas.render.overlay import overlay

        assert self._classifier is not None
        heat = self._classifier.heatmap(image, answer)
        return None if heat is None else overlay(self._classifier.preprocess.fit(to_tensor(image)), heat)


def _images(record: Record, split: str, sets: dict[str, ImageSet] | None) -> ImageSet:
    """Return the set that was measured. Raises `DataError` where it is no more what it was."""
    if sets is None:
        from eyas.sets import open_sets

        images = open_sets(record.config)[1].get(split)
        if images is None:
            raise DataError(f"config.toml names no {split} set any more.")
        if record.scores[split].skipped:
            from eyas.data.batches import prepare
            from eyas.data.preprocess import Preprocess

            fitting = Preprocess.from_dict(record.header["preprocess"])
            images = prepare(images, fitting, record.config.data).images
    else:
        images = sets[split]
    if images.fingerprint() != record.samples[split]:
        raise DataError(f"{images.source}: is no more the set that was measured: its images or labels were changed.")
    return images


def _audit(record: Record) -> Audit:
    """Return what there is to find in the images of a run."""
    from eyas.auditing import audit_parts
    from eyas.data.preprocess import Preprocess
    from eyas.sets import open_sets

    train, others = open_sets(record.config)
    grey_range = Preprocess.from_dict(record.header["preprocess"]).grey_range
    sets = {"train": train, **others}
    parts = tuple(Part(split, images.decoded(grey_range)) for split, images in sets.items())
    return audit_parts(parts, record.config.data)


def _errors(record: Record, split: str, pictures: _Pictures) -> Shots:
    """Return the mistakes that the model was surest of."""
    scores = record.scores[split]
    assert scores.predicted is not None and scores.targets is not None
    wrong = np.flatnonzero(scores.predicted != scores.targets)
    shares = _shares(record, split)
    if shares is None:
        return Shots(len(wrong), ())
    surest = wrong[np.argsort(-shares[wrong, scores.predicted[wrong]], kind="stable")][:ERRORS_SHOWN]
    shots = []
    for sample in surest.tolist():
        label, answer = int(scores.targets[sample]), int(scores.predicted[sample])
        shares_of = (float(shares[sample, label]), float(shares[sample, answer]))
        shots.append(pictures.shot(sample, (scores.classes[label], scores.classes[answer], *shares_of), heat=True))
    return Shots(len(wrong), tuple(shots))


def _doubts(record: Record, split: str, pictures: _Pictures) -> Shots | None:
    """Return the samples whose labels are probably wrong; None where the probabilities are not known."""
    scores, shares = record.scores[split], _shares(record, split)
    if shares is None:
        return None
    assert scores.targets is not None
    found = doubtful_labels(shares, scores.targets)
    shown = (
        pictures.shot(
            one.sample, (scores.classes[one.label], scores.classes[one.likely], one.given, one.probability), heat=False
        )
        for one in found[:DOUBTS_SHOWN]
    )
    return Shots(len(found), tuple(shown))


def _shares(record: Record, split: str) -> np.ndarray | None:
    """Return the probabilities that the model gives, float64 [N, C]."""
    logits = record.scores[split].logits
    return None if logits is None else softmax(logits, record.header.get("temperature", 1.0))


def _calibration(record: Record, split: str) -> Calibration | None:
    """Return how sure the model is and how right, and what a temperature fitted on the validation set would do."""
    shares, scores = _shares(record, split), record.scores[split]
    if shares is None or scores.targets is None or scores.logits is None:
        return None
    on = "val" if "val" in record.scores else split
    basis = record.scores[on]
    fitted = None
    if basis.logits is not None and basis.targets is not None:
        try:
            fitted = fitted_temperature(basis.logits, basis.targets)
        except ValueError:
            fitted = None
    stored = record.header.get("temperature", 1.0)
    if fitted is not None and abs(fitted - stored) < 1e-4 * stored:
        fitted = None  # it is there already
    then = None if fitted is None else reliability(softmax(scores.logits, fitted), scores.targets)
    return Calibration(reliability(shares, scores.targets), stored, fitted, on, basis.count, then)


def _settings(config: RunConfig) -> tuple[tuple[str, str, str], ...]:
    """Return the settings that differ from the standard recipe's."""
    from eyas.data.preprocess import Preprocess

    standard = make_config({"train": config.data.train}).model_dump(mode="json")
    standard["preprocess"] |= PreprocessConfig(**Preprocess().to_dict()).model_dump(mode="json")
    rows = []
    for section, entries in config.model_dump(mode="json").items():
        for name, value in entries.items():
            usual = standard[section][name]
            if value != usual and name not in _UNSAID and not (section == "data" and name == "train"):
                rows.append((name, _said(value), _said(usual)))
    return tuple(rows)


def _said(value: Any) -> str:
    return "–" if value is None else json.dumps(value, ensure_ascii=False).strip('"')


def _commands(record: Record) -> tuple[tuple[str, str], ...]:
    """Return the commands that repeat the run and use its model."""
    from eyas.training.optim import HORIZON

    folder = record.folder.absolute()
    run, settings = quoted(str(folder)), quoted(str(folder / "config.toml"))
    stretch = " --stretch-schedule" if record.config.schedule.schedule in HORIZON else ""
    longer = f"eyas resume {run} --epochs {record.config.training.epochs + 5}{stretch}"
    return (
        ("repeat", f"eyas train --config {settings} --out runs/again"),
        ("longer", longer),
        ("measure", f"eyas evaluate {run} DATA"),
        ("predict", f"eyas predict {run} PICTURES --top 3"),
        ("calibrate", f"eyas calibrate {run}"),
        ("export", f"eyas export {run}"),
        ("serve", f"eyas serve {run}"),
        ("compare", f"eyas compare {run} ANOTHER_RUN"),
    )
