"""Folders of images: what is a class, what is a split, and what is left out, by its kind."""

from __future__ import annotations

import contextlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eyas.config.data import DataConfig
from eyas.config.predict import PredictConfig
from eyas.data.class_folders import find_layout
from eyas.data.images.imageset import ImageSet
from eyas.data.lists.splits import kind_of
from eyas.data.parts import open_parts
from eyas.data.spec import open_images
from eyas.errors import DataError
from eyas.predicting.inputs import images_in

NOBODY = 65534


def laid(folder: Path, *names: str) -> Path:
    """Write empty files: only their names are looked at."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def opened(folder: Path, split: str = "train") -> ImageSet:
    return open_images(str(folder), DataConfig(), split=split)


def samples(images: ImageSet) -> list[tuple[str, str]]:
    """Return (path below the set's folder, class) of every image."""
    return [(Path(images.place(row)).relative_to(images.source).as_posix(), images.classes[label])
            for row, label in enumerate(images.labels)]  # fmt: skip


@contextlib.contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Be a user whom a folder can keep out, where the tests run as root."""
    if os.geteuid():
        yield
        return
    here = Path.cwd()
    os.chown(folder, NOBODY, NOBODY)
    os.chdir(folder)  # the folders above may keep nobody out of everything
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.chdir(here)


@pytest.mark.parametrize("hidden_from_us", ["photos/cat/old", "photos/bird", "photos"])
def test_a_folder_that_may_not_be_read_stops_every_reader(tmp_path, monkeypatch, hidden_from_us):
    monkeypatch.chdir(laid(tmp_path, *(f"photos/{name}/1.png" for name in ("cat", "cat/old", "dog", "bird"))))
    Path(hidden_from_us).chmod(0)
    refused = rf"^{hidden_from_us}: cannot be read: Permission denied\. .* make it readable"
    try:
        with as_nobody(tmp_path):
            for read in (
                lambda: opened(Path("photos")),
                lambda: images_in(["photos"], PredictConfig()),
                lambda: open_parts("photos", None, DataConfig()),
            ):
                with pytest.raises(DataError, match=refused):
                    read()
    finally:
        Path(hidden_from_us).chmod(0o755)


def test_a_link_whose_end_may_not_be_looked_at_stops_it_too(tmp_path, monkeypatch):
    monkeypatch.chdir(laid(tmp_path, "photos/cat/1.png", "photos/dog/1.png", "kept/x/1.png"))
    Path("photos/cat/more").symlink_to(Path("kept/x").absolute())
    Path("kept").chmod(0)
    try:
        with as_nobody(tmp_path), pytest.raises(DataError, match="cannot be read: Permission denied"):
            opened(Path("photos"))
    finally:
        Path("kept").chmod(0o755)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("Training", "train"), ("TRAIN", "train"), ("seg_train", "train"), ("train_images", "train"), ("MyTrain", "train"),
        ("train2017", "train"), ("Train Images", "train"), ("training-set", "train"), ("TrainVal", "train"),
        ("训练集", "train"), ("Valid", "val"), ("validation", "val"), ("dev", "val"), ("PublicTest", "val"),
        ("ILSVRC2012_img_val", "val"), ("test1", "test"), ("PrivateTest", "test"), ("TESTING", "test"), ("eval", "test"),
        ("unlabeled", "beside"), ("Annotations", "beside"), ("seg_pred", "beside"),
        ("trainer", ""), ("latest", ""), ("contest", ""), ("valley", ""), ("strain", ""), ("device", ""), ("2019", ""), ("-", ""),
    ],
)  # fmt: skip
def test_a_split_is_known_by_a_whole_word_of_its_name(name, split):
    assert kind_of(name)[0] == split


@pytest.mark.parametrize(
    "folders",
    [
        ("Train", "Test"), ("seg_train", "seg_test"), ("training_set", "test_set"), ("MyTrain", "MyTest"),
        ("train_images", "test_images"), ("x/train", "x/test"), ("data/TRAIN", "data/TEST"), ("images/train", "images/test"),
        ("train/train", "test/test"), ("a/b/Training", "a/b/Testing"), ("train/images", "test/images"), ("训练", "测试"),
    ],
)  # fmt: skip
def test_splits_are_found_in_other_spellings_and_a_folder_deeper(tmp_path, folders):
    for folder in folders:
        laid(tmp_path, f"{folder}/cat/1.png", f"{folder}/dog/2.png")
    for split, folder in zip(("train", "test"), folders, strict=True):
        assert opened(tmp_path, split).source == str(tmp_path / folder)
        assert samples(opened(tmp_path, split)) == [("cat/1.png", "cat"), ("dog/2.png", "dog")]
    assert [part.name for part in open_parts(str(tmp_path), None, DataConfig())] == ["train", "test"]


@pytest.mark.parametrize(
    "names",
    [
        ("train", "bus"), ("test", "bus", "car"), ("train", "test", "bus"), ("steam train", "freight train"),
        ("train1", "train2"), ("images", "cat"), ("masks", "cat"), ("with_mask", "without_mask"), ("label", "no label"),
        ("val", "valley"), ("unknown", "cat"), ("train station", "bus station", "test site"),
    ],
)  # fmt: skip
def test_folders_of_pictures_beside_others_are_classes_whatever_their_names(tmp_path, names):
    laid(tmp_path, *(f"{name}/1.png" for name in names))
    assert samples(opened(tmp_path)) == [(f"{name}/1.png", name) for name in sorted(names)]


@pytest.mark.parametrize(
    ("files", "fits"),
    [
        (("a/x/1.png", "a/y/1.png", "b/x/1.png", "b/y/1.png"), "a"),
        (("animals/cat/1.png", "animals/dog/1.png", "plants/rose/1.png", "plants/lily/1.png"), "animals"),
        (("train/x/1.png", "train/y/1.png", "test/x/1.png", "more/x/1.png"), "train"),
        (("training/x/1.png", "train/x/1.png", "test/x/1.png"), "train"),
        (("train_a/x/1.png", "train_b/x/1.png", "test_a/x/1.png"), "train_a"),
        (("all/cat/1.png", "all/dog/1.png", "all/loose.png"), "all"),
        (("a/x/1.png", "a/y/1.png", "a/1.png", "b/x/1.png", "b/y/1.png", "b/1.png"), "a"),
        (("x/1.png", "y/1.png", "train/x/1.png", "train/y/1.png"), "train"),
        (("train/train/x/1.png", "train/train/y/1.png", "train/val/x/1.png", "train/val/y/1.png"), "train/train"),
    ],
)
def test_where_splits_or_classes_could_be_meant_the_path_that_fits_is_named(tmp_path, files, fits):
    laid(tmp_path, *files)
    with pytest.raises(DataError) as told:
        opened(tmp_path)
    assert str(told.value).startswith(str(tmp_path))
    assert f": {tmp_path / fits}" in str(told.value)
    opened(tmp_path / fits)


def test_classes_whose_pictures_all_lie_in_one_folder_each_are_classes(tmp_path):
    laid(tmp_path, "n01/images/1.png", "n02/images/1.png")
    assert samples(opened(tmp_path)) == [("n01/images/1.png", "n01"), ("n02/images/1.png", "n02")]


def test_links_to_folders_are_followed_once_and_loops_are_left_out(tmp_path):
    base = laid(tmp_path / "set", "cat/1.png", "dog/1.png", "dog/deep/2.png")
    laid(tmp_path / "out", "3.png", "more/4.png")
    (base / "cat" / "a").symlink_to(tmp_path / "out")
    (base / "cat" / "b").symlink_to(tmp_path / "out" / "more")
    (base / "dog" / "self").symlink_to(base / "dog")
    (base / "dog" / "up").symlink_to(tmp_path)
    (base / "dog" / "here").symlink_to(base / "dog" / "deep")
    (tmp_path / "out" / "round").symlink_to(tmp_path / "out")
    (base / "dog" / "ring").symlink_to("ring")
    images = opened(base)
    assert [path for path, _ in samples(images)] == ["cat/1.png", "cat/a/3.png", "cat/a/more/4.png", "dog/1.png", "dog/deep/2.png"]
    told = "5 links to a folder that is read anyway (cat/a/round, cat/b, dog/here, ...), 1 broken link (dog/ring)"
    assert images.notes == (f"{base}: left out: {told}",)
    assert [Path(path).relative_to(base).as_posix() for path in images_in([base], PredictConfig()).paths] == [path for path, _ in samples(images)]


def test_a_class_may_be_a_link_and_a_folder_of_two_classes_is_refused(tmp_path):
    base = laid(tmp_path / "set", "dog/1.png")
    laid(tmp_path / "out", "1.png", "deep/2.png")
    (base / "cat").symlink_to(tmp_path / "out")
    assert samples(opened(base)) == [("cat/1.png", "cat"), ("cat/deep/2.png", "cat"), ("dog/1.png", "dog")]
    (base / "emu").symlink_to(tmp_path / "out" / "deep")
    with pytest.raises(DataError, match=r"emu: by a link this is the same folder as .*deep, so that its images have two"):
        opened(base)


def test_what_is_left_out_is_told_alike_by_every_reader(tmp_path):
    base = laid(tmp_path / "set", "cat/1.png", "dog/1.png", "cat/2.HEIC2", "cat/3.heic2", "dog/LICENSE", "dog/.x", "dog/Thumbs.db", "dog/1_Mask.bmp", "dog/mask.png", "dog/x_mask.png")
    (base / "dog" / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(base / "dog" / "pipe.png")
    note = (f"{base}: left out: 2 .heic2, 1 without an ending, 2 hidden (dog/.x, dog/Thumbs.db), 1 broken link (dog/gone.png), "
            "1 mask beside the picture (dog/1_Mask.bmp), 1 neither file nor folder (dog/pipe.png)")  # fmt: skip
    found = images_in([base], PredictConfig())
    assert len(found.paths) == 4
    (part,) = open_parts(str(base), None, DataConfig())
    assert (found.notes, opened(base).notes, part.images.notes) == ((note,), (note,), (note,))


# Generated folders.

SCRIPTS = st.text(st.characters(codec="utf-8", exclude_characters="/\\\0", exclude_categories=("Cs", "Cc")), min_size=1, max_size=6)
NAMES = st.one_of(SCRIPTS, st.sampled_from(["01", "1", "cat", "Cat", "sea lion", "猫", "é", "train station", "images", "a.b", "x.png", "label"]))
CLASSES = st.lists(NAMES.filter(lambda name: name.strip() == name and name[0] != "."), min_size=2, max_size=4,
                   unique_by=lambda name: unicodedata.normalize("NFKC", name).casefold())  # fmt: skip
FILES = st.lists(st.sampled_from(["1.png", "2.JPG", "deep/3.png", "deep/er/4.webp", "a.b.gif", "z/9.bmp", "猫.tif"]),
                 min_size=1, max_size=4, unique=True)  # fmt: skip
AROUND = st.sampled_from(["", "all", "archive/photos", "data"])
SPLITS = st.sampled_from([
    {"train": ""}, {"train": "train", "test": "test"}, {"train": "Training", "test": "Testing"},
    {"train": "seg_train/seg_train", "test": "seg_test/seg_test"}, {"train": "TRAIN", "val": "Valid", "test": "TEST"},
    {"train": "train_images", "val": "val_images"}, {"train": "images/train", "val": "images/dev"},
])  # fmt: skip
JUNK = st.sets(st.sampled_from(["__MACOSX/cat/._1.png", "@eaDir/1.png", ".git/1.png", "Thumbs.db", ".DS_Store", "lost+found/1.png"]))
LOOSE = st.sets(st.sampled_from(["README.md", "loose.png", "labels.csv", "empty/", "notes/1.txt"]))


@settings(max_examples=25, deadline=None, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])  # fmt: skip
@given(data=st.data(), classes=CLASSES, splits=SPLITS, around=AROUND, junk=JUNK, loose=LOOSE)
def test_a_generated_layout_is_read_as_it_was_generated_or_refused_by_its_place(tmp_path_factory, data, classes, splits, around, junk, loose):
    folder = tmp_path_factory.mktemp("set")
    expected, unclear = dict[str, list[tuple[str, str]]](), False
    for split, part in splits.items():
        files = {name: data.draw(FILES) for name in classes}
        base = laid(folder / around / part, *(f"{name}/{file}" for name, found in files.items() for file in found), *junk)
        (base / classes[0] / "gone.png").symlink_to("nowhere.png")
        (base / classes[0] / "round").symlink_to(base / classes[0])
        for name in loose:
            (base / name).mkdir(exist_ok=True) if name.endswith("/") else laid(base, name)
        below = {frozenset(file.split("/")[0] for file in found if "/" in file) for found in files.values()}
        shared = len(below) == 1 and len(next(iter(below))) > 1  # every class has the same folders
        unclear |= shared or all("/" in file for found in files.values() for file in found)
        expected[split] = [(f"{name}/{file}", name) for name in sorted(classes) for file in sorted(files[name])]
    try:
        read = {split: opened(folder, split) for split in splits}
    except DataError as error:
        assert str(error).startswith(str(folder))
        assert unclear or ("loose.png" in loose and (around or "/" in splits["train"])), f"refused without a reason: {error}"
        return
    for split, images in read.items():
        assert samples(images) == expected[split]
        assert images.classes == tuple(sorted(classes))
        hidden = len({name.split("/")[0] for name in junk})
        words = " ".join(images.notes)
        assert "1 broken link" in words and (not hidden or f"{hidden} hidden" in words) and ("loose.png" in words) == ("loose.png" in loose)
    assert set(find_layout(folder).splits) == (set(splits) if len(splits) > 1 else set())


TREES = st.lists(st.lists(st.sampled_from(["train", "Test", "cat", "dog", "images", "labels", "x"]), min_size=0, max_size=3).map("/".join),
                 min_size=1, max_size=8, unique=True)  # fmt: skip


@settings(max_examples=100, deadline=None, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])  # fmt: skip
@given(folders=TREES)
def test_any_tree_gives_each_picture_the_class_of_one_level_or_is_refused_by_its_place(tmp_path_factory, folders):
    root = laid(tmp_path_factory.mktemp("tree"), *(f"{folder}/1.png".lstrip("/") for folder in folders))
    for split in ("train", "test"):
        try:
            images = opened(root, split)
        except DataError as error:
            assert str(error).startswith(str(root))
            continue
        base = Path(images.source)
        below = sorted(path.relative_to(base).as_posix() for path in base.rglob("*.png"))
        assert Counter(path for path, _ in samples(images)) == Counter(path for path in below if "/" in path)
        assert all(name == path.split("/")[0] for path, name in samples(images))
        if base != root:
            assert any(str(root) in note for note in images.notes) or kind_of(base.name)[0] == split
