"""Tables as published data sets have them: many columns, several labels in a cell, addresses, lines above the header."""

from __future__ import annotations

from collections.abc import Callable

from tests.everyday.case import Case, numbered, train, write
from tests.everyday.lists import _classes, _rows

TITLE = "Tables of published data sets"


def _table(name: str, header: str, line: Callable[[int], str], count: int = 24) -> Callable[[], None]:
    """Return what writes pictures img/0.png on, and a table with a line for each."""

    def make() -> None:
        numbered(count, "img")
        write(name, *header.split("\n"), *map(line, range(count)))

    return make


FINDINGS = ("No Finding", "Mass|Hernia", "Mass", "Hernia")
TAGS = ("clear water", "clear water road", "clear road", "cloudy", "clear", "water road", "road")
NIH = _table(
    "xray.csv",
    "Image Index,Finding Labels,Patient Age,View Position,OriginalImagePixelSpacing[x,y],",
    lambda i: f"{i}.png,{FINDINGS[i % 4]},{50 + i % 7},{('PA', 'AP')[i % 2]},0.143,{('0.143', '0.168')[i % 2]},",
)

CELEBA = _table("attr.txt", "24\nArched Male Young", lambda i: f"{i}.png {('-1', ' 1')[i % 2]} {(' 1', '-1')[i // 2 % 2]}  1"
                if i % 5 else f"{i}.png -1  1  1")  # fmt: skip

CASES = (
    Case(
        "a bracket with a comma in the header, so that a column is called y]",
        NIH,
        train("xray.csv", "--root img"),
        ("any of the columns Finding Labels (No Finding, Mass|Hernia, Mass, ...), Patient Age",
         '--columns "path=Image Index,label=Finding Labels"'),
        code=65,
    ),
    Case(
        "several findings in a cell (NIH's chest X-rays), columns by name",
        NIH,
        train("xray.csv", '--root img --val 0.2 --columns "path=Image Index,label=Finding Labels"'),
        ("19 images, 4 classes", "1 of 4 labels names several classes at once (multi-label), such as 'Mass|Hernia': each "
         "combination is learnt as a class of its own"),
    ),
    Case(
        "several tags in a cell, with spaces between them (Planet)",
        _table("tags.csv", "image_name,tags", lambda i: f"{i},{TAGS[i % 7]}"),
        train("tags.csv", "--root img --val 0.25"),
        ("17 images, 7 classes", "4 of 7 labels name several classes at once (multi-label), such as 'clear road'"),
    ),
    Case(
        "lists of Python in a cell",
        _table("tags.csv", "file,label", lambda i: f"{i}.png,\"['cat'{(chr(44) + ' ' + repr('dog')) * (i % 3 == 0)}]\""
               if i % 2 else f"{i}.png,['dog']"),
        train("tags.csv", "--root img --val 0.25"),
        ("18 images, 3 classes", "1 of 3 labels names several classes at once (multi-label)"),
    ),
    Case(
        "names of several words that share them",
        _table("cards.csv", "file,label", lambda i: f"{i}.png,{('ace', 'two', 'six')[i % 3]} of {('clubs', 'hearts')[i % 2]}"),
        train("cards.csv", "--root img --val 0.25"),
        ("18 images, 6 classes",),
        check=_classes("ace of clubs", "ace of hearts", "six of clubs", "six of hearts", "two of clubs", "two of hearts"),
    ),
    Case(
        "a box (x, y, width, height) beside the label",
        _table("boxes.csv", "id,x,y,width,height,Target",
               lambda i: f"{i},,,,,0" if i % 2 else f"{i},{i}.5,{i}.2,9.0,8.0,1"),
        train("boxes.csv", "--root img --val 0.2"),
        ("19 images, 2 classes", "not used: the columns x ("),
        check=_classes("0", "1"),
    ),
    Case(
        "attributes in many columns, under a line of their number (CelebA)",
        CELEBA,
        train("attr.txt", "--root img"),
        ("attr.txt:3: 2 of the columns Arched, Male, Young hold a 1 (multi-label): an image has one class. --columns "
         "path=0,label=Arched uses one column",),
        code=65,
    ),
    Case(
        "one of these attributes",
        CELEBA,
        train("attr.txt", "--root img --columns path=0,label=Male --val 0.25"),
        ("18 images, 2 classes", "line 1 is left out: 24", "not used: the columns Arched (-1, 1), Young (1)"),
        check=_classes("-1", "1"),
    ),
    Case(
        "a spreadsheet's line of its separator",
        _table("list.csv", "sep=;\nfile;label", lambda i: f"{i}.png;{'ab'[i % 2]}"),
        train("list.csv", "--root img --val 0.25"),
        ("18 images, 2 classes", "line 1 is left out: sep=;"),
    ),
    Case(
        "a column of True and False for each class (pandas)",
        _table("dummies.csv", "file,cat,dog,emu", lambda i: f"{i}.png,{i % 3 == 0},{i % 3 == 1},{i % 3 == 2}"),
        train("dummies.csv", "--root img --val 0.25"),
        ("18 images, 3 classes", "the columns cat, dog, emu hold a 1 for each line's class"),
        check=_classes("cat", "dog", "emu"),
    ),
    Case(
        "a comma behind each line",
        _rows("list.csv", *(f"{i}.png,{'ab'[i % 2]}," for i in range(24)), count=24),
        train("list.csv", "--val 0.25"),
        ("18 images, 2 classes", "not used: the column 2 ()"),
        check=_classes("a", "b"),
    ),
    Case(
        "ids, and a few names of several words behind a space (FGVC-Aircraft)",
        _rows("variants.txt", *(f"{i} {('707-320', 'A340-500', 'BAE 146-200', 'C-130')[i % 4]}" for i in range(24)), count=24),
        train("variants.txt", "--val 0.25"),
        ("18 images, 4 classes", ".png was added"),
        check=_classes("707-320", "A340-500", "BAE 146-200", "C-130"),
    ),
    Case(
        "ids, and names of two words each behind a space",
        _rows("flowers.txt", *(f"{i} {('Colts Foot', 'Tiger Lily')[i % 2]}" for i in range(24)), count=24),
        train("flowers.txt"),
        ("any of the columns 1 (Colts, Tiger), 2 (Foot, Lily) may hold the labels",
         "If they are one label of several words, put it in quotation marks."),
        code=65,
    ),
    Case(
        "bars between the columns",
        _rows("list.txt", *(f"{i}.png|{'ab'[i % 2]}" for i in range(24)), count=24),
        train("list.txt", "--val 0.25"),
        ("18 images, 2 classes",),
        check=_classes("a", "b"),
    ),
    Case(
        "is_valid and is_test",
        _table("list.csv", "file,label,is_valid,is_test", lambda i: f"{i}.png,{'ab'[i % 2]},{i > 19},{i in range(14, 20)}"),
        train("list.csv", "--root img"),
        ("training list.csv: 14 images", "val list.csv: 4 images", "test list.csv: 6 images",
         "14 of 24 lines are of the split 'train'; the others of test (6), val (4)"),
    ),
    Case(
        "a column of 1 and 0 for each split",
        _table("list.csv", "file,label,train,val,test", lambda i: f"{i}.png,{'ab'[i % 2]},{('1,0,0', '0,0,1')[i > 13]}"),
        train("list.csv", "--root img"),
        ("training list.csv: 14 images", "test list.csv: 10 images"),
    ),
    Case(
        "the same, and a line that has two of them",
        _table("list.csv", "file,label,is_val,is_test", lambda i: f"{i}.png,{'ab'[i % 2]},{int(i > 13)},{int(i > 20)}"),
        train("list.csv", "--root img"),
        ("list.csv: the columns is_val, is_test name the split, but also say 'val+test'. --columns split=is_val+is_test "
         "leaves those lines out, --columns split=none reads all lines.",),
        code=65,
    ),
    Case(
        "the same, and the two columns said",
        _table("list.csv", "file,label,is_val,is_test", lambda i: f"{i}.png,{'ab'[i % 2]},{int(i > 13)},{int(i > 20)}"),
        train("list.csv", "--root img --columns split=is_val+is_test"),
        ("training list.csv: 14 images", "val list.csv: 7 images", "the others of val (7), val+test (3)"),
    ),
    Case(
        "addresses beside the ids (Google Landmarks)",
        _table("train.csv", "id,url,landmark_id", lambda i: f"{i},http://example.org/a/{i}.jpg,{(5, 12, 8000)[i % 3]}"),
        train("train.csv", "--root img --val 0.2"),
        ("19 images, 3 classes", "not used: the column url (http://"),
        check=_classes("5", "12", "8000"),
    ),
    Case(
        "addresses only",
        _table("urls.csv", "url,label", lambda i: f"http://example.org/a/{i}.png,{'ab'[i % 2]}"),
        train("urls.csv", "--root img"),
        ("urls.csv:2: http://example.org/a/0.png is an address, no file: download the pictures, and name the files",),
        code=65,
    ),
)  # fmt: skip
