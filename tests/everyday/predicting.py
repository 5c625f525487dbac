"""What people hand to `predict`: lists without labels, submissions, tables of something else with a column of files."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import torch

from eyas.data.images.preprocess import Preprocess
from eyas.model.classifier import Classifier
from eyas.model.zoo import build
from tests.everyday.case import Case, numbered, pictures, train, write

TITLE = "What is to be predicted"
MODEL = "model.safetensors"


def predict(what: str, options: str = "--root test") -> str:
    """Return a command that writes a row for each of some images to answers.csv."""
    return f"predict {MODEL} {what} {options} --device cpu --out answers.csv".replace("  ", " ")


def listed(*lines: str, name: str = "list.csv", count: int = 6) -> Callable[[], None]:
    """Return what writes a model, pictures test/0.png on, and a list."""

    def make() -> None:
        torch.manual_seed(0)
        Classifier(build("compact", 2), "compact", ("cat", "dog"), Preprocess(16)).save(MODEL)
        numbered(count, "test")
        write(name, *lines)

    return make


def rows() -> list[dict[str, str]]:
    """Return the rows of answers.csv."""
    with Path("answers.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def answered(*numbers: int, folder: str = "test", **kept: list[str]) -> Callable[[], None]:
    """Return what holds that answers.csv has a label for just these pictures, in this order, and these columns."""

    def check() -> None:
        assert [row["path"] for row in rows()] == [str(Path(folder) / f"{number}.png") for number in numbers]
        assert all(row["label"] in ("cat", "dog") and float(row["probability"]) > 0 for row in rows())
        for name, cells in kept.items():
            assert [row[name] for row in rows()] == cells

    return check


def refused() -> None:
    """Hold that nothing was written."""
    assert not Path("answers.csv").exists()


def _labels_missing() -> None:
    pictures("train", ("cat", "dog"))
    write("header.csv", "filename", *numbered(6, "train"))


ALL = range(6)
KAGGLE = ["id,label", *(f"{number}.png," for number in ALL)]
SIZES = ["filename,width,height", *(f"{number}.png,{30 + number % 2},{40 + number % 3}" for number in ALL)]
HAM = ["lesion_id,image_id,dx,dx_type,age", *(f"H{number // 2},{number},{('nv', 'mel')[number % 2]},histo,40.0" for number in ALL)]
WINDOWS = [f"test\\{number}.png" for number in ALL]
NO_COLUMN = "nowhere.csv: no column was found that holds paths of images: no cell ends like an image, or is one, with or without an ending, in the folder that paths are relative to (--root). Say which it is with --columns path=0"

CASES = (
    Case("answers to be written over the list that is read", listed("file", "0.png", "1.png", name="answers.csv"), predict("answers.csv"),
         ("--out answers.csv: is the list that is read, and would be lost. Name another file.",), 2, lambda: Path("answers.csv").read_text() == "file\n0.png\n1.png\n"),
    Case(
        "one column of names under a header",
        listed("filename", *(f"{number}.png" for number in ALL), name="header.csv"),
        predict("header.csv"),
        (),
        check=answered(*ALL),
    ),
    Case(
        "a sample submission: ids, and an empty label for each",
        listed(*KAGGLE, name="submission.csv"),
        predict("submission.csv", "--root test --keep-columns id"),
        (),
        check=answered(*ALL, id=[f"{number}.png" for number in ALL]),
    ),
    Case(
        "names beside widths and heights",
        listed(*SIZES, name="sizes.csv"),
        predict("sizes.csv"),
        ("sizes.csv: not used: the columns width (30, 31), height (40, 41, 42). --keep-columns writes them beside",),
        check=answered(*ALL),
    ),
    Case(
        "names beside widths and heights, the column of the names by its number",
        listed(*SIZES, name="sizes.csv"),
        predict("sizes.csv", "--root test --columns path=0 --keep-columns"),
        (),
        check=answered(*ALL, width=["30", "31"] * 3, height=["40", "41", "42"] * 2),
    ),
    Case(
        "names beside widths and heights, the column of the names by its header",
        listed(*SIZES, name="sizes.csv"),
        predict("sizes.csv", "--root test --columns path=filename --keep-columns height,0"),
        (),
        check=answered(*ALL, filename=[f"{number}.png" for number in ALL], height=["40", "41", "42"] * 2),
    ),
    Case(
        "a picture that is listed twice, with two labels",
        listed("filename,label", "0.png,cat", "0.png,dog", "1.png,cat", name="twice.csv"),
        predict("twice.csv", "--root test --keep-columns label"),
        ("twice.csv: its column label is written as list_label",),
        check=answered(0, 0, 1, list_label=["cat", "dog", "cat"]),
    ),
    Case(
        "ids without endings under a header",
        listed("id", *map(str, ALL), name="ids.csv"),
        predict("ids.csv", "--root test --keep-columns id"),
        ("ids.csv: the list leaves the file names' ending off: .png was added",),
        check=answered(*ALL, id=list("012345")),
    ),
    Case(
        "HAM10000's columns, ids without endings",
        listed(*HAM, name="ham.csv"),
        predict("ham.csv", "--root test --columns path=image_id --keep-columns image_id dx"),
        (".png was added",),
        check=answered(*ALL, image_id=list("012345"), dx=["nv", "mel"] * 3),
    ),
    Case(
        "a list with a column of splits",
        listed("filename,split", "0.png,train", "3.png,test", "1.png,", name="splits.csv"),
        predict("splits.csv"),
        ("splits.csv: not used: the column split (train, test, ). --keep-columns writes them beside the answers",),
        check=answered(0, 3, 1),
    ),
    Case(
        "comments, empty lines, the order of the list",
        listed("# for the trial", "", "5.png", "2.png", "", "# once more", "5.png", name="list.txt"),
        predict("list.txt"),
        ("list.txt: 2 comment lines",),
        check=answered(5, 2, 5),
    ),
    Case(
        "paths that were written on Windows",
        listed(*WINDOWS, name="windows.txt"),
        predict("windows.txt", ""),
        ("windows.txt: paths are written the Windows way: \\ is read as /",),
        check=answered(*ALL),
    ),
    Case(
        "a spreadsheet's semicolons, and a cell that it would run",
        listed("filename;comment", "0.png;=1+1", "1.png;-73.5", "2.png;", name="list.csv"),
        predict("list.csv", "--root test --keep-columns comment"),
        (),
        check=answered(0, 1, 2, comment=["'=1+1", "-73.5", ""]),
    ),
    Case(
        "quoted names with commas in them, no header",
        listed('"0.png","a, b"', '"1.png","c"', name="quoted.csv"),
        predict("quoted.csv", "--root test --keep-columns 1"),
        (),
        check=answered(0, 1, column_1=["a, b", "c"]),
    ),
    Case(
        "a submission beside the folder of its pictures, without --root",
        listed(*KAGGLE, name="submission.csv"),
        predict("submission.csv", ""),
        ("submission.csv: its paths are read from test, where they are; none is in the current folder",),
        check=answered(*ALL),
    ),
    Case(
        "none of the listed files there, as with a wrong --root",
        listed("filename", "8.png", "9.png", name="header.csv"),
        predict("header.csv", "--root ."),
        ("header.csv: none of its 2 files exists in the current folder, such as 8.png in line 2; --root names another",),
        65,
        refused,
    ),
    Case(
        "a list that names no file at all",
        listed("title,page,year", "Ann,31,1999", "Ben,40,2001", name="nowhere.csv"),
        predict("nowhere.csv"),
        (NO_COLUMN,),
        65,
        refused,
    ),
    Case(
        "half of the listed files missing",
        listed("0.png", "1.png", "8.png", "9.png", name="list.txt"),
        predict("list.txt"),
        ("list.txt:3: 8.png does not exist in test; --root names another", "list.txt:4: 9.png does not exist"),
        65,
        refused,
    ),
    Case(
        "one of twenty listed files missing",
        listed(*(f"{number}.png" for number in range(20)), name="list.txt", count=19),
        predict("list.txt"),
        ("list.txt: 1 of 20 files do not exist in test", "1 of 20 files could not be read; their rows carry the reason."),
        check=lambda: [bool(row["error"]) for row in rows()].index(True) == 19,
    ),
    Case(
        "a column to keep that there is not",
        listed(*SIZES, name="sizes.csv"),
        predict("sizes.csv", "--root test --keep-columns widht"),
        ("sizes.csv: --keep-columns widht: no such column; there are filename (0), width (1), height (2). Did you mean 'width'?",),
        65,
        refused,
    ),
    Case(
        "columns of a folder",
        listed(*SIZES, name="sizes.csv"),
        predict("test", "--keep-columns"),
        ("--keep-columns: only lists (.csv, .lst, .tsv, .txt) have columns, and none is given.",),
        2,
        refused,
    ),
    Case(
        "an address on the web",
        listed(),
        predict("https://example.org/cats/1.jpg"),
        ("eyas: https://example.org/cats/1.jpg: is an address: eyas reads files. Download it, and name the file.",),
        65,
        refused,
    ),
    Case(
        "a list in JSON",
        listed('[{"file": "0.png"}]', name="list.json"),
        predict("list.json"),
        ("eyas: list.json: JSON is not read: write the paths into a list (.csv, .lst, .tsv, .txt), one on each line.",),
        65,
        refused,
    ),
    Case(
        "a list of nothing but a header",
        listed("filename,label"),
        predict("list.csv"),
        ("eyas: list.csv: has a header (filename,label) and no line below it. It needs a line per image: its path.",),
        65,
        refused,
    ),
    Case(
        "training with a test list that has no labels",
        _labels_missing,
        train("train", "--test header.csv --root train"),
        ("header.csv: has paths only: no column of labels",),
        65,
    ),
)
