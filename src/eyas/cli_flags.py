"""Flags from types: tyro reads the settings' fields and docstrings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

import tyro
from pydantic import Field
from tyro.conf import Positional

from eyas.answers.settings import PredictConfig
from eyas.config import RunConfig, make_config
from eyas.data.settings import DataConfig
from eyas.errors import SettingsError
from eyas.recipes import RECIPES
from eyas.serve.settings import ServeConfig
from eyas.settings import Section
from eyas.shipping.settings import ExportConfig
from eyas.training.settings import DeviceConfig

T = TypeVar("T")
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


class EvaluateFlags(Section):
    """Measure a trained model on any labelled set."""

    run: Run
    """Run folder, or a .safetensors file in it."""
    data: Annotated[Positional[str | None], tyro.conf.arg(metavar="[DATA]")] = None
    """List, folder or named set, such as cifar10:test. Default: the run's own test set, else its validation set."""
    root: str | None = None
    """Folder that the paths in list files are relative to. Default: the folder of the list."""
    outside_root: bool = False
    """Read also files that a list names outside that folder."""
    classes: str | None = None
    """File with one class name per line, in the order of the labels' numbers."""
    columns: str | None = None
    """Columns of a list file, such as path=0,label=2. Default: found by itself."""
    first_label: Literal["auto", "0", "1"] = "auto"
    """Whether a list's numbers count from 0 or from 1."""
    skip_unreadable: bool = False
    """Leave images out that cannot be decoded; they are counted beside the numbers."""
    max_megapixels: Annotated[float, Field(gt=0, le=10_000)] = 200.0
    """Most million pixels of an image."""
    data_dir: str = "data"
    """Folder that named sets are downloaded into."""
    mirror: str | None = None
    """Address of a folder that holds the named sets' archives."""
    device: str = "auto"
    """cpu, cuda, mps or auto."""
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"
    """Precision of the arithmetic."""
    batch_size: Annotated[int, Field(ge=1)] | None = None
    """Images per batch. Default: as many as are fast."""
    json_file: Annotated[str | None, tyro.conf.arg(name="json")] = None
    """File to write all numbers to, as JSON."""
    charts: str | None = None
    """Folder to draw the per-class chart and the confusion matrix into."""

    def data_config(self) -> DataConfig:
        """Return what concerns the data."""
        return DataConfig(**self.model_dump(include=set(DataConfig.model_fields)))

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


class CalibrateFlags(Section):
    """Fit a temperature that makes a model as sure as it is right, and store it in the model's file."""

    run: Run
    """Run folder, or a .safetensors file in it."""
    data: Annotated[Positional[str | None], tyro.conf.arg(metavar="[DATA]")] = None
    """Set to fit on. Default: what the run kept of its validation set."""
    reset: bool = False
    """Take the temperature away again."""
    root: str | None = None
    """Folder that the paths in list files are relative to. Default: the folder of the list."""
    outside_root: bool = False
    """Read also files that a list names outside that folder."""
    max_megapixels: Annotated[float, Field(gt=0, le=10_000)] = 200.0
    """Most million pixels of an image."""
    data_dir: str = "data"
    """Folder that named sets are downloaded into."""
    device: str = "auto"
    """cpu, cuda, mps or auto."""

    def data_config(self) -> DataConfig:
        """Return what concerns the data."""
        return DataConfig(**self.model_dump(include=set(DataConfig.model_fields)))


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


class InspectFlags(Section):
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
    strict: bool = False
    """Exit with code 65 where something was found that makes a result wrong or stops the training."""
    root: str | None = None
    """Folder that the paths in list files are relative to. Default: the folder of the list."""
    outside_root: bool = False
    """Read also files that a list names outside that folder."""
    classes: str | None = None
    """File with one class name per line, in the order of the labels' numbers."""
    columns: str | None = None
    """Columns of a list file, such as path=0,label=2. Default: found by itself."""
    first_label: Literal["auto", "0", "1"] = "auto"
    """Whether a list's numbers count from 0 or from 1."""
    max_megapixels: Annotated[float, Field(gt=0, le=10_000)] = 200.0
    """Most million pixels of an image."""
    data_dir: str = "data"
    """Folder that named sets are downloaded into."""
    mirror: str | None = None
    """Address of a folder that holds the named sets' archives."""
    cache_dir: str = "~/.cache/eyas"
    """Folder that keeps what was seen of each file, so that unchanged files are not read again."""

    def data_config(self) -> DataConfig:
        """Return what concerns the data."""
        return DataConfig(**self.model_dump(include=set(DataConfig.model_fields)))


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


def parse_config(arguments: list[str]) -> RunConfig:
    """Return the settings that `eyas train` was given: a recipe's, changed by a TOML file's, changed by flags."""
    recipe, rest = _taken(arguments, "--recipe")
    file, rest = _taken(rest, "--config")
    base = make_config(recipe=recipe or "standard", file=file)

    def flags(config: RunConfig = base) -> RunConfig:
        return config

    flags.__doc__ = (
        "Train a classifier. A file (--config run.toml) and a recipe "
        f"(--recipe {'|'.join(RECIPES)}) set what no flag sets."
    )
    return parsed(flags, "train", rest)


def parsed(flags: Callable[..., T], command: str, arguments: list[str]) -> T:
    """Return what `flags` makes of the command line; raises `SettingsError` for values out of range."""
    return tyro.cli(flags, prog=f"eyas {command}", args=arguments, config=_STYLE)


def _taken(arguments: list[str], flag: str) -> tuple[str | None, list[str]]:
    """Return a flag's value and the arguments without it: it decides what the other flags' defaults are."""
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name != flag:
            continue
        if equals:
            return value, arguments[:place] + arguments[place + 1 :]
        if place + 1 == len(arguments):
            raise SettingsError(f"{flag} needs a value.")
        return arguments[place + 1], arguments[:place] + arguments[place + 2 :]
    return None, arguments
