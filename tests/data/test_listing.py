"""Lists as they are found in the wild: every format is read, and every problem is named by its line."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from eyas.data.images.packed import PackedStrings
from eyas.data.lists.listing import Listing, listed_splits, parse_listing, read_listing
from eyas.errors import DataError


def listed(folder: Path, text: str | bytes, name: str = "train.txt", **options: object) -> Listing:
    """Write a list, and every file it names, and read it."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    listing, problems = parse_listing(path, **options)
    assert problems == []
    for image in listing.paths:
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        (folder / image).write_bytes(b"x")
    return read_listing(path, **options)


def pairs(listing: Listing) -> list[tuple[str, str]]:
    return [(path, listing.classes[label]) for path, label in zip(listing.paths, listing.labels, strict=True)]


WANTED = [("a/1.jpg", "cat"), ("b/2.png", "dog")]


@pytest.mark.parametrize(
    "text",
    [
        "a/1.jpg cat\nb/2.png dog\n",
        "a/1.jpg\tcat\nb/2.png\tdog\n",
        "a/1.jpg,cat\nb/2.png,dog\n",
        "a/1.jpg;cat\nb/2.png;dog",
        "a/1.jpg     cat\nb/2.png   dog\n",
        "\ufeffa/1.jpg cat\r\nb/2.png dog\r\n",
        "# made by hand\n\na/1.jpg cat\n\nb/2.png dog\n",
        "path label\na/1.jpg cat\nb/2.png dog\n",
        "filename,label\na/1.jpg,cat\nb/2.png,dog\n",
        "cat a/1.jpg\ndog b/2.png\n",
        "0\tcat\ta/1.jpg\n1\tdog\tb/2.png\n",
        "a/1.jpg\tcat\t0\t0\nb/2.png\tdog\t3\t9\n",
        '"a/1.jpg","cat"\n"b/2.png","dog"\n',
        "a\\1.jpg cat\nb\\2.png dog\n",
    ],
)
def test_every_common_way_of_writing_a_list_is_read(tmp_path: Path, text: str) -> None:
    assert pairs(listed(tmp_path, text)) == WANTED


def test_a_path_may_contain_spaces(tmp_path: Path) -> None:
    listing = listed(tmp_path, "my photos/a cat 1.jpg 0\nb.jpg 1\n")
    assert list(listing.paths) == ["my photos/a cat 1.jpg", "b.jpg"]


def test_a_class_name_may_contain_spaces(tmp_path: Path) -> None:
    assert pairs(listed(tmp_path, "a.jpg Colts Foot\nb.jpg Daffodil\n"))[0] == ("a.jpg", "Colts Foot")


def test_a_quoted_csv_path_may_contain_the_comma(tmp_path: Path) -> None:
    listing = listed(tmp_path, 'path,label\n"a, b/1.jpg",cat\n"c ""d"".jpg",dog\n', "train.csv")
    assert pairs(listing) == [("a, b/1.jpg", "cat"), ('c "d".jpg', "dog")]


def test_a_chinese_file_name_is_read(tmp_path: Path) -> None:
    assert pairs(listed(tmp_path, "猫/一.jpg 猫\n狗/二.jpg 狗\n"))[0] == ("猫/一.jpg", "猫")


def test_the_label_column_is_found_by_its_header(tmp_path: Path) -> None:
    listing = listed(tmp_path, "Filename;Width;ClassId\na.ppm;30;0\nb.ppm;30;1\n", "train.csv")
    assert listing.labels.tolist() == [0, 1]
    assert listing.lines.tolist() == [2, 3]


def test_two_columns_that_may_be_the_label_are_an_error_that_names_the_flag(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a.jpg 1 1\nb.jpg 1 0\nc.jpg 0 1\n")
    with pytest.raises(DataError, match=r"columns 1 \(1, 0\), 2 \(1, 0\) may hold the labels.*--columns path=0,label=1"):
        read_listing(tmp_path / "train.txt")


def test_columns_can_be_given_by_number_and_by_name(tmp_path: Path) -> None:
    text = "path,one,two\na.jpg,1,1\nb.jpg,1,0\nc.jpg,0,1\n"
    assert listed(tmp_path, text, columns="path=0,label=2").labels.tolist() == [1, 0, 1]
    assert listed(tmp_path, text, columns="path=path,label=one").labels.tolist() == [1, 1, 0]
    with pytest.raises(DataError, match="Did you mean 'two'"):
        read_listing(tmp_path / "train.txt", columns="path=0,label=twoo")


def test_without_labels_the_folder_is_the_class(tmp_path: Path) -> None:
    listing = listed(tmp_path, "x/cat/1.jpg\nx/dog/2.jpg\n")
    assert pairs(listing) == [("x/cat/1.jpg", "cat"), ("x/dog/2.jpg", "dog")]
    assert any("folder is its class" in note for note in listing.notes)


def test_a_split_column_selects_lines(tmp_path: Path) -> None:
    text = "path,split,label\na.jpg,train,cat\nb.jpg,valid,dog\nc.jpg,train,dog\n"
    assert list(listed(tmp_path, text, split="train").paths) == ["a.jpg", "c.jpg"]
    assert listed_splits(tmp_path / "train.txt") == ("train", "val")
    with pytest.raises(DataError, match=r"no line is of the split 'test'; there are train \(2\), val \(1\)"):
        read_listing(tmp_path / "train.txt", split="test")


def test_file_names_without_an_ending_are_found_on_the_disk(tmp_path: Path) -> None:
    for name in ("img1", "img2"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "train.txt").write_text("img1 cat\nimg2 dog\n")
    assert pairs(read_listing(tmp_path / "train.txt")) == [("img1", "cat"), ("img2", "dog")]


def test_an_ending_that_the_list_leaves_off_is_added_and_said(tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "train.csv").write_text("id,label\n1,cat\n2,dog\n")
    listing = read_listing(tmp_path / "train.csv")
    assert pairs(listing) == [("1.png", "cat"), ("2.png", "dog")]
    assert any(".png was added" in note for note in listing.notes)


def test_paths_of_another_machine_are_found_by_their_longest_end(tmp_path: Path) -> None:
    (tmp_path / "images" / "cat").mkdir(parents=True)
    (tmp_path / "images" / "cat" / "1.jpg").write_bytes(b"x")
    (tmp_path / "train.txt").write_text("F:\\My Data\\images\\cat\\1.jpg,cat\n")
    listing = read_listing(tmp_path / "train.txt")
    assert list(listing.paths) == ["images/cat/1.jpg"]
    assert sum("is not on this machine" in note for note in listing.notes) == 1


def test_absolute_paths_and_a_root_elsewhere_are_read(tmp_path: Path) -> None:
    root = tmp_path / "images"
    root.mkdir()
    (root / "1.jpg").write_bytes(b"xyz")
    (tmp_path / "train.txt").write_text("1.jpg 0\n")
    (tmp_path / "full.txt").write_text(f"{root}/1.jpg 0\n")
    assert list(read_listing(tmp_path / "train.txt", root=root).paths) == ["1.jpg"]
    assert read_listing(tmp_path / "full.txt").sizes.tolist() == [3]


def test_labels_that_are_all_written_as_1_0_are_whole_numbers(tmp_path: Path) -> None:
    listing = listed(tmp_path, "a.jpg 0.0\nb.jpg 2.000000\n")
    assert (listing.classes, listing.labels.tolist(), listing.named) == (("0", "2"), [0, 1], False)
    assert "labels such as 1.0 are read as the numbers 1" in listing.notes


def test_bare_numbers_keep_their_text_and_may_count_from_1(tmp_path: Path) -> None:
    from_zero = listed(tmp_path, "a.jpg 0\nb.jpg 2\n")
    assert (from_zero.classes, from_zero.named) == (("0", "2"), False)
    assert from_zero.notes == ("no label is 1: the classes are the 2 numbers that occur",)
    from_one = listed(tmp_path, "a.jpg 2\nb.jpg 1\n")
    assert (from_one.classes, from_one.labels.tolist()) == (("1", "2"), [1, 0])
    assert from_one.notes == ("labels count from 1 (to 2)",)
    forced = listed(tmp_path, "a.jpg 2\nb.jpg 1\n", first_label="0")
    assert (forced.classes, forced.first) == (("1", "2"), 0)


def test_class_names_beside_the_list_are_used(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("0 tench, Tinca tinca\n1 goldfish\n")
    listing = listed(tmp_path, "a.jpg 1\nb.jpg 0\n")
    assert pairs(listing) == [("a.jpg", "goldfish"), ("b.jpg", "tench, Tinca tinca")]
    assert listing.named
    assert listing.ordered


def test_numbers_count_from_1_where_they_run_to_the_number_of_names(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    listing = listed(tmp_path, "a.jpg 1\nb.jpg 2\n")
    assert pairs(listing) == [("a.jpg", "cat"), ("b.jpg", "dog")]
    assert listing.notes == ("labels count from 1 (to 2)",)


def test_the_numbers_in_a_class_file_decide_what_counts_from_1(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("1 cat\n2 dog\n3 emu\n")
    assert pairs(listed(tmp_path, "a.jpg 1\nb.jpg 2\n")) == [("a.jpg", "cat"), ("b.jpg", "dog")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a.jpg 0\nb.jpg 12\n",
            r"train.txt:2: label 12 is out of range: classes.txt names 3 classes \(0 to 2\)",
        ),
        ("a.jpg 0\nb.jpg -1\n", "train.txt:2: label -1 is out of range"),
        ("a.jpg 0\nb.jpg\n", "train.txt:2: the label is missing"),
        ("a.jpg cat\nb.jpg dgo\n", "train.txt:2: classes.txt names no class 'dgo'. Did you mean 'dog'"),
        ("", "train.txt: the list is empty"),
        ("# nothing\n\n", "train.txt: the list is empty"),
        (
            "a.jpg 0\n\n../b.jpg 1\n",
            r"train.txt:3: ../b.jpg lies outside .*, which paths are relative to; --outside-root allows it",
        ),
        ("a.jpg 0\nx/../../b.jpg 1\n", "train.txt:2: ../b.jpg lies outside"),
        ("a.jpg 0\na.jpg 1\n", "train.txt:2: a.jpg has another label in line 1"),
        ("a.jpg 0\nfolder.jpg 1\n", "train.txt:2: folder.jpg is not a regular file"),
        ("a.jpg 0\npipe.jpg 1\n", "train.txt:2: pipe.jpg is not a regular file"),
        ("a.jpg 0\nnone.jpg 1\n", "train.txt:2: none.jpg does not exist in"),
        ("a.jpg 0\nb\0.jpg 1\n", "train.txt:2: a NUL byte"),
        (
            "a.jpg,0\nb.jpg,1,7\nc.jpg,1\n" + "a.jpg,0\n" * 20,
            "train.txt:2: 3 columns, where the other lines have 2",
        ),
    ],
)
def test_a_problem_is_named_by_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "classes.txt").write_text("cat\ndog\nemu\n")
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "train.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        read_listing(tmp_path / "train.txt")


def test_text_that_is_not_utf8_is_named_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_bytes("a.jpg cat\n小猫狗.jpg dog\n".encode("gb18030"))
    with pytest.raises(DataError, match=r"train.txt:2: .* Save the list again as UTF-8"):
        read_listing(tmp_path / "train.txt")


def test_one_bad_label_among_numbers_does_not_turn_them_into_names(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("".join(f"{i}.jpg {i % 2}\n" for i in range(30)) + "z.jpg 1O\n")
    listing, problems = parse_listing(tmp_path / "train.txt")
    assert [line for line, _ in problems] == [31]
    assert problems[0][1].startswith("label '1O' is not a whole number, as most labels are: leave the line out")
    assert not listing.named


def test_all_problems_are_gathered_ten_are_shown(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("".join(f"{i}.jpg {i % 2}\n" for i in range(25)))
    with pytest.raises(DataError) as error:
        read_listing(tmp_path / "train.txt")
    lines = str(error.value).splitlines()
    assert len(lines) == 11
    assert "and 15 more" in lines[-1]


def test_an_image_listed_twice_with_one_label_is_a_note(tmp_path: Path) -> None:
    assert listed(tmp_path, "a.jpg 0\na.jpg 0\nb.jpg 1\n").notes == ("1 line repeat an image that is listed before",)


def test_packed_strings_keep_every_text_and_travel_to_other_processes() -> None:
    packed = PackedStrings.of(["a", "", "猫.jpg", "bad\udcff.jpg"])
    again = pickle.loads(pickle.dumps(packed))
    assert list(again) == ["a", "", "猫.jpg", "bad\udcff.jpg"]
    assert again[-1] == "bad\udcff.jpg"
