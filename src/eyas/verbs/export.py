"""`eyas export`: exports a trained model, and checks its outputs on real images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eyas.config.export import ExportConfig, target_of
from eyas.config.flags import ExportFlags, parsed
from eyas.errors import SettingsError
from eyas.exporting.pictures import Sources, open_sources
from eyas.files.atomic import atomic_path, model_file, write_text

if TYPE_CHECKING:
    from eyas.exporting.checking import Checked
    from eyas.exporting.quantise import Quantised
    from eyas.model.classifier import Classifier

NEEDED = ("onnx", "onnxruntime", "onnxscript")  # by the format onnx; pt2 needs torch alone


@dataclass(frozen=True, slots=True)
class Exported:
    """The result of `export`: the file, the readme next to it, its metadata, and the results of the checks."""

    path: Path
    readme: Path
    facts: dict[str, Any]
    checked: Checked
    quantised: Quantised | None
    notes: tuple[str, ...]


def export(run: str | Path, out: str | Path | None = None, **settings: Any) -> Exported:
    """Export a run's best model, or a model file, to ONNX or `.pt2`, with preprocessing and softmax included.

    `out` is the file to write; default: next to the model. `settings` are the flags as keywords, such as
    `format="pt2"`, `batch=1`, `int8=True`, `check="photos.txt"`. Raises `ExportError`, and leaves no file, if its
    outputs on real images differ from the model's; `SettingsError` and `DataError` for wrong arguments.
    """
    return export_as(run, out, ExportConfig(**settings))


def export_as(run: str | Path, out: str | Path | None, settings: ExportConfig) -> Exported:
    """Do what `export` does, for parsed settings."""
    model = model_file(Path(run))
    target, form = target_of(model, out, settings)
    if form == "onnx" and (missing := [name for name in NEEDED if find_spec(name) is None]):
        raise SettingsError(
            f"To write ONNX, {', '.join(missing)} must be installed: pip install 'eyas[export]'. "
            "--format pt2 needs nothing more."
        )
    sources = open_sources(model, settings)
    from eyas.exporting.checking import check  # by now the mistakes that need no torch are told
    from eyas.exporting.facts import as_texts, facts_of
    from eyas.exporting.graph import open_pt2, to_pt2, traced, whole
    from eyas.exporting.onnx_file import content_of, open_onnx, refuse_large, to_onnx
    from eyas.exporting.readme import readme, readme_path
    from eyas.model.classifier import Classifier

    classifier = Classifier.load(model, "cpu")
    sources = sources.decoded(classifier.preprocess.grey_range)
    facts, quantised = facts_of(classifier, form, settings.batch, settings.opset), None
    if form == "onnx":
        refuse_large(classifier.network, classifier.model)
    program = traced(whole(classifier), classifier.model, settings.batch)
    with atomic_path(target) as temporary:
        if form == "pt2":
            temporary.write_bytes(to_pt2(program, as_texts(facts)))
            checked = check(open_pt2(temporary), classifier, sources.check, settings.batch)
        else:
            proto, inner = to_onnx(program, classifier.model, settings.opset, as_texts(facts))
            temporary.write_bytes(content_of(proto))
            checked = check(open_onnx(temporary), classifier, sources.check, settings.batch)
            if settings.int8:
                facts |= {"precision": "int8"}
                quantised = to_int8(temporary, proto, inner, classifier, sources, facts)
    beside = readme_path(target)
    write_text(beside, readme(target.name, facts, checked, quantised))
    return Exported(target, beside, facts, checked, quantised, sources.notes)


def to_int8(
    file: Path, proto: Any, inner: frozenset[str], classifier: Classifier, sources: Sources, facts: dict[str, Any]
) -> Quantised:
    """Replace the fp32 model by the int8 one; return the cost in accuracy."""
    from eyas.data.classes import match_outputs
    from eyas.exporting.facts import as_texts
    from eyas.exporting.onnx_file import open_onnx, relabel
    from eyas.exporting.quantise import measured, quantise

    labelled = match_outputs(classifier.classes, classifier.model, sources.check)
    assert sources.calibration is not None
    before, large = open_onnx(file), file.stat().st_size
    calibrated = quantise(proto, inner, sources.calibration, file, facts["batch"])
    relabel(file, as_texts(facts))
    cost = measured(before, open_onnx(file), labelled, facts["batch"])
    return replace(
        cost, calibrated=calibrated, calibration=sources.calibration.source, bytes_before=large,
        bytes_after=file.stat().st_size,
    )  # fmt: skip


def print_export(exported: Exported) -> None:
    """Print what was written and what was checked."""
    from rich.console import Console

    from eyas.terminal.tables import pairs

    facts = exported.facts
    size = f"{exported.path.stat().st_size / 1e6:.1f} MB"
    form = f"ONNX, opset {facts['opset']}" if facts["form"] == "onnx" else "torch.export's pt2"
    batch = "dynamic: any number of images in a call" if facts["batch"] == "dynamic" else f"{facts['batch']} in a call"
    rows = [
        ("written", f"{exported.path} ({size})"),
        ("format", f"{form}; {facts['precision']}"),
        ("batch", batch),
        ("in the file", f"{facts['preprocess_in_words']}; softmax at temperature {facts['temperature']:g}"),
        *(("note", note) for note in exported.notes),
        ("checked" if exported.quantised is None else "fp32 checked", exported.checked.in_words()),
        *(exported.quantised.in_words() if exported.quantised else ()),
        ("how to use it", str(exported.readme)),
    ]
    Console(soft_wrap=True).print(pairs(rows))


def command(arguments: list[str]) -> int:
    """`eyas export`: export a trained model to one file that runs without eyas, and check its outputs."""
    given = parsed(ExportFlags, "export", arguments)
    print_export(export_as(given.run, given.out, given.config()))
    return 0
