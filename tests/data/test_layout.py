"""Which column of a list is the path, the label, the split; what is its header; what is refused, by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from eyas.data.columns import read_table
from eyas.data.listing import listed_splits, read_listing
from eyas.data.paths import Root
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


@settings(deadline=None, max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
