"""Which column of a list is the path, the label, the split; what is its header; what is refused, by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from eyas.data.lists.columns import read_table
from eyas.data.lists.listing import listed_splits, parse_listing, read_listing
from eyas.data.lists.paths import Root
from eyas.errors import DataError


def files(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("image_id\np1\np2\np3\n", None),
        ("p1\np2\np3\n", None),
        ("whatever\np1.png\np2.png\np3.png\n", None),
        ("p1.png cat\np2.png\np3.png dog\n", None),
        ("lesion,image_id,dx,dx_type\n1,p1,nv,histo\n1,p2,mel,histo\n2,p3,,\n", None),
        ("one,image,two\np1,p1,p1\np2,p2,p2\np3,p3,p3\n", "path=image"),
        ("path,one,two\np1.png,1,1\np2.png,1\np3.png,1,2\n", None),
    ],
)
def test_without_labels_only_the_paths_are_looked_for(tmp_path: Path, text: str, columns: str | None) -> None:
    files(tmp_path, "p1.png", "p2.png", "p3.png")
    table = read_table(
        text.encode(), Path("list.csv"), columns=columns, exists=Root(tmp_path).finds, labels=False
    )
    assert [name.removesuffix(".png") for name in table.paths] == ["p1", "p2", "p3"]
    assert (table.labels, table.splits, table.problems) == (None, None, [])


# What was generated is what is read, or a DataError names the place.

NAMES = ("a b.png", "p1.png", "p2.png", "p3.jpg", "x/p4.png", "x/é5.png", "7.png", "8.png", "9.png", "10.png")
CLASSES = st.lists(st.sampled_from(["cat", "dog", "train", "bus", "Colts Foot", "猫", "a,b"]), min_size=2, max_size=4, unique=True)
PATH_TITLES = st.sampled_from(["path", "image_id", "id", "img", "File Name", "图片"])
LABEL_TITLES = st.sampled_from(["label", "dx", "class", "cls", "species", "类别"])
SPLITS = st.sampled_from([
    None, ("split", ("train", "val", "test")), ("Usage", ("Training", "PublicTest", "PrivateTest")),
    ("is_valid", ("False", "True", "True")), ("fold", ("TRAIN", "Validation", "Testing")), ("part", ("train", "dev", "test")),
])  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A list and what it means: paths, classes and splits ("" for none) line by line."""

    text: str
    rows: list[tuple[str, str, str]]
    columns: str | None


@st.composite
def made_lists(draw: st.DrawFn) -> Made:
    """Draw a list in any of the ways people write one."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=4, max_size=len(NAMES), unique=True))
    classes, split = draw(CLASSES), draw(SPLITS)
    labels = [*classes[:2], *(draw(st.sampled_from(classes)) for _ in names[2:])]
    marks = [draw(st.integers(0, 2)) for _ in names]
    ending, windows, header = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    hot = header and draw(st.booleans())
    shown = [name if ending else name.rpartition(".")[0] for name in names]
    columns = [(draw(PATH_TITLES), [name.replace("/", "\\") if windows else name for name in shown])]
    if hot:
        one, zero = draw(st.sampled_from([("1", "0"), ("1.0", "0.0")]))
        columns += [(title, [one if label == title else zero for label in labels]) for title in classes]
    else:
        columns.append((draw(LABEL_TITLES), labels))
    if split:
        columns.append((split[0], [split[1][mark] for mark in marks]))
    if draw(st.booleans()):
        columns.append(("width", [str(30 + number // 2) for number in range(len(names))]))
    titles = [title for title, _ in columns]
    asked = f"path={titles[0]}" + (f",label={titles[1]}" if not hot else "") if header and draw(st.booleans()) else None
    text = _written(draw, draw(st.permutations(columns)), header=header)
    means = [SPLIT_MEANS[split[1][mark]] if split else "" for mark in marks]
    return Made(text, list(zip(names, labels, means, strict=True)), asked)


SPLIT_MEANS = {
    "train": "train", "val": "val", "test": "test", "Training": "train", "PublicTest": "val", "PrivateTest": "test",
    "False": "train", "True": "val", "TRAIN": "train", "Validation": "val", "Testing": "test", "dev": "val",
}  # fmt: skip


def _written(draw: st.DrawFn, columns: list[tuple[str, list[str]]], *, header: bool) -> str:
    separator, quoted, comment = draw(st.sampled_from([",", ";", "\t", ", ", " "])), draw(st.booleans()), draw(st.booleans())
    lines = [[title for title, _ in columns]] * header + [list(row) for row in zip(*(c for _, c in columns), strict=True)]
    shown = [[f'"{cell}"' if quoted or (separator.strip() in (",", ";") and "," in cell) else cell for cell in row] for row in lines]
    return "# made\n" * comment + "".join(separator.join(row) + "\n" for row in shown)


@settings(deadline=None, max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=made_lists())
def test_a_list_means_what_was_meant_or_is_refused_by_its_place(tmp_path: Path, made: Made) -> None:
    files(tmp_path, *NAMES)
    source = tmp_path / "list.csv"
    source.write_text(made.text, encoding="utf-8")
    splits = sorted({split for _, _, split in made.rows} - {""})
    try:
        found = sorted(listed_splits(source, columns=made.columns))
        read = [read_listing(source, columns=made.columns, split=split or None) for split in splits or [""]]
    except DataError as error:
        assert str(error).startswith((str(source), "--columns"))
        event("refused")
        return
    event("read")
    assert found == splits
    for split, listing in zip(splits or [""], read, strict=True):
        wanted = [(name, label) for name, label, its in made.rows if its == split]
        assert [(p, listing.classes[n]) for p, n in zip(listing.paths, listing.labels, strict=True)] == wanted
        assert set(listing.classes) == {label for _, label in wanted}


# Headers.


@pytest.mark.parametrize(
    ("header", "row", "columns", "classes"),
    [
        ("lesion_id,image_id,dx,dx_type,age,sex,localization", "H{k},{id},{c},histo,4{i}.0,male,back", "path=image_id,label=dx", "ab"),
        ("id_code,diagnosis", "{id},{n}", None, "01"),
        ("image,MEL,NV", "{id},{n}.0,{m}.0", None, ("MEL", "NV")),
        ("id,breed", "{id},{c}", None, "ab"),
        ("image_id,healthy,rust", "{id},{n},{m}", None, ("healthy", "rust")),
        ("image_id,label", "{id}.jpg,{n}", None, "01"),
        ("id,gender,masterCategory,subCategory", "{id},Men,{c},Shoes", "path=id,label=masterCategory", "ab"),
        ("图片,类别", "{id},{c}", None, "ab"),
        ("图片,类别", "{id},{c}", "path=图片,label=类别", "ab"),
        ("Image Name;Class Name", "{id}.jpg;{c}", "path=image name,label=CLASS_NAME", "ab"),
        ("what\tever", "{id}\t{c}", None, "ab"),
        (",file,kind", "{i},{id},{c}", None, "ab"),
    ],
)
def test_the_headers_of_published_tables_are_headers(
    tmp_path: Path, header: str, row: str, columns: str | None, classes: tuple[str, ...]
) -> None:
    ids = [f"ISIC_{number:04}" for number in range(12)]
    files(tmp_path, *(f"{name}.jpg" for name in ids))
    lines = [
        row.format(id=name, i=number, k=number // 2, n=number % 2, m=1 - number % 2, c="ab"[number % 2])
        for number, name in enumerate(ids)
    ]
    (tmp_path / "list.csv").write_text("\n".join([header, *lines]), encoding="utf-8")
    listing = read_listing(tmp_path / "list.csv", columns=columns)
    assert list(listing.paths) == [f"{name}.jpg" for name in ids]
    assert listing.classes == tuple(classes)
    if columns is None or columns.startswith("path=image_id"):
        assert len(set(listing.labels.tolist())) == 2


@pytest.mark.parametrize(
    "text",
    [
        "p0 cat\np1.png dog\np2.png cat\np3.png dog\n",  # its label occurs below
        "p0,5\np1,1\np2,2\np3,1\n",  # a number above numbers
        "x/p,emu\np1.png,cat\np2.png,dog\np3.png,cat\n",  # a path, not a title
        "p0 emu\np1 cat\np2 dog\np3 cat\n",  # numbers in paths count as alike
    ],
)
def test_a_first_line_that_looks_like_the_others_is_no_header(tmp_path: Path, text: str) -> None:
    files(tmp_path, "p1.png", "p2.png", "p3.png")
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(DataError, match=r"list.txt:1: "):
        read_listing(tmp_path / "list.txt")


@pytest.mark.parametrize(
    "text",
    [
        "image id,dx,sex\n0.png,a,m\n1.png,b,m\n2.png,a,f\n3.png,b,f\n",
        "file,a=b,sex\n0.png,a,m\n1.png,b,m\n2.png,a,f\n3.png,b,f\n",
        "file,kind,kind\n0.png,a,m\n1.png,b,m\n2.png,a,f\n3.png,b,f\n",
        "0.png,a,m\n1.png,b,m\n2.png,a,f\n3.png,b,f\n",
        "file,sex,cat,dog\n0.png,m,1,0\n1.png,f,0,1\n2.png,m,1,0\n3.png,m,0,1\n",
        "file,label,is_val,part\n0.png,a,1,train\n1.png,b,0,test\n2.png,a,0,train\n3.png,b,0,train\n",
        "file,label,valid\n0.png,a,1\n1.png,b,0\n2.png,a,0\n3.png,b,0\n",
        "file,label,part\n0.png,a,train\n1.png,b,train\n2.png,a,test\n3.png,b,other\n",
    ],
)
def test_each_remedy_that_a_refusal_names_works(tmp_path: Path, text: str) -> None:
    files(tmp_path, *(f"{number}.png" for number in range(4)))
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(DataError) as error:
        read_listing(tmp_path / "list.csv", split="train")
    remedies = re.findall(r'--columns ("[^"]+"|\S*[^\s.,;])', str(error.value))
    assert remedies
    for remedy in remedies:
        assert len(read_listing(tmp_path / "list.csv", split="train", columns=remedy.strip('"')).classes) == 2


# Splits.


@pytest.mark.parametrize(
    ("title", "cells", "splits"),
    [
        ("part", "train train val test", "test train val"),
        ("x", "TRAIN Training dev Testing", "test train val"),
        ("Usage", "Training PublicTest PrivateTest Training", "test train val"),
        ("is_valid", "True False FALSE true", "train val"),
        ("is_test", "1 0 0 0", "test train"),
        ("isTrain", "yes no no yes", "test train"),
        ("is_training_image", "1 1 0 0", "test train"),
        ("phase", "训练集 训练集 验证集 测试集", "test train val"),
        ("folder", "train_set test-set train_set test-set", "test train"),
        ("kind", "bus car train bus", ""),
        ("label", "train test train test", ""),
        ("class", "valid test valid test", ""),
    ],
)
def test_a_split_is_known_by_its_words(tmp_path: Path, title: str, cells: str, splits: str) -> None:
    files(tmp_path, *(f"{c}/{number}.png" for number in range(4) for c in "ab"))
    rows = [f"{'ab'[number // 2]}/{number}.png,{cell}" for number, cell in enumerate(cells.split())]
    (tmp_path / "list.csv").write_text("\n".join([f"file,{title}", *rows]), encoding="utf-8")
    assert " ".join(listed_splits(tmp_path / "list.csv")) == splits


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label,split\n{}", r"the column split names the split, but also says 'unused'.*split=split leaves those"),
        ("file,label,partition\n{}", "the column partition names the split, but also says 'unused'"),
    ],
)
def test_a_word_that_names_no_split_is_refused_unless_the_column_was_chosen(
    tmp_path: Path, text: str, message: str
) -> None:
    files(tmp_path, *(f"{number}.png" for number in range(4)))
    rows = "".join(f"{n}.png,{'ab'[n % 2]},{split}\n" for n, split in enumerate(("train", "train", "test", "unused")))
    (tmp_path / "list.csv").write_text(text.format(rows))
    with pytest.raises(DataError, match=message):
        read_listing(tmp_path / "list.csv", split="train")
    title = text.split(",")[2].split("\n")[0]
    chosen = read_listing(tmp_path / "list.csv", split="train", columns=f"split={title}")
    assert len(chosen.paths) == 2
    assert "2 of 4 lines are of the split 'train'; the others of test (1), unused (1)" in chosen.notes


@pytest.mark.parametrize(
    ("title", "cells"),
    [("partition", "0 1 2 0"), ("split", "a b a b"), ("valid", "True False True True"), ("test", "0 0 1 1")],
)
def test_a_column_that_may_be_a_split_is_not_passed_over_in_silence(tmp_path: Path, title: str, cells: str) -> None:
    files(tmp_path, *(f"{number}.png" for number in range(4)))
    rows = [f"{number}.png,{'ab'[number % 2]},{cell}" for number, cell in enumerate(cells.split())]
    (tmp_path / "list.csv").write_text("\n".join([f"file,label,{title}", *rows]))
    with pytest.raises(DataError, match=rf"the column {title} \(.*\) may say which lines are for training"):
        read_listing(tmp_path / "list.csv", split="train")
    every = read_listing(tmp_path / "list.csv", split="train", columns="split=none")
    assert len(every.paths) == 4
    assert any(f"not used: the column {title} (" in note for note in every.notes)


# What is only known at the end of a long list.


def test_a_column_is_judged_by_all_lines_not_by_the_first_thousand(tmp_path: Path) -> None:
    trains = "".join(f"train/{n}.png,train\n" for n in range(1200))
    (tmp_path / "sorted.csv").write_text("file,kind\n" + trains + "bus/1.png,bus\ncar/1.png,car\n")
    with pytest.raises(DataError, match="the column kind names the split, but also says 'bus', 'car'"):
        parse_listing(tmp_path / "sorted.csv")
    thousand = "".join(f"{n}.png,{n % 1100:04}x,{n % 7}\n" for n in range(2200))
    (tmp_path / "many.csv").write_text("file,kind,width\n" + thousand)
    with pytest.raises(DataError, match=r"any of the columns kind \(.*\), width \(.*\) may hold the labels"):
        parse_listing(tmp_path / "many.csv")


def test_a_key_is_no_label_unless_it_is_said_or_a_class_file_has_it(tmp_path: Path) -> None:
    files(tmp_path, *(f"{number}.png" for number in range(8)))
    (tmp_path / "list.csv").write_text("file,patient\n" + "".join(f"{n}.png,P{n}\n" for n in range(8)))
    with pytest.raises(DataError, match=r"each label occurs once: the column patient \(P0, P1, P2, ...\) is a key"):
        read_listing(tmp_path / "list.csv", split="train")
    assert any("each label occurs once" in note for note in read_listing(tmp_path / "list.csv").notes)
    assert len(read_listing(tmp_path / "list.csv", split="test").classes) == 8
    assert len(read_listing(tmp_path / "list.csv", split="train", columns="path=file,label=patient").classes) == 8
    (tmp_path / "names.txt").write_text("".join(f"P{n}\n" for n in range(8)))
    assert len(read_listing(tmp_path / "list.csv", classes=tmp_path / "names.txt", split="train").classes) == 8


# Files that are spelled otherwise, and elsewhere.


def test_a_path_stands_for_the_only_file_that_fits_and_that_no_other_line_names(tmp_path: Path) -> None:
    files(tmp_path, "Cat/A.PNG", "dog/b.png", "dog/c.jpg")
    (tmp_path / "list.txt").write_text("cat/a.png 0\nDOG/B.png 1\ndog/c.jpg 1\n")
    listing = read_listing(tmp_path / "list.txt")
    assert list(listing.paths) == ["Cat/A.PNG", "dog/b.png", "dog/c.jpg"]
    (tmp_path / "list.txt").write_text("dog/b.png 0\nDOG/B.png 1\n")
    with pytest.raises(DataError, match=r"list.txt:2: DOG/B.png does not exist in .*; dog/b.png would fit"):
        read_listing(tmp_path / "list.txt")
    (tmp_path / "list.txt").write_text("dog/B.png 0\nDOG/b.png 1\ndog/c.jpg 1\n")
    with pytest.raises(DataError, match=r"list.txt:1: dog/B.png does not exist"):
        read_listing(tmp_path / "list.txt")


def test_a_path_without_ending_among_others_with_one_is_missing(tmp_path: Path) -> None:
    files(tmp_path, "0.png", "a.png", "b.png")
    (tmp_path / "list.csv").write_text("0,1\na.png,cat\nb.png,dog\n")  # the first line is a table's own numbers
    with pytest.raises(DataError, match=r"list.csv:1: 0 does not exist in .*; 0.png would fit"):
        read_listing(tmp_path / "list.csv")


def test_a_file_in_other_capitals_behind_a_link_that_leads_out_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    files(tmp_path, "secret/a.png", "root/b.png")
    (tmp_path / "root" / "Link").symlink_to(tmp_path / "secret")
    (tmp_path / "root" / "list.txt").write_text("link/A.png 0\nb.png 1\n")
    with pytest.raises(DataError, match=r"list.txt:1: link/A.png does not exist") as error:
        read_listing(tmp_path / "root" / "list.txt")
    assert "would fit" not in str(error.value)


def test_paths_are_read_from_the_only_folder_that_has_them_all(tmp_path: Path) -> None:
    files(tmp_path, "images/a.png", "images/b.png", "other/a.png")
    (tmp_path / "list.txt").write_text("a.png 0\nb.png 1\n")
    listing = read_listing(tmp_path / "list.txt")
    assert listing.root == tmp_path / "images"
    assert any("its paths are read from" in note for note in listing.notes)
    files(tmp_path, "other/b.png")
    with pytest.raises(DataError, match=r"its paths are not in .*, but in .*images and .*other. Say which with --root"):
        read_listing(tmp_path / "list.txt")
    (tmp_path / "other").rename(tmp_path / "list")
    assert read_listing(tmp_path / "list.txt").root == tmp_path / "list"


def test_a_link_beside_a_list_is_no_folder_to_read_it_from(tmp_path: Path) -> None:
    files(tmp_path, "far/a.png", "far/b.png", "here/x.txt")
    (tmp_path / "here" / "link").symlink_to(tmp_path / "far")
    (tmp_path / "here" / "list.txt").write_text("a.png 0\nb.png 1\n")
    with pytest.raises(DataError, match=r"list.txt:1: a.png does not exist"):
        read_listing(tmp_path / "here" / "list.txt")
