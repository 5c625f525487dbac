"""Lists as competitions, papers and spreadsheets leave them: headers, ids, one-hot columns, splits, other spellings."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

from eyas.model.classifier import Classifier
from tests.everyday.case import Case, numbered, picture, train, write

TITLE = "Lists"
IDS = range(100, 124)


def _ids(header: str, line: Callable[[int], str]) -> Callable[[], None]:
    """Return what writes pictures img/p100.png on, and a list of them, mostly without ending."""

    def make() -> None:
        for number in IDS:
            picture(f"img/p{number}.png")
        write("list.csv", header, *map(line, IDS))

    return make


def _ham(number: int) -> str:
    return f"H{number // 2},p{number},{'mel' if number % 2 else 'nv'},histo,40.0,male,back"


def _rows(name: str, *lines: str, count: int = 12) -> Callable[[], None]:
    """Return what writes `count` pictures 0.png on, and a list of these lines."""

    def make() -> None:
        numbered(count)
        write(name, *lines)

    return make


def _classes(*names: str) -> Callable[[], None]:
    """Return a check of the classes that were learnt."""

    def check() -> None:
        assert Classifier.load("run").classes == names

    return check


def _forms() -> None:
    for number in range(6):
        picture(unicodedata.normalize("NFD", f"img/café{number}.png"))
    write("forms.txt", *(unicodedata.normalize("NFC", f"img/café{number}.png {number % 2}") for number in range(6)))


def _capitals() -> None:
    for number in range(6):
        picture(f"Cat/{number}.png")
        Path(f"Cat/{number}.png").rename(f"Cat/{number}.PNG")
    write("capitals.txt", *(f"cat/{number}.png {number % 2}" for number in range(6)))


def _two_spellings() -> None:
    _capitals()
    shutil.copytree("Cat", "CAT", dirs_exist_ok=True)


def _two_folders() -> None:
    for number in range(6):
        picture(f"train/{number}.png")
        picture(f"valid/v{number}.png")
    write("train.csv", "file,label", *(f"{number}.png,c{number % 2}" for number in range(6)))
    write("valid.csv", "file,label", *(f"v{number}.png,c{number % 2}" for number in range(6)))


def _mixed_endings() -> None:
    for number in range(8):
        picture(f"pics/{number}.{('png', 'jpg')[number % 2]}")
    write("list.csv", "id,breed", *(f"{number},{('pug', 'corgi')[number // 4]}" for number in range(8)))


def _other_ending() -> None:
    for number in range(6):
        picture(f"cat/{number}.png")
    write("list.txt", *(f"cat/{number}.jpg {number % 2}" for number in range(6)))


def _zeros_left_off() -> None:
    for number in range(6):
        picture(f"img/{number:04}.png")
    write("list.csv", "id,label", *(f"{number},{'ab'[number % 2]}" for number in range(6)))


def _partition(more: str = "") -> Callable[[], None]:
    """Return what writes CelebA's list of splits, and a class file of these names."""

    def make() -> None:
        numbered(12)
        write("list_eval_partition.txt", *(f"{i}.png {i % 3}" for i in range(12)))
        write("names.txt", *more.split())

    return make


HAM = _ids("lesion_id,image_id,dx,dx_type,age,sex,localization", _ham)
APTOS = _ids("id_code,diagnosis", lambda number: f"p{number},{number % 5}")
OWN = _ids("img_id,cls", lambda number: f"p{number}.png,c{number % 2}")
ONE_HOT = _rows(
    "onehot.csv",
    "image,MEL,NV,BCC",
    *(f"{i}.png,{('1.0,0.0,0.0', '0.0,1.0,0.0', '0.0,0.0,1.0')[i % 3]}" for i in range(12)),
)
FER = _rows(
    "fer.csv",
    "emotion,path,Usage",
    *(f"{i % 2},{i}.png,{('Training', 'Training', 'PublicTest', 'PrivateTest')[i // 2 % 4]}" for i in range(16)),
    count=16,
)

CASES = (
    Case(
        "HAM10000's table: ids without ending, columns by name",
        HAM,
        train("list.csv", "--root img --columns path=image_id,label=dx --val 0.2"),
        ("19 images, 2 classes", "not used: the columns lesion_id (H50, H51, H52, ...), dx_type (histo), age (40.0)",
         "the list leaves the file names' ending off: .png was added"),
        check=_classes("mel", "nv"),
    ),
    Case(
        "the same, columns by number",
        HAM,
        train("list.csv", "--root img --columns path=1,label=2 --val 0.2"),
        ("19 images, 2 classes",),
        check=_classes("mel", "nv"),
    ),
    Case(
        "the same, columns not said",
        HAM,
        train("list.csv", "--root img --val 0.2"),
        ("any of the columns lesion_id (H50, H51, H52, ...), dx (nv, mel), dx_type (histo), age (40.0), sex (male), "
         "localization (back) may hold the labels", "--columns path=image_id,label=dx"),
        code=65,
    ),
    Case(
        "APTOS's table, columns by name",
        APTOS,
        train("list.csv", "--root img --columns path=id_code,label=diagnosis --val 0.2"),
        ("19 images, 5 classes", ".png was added"),
    ),
    Case("APTOS's table, columns not said", APTOS, train("list.csv", "--root img --val 0.2"), ("19 images, 5 classes",)),
    Case(
        "a header of words of one's own",
        OWN,
        train("list.csv", "--root img --val 0.2"),
        ("19 images, 2 classes", "line 1 is taken for a header: img_id, cls"),
        check=_classes("c0", "c1"),
    ),
    Case(
        "the same, columns by name",
        OWN,
        train("list.csv", "--root img --columns path=img_id,label=cls --val 0.2"),
        ("19 images, 2 classes",),
    ),
    Case(
        "a column that the list does not have",
        OWN,
        train("list.csv", "--root img --columns path=img,label=cls"),
        ("--columns path=img: the list has no column of this name. Did you mean 'img_id'?",),
        code=65,
    ),
    Case(
        "ids whose files end in several ways",
        _mixed_endings,
        train("list.csv", "--root pics --val 0.25"),
        ("6 images, 2 classes", "8 paths without ending: 0 is 0.png"),
    ),
    Case(
        "a fashion table: several columns of text",
        _rows(
            "styles.csv",
            "id,gender,masterCategory,articleType,year,productDisplayName",
            *(f"{i},{'MW'[i % 2]},{('Apparel', 'Footwear')[i // 6]},Shirts,201{i % 4},Thing {i}" for i in range(12)),
        ),
        train("styles.csv"),
        ("any of the columns gender (M, W), masterCategory (Apparel, Footwear), articleType (Shirts), year (2010, 2011, "
         "2012, ...) may hold the labels. Say which, such as --columns path=id,label=gender",),
        code=65,
    ),
    Case(
        "a column for each class, 1.0 for the right one (ISIC)",
        ONE_HOT,
        train("onehot.csv", "--val 0.25"),
        ("9 images, 3 classes", "the columns MEL, NV, BCC hold a 1 for each line's class: their headers are the classes"),
        check=_classes("BCC", "MEL", "NV"),
    ),
    Case(
        "a column for each class, spaces behind the commas (Roboflow)",
        _rows("_classes.csv", "filename, cat, dog", *(f"{i}.png, {i % 2}, {1 - i % 2}" for i in range(12))),
        train("_classes.csv", "--val 0.25"),
        ("9 images, 2 classes", "the columns cat, dog hold a 1 for each line's class"),
        check=_classes("cat", "dog"),
    ),
    Case(
        "a class called train among others, a column each",
        _rows("_classes.csv", "filename,bus,train", *(f"{i}.png,{i % 2},{1 - i % 2}" for i in range(12))),
        train("_classes.csv", "--val 0.25"),
        ("9 images, 2 classes",),
        check=_classes("bus", "train"),
    ),
    Case(
        "a column for each class, and a line with two of them",
        _rows("tags.csv", "file,cat,dog,emu", "0.png,1,0,0", "1.png,0,1,1", "2.png,0,0,0", "3.png,0,1,0"),
        train("tags.csv"),
        ("tags.csv:3: 2 of the columns cat, dog, emu hold a 1 (multi-label): an image has one class",
         "tags.csv:4: none of the columns cat, dog, emu holds a 1 (multi-label)"),
        code=65,
    ),
    Case(
        "a column for each class, and no header",
        _rows("bare.csv", *(f"{i}.png,{i % 2},{1 - i % 2}" for i in range(12))),
        train("bare.csv"),
        ("the columns 1 (0, 1), 2 (1, 0) hold one 1 on each line (one-hot), and no header names the classes",),
        code=65,
    ),
    Case(
        "probabilities in place of a class",
        _rows("soft.csv", "file,cat,dog", *(f"{i}.png,0.{i + 1},{1 - (i + 1) / 10:.1f}" for i in range(8))),
        train("soft.csv"),
        ("the columns cat (0.1, 0.2, 0.3, ...), dog (0.9, 0.8, 0.7, ...) hold shares that add up to 1 on each line "
         "(soft labels)",),
        code=65,
    ),
    Case(
        "columns for each class beside one of text",
        _rows("both.csv", "image,sex,MEL,NV", *(f"{i}.png,{'mf'[i // 6]},{i % 2},{1 - i % 2}" for i in range(12))),
        train("both.csv"),
        ("any of the columns sex (m, f), MEL (0, 1), NV (1, 0) may hold the labels. Say which, such as --columns "
         "path=image,label=sex or --columns path=image,label=MEL+NV.",),
        code=65,
    ),
    Case(
        "the same, said",
        _rows("both.csv", "image,sex,MEL,NV", *(f"{i}.png,{'mf'[i // 6]},{i % 2},{1 - i % 2}" for i in range(12))),
        train("both.csv", "--columns path=image,label=MEL+NV --val 0.25"),
        ("9 images, 2 classes", "not used: the column sex (m, f)"),
        check=_classes("MEL", "NV"),
    ),
    Case(
        "a key in place of a label",
        _rows("images.txt", *(f"{i + 1} {i}.png" for i in range(12))),
        train("images.txt"),
        ("each label occurs once: the column 0 (1, 2, 3, ...) is a key, not a class. If it is the class, say so with "
         "--columns path=1,label=0",),
        code=65,
    ),
    Case(
        "FER-2013's words for splits, under a header of its own",
        FER,
        train("fer.csv"),
        ("training fer.csv: 8 images, 2 classes", "8 of 16 lines are of the split 'train'; the others of test (4), val (4)"),
    ),
    Case(
        "True and False under is_valid",
        _rows("labels.csv", "fname,label,is_valid", *(f"{i}.png,{'ab'[i % 2]},{i > 7}" for i in range(12))),
        train("labels.csv"),
        ("training labels.csv: 8 images", "val labels.csv: 4 images", "8 of 12 lines are of the split 'train'"),
    ),
    Case(
        "splits in a column without a header, classes in folders",
        lambda: (
            [picture(f"{'ab'[i % 2]}/{i}.png") for i in range(12)],
            write("list.txt", *(f"{'ab'[i % 2]}/{i}.png\t{('train', 'test')[i > 7]}" for i in range(12))),
        ),
        train("list.txt"),
        ("training list.txt: 8 images, 2 classes", "test list.txt: 4 images"),
        check=_classes("a", "b"),
    ),
    Case(
        "two columns that name the split",
        _rows("list.csv", "file,label,is_train,subset",
              *(f"{i}.png,{'ab'[i % 2]},{int(i < 8)},{('train', 'test')[i > 5]}" for i in range(12))),
        train("list.csv"),
        ("each of the columns is_train (1, 0), subset (train, test) may name the split. Say which: --columns "
         "split=is_train, or --columns split=none to read all lines",),
        code=65,
    ),
    Case(
        "numbers for splits (CelebA's partition)",
        _rows("list.csv", "image_id,identity,partition", *(f"{i}.png,{'ab'[i % 2]},{i % 3}" for i in range(12))),
        train("list.csv"),
        ("the column partition (0, 1, 2) may say which lines are for training. Write train, val or test in it; --columns "
         "split=none reads all lines",),
        code=65,
    ),
    Case(
        "the same, all lines meant",
        _rows("list.csv", "image_id,identity,partition", *(f"{i}.png,{'ab'[i % 2]},{i % 3}" for i in range(12))),
        train("list.csv", "--columns split=none --val 0.25"),
        ("9 images, 2 classes", "not used: the column partition (0, 1, 2)"),
    ),
    Case(
        "CelebA's list of splits, which has no header",
        _partition(),
        train("list_eval_partition.txt"),
        ("list_eval_partition.txt: its only numbers (0, 1, 2) and its name look like splits, not classes. Train with a "
         "list of labels; if they are classes, say so with --columns path=0,label=1 or name them with --classes FILE.",),
        code=65,
    ),
    Case(
        "the same, with names for its numbers",
        _partition("young old neither"),
        train("list_eval_partition.txt", "--classes names.txt --val 0.25"),
        ("9 images, 3 classes",),
        check=_classes("young", "old", "neither"),
    ),
    Case(
        "classes 0 and 1 in a list of one split",
        _rows("train_split.txt", *(f"{i}.png {i % 2}" for i in range(12))),
        train("train_split.txt", "--val 0.25"),
        ("9 images, 2 classes",),
        check=_classes("0", "1"),
    ),
    Case(
        "tr, va and te under phase",
        _rows("list.csv", "file,label,phase", *(f"{i}.png,{'ab'[i % 2]},{('tr', 'tr', 'va', 'te')[i // 3]}" for i in range(12))),
        train("list.csv"),
        ("training list.csv: 6 images, 2 classes", "6 of 12 lines are of the split 'train'; the others of test (3), val (3)"),
    ),
    Case(
        "tr and te under language",
        _rows("list.csv", "file,language", *(f"{i}.png,{('tr', 'te')[i % 2]}" for i in range(12))),
        train("list.csv", "--val 0.25"),
        ("9 images, 2 classes",),
        check=_classes("te", "tr"),
    ),
    Case(
        "a class called train beside bus and car",
        _rows("list.csv", "file,kind", *(f"{i}.png,{('bus', 'car', 'train')[i % 3]}" for i in range(12))),
        train("list.csv", "--val 0.25"),
        ("9 images, 3 classes",),
        check=_classes("bus", "car", "train"),
    ),
    Case(
        "other capitals than the files'",
        _capitals,
        train("capitals.txt", "--val 0.3"),
        ("4 images, 2 classes", "6 paths differ from their files' names in capitals or Unicode form only: cat/0.png is "
         "Cat/0.PNG"),
    ),
    Case(
        "other capitals, and two files that fit",
        _two_spellings,
        train("capitals.txt"),
        ("capitals.txt:1: cat/0.png does not exist in the current folder; --root names another; CAT/0.PNG and Cat/0.PNG "
         "would fit",),
        code=65,
    ),
    Case(
        "another Unicode form than the files'",
        _forms,
        train("forms.txt", "--val 0.3"),
        ("4 images, 2 classes", "6 paths differ from their files' names in capitals or Unicode form only"),
    ),
    Case(
        "another ending than the files'",
        _other_ending,
        train("list.txt"),
        ("list.txt:1: cat/0.jpg does not exist in the current folder; --root names another; cat/0.png is there",),
        code=65,
    ),
    Case(
        "ids whose zeros a spreadsheet took away",
        _zeros_left_off,
        train("list.csv", "--root img"),
        ("list.csv:2: 0 does not exist in img; --root names another; 0000.png is there",),
        code=65,
    ),
    Case(
        "full-width commas",
        _rows("list.csv", "path，label", *(f"{i}.png，{'ab'[i % 2]}" for i in range(12))),
        train("list.csv"),
        ("list.csv: full-width commas (，) separate nothing: replace them by plain ones (,)",),
        code=65,
    ),
    Case(
        "single quotation marks",
        _rows("list.csv", "file,label", *(f"'{i}.png','{'ab'[i % 2]}'" for i in range(12))),
        train("list.csv"),
        ("list.csv: the cells stand in single quotation marks ('): replace them by double ones (\"), or leave them off",),
        code=65,
    ),
    Case(
        "two lists, each with a folder",
        _two_folders,
        train("train.csv", "--val valid.csv --root train"),
        ("val valid.csv: 6 images", "valid.csv: its paths are read from valid, where they are; none is in train"),
    ),
)  # fmt: skip
