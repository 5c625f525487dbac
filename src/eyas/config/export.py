"""Settings of an export: format, batch size, and the images it is checked on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from eyas.config.data import DataConfig
from eyas.config.section import Section
from eyas.errors import SettingsError, suggest

FORMATS = ("onnx", "pt2")


class ExportConfig(Section):
    """Export a trained model to one file that runs without eyas, and check its outputs."""

    format: Literal["onnx", "pt2"] | None = None
    """onnx: for onnxruntime and others; pt2: for torch.export.load. Default: by the ending of --out, else onnx."""
    batch: Annotated[int, Field(ge=1)] | Literal["dynamic"] = "dynamic"
    """Batch size of the exported model: dynamic (any), or a fixed number."""
    opset: Annotated[int, Field(ge=18, le=23)] = 20
    """ONNX opset version; an older runtime may need a lower one."""
    int8: bool = False
    """Quantise the network to int8 for CPUs (ONNX only), and measure how much accuracy that costs."""
    check: str | None = None
    """Images to check the file on: a list, folder or named set. Default: the run's test, validation or training set."""
    root: str | None = None
    """Folder that paths in the --check list are relative to. Default: the folder of the list."""
    outside_root: bool = False
    """Allow entries of that list that point outside that folder."""
    classes: str | None = None
    """File with one class name per line, for a --check list whose labels are numbers."""
    columns: str | None = None
    """Columns of the --check list, such as path=0,label=2. Default: detected."""
    first_label: Literal["auto", "0", "1"] = "auto"
    """Whether label numbers in that list start at 0 or at 1."""
    data_dir: str = "data"
    """Folder to download a named --check set to."""
    mirror: str | None = None
    """URL or path of a folder with the archives of the named sets."""

    @model_validator(mode="after")
    def _int8_is_onnx(self) -> ExportConfig:
        if self.int8 and self.format == "pt2":
            raise SettingsError("--int8 writes ONNX: leave --format pt2 away.")
        return self

    def data_config(self) -> DataConfig:
        """Return the data settings of --check."""
        return DataConfig(**self.model_dump(include=set(DataConfig.model_fields)))


def target_of(model: Path, out: str | Path | None, settings: ExportConfig) -> tuple[Path, str]:
    """Return the file to write and its format. Raises `SettingsError` if the name does not match the format."""
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
