"""Folders of pictures as other programs and other people lay them out."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from eyas.config.data import DataConfig
from eyas.data.spec import open_images
from tests.everyday.case import Case, numbered, picture, pictures, train, write

TITLE = "Folders"
ANIMALS = ("cat", "dog")


def _laid(*folders: str, count: int = 3) -> Callable[[], None]:
    """Return what writes pictures of a cat and a dog into the class folders below these, or what a name ending in `/` asks."""

    def make() -> None:
        for folder in folders:
            if folder.endswith("/"):
                numbered(count, folder[:-1])
            else:
                pictures(folder, ANIMALS, count)

    return make


def _read(spec: str, split: str = "train", classes: tuple[str, ...] = ANIMALS, each: int = 3) -> Callable[[], None]:
    """Return a check that a spec's part has these classes, and so many pictures of each."""

    def check() -> None:
        images = open_images(spec, DataConfig(), split=split)
        assert images.classes == classes
        assert images.labels.tolist() == [number for number in range(len(classes)) for _ in range(each)]
        assert all(images.classes[label] in Path(images.place(row)).parts for row, label in enumerate(images.labels))

    return check


def _with_notes() -> None:
    pictures("photos", ANIMALS)
    write("photos/cat/notes.md", "which cat this is")


def _nested_class() -> None:
    pictures("vehicles2", ("bus", "car"), 6)
    pictures("vehicles2/train", ("steam", "ice"), 3)


def _left_by_a_mac() -> None:
    pictures("mac", ANIMALS, 6)
    for name in ANIMALS:
        for number in range(6):
            write(f"mac/__MACOSX/{name}/._{number}.png", "\0\5\26\7")


def _left_by_a_nas() -> None:
    pictures("nas", ANIMALS, 6)
    for name in ANIMALS:
        for number in range(6):
            picture(f"nas/{name}/@eaDir/{number}.png/SYNOPHOTO_THUMB_M.jpg")
    for name in ("Thumbs.db", "desktop.ini", "lost+found/x.png", "$RECYCLE.BIN/y.png"):
        write(f"nas/{name}", "")


def _strays() -> None:
    pictures("stray", ANIMALS, 6)
    for number in range(3):
        picture(f"stray/loose{number}.png")


def _path_too_long() -> None:
    """Write pictures into a folder whose path, from here, is longer than any system takes."""
    pictures("photos", ANIMALS)
    here = Path.cwd()
    os.chdir("photos/cat")
    for _ in range(25):
        Path("d" * 200).mkdir()
        os.chdir("d" * 200)
    os.chdir(here)


def _of_other_endings() -> None:
    pictures("photos", ANIMALS, 3)
    for number in range(6):
        write(f"photos/cat/{number}.cr2", "raw")
    write("photos/dog/0.txt", "a box")
    write("photos/LICENSE", "free")


def _broken_links() -> None:
    Path("photos").mkdir()
    for number in range(4):
        Path(f"photos/{number}.jpg").symlink_to(f"/nowhere/{number}.jpg")


def _links() -> None:
    _laid("photos", "store/../elsewhere")()
    Path("photos/cat/more").symlink_to(Path("elsewhere/cat").absolute())
    Path("photos/dog/more").symlink_to(Path("elsewhere/dog").absolute())
    Path("photos/dog/up").symlink_to(Path("photos").absolute())
    Path("photos/dog/gone.png").symlink_to("nowhere.png")


def _one_folder_two_classes() -> None:
    pictures("photos", ANIMALS)
    Path("photos/kitten").symlink_to("cat")


def _test_has_more() -> None:
    pictures("photos/train", ANIMALS)
    Path("photos/train/emu").mkdir()
    pictures("photos/test", (*ANIMALS, "emu"))


def _test_lacks_one() -> None:
    pictures("photos/train", ANIMALS)
    pictures("photos/test", ("cat",))
    Path("photos/test/dog").mkdir()


def _kaggle_list() -> None:
    numbered(3, "breeds/train")
    numbered(3, "breeds/test")
    write("breeds/train/labels.csv", "id,breed")


def _yolo() -> None:
    for split in ("train", "val"):
        numbered(2, f"yolo/images/{split}")
        write(f"yolo/labels/{split}/0.txt", "0 0.5 0.5 1 1")


def _roboflow() -> None:
    for split in ("train", "valid"):
        numbered(2, f"robo/{split}/images")
        write(f"robo/{split}/labels/0.txt", "0 0.5 0.5 1 1")


def _masks() -> None:
    """Write pictures and their masks as the BUSI set of ultrasound has them, and a picture that is only called so."""
    for name in ("benign", "normal"):
        for number in range(1, 7):
            picture(f"busi/{name}/{name} ({number}).png")
            picture(f"busi/{name}/{name} ({number})_mask.png")
    picture("busi/benign/benign (1)_mask_1.png")
    picture("busi/normal/gas_mask.png")


def _mvtec() -> None:
    pictures("bottle/train", ("good",), 6)
    pictures("bottle/test", ("good", "broken_large"), 3)
    pictures("bottle/ground_truth", ("broken_large",), 3)


def _emptied() -> None:
    pictures("photos", ANIMALS, 6)
    Path("photos/empty").mkdir()


UNLABELLED = (
    "data/test: holds pictures without class folders, so it cannot be measured on; classify them with eyas predict"
)
_kaggle = _laid("data/train", "data/test/", count=6)

CASES = (
    Case(
        "a text beside the pictures of a class",
        _with_notes,
        train("photos", "--val 0.25"),
        ("photos: left out: 1 .md",),
    ),
    Case(
        "Training/ and Testing/ are no classes",
        _laid("mri/Training", "mri/Testing"),
        train("mri"),
        ("training mri/Training: 6 images, 2 classes", "test mri/Testing: 6 images"),
        check=_read("mri", "test"),
    ),
    Case("TRAIN/ and VALID/", _laid("x/TRAIN", "x/VALID"), "inspect x", ("train 6", "val 6"), check=_read("x", "val")),
    Case(
        "training_set/ and test_set/",
        _laid("pets/training_set", "pets/test_set"),
        "inspect pets",
        ("train 6", "test 6"),
        check=_read("pets", "test"),
    ),
    Case(
        "a folder for each split in a folder of its name, and one of pictures to predict",
        _laid("scenes/seg_train/seg_train", "scenes/seg_test/seg_test", "scenes/seg_pred/seg_pred/"),
        "inspect scenes",
        (
            "train 6",
            "test 6",
            "scenes: left out: 1 other folder (seg_pred)",
            "scenes/seg_train: its images are read from scenes/seg_train/seg_train",
        ),
        check=_read("scenes", "test"),
    ),
    Case(
        "images/train/ and images/val/",
        _laid("set/images/train", "set/images/val"),
        "inspect set",
        ("train 6", "val 6", "set: its images are read from set/images"),
        check=_read("set", "val"),
    ),
    Case(
        "one folder around everything, and a text",
        lambda: (_laid("zip/photos/train", "zip/photos/test")(), write("zip/README.txt", "")),
        "inspect zip",
        ("train 6", "test 6", "zip: its images are read from zip/photos", "zip: left out: 1 .txt"),
        check=_read("zip", "test"),
    ),
    Case(
        "images/ beside masks/ that are pictures too",
        lambda: (_laid("set/images")(), numbered(3, "set/masks")),
        "inspect set",
        ("set 6", "set: its images are read from set/images", "set: left out: 1 other folder (masks)"),
        check=_read("set"),
    ),
    Case(
        "masks beside the pictures of each class (BUSI)",
        _masks,
        train("busi"),
        ("busi: 13 images, 2 classes",
         "busi: left out: 13 masks beside the pictures (benign/benign (1)_mask.png, benign/benign (1)_mask_1.png, "
         "benign/benign (2)_mask.png, ...)"),
    ),
    Case(
        "good pictures for training, good and bad ones for testing (MVTec), looked at",
        _mvtec,
        "inspect bottle",
        ("bottle/test has 1 class that bottle/train does not have: 'broken_large'.",),
    ),
    Case(
        "images/ with train/ and val/, and labels/ with boxes",
        _yolo,
        train("yolo"),
        ("eyas: yolo/images/train: holds 2 picture(s), but no folder per class, so they have no labels.",),
        65,
    ),
    Case(
        "train/ and valid/, each with images/ and labels/",
        _roboflow,
        train("robo"),
        ("eyas: robo/train/images: holds 2 picture(s), but no folder per class",),
        65,
    ),
    Case(
        "a class called train",
        lambda: pictures("vehicles", ("bus", "car", "train"), 6),
        train("vehicles", "--val 0.2"),
        ("3 classes", "vehicles/train: read as a class, since bus, car beside it are no splits"),
        check=_read("vehicles", classes=("bus", "car", "train"), each=6),
    ),
    Case(
        "a class called train, with folders of its own",
        _nested_class,
        train("vehicles2", "--val 0.2"),
        (
            "3 classes",
            "vehicles2/train: read as a class",
            "vehicles2/train: its images lie in folders below it: all are one class",
        ),
        check=_read("vehicles2", classes=("bus", "car", "train"), each=6),
    ),
    Case(
        "a class called test",
        lambda: pictures("photos", ("cat", "dog", "Test"), 3),
        "inspect photos",
        ("photos/Test: read as a class, since cat, dog beside it are no splits",),
        check=_read("photos", classes=("Test", "cat", "dog")),
    ),
    Case(
        "train/ beside the very classes that it holds",
        _laid("photos", "photos/train"),
        train("photos"),
        ("eyas: photos: train holds folders called like those beside it. Name the folder that holds the classes: photos/train",),
        65,
    ),
    Case(
        "train/ and test/ beside another folder with pictures",
        _laid("photos/train", "photos/test", "photos/more"),
        train("photos"),
        (
            "eyas: photos: train, test look like parts of a set, more beside them not. "
            "Name the folder that holds the classes: photos/train",
        ),
        65,
    ),
    Case(
        "two folders with the same class folders, neither called like a split",
        _laid("scans/hospital1", "scans/hospital2"),
        train("scans"),
        (
            "eyas: scans: its folders hold no pictures, only folders again (hospital1: cat, dog; hospital2: cat, dog). "
            "If those are the classes, name what holds them: scans/hospital1. If not, give a list file with the labels.",
        ),
        65,
    ),
    Case("what macOS leaves in a zip", _left_by_a_mac, "inspect mac", ("mac: left out: 1 hidden (__MACOSX)",), check=_read("mac", each=6)),
    Case(
        "what macOS leaves in a zip, with balanced classes",
        _left_by_a_mac,
        train("mac", "--class-weights balanced"),
        ("mac: 12 images, 2 classes", "mac: left out: 1 hidden (__MACOSX)"),
    ),
    Case(
        "what a NAS and Windows leave beside pictures",
        _left_by_a_nas,
        "inspect nas",
        ("nas: left out: 6 hidden ($RECYCLE.BIN, Thumbs.db, cat/@eaDir, ...)",),
        check=_read("nas", each=6),
    ),
    Case(
        "pictures beside the folders of classes",
        _strays,
        "inspect stray",
        ("stray: left out: 3 images beside the folders (loose0.png, loose1.png, loose2.png)",),
        check=_read("stray", each=6),
    ),
    Case(
        "a folder that cannot be read",
        _path_too_long,
        "inspect photos",
        (": cannot be read: File name too long. Which images are there is not known: make it readable, or move it elsewhere.",),
        65,
    ),
    Case(
        "files of other endings",
        _of_other_endings,
        "inspect photos",
        ("photos: left out: 6 .cr2, 1 .txt, 1 without an ending",),
        check=_read("photos"),
    ),
    Case(
        "links that lead nowhere, and nothing else",
        _broken_links,
        train("photos"),
        ("eyas: photos: holds no folders.", "What is there: 4 broken links (0.jpg, 1.jpg, 2.jpg, ...)."),
        65,
    ),
    Case(
        "links to folders elsewhere, to the set itself, and to nothing",
        _links,
        "inspect photos",
        ("photos: left out: 1 broken link (dog/gone.png), 1 link to a folder that is read anyway (dog/up)",),
        check=_read("photos", each=6),
    ),
    Case(
        "a link from one class to another",
        _one_folder_two_classes,
        train("photos"),
        ("eyas: photos/kitten: by a link this is the same folder as photos/cat, so that its images have two classes.",),
        65,
    ),
    Case(
        "a folder without images beside the classes",
        _emptied,
        train("photos", "--val 0.25"),
        ("photos: 9 images, 2 classes", "photos: left out: 1 folder without images (empty)"),
    ),
    Case(
        "a class that only the test set has pictures of",
        _test_has_more,
        train("photos"),
        ("eyas: photos/test has 1 class that photos/train does not have:", "'emu'"),
        65,
    ),
    Case(
        "a class that the test set has no pictures of",
        _test_lacks_one,
        train("photos"),
        ("photos/test: left out: 1 folder without images (dog)", "photos/test has no image of 1 of 2 classes: dog"),
    ),
    Case(
        "test/ of pictures that are not read",
        lambda: (pictures("photos/train", ("cat", "dog")), write("photos/test/cat/1.cr2", ""), write("photos/test/dog/2.cr2", "")),
        train("photos"),
        ("test none given", "photos/test: holds no images, so there is no test set in it; left out: 2 .cr2"),
    ),
    Case("test/ without class folders", _kaggle, train("data", "--val 0.2"), (UNLABELLED,)),
    Case(
        "test/ without class folders, and no test set asked for",
        _kaggle,
        train("data", "--val 0.2 --test none"),
        ("data/train: 10 images, 2 classes",),
    ),
    Case(
        "test/ without class folders, and an empty word for the test set",
        _kaggle,
        train("data", "--val 0.2 --test ''"),
        ("data/train: 10 images, 2 classes",),
    ),
    Case(
        "test/ without class folders, asked for",
        _kaggle,
        train("data", "--test data/test"),
        ("eyas: data/test: holds 6 picture(s), but no folder per class", "eyas predict classifies pictures without labels."),
        65,
    ),
    Case(
        "val/ without class folders, as ImageNet has it",
        _laid("ilsvrc/train", "ilsvrc/val/"),
        train("ilsvrc"),
        ("ilsvrc/val: holds pictures without class folders, so it cannot be measured on",),
    ),
    Case(
        "a folder called like a named set",
        _laid("digits"),
        "inspect digits",
        ("digits: the named set; the folder of this name is ./digits",),
    ),
    Case(
        "a training and a test set, and neither validation nor test asked for",
        _laid("photos/train", "photos/val", "photos/test"),
        train("photos", "--val none --test NONE"),
        ("test none given: accuracy is not measured",),
    ),
    Case(
        "train/ without class folders, and a list in it",
        _kaggle_list,
        train("breeds"),
        ("eyas: breeds/train: holds 3 picture(s)", "or name a list file with the labels, such as breeds/train/labels.csv"),
        65,
    ),
)
