"""`eyas datasets`: lists the named data sets, or exports one."""

from __future__ import annotations

from eyas.config.data import DataConfig
from eyas.config.flags import DatasetsFlags, parsed
from eyas.data.named.table import dataset_names
from eyas.errors import SettingsError, suggest
from eyas.terminal.clean import clean


def command(arguments: list[str]) -> int:
    """`eyas datasets`: list the named data sets, or export one as image files and lists."""
    given = parsed(DatasetsFlags, "datasets", arguments)
    if given.export is None:
        rows = [row for row in dataset_names() if given.name in row[0]]
        if not rows:
            raise SettingsError(f"{given.name}: no such set.{suggest(given.name, [row[0] for row in dataset_names()])}")
        for name, about in rows:
            print(f"{name:22} {about}")
        return 0
    if not given.name:
        raise SettingsError("Which set? eyas datasets NAME --export FOLDER")
    from eyas.data.export import export_named

    for path in export_named(given.name, given.export, DataConfig(data_dir=given.data_dir, mirror=given.mirror)):
        print(clean(path))
    return 0
