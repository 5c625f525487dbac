"""Settings of an export: which form, which batches, and what it is checked on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from eyas.config.data import DataConfig
from eyas.config.section import Section
from eyas.errors import SettingsError, suggest

FORMATS = ("onnx", "pt2")


class ExportConfig(Section):
    """Write a trained model as one file that works without eyas, and check that it answers alike."""

    format: Literal["onnx", "pt2"] | None = None
    """onnx: for onnxruntime and many others; pt2: for torch.export.load. Default: what --out ends in, else onnx."""
    batch: Annotated[int, Field(ge=1)] | Literal["dynamic"] = "dynamic"
    """Images that one call takes: any number (dynamic), or always this many."""
    opset: Annotated[int, Field(ge=18, le=23)] = 20
    """Version of ONNX's operators; an older runtime may need a lower one."""
    int8: bool = False
    """Quantise the network to 8-bit integers, for CPUs (ONNX only): measures how much accuracy that costs."""
    check: str | None = None
    """Images to check the file on: a data spec. Default: the run's own test, validation or training set."""
    root: str | None = None
    """Folder that the paths in the list of --check are relative to. Default: the folder of the list."""
    outside_root: bool = False
    """Read also files that this list names outside that folder."""
    classes: str | None = None
    """File with one class name per line, for a list of --check that has numbers."""
    columns: str | None = None
    """Columns of the list of --check, such as path=0,label=2. Default: found by itself."""
    first_label: Literal["auto", "0", "1"] = "auto"
    """What the smallest label number of that list means: numbers count from 0, or from 1."""
    data_dir: str = "data"
    """Folder that a named set of --check is downloaded into."""
    mirror: str | None = None
    """Address of a folder that holds the named sets' archives."""

    @model_validator(mode="after")
    def _int8_is_onnx(self) -> ExportConfig:
        if self.int8 and self.format == "pt2":
            raise SettingsError("--int8 writes ONNX: leave --format pt2 away.")
        return self

    def data_config(self) -> DataConfig:
        """Return what concerns the data of --check."""
        return DataConfig(**self.model_dump(include=set(DataConfig.model_fields)))


def target_of(model: Path, out: str | Path | None, settings: ExportConfig) -> tuple[Path, str]:
    """Return the file to write and its format. Raises `SettingsError` where name and format do not go together."""
    if out is None:
        form = settings.format or "onnx"
        return model.with_suffix(f".int8.{form}" if settings.int8 else f".{form}"), form
    path = Path(out)
    suffix = path.suffix.removeprefix(".").lower()
    if path.is_dir() or not suffix:
        raise SettingsError(f"--out {path}: name the file to write, such as {path / 'model.onnx'}.")
    if suffix not in FORMATS:
        raise SettingsError(f"--out {path}: ends in .onnx or .pt2.{suggest(suffix, FORMATS)}")
    if settings.format not in (None, suffix):
        raise SettingsError(f"--out {path}: ends in .{suffix}, and --format is {settings.format}.")
    if settings.int8 and suffix != "onnx":
        raise SettingsError(f"--out {path}: --int8 writes ONNX; name a file that ends in .onnx.")
    if not path.absolute().parent.is_dir():
        raise SettingsError(f"--out {path}: there is no folder {path.absolute().parent}.")
    return path, suffix
