"""Writes a named set as PNG files with list files: what `eyas datasets NAME --export DIR` does."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import track

from eyas.config.data import DataConfig
from eyas.data.named.opening import open_named
from eyas.data.named.table import splits_of
from eyas.errors import FileError, SettingsError
from eyas.files.atomic import check_name, make_folder, write_text


def export_named(name: str, directory: str | Path, config: DataConfig) -> list[Path]:
    """Write a named set as `train/00000.png` ..., `train.txt` (`train/00000.png 6`), `classes.txt`.

    Returns the lists and the class file. Refuses a folder that is not empty with `SettingsError`; a full disk
    raises `FileError`.
    """
    folder = Path(directory)
    check_name(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingsError(f"{folder}: is not empty. Name a new folder to export to.")
    sets = {
        split: open_named(name, split, config.data_dir, mirror=config.mirror)
        for split in splits_of(name)
        if split in ("train", "val", "test")
    }
    make_folder(folder)
    try:
        for split, images in sets.items():  # the list after its images: a list that is there is whole
            (folder / split).mkdir()
            lines, shown = [], Console(stderr=True)
            for number in track(range(len(images)), f"Writing {split}", console=shown, disable=not shown.is_terminal):
                path = f"{split}/{number:05d}.png"
                images.images.picture(number).save(folder / path)
                lines.append(f"{path} {images.labels[number]}\n")
            write_text(folder / f"{split}.txt", "".join(lines))
    except OSError as error:
        raise FileError(f"{folder}: cannot be written: {error.strerror or error}") from error
    classes = folder / "classes.txt"
    write_text(classes, "".join(f"{text}\n" for text in sets["train"].classes))
    return [*(folder / f"{split}.txt" for split in sets), classes]
