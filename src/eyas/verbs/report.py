"""`eyas report`: writes the HTML report of a run."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from eyas.config.data import PreprocessConfig
from eyas.config.flags import ReportFlags, parsed
from eyas.config.run_config import NO_RESULT, make_config, setting_text
from eyas.data.images.imageset import ImageSet
from eyas.data.parts import Part
from eyas.errors import DataError, EyasError, SettingsError, suggest
from eyas.evaluation.confidence import find_temperature, reliability, softmax, thresholds
from eyas.files.atomic import write_bytes
from eyas.files.pathnames import quoted
from eyas.predicting.table import write_table
from eyas.render.language import LANGUAGES
from eyas.render.material import DOUBTS, Calibration, Material
from eyas.render.report_page import report_page
from eyas.run_folder.mistakes import DOUBTS_SHOWN, Pictures, doubted_labels, errors_of, rows_of, shares_of, shown_doubts
from eyas.run_folder.origin import Origin
from eyas.run_folder.record import Record, read_record
from eyas.terminal.clean import clean
from eyas.training.events import Event, Finished

REPORT = "report.html"


def report(
    run: str | Path,
    *,
    out: str | Path | None = None,
    language: str = "en",
    sets: dict[str, ImageSet] | None = None,
    device: str = "auto",
    audit: bool = False,
) -> Path:
    """Write the HTML report of a run, by default into its folder, and return the path of the file.

    `sets` are the evaluated sets, if the caller has them open; otherwise they are opened from the run's settings, and
    if they are missing or have changed, the report has no images. `audit` also checks every image of the run, as
    `eyas inspect` does. Raises `DataError` or `CheckpointError` if there is no run, or if a report with images would
    be overwritten by one without.
    """
    if language not in LANGUAGES:
        raise SettingsError(f"--language {language}: there are {', '.join(LANGUAGES)}.{suggest(language, LANGUAGES)}")
    record = read_record(run)
    target = Path(out) if out is not None else record.folder / REPORT
    material = material_of(record, sets, device)
    if out is None and material.missing and target.exists() and b"<img" in target.read_bytes():
        raise DataError(f"{target}: is left as it is, since its pictures are gone now: {material.missing[0]} "
                        "--out FILE writes a page without them.")  # fmt: skip
    if audit:
        from eyas.data.images.preprocess import Preprocess
        from eyas.verbs.inspect import audit_parts

        train, others = Origin(record.folder, record.config).sets()
        grey_range = Preprocess.from_dict(record.header["preprocess"]).grey_range
        opened = {"train": train, **others}
        parts = tuple(Part(split, images.decoded(grey_range)) for split, images in opened.items())
        material = replace(material, audit=audit_parts(parts, record.config.data))
    text = report_page(material, language)
    doubts = target.with_name(DOUBTS)
    if material.doubtful:
        write_table(doubts, {"path": str, "label": str, "suggested": str, "probability": float}, material.doubtful)
    elif out is None and material.doubtful is not None:
        doubts.unlink(missing_ok=True)  # of an earlier page of this run: none is doubted any more
    write_bytes(target, text.encode("utf-8", "backslashreplace"))
    return target


class AtTheEnd:
    """Writes the report when a run ends; an error here does not make the run fail."""

    def __init__(self, folder: Path, language: str, sets: dict[str, ImageSet], device: str) -> None:
        self._folder, self._language, self._sets, self._device = folder, language, sets, device

    def write(self, event: Event) -> None:
        """Write the report on `Finished`, unless the run was interrupted or no report is wanted."""
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
        """Do nothing: the file is already complete."""


def material_of(record: Record, sets: dict[str, ImageSet] | None, device: str) -> Material:
    """Return everything that the report of a run shows."""
    from eyas.data.images.preprocess import Preprocess

    split = next((name for name in ("test", "val") if name in record.scores), None)
    errors = found = doubted = None
    pictures = Pictures({}, None)
    if split is not None:
        found = _calibration(record, split)
        if record.scores[split].beats_guessing:
            pictures = Pictures.of(record, split, sets, device)
            doubted = doubted_labels(record)
            errors = errors_of(record, split, pictures, [] if doubted is None else doubted[:DOUBTS_SHOWN])
    started = next((event for event in record.events if event["event"] == "started"), {})
    noted = [(event["message"], event["warning"]) for event in record.events if event["event"] == "noted"]
    standard = make_config({"train": record.config.data.train}).model_dump(mode="json")
    standard["preprocess"] |= PreprocessConfig(**Preprocess().to_dict()).model_dump(mode="json")
    settings = [
        (name, setting_text(value), setting_text(standard[section][name]))
        for section, entries in record.config.model_dump(mode="json").items()
        for name, value in entries.items()
        if value != standard[section][name] and name not in NO_RESULT and (section, name) != ("data", "train")
    ]
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
        doubts=None if doubted is None else shown_doubts(record, doubted, pictures),
        doubtful=rows_of(doubted, record, pictures),
        settings=tuple(settings),
        toml=(record.folder / "config.toml").read_text(encoding="utf-8"),
        commands=_commands(record),
        audit=None,
        missing=pictures.missing,
        version=version("eyas"),
    )


def _calibration(record: Record, split: str) -> Calibration | None:
    """Return the calibration of the model, and the effect of a temperature fitted on the validation set."""
    shares, scores = shares_of(record, split), record.scores[split]
    if shares is None or scores.targets is None or scores.logits is None:
        return None
    on = "val" if "val" in record.scores else split
    basis = record.scores[on]
    fitted = None
    if basis.logits is not None and basis.targets is not None:
        try:
            fitted = find_temperature(basis.logits, basis.targets)
        except ValueError:
            fitted = None
    stored = record.header.get("temperature", 1.0)
    if fitted is not None and abs(fitted - stored) < 1e-4 * stored:
        fitted = None  # it is there already
    then = None if fitted is None else reliability(softmax(scores.logits, fitted), scores.targets)
    table = thresholds(shares, scores.targets)
    return Calibration(reliability(shares, scores.targets), table, stored, fitted, on, basis.count, then)


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
        ("calibrate", f"eyas calibrate {run}" + ("" if "val" in record.scores else " DATA")),
        ("export", f"eyas export {run}"),
        ("serve", f"eyas serve {run}"),
        ("compare", f"eyas compare {run} ANOTHER_RUN"),
    )


def command(arguments: list[str]) -> int:
    """`eyas report`: write an HTML report on a run: results, calibration and mistakes."""
    given = parsed(ReportFlags, "report", arguments)
    path = report(given.run, out=given.out, language=given.language, device=given.device, audit=given.audit)
    print(clean(str(path)))
    return 0
