"""Flags from types: tyro reads the settings' fields and docstrings."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

import tyro

from eyas.config import RunConfig, make_config
from eyas.data.settings import DataConfig
from eyas.errors import SettingsError
from eyas.recipes import RECIPES
from eyas.settings import Section
from eyas.train.settings import DeviceConfig

T = TypeVar("T")
_STYLE = (tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes)


class MeasureFlags(Section):
    """How to measure."""

    root: str | None = None
    """Folder that the paths in list files are relative to. Default: the folder of the list."""
    classes: str | None = None
    """File with one class name per line, in the order of the labels' numbers."""
    skip_unreadable: bool = False
    """Leave images out that cannot be decoded; they are counted beside the numbers."""
    data_dir: str = "data"
    """Folder that named sets are downloaded into."""
    mirror: str | None = None
    """Address of a folder that holds the named sets' archives."""
    device: str = "auto"
    """cpu, cuda, mps or auto."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Precision of the arithmetic."""
    batch_size: int = 128
    """Images per batch."""
    json_file: Annotated[str | None, tyro.conf.arg(name="json")] = None
    """File to write all numbers to, as JSON."""

    def data_config(self) -> DataConfig:
        """Return what concerns the data."""
        names = ("root", "classes", "skip_unreadable", "data_dir", "mirror")
        return DataConfig(**{name: getattr(self, name) for name in names})

    def device_config(self) -> DeviceConfig:
        """Return what concerns the device."""
        return DeviceConfig(device=self.device, precision=self.precision)


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


