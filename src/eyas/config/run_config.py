"""RunConfig: all settings of a run, read from a recipe, a TOML file and flags (or keywords), and written as TOML."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from eyas.config.data import AugmentConfig, DataConfig, PreprocessConfig
from eyas.config.model import ModelConfig
from eyas.config.recipes import RECIPES
from eyas.config.section import Section
from eyas.config.synonyms import known_as, same_meaning
from eyas.config.training import DeviceConfig, OptimConfig, OutputConfig, ScheduleConfig, TrainConfig
from eyas.errors import DataError, SettingsError, suggest
from eyas.files.reading import read_file

LARGEST = 1 << 20  # bytes of a settings file
# settings that change no result: all of what is written, and where and how images are read
NO_RESULT = frozenset(OutputConfig.model_fields) | frozenset(
    ("data_dir", "mirror", "cache", "cache_dir", "cache_gb", "workers", "worker_timeout")
)
# settings that are gone, with their defaults: the config.toml of an older run may have these
REMOVED: Mapping[tuple[str, str], Any] = {("output", "graph"): False}


class RunConfig(Section):
    """All settings of a run, in sections. Field names are unique across sections, so flags need no prefix."""

    data: DataConfig = DataConfig()
    preprocess: PreprocessConfig = PreprocessConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = ModelConfig()
    optim: OptimConfig = OptimConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    training: TrainConfig = TrainConfig()
    device: DeviceConfig = DeviceConfig()
    output: OutputConfig = OutputConfig()


def sections() -> dict[str, str]:
    """Return the section of every field by the field's name."""
    return {
        field: section
        for section, info in RunConfig.model_fields.items()
        for field in info.annotation.model_fields  # type: ignore[union-attr]
    }


def defaults() -> dict[str, Any]:
    """Return every setting's default by its name, as plain data."""
    return {name: value for part in RunConfig().model_dump(mode="json").values() for name, value in part.items()}


def make_config(
    given: Mapping[str, Any] | None = None, *, recipe: str = "standard", file: str | Path | None = None
) -> RunConfig:
    """Return the settings of a recipe, overridden by a TOML file, overridden by `given` (flat: {"lr": 0.1}).

    Raises `SettingsError` for unknown recipes, files, sections and keys (with the closest names) and invalid values.
    """
    if recipe not in RECIPES:
        raise SettingsError(f"--recipe {recipe}: unknown; there are {', '.join(RECIPES)}.{suggest(recipe, RECIPES)}")
    values: dict[str, dict[str, Any]] = {section: {} for section in RunConfig.model_fields}
    for source in (RECIPES[recipe], read_toml(Path(file)) if file else {}, nested(given or {})):
        for section, entries in source.items():
            values[section] |= entries
    return RunConfig(
        **{section: info.annotation(**values[section]) for section, info in RunConfig.model_fields.items()}  # type: ignore[misc]
    )


def nested(given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Sort flat settings into sections. Raises `SettingsError` for an unknown setting."""
    places = sections()
    sorted_in: dict[str, dict[str, Any]] = {}
    for name, value in given.items():
        if name not in places:
            raise SettingsError(f"{name}: there is no such setting.{known_as(name, places)}")
        sorted_in.setdefault(places[name], {})[name] = value
    return sorted_in


def read_toml(path: Path) -> dict[str, dict[str, Any]]:
    """Return the sections of a settings file. Raises `SettingsError`, naming the file, for anything unknown in it."""
    try:
        content = tomllib.loads(read_file(path, LARGEST).decode())
    except DataError as error:
        raise SettingsError(str(error)) from None
    except (ValueError, RecursionError) as error:  # also a number of more digits than Python reads
        raise SettingsError(f"{path}: is no valid TOML: {error}") from None
    for section, entries in content.items():
        fields = RunConfig.model_fields.get(section)
        if section in sections() and not isinstance(entries, dict):
            raise SettingsError(f"{path}: {section} stands in no section. It belongs into [{sections()[section]}].")
        if fields is None or not isinstance(entries, dict):
            raise SettingsError(f"{path}: there is no section [{section}].{suggest(section, RunConfig.model_fields)}")
        known = fields.annotation.model_fields  # type: ignore[union-attr]
        for key, value in list(entries.items()):
            if (section, key) in REMOVED and value == REMOVED[section, key]:
                del entries[key]
                continue
            if key not in known:
                elsewhere = sections().get(key)
                hint = f" It belongs into [{elsewhere}]." if elsewhere else _known_as(key, known)
                raise SettingsError(f"{path}: [{section}] has no setting {key!r}.{hint}")
    return content


def _known_as(key: str, known: Collection[str]) -> str:
    """Return what we call a key, with the section that it belongs into; else what is spelled alike in its own."""
    places = sections()
    return same_meaning(key, places, lambda name: f"{name!r} in [{places[name]}]") or known_as(key, known)


def check_whole(path: Path) -> None:
    """Raise `SettingsError` where a file of `to_toml` was cut off: what is missing would silently be a default."""
    last = list(RunConfig.model_fields)[-1]
    if not read_toml(path).get(last):
        raise SettingsError(f"{path}: was cut off: its last section, [{last}], is missing. Restore it.")


def to_toml(config: RunConfig) -> str:
    """Return all settings as TOML; `eyas train --config` with it repeats the run."""
    import tomli_w

    # no value stands for "not given": TOML has none, so such keys are left out
    return tomli_w.dumps(config.model_dump(exclude_none=True))


def plain_settings(
    config: RunConfig, found: Mapping[str, Any] | None = None
) -> tuple[tuple[str, bool | int | float | str | None], ...]:
    """Return every setting by its name, as plain data: several numbers as one text. `found` says what stood open."""
    flat = (entry for section in config.model_dump(mode="json").values() for entry in section.items())
    known = {**dict(flat), **(found or {})}
    return tuple(
        (name, " ".join(map(str, value)) if isinstance(value, list | tuple) else value) for name, value in known.items()
    )


def differing(configs: Sequence[RunConfig]) -> list[dict[str, Any]]:
    """Return for each of the configs, by name, the settings that not all of them share and that may change a result."""
    flat = [
        {name: value for part in config.model_dump(mode="json").values() for name, value in part.items()}
        for config in configs
    ]
    names = [name for name in flat[0] if name not in NO_RESULT and any(one[name] != flat[0][name] for one in flat)]
    return [{name: one[name] for name in names} for one in flat]


def setting_text(value: Any) -> str:
    """Return the value of a setting as people read it, `-` where it is not given."""
    return "-" if value is None else json.dumps(value, ensure_ascii=False).strip('"')
