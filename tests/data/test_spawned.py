"""Processes that are spawned, as on macOS, Windows and with Python 3.14: they know only what they are sent."""

from __future__ import annotations

import hashlib
import io
import math
import multiprocessing
import pickle
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.conftest import write_pictures
from torch.utils.data import Dataset
from torchvision import datasets

from eyas.config.data import DataConfig
from eyas.data.images.imageset import ImageSet, TorchvisionImages
from eyas.data.images.preprocess import Preprocess
from eyas.data.named.opening import open_named
from eyas.data.pipeline import loaded, own_change
from eyas.data.prepared import Prepared, prepare
from eyas.data.spec import open_images
from eyas.errors import TrainingError

OWN = "import random\nchange = lambda image: (image + random.randrange(9)).clamp(0, 255)  # no pickle holds it\n"
BATCHES = [(np.array([0, 5, 3]), 0), (np.array([1]), 0), (np.array([8, 2, 7, 4, 6]), 1)]


@pytest.fixture(params=["spawn", "forkserver"])
def started(request: pytest.FixtureRequest) -> Iterator[str]:
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method(request.param, force=True)
    yield request.param
    multiprocessing.set_start_method(before, force=True)


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    """Return ten pictures of a list that lies in the folder worked in, and is named so."""
    write_pictures(tmp_path, {"red": 5, "blue": 5})
    (tmp_path / "mine.py").write_text(OWN)
    return open_images(str(tmp_path / "list.txt"), DataConfig(), split="train")


def test_an_own_transform_gives_the_same_pixels_in_processes_that_are_spawned(images, tmp_path, monkeypatch, started):
    monkeypatch.chdir(tmp_path)
    images = open_images("list.txt", DataConfig(), split="train")
    prepared = prepare(images, Preprocess(12), DataConfig(cache="none"))
    change = own_change("mine.py:change", prepared, seed=3)
    here, there = (
        [pixels for _, pixels in loaded(prepared, BATCHES, DataConfig(cache="none", workers=workers), change=change)]
        for workers in (0, 1)
    )
    assert all(torch.equal(one, other) for one, other in zip(here, there, strict=True))


SCRIPT = """
import multiprocessing, sys
import eyas
if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    child = multiprocessing.Process(target=print)
    child.start()
    child.join()
    sys.exit(child.exitcode)
eyas.{verb}
"""


@pytest.mark.parametrize("verb", ["train('digits')", "resume('runs/1')"])
def test_a_script_that_trains_at_its_top_is_told_where_that_belongs(tmp_path, verb):
    """A spawned process runs the script again; it would begin a run of its own."""
    (tmp_path / "script.py").write_text(SCRIPT.format(verb=verb))
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'put what trains under `if __name__ == "__main__":`.' in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["script.py"]


class Foreign(Dataset[Any]):
    """A data set that keeps a module, as torchvision's PCAM keeps h5py."""

    library = None

    def __init__(self) -> None:
        self.library = math

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.new("RGB", (12, 12), (index, 0, 0)), 0


def test_a_set_that_cannot_be_sent_is_told_in_one_line_with_the_remedy(images, started):
    foreign = replace(images, images=TorchvisionImages("foreign", Foreign(), np.arange(len(images))))
    prepared = prepare(foreign, Preprocess(12), DataConfig(cache="none"))
    batches = loaded(prepared, BATCHES, DataConfig(cache="none", workers=1))
    with pytest.raises(TrainingError, match=r"^foreign#0: .* cannot be handed to .*module.*--workers 0"):
        next(batches)


def sent(thing: object) -> Any:
    """Return what a process that is spawned gets."""
    written = io.BytesIO()
    ForkingPickler(written).dump(thing)
    return pickle.loads(written.getvalue())


def array(folder: Path) -> ImageSet:
    return open_images("digits", DataConfig(), split="train").select(np.arange(10))


def of_torchvision(folder: Path) -> ImageSet:
    """Return a set of torchvision's, whose samples are read one by one."""
    listed = open_images(str(folder / "list.txt"), DataConfig(), split="train")
    dataset = datasets.ImageFolder(str(folder), allow_empty=True)
    return replace(listed, images=TorchvisionImages("of torchvision", dataset, np.arange(10)))


KINDS = {
    "a list": lambda folder: open_images(str(folder / "list.txt"), DataConfig(), split="train"),
    "a folder": lambda folder: open_images(str(folder), DataConfig(), split="train"),
    "an array": array,
    "a set of torchvision's": of_torchvision,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cache", ["none", "ram", "disk"])
def test_every_kind_of_set_reads_the_same_after_it_was_sent(images, tmp_path, kind, cache):
    config = DataConfig(cache=cache, cache_dir=str(tmp_path / "cache"))
    prepared = prepare(KINDS[kind](tmp_path), Preprocess(12), config)
    change = own_change(f"{tmp_path / 'mine.py'}:change", prepared, seed=3)
    other: Prepared
    other, other_change = sent((prepared, change))
    for samples, epoch in BATCHES:
        assert torch.equal(prepared.read(samples), other.read(samples))
        assert torch.equal(
            change(prepared.read(samples), samples, epoch), other_change(other.read(samples), samples, epoch)
        )


def test_pixels_in_a_file_are_not_sent_but_opened_again(images, tmp_path):
    prepared = prepare(images, Preprocess(12), DataConfig(cache="disk", cache_dir=str(tmp_path / "cache")))
    assert sent(prepared.store).file == prepared.store.file
    assert not prepared.store.pixels.is_shared()


def test_a_set_of_torchvisions_that_a_mirror_gave_can_be_sent(host, tmp_path, monkeypatch):
    archive = host.folder / "rendered-sst2.tgz"
    for name in ("negative", "positive"):
        folder = tmp_path / "made" / "rendered-sst2" / "train" / name
        folder.mkdir(parents=True)
        Image.new("RGB", (8, 8), (9, 9, 9)).save(folder / "1.png")
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "made" / "rendered-sst2", "rendered-sst2")
    monkeypatch.setattr(datasets.RenderedSST2, "_MD5", hashlib.md5(archive.read_bytes()).hexdigest())
    images = open_named("rendered-sst2", "train", tmp_path / "data", mirror=host.url)
    assert torch.equal(sent(images).image(1), images.image(1))
