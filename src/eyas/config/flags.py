"""The flags of each command, from the settings' types; their help, by tyro."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

import tyro
from pydantic import Field
from tyro.conf import Positional

from eyas.config.command_line import Commands, check_required, read_arguments
from eyas.config.data import Measuring, Reading
from eyas.config.export import ExportConfig
from eyas.config.predict import PredictConfig
from eyas.config.recipes import RECIPES
from eyas.config.run_config import RunConfig, make_config
from eyas.config.section import Section
from eyas.config.serve import ServeConfig
from eyas.config.training import DeviceConfig

T = TypeVar("T", bound=Section)
Run = Annotated[Positional[str], tyro.conf.arg(metavar="RUN")]
Data = Annotated[Positional[str], tyro.conf.arg(metavar="DATA")]
_STYLE = (tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes)


class ResumeFlags(Section):
    """Go on with a run where it stopped."""

    run: Run
    """Run folder of `eyas train`."""
    epochs: int | None = None
    """Train to this epoch, which may be more than first asked for."""
    patience: int | None = None
    """Another patience of early stopping (0: never)."""
    on_nan: Literal["stop", "rollback"] | None = None
    """What to do where the loss is not a finite number; rollback goes back and on with half the learning rate."""
    stretch_schedule: bool = False
    """Let a cosine or onecycle schedule take the course of the longer run from here on."""
    changed_files: bool = False
    """Go on though image files were changed since the run was saved, with the pictures as they are now."""
    train: str | None = None
    """Where the training set lies now, if it was moved; it must hold the same images. The run keeps it."""
    test: str | None = None
    """Where the test set lies now."""
    val: str | None = None
    """Where the validation set lies now."""
    root: str | None = None
    """Where the folder lies now that the paths in list files are relative to."""
    classes: str | None = None
    """Where the file of class names lies now."""


class EvaluateFlags(Measuring):
    """Measure a trained model on any labelled set."""

    run: Run
    """Run folder, or a .safetensors file in it."""
    data: Annotated[Positional[str | None], tyro.conf.arg(metavar="[DATA]")] = None
    """List, folder or named set, such as cifar10:test. Default: the run's own test set, else its validation set."""
    train: str | None = None
    """Without DATA: where the run's training set lies now, of which its own test or validation set may be a part."""
    device: str = "auto"
    """cpu, cuda, mps or auto."""
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"
    """Precision of the arithmetic."""
    batch_size: Annotated[int, Field(ge=1)] | None = None
    """Images per batch. Default: as many as are fast."""
    json_file: Annotated[str | None, tyro.conf.arg(name="json")] = None
    """File to write all numbers to, as JSON."""
    answers: str | None = None
    """File to write a row for each image to: path, label, answer, probability, right (.csv, .jsonl or .parquet)."""
    charts: str | None = None
    """Folder to draw the per-class chart and the confusion matrix into."""

    def device_config(self) -> DeviceConfig:
        """Return what concerns the device."""
        return DeviceConfig(device=self.device, precision=self.precision)


class PredictFlags(PredictConfig):
    """Classify files, folders and lists; CSV, JSON lines or Parquet, or sorted into folders."""

    run: Run
    """Run folder, or a .safetensors file in it."""
    paths: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="PATH...")]
    """Images, folders, list files."""
    out: str | None = None
    """File to write: .csv, .jsonl or .parquet. Default: the terminal."""


class ServeFlags(ServeConfig):
    """Answer over HTTP: an API, and a page for the browser."""

    run: Run
    """Run folder, or a .safetensors file in it."""

    def serve_config(self) -> ServeConfig:
        """Return what concerns the server."""
        return ServeConfig(**self.model_dump(exclude={"run"}))


class ReportFlags(Section):
    """Write one HTML page on a run: what its model can do, how sure it is, and where it fails."""

    run: Run
    """Run folder of `eyas train`."""
    out: str | None = None
    """File to write. Default: report.html in the run folder."""
    language: Literal["en", "zh"] = "en"
    """Language of the page."""
    audit: bool = False
    """Also look at every image of the run, as eyas inspect does, and say what was found."""
    device: str = "auto"
    """cpu, cuda, mps or auto: what computes the maps of where the network looks."""


class CalibrateFlags(Reading):
    """Fit a temperature that makes a model as sure as it is right, and store it in the model's file."""

    run: Run
    """Run folder, or a .safetensors file in it."""
    data: Annotated[Positional[str | None], tyro.conf.arg(metavar="[DATA]")] = None
    """Set to fit on. Default: what the run kept of its validation set."""
    reset: bool = False
    """Take the temperature away again."""
    skip_unreadable: bool = False
    """Leave images out that cannot be decoded."""
    device: str = "auto"
    """cpu, cuda, mps or auto."""


class CompareFlags(Section):
    """Compare runs, and tell which differences are larger than chance."""

    runs: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="RUN...")]
    """Run folders of `eyas train`, two or more."""
    html: str | None = None
    """File to write a page to, with the curves of the runs over each other."""
    language: Literal["en", "zh"] = "en"
    """Language of the page."""
    json_file: Annotated[str | None, tyro.conf.arg(name="json")] = None
    """File to write all of it to, as JSON."""


class RunsFlags(Section):
    """List the runs of a folder, best first."""

    folder: Annotated[Positional[str], tyro.conf.arg(metavar="[FOLDER]")] = "runs"
    """Folder with a folder per run."""
    sort: Literal["accuracy", "loss", "name", "time"] = "accuracy"
    """By accuracy or loss, those measured on the same images together; by name; or by time, the newest first."""
    json_file: Annotated[str | None, tyro.conf.arg(name="json")] = None
    """File to write all of it to, as JSON."""


class ExportFlags(ExportConfig):
    """Write a trained model as one file for use without eyas, and check that it answers as the model does."""

    run: Run
    """Run folder, or a .safetensors file in it."""
    out: str | None = None
    """File to write, .onnx or .pt2. Default: beside the model file."""

    def config(self) -> ExportConfig:
        """Return what is asked of the file."""
        return ExportConfig(**self.model_dump(exclude={"run", "out"}))


class InspectFlags(Reading):
    """Look at a set before training: unreadable files, duplicates, leaks, wrong labels. Changes no file of yours."""

    data: Data
    """List, folder or named set; all its splits are looked at. cifar10:train means one of them."""
    against: str | None = None
    """Another set, such as the test set: images that are in both are leaks."""
    json_file: Annotated[str | None, tyro.conf.arg(name="json")] = None
    """File to write everything to, as JSON."""
    csv_file: Annotated[str | None, tyro.conf.arg(name="csv")] = None
    """File to write a row for every image of each finding to."""
    html: str | None = None
    """File to write a page to that shows the worst findings as pictures, side by side."""
    language: Literal["en", "zh"] = "en"
    """Language of the page."""
    strict: bool = False
    """Exit with code 65 where something was found that makes a result wrong or stops the training."""


class ModelsFlags(Section):
    """List the networks that can be named."""

    text: Annotated[Positional[str], tyro.conf.arg(metavar="[TEXT]")] = ""
    """Only names with this in them."""


class DatasetsFlags(Section):
    """List the named data sets, or write one as image files and lists."""

    name: Annotated[Positional[str], tyro.conf.arg(metavar="[NAME]")] = ""
    """A named set; without one all are listed."""
    export: str | None = None
    """Empty folder to write image files, train.txt, test.txt and classes.txt to."""
    data_dir: str = "data"
    """Folder that sets are downloaded into."""
    mirror: str | None = None
    """Address of a folder that holds the archives."""


class SourceFlags(Section):
    """Where the settings of a training come from, before any flag."""

    recipe: str = "standard"
    """Defaults made for a purpose."""
    config: str | None = None
    """TOML file of settings, such as the config.toml of a run."""


COMMANDS: Commands = {
    "train": (SourceFlags, *(type(section) for _, section in RunConfig())),
    "resume": (ResumeFlags,),
    "evaluate": (EvaluateFlags,),
    "predict": (PredictFlags,),
    "serve": (ServeFlags,),
    "report": (ReportFlags,),
    "calibrate": (CalibrateFlags,),
    "compare": (CompareFlags,),
    "runs": (RunsFlags,),
    "export": (ExportFlags,),
    "inspect": (InspectFlags,),
    "models": (ModelsFlags,),
    "datasets": (DatasetsFlags,),
}


def parse_config(arguments: list[str]) -> RunConfig:
    """Return the settings that `eyas train` was given: a recipe's, changed by a TOML file's, changed by flags."""
    given, helping = _without_help(arguments)
    values = read_arguments("train", COMMANDS, given)
    source = {"recipe": values.pop("recipe", "standard"), "file": values.pop("config", None)}
    if helping:
        base = make_config(**source)

        def flags(config: RunConfig = base) -> RunConfig:
            return config

        flags.__doc__ = (
            "Train a classifier. A file (--config run.toml) and a recipe "
            f"(--recipe {'|'.join(RECIPES)}) set what no flag sets."
        )
        _help(flags, "train", helping)
    return make_config(values, **source)


def parsed(flags: type[T], command: str, arguments: list[str]) -> T:
    """Return what `flags` makes of the command line; raises `SettingsError` for what it does not take."""
    given, helping = _without_help(arguments)
    if helping:
        _help(flags, command, helping)
    values = read_arguments(command, COMMANDS, given)
    check_required(command, COMMANDS, values)
    return flags(**values)


def _without_help(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return the arguments but for what asks for help or for a shell's completion, and this."""
    if arguments and arguments[0].startswith("--tyro-"):
        return [], arguments
    asked = [word for word in arguments if word in ("-h", "--help")]
    return [word for word in arguments if word not in asked], asked


def _help(flags: Callable[..., object], command: str, arguments: list[str]) -> None:
    """Print what a command takes, and end."""
    tyro.cli(flags, prog=f"eyas {command}", args=arguments, config=_STYLE)
