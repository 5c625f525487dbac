"""The flags of each command, derived from the settings' types; tyro prints their help."""

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
    """Continue a run from where it stopped."""

    run: Run
    """Run folder of `eyas train`."""
    epochs: int | None = None
    """Total number of epochs to train to; may be more than first set."""
    patience: int | None = None
    """New patience of early stopping (0: never stop early)."""
    on_nan: Literal["stop", "rollback"] | None = None
    """What to do when the loss is not finite: stop, or roll back and continue with half the learning rate."""
    stretch_schedule: bool = False
    """With more --epochs: let a cosine or onecycle schedule follow the longer run from here on."""
    changed_files: bool = False
    """Continue although image files have changed since the run was saved; the new contents are used."""
    train: str | None = None
    """New location of the training set, if it was moved; must hold the same images. Stored in the run."""
    test: str | None = None
    """New location of the test set."""
    val: str | None = None
    """New location of the validation set."""
    root: str | None = None
    """New location of the folder that paths in list files are relative to."""
    classes: str | None = None
    """New location of the file of class names."""


class EvaluateFlags(Measuring):
    """Evaluate a trained model on a labelled set."""

    run: Run
    """Run folder, or a .safetensors file in one."""
    data: Annotated[Positional[str | None], tyro.conf.arg(metavar="[DATA]")] = None
    """List, folder or named set, such as cifar10:test. Default: the run's test set, else its validation set."""
    train: str | None = None
    """Without DATA: new location of the run's training set, which its validation or test set may be part of."""
    device: str = "auto"
    """cpu, cuda, mps or auto."""
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"
    """Precision of the computation."""
    batch_size: Annotated[int, Field(ge=1)] | None = None
    """Images per batch. Default: chosen for speed."""
    json_file: Annotated[str | None, tyro.conf.arg(name="json")] = None
    """JSON file to write all metrics to."""
    answers: str | None = None
    """File for per-image predictions (.csv, .jsonl or .parquet): path, label, answer, probability, right."""
    charts: str | None = None
    """Folder for the per-class chart and the confusion matrix."""

    def device_config(self) -> DeviceConfig:
        """Return the device settings."""
        return DeviceConfig(device=self.device, precision=self.precision)


class PredictFlags(PredictConfig):
    """Classify images; write CSV, JSON lines or Parquet, or sort them into folders."""

    run: Run
    """Run folder, or a .safetensors file in one."""
    paths: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="PATH...")]
    """Image files, folders or list files."""
    out: str | None = None
    """File to write (.csv, .jsonl or .parquet). Default: the terminal."""


class ServeFlags(ServeConfig):
    """Serve a model over HTTP: an API and a web page."""

    run: Run
    """Run folder, or a .safetensors file in one."""

    def serve_config(self) -> ServeConfig:
        """Return the server settings."""
        return ServeConfig(**self.model_dump(exclude={"run"}))


class ReportFlags(Section):
    """Write an HTML report on a run: results, calibration and mistakes."""

    run: Run
    """Run folder of `eyas train`."""
    out: str | None = None
    """File to write. Default: report.html in the run folder."""
    language: Literal["en", "zh"] = "en"
    """Language of the page."""
    audit: bool = False
    """Also check every image of the run, as `eyas inspect` does, and include the findings."""
    device: str = "auto"
    """cpu, cuda, mps or auto; used to compute the Grad-CAM heatmaps."""


class CalibrateFlags(Reading):
    """Calibrate a model by temperature scaling, and store the temperature in the model file."""

    run: Run
    """Run folder, or a .safetensors file in one."""
    data: Annotated[Positional[str | None], tyro.conf.arg(metavar="[DATA]")] = None
    """Set to calibrate on. Default: the predictions stored for the run's validation set."""
    reset: bool = False
    """Remove a stored temperature."""
    skip_unreadable: bool = False
    """Skip images that cannot be decoded."""
    device: str = "auto"
    """cpu, cuda, mps or auto."""


class CompareFlags(Section):
    """Compare runs, and test which differences are statistically significant."""

    runs: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="RUN...")]
    """Two or more run folders of `eyas train`."""
    html: str | None = None
    """HTML page to write, with the curves of all runs overlaid."""
    language: Literal["en", "zh"] = "en"
    """Language of the page."""
    json_file: Annotated[str | None, tyro.conf.arg(name="json")] = None
    """JSON file to write the results to."""


class RunsFlags(Section):
    """List the runs in a folder, best first."""

    folder: Annotated[Positional[str], tyro.conf.arg(metavar="[FOLDER]")] = "runs"
    """Folder that contains the run folders."""
    sort: Literal["accuracy", "loss", "name", "time"] = "accuracy"
    """Sort by accuracy or loss (runs evaluated on the same images are grouped), by name, or by time (newest first)."""
    json_file: Annotated[str | None, tyro.conf.arg(name="json")] = None
    """JSON file to write the results to."""


class ExportFlags(ExportConfig):
    """Export a trained model to one file that runs without eyas, and check its outputs."""

    run: Run
    """Run folder, or a .safetensors file in one."""
    out: str | None = None
    """File to write (.onnx or .pt2). Default: next to the model file."""

    def config(self) -> ExportConfig:
        """Return the settings of the export."""
        return ExportConfig(**self.model_dump(exclude={"run", "out"}))


class InspectFlags(Reading):
    """Check a data set before training: unreadable files, duplicates, leaks, wrong labels. Changes no files."""

    data: Data
    """List, folder or named set. All splits are checked; to check only one, name it: cifar10:train."""
    against: str | None = None
    """A second set, such as a separate test set; images that are in both are reported as leaks."""
    json_file: Annotated[str | None, tyro.conf.arg(name="json")] = None
    """JSON file to write all findings to."""
    csv_file: Annotated[str | None, tyro.conf.arg(name="csv")] = None
    """CSV file to write, with one row per image of each finding."""
    html: str | None = None
    """HTML page to write, which shows the images of the worst findings side by side."""
    language: Literal["en", "zh"] = "en"
    """Language of the page."""
    strict: bool = False
    """Exit with code 65 if a finding would make results wrong or stop training."""


class ModelsFlags(Section):
    """List the available networks."""

    text: Annotated[Positional[str], tyro.conf.arg(metavar="[TEXT]")] = ""
    """List only names that contain this text."""


class DatasetsFlags(Section):
    """List the named data sets, or export one as image files and lists."""

    name: Annotated[Positional[str], tyro.conf.arg(metavar="[NAME]")] = ""
    """Name of a set; if omitted, all are listed."""
    export: str | None = None
    """Export the set to this (new or empty) folder: image files, train.txt, test.txt and classes.txt."""
    data_dir: str = "data"
    """Folder to download sets to."""
    mirror: str | None = None
    """URL or path of a folder with the archives."""


class SourceFlags(Section):
    """Where settings come from before flags are applied."""

    recipe: str = "standard"
    """Named set of defaults."""
    config: str | None = None
    """TOML settings file, such as the config.toml of a run."""


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
    """Return the settings of `eyas train`: those of the recipe, overridden by the TOML file, overridden by flags."""
    given, helping = _without_help(arguments)
    values = read_arguments("train", COMMANDS, given)
    source = {"recipe": values.pop("recipe", "standard"), "file": values.pop("config", None)}
    if helping:
        base = make_config(**source)

        def flags(config: RunConfig = base) -> RunConfig:
            return config

        flags.__doc__ = (
            "Train a classifier. Settings not given as flags come from a file (--config run.toml), "
            f"then from a recipe (--recipe {'|'.join(RECIPES)})."
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
