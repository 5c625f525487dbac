"""A block of lines is cut all at once exactly as line by line, and strings keep their values in packed form."""

from __future__ import annotations

import tracemalloc
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eyas.data.images.packed import Coding, PackedStrings
from eyas.data.lists.cells import Block, Cells, blocks_of, cells_at_once, cells_one_by_one
from eyas.data.lists.listing import parse_listing
from eyas.data.lists.shape import Shape

WORDS = st.sampled_from(
    ["a/1.jpg", "b c.png", "猫/二.jpg", "0", "17", "cat", "狗", "", "x", "#", "é", "Colts Foot", "\u3000", "\xa0", "\x0b",
     "\x1f", "a\u2003b", '"q']
)  # fmt: skip
GAPS = st.sampled_from([" ", "  ", "\t", " \t", ",", ", ", ";", ",,", "\n", "\n\n", "\n# said\n", "\n \n"])
TEXTS = st.lists(st.tuples(WORDS, GAPS), min_size=1, max_size=40).map(lambda parts: "".join(chain(*parts)))
WAYS = st.sampled_from(["every", "path first", "path last", "quoted"])
SHAPES = st.builds(Shape, st.sampled_from(" \t,;"), st.integers(1, 4), WAYS)


def plain(cells: Cells) -> tuple[object, ...]:
    wrong = [(line, len(row), " ".join(row).strip()) for line, row in cells.wrong]
    return [column.strings() for column in cells.columns], cells.lines.tolist(), wrong


@settings(deadline=None)
@given(TEXTS, SHAPES, st.integers(0, 3))
@example("a/1.jpg, a/1.jpg ", Shape(",", 1, "quoted"), 0)
def test_cut_at_once_is_cut_line_by_line(text, shape, after):
    if shape.separator == " " and shape.way == "quoted":
        return  # lists with quotation marks are cut at a letter
    block, columns = Block(text.encode(), 1), range(shape.count)
    quick = cells_at_once(block, shape, columns, after)
    if quick is not None:
        assert plain(quick) == plain(cells_one_by_one(block, shape, columns, after))


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("a/1.jpg 0\nb c.jpg   17\n\n# said\n  猫.jpg\t3 ", Shape(" ", 2, "path first")),
        ("a/1.jpg,cat\nb c.jpg , dog\n猫.jpg,", Shape(",", 2, "quoted")),
        ("0\tcat\ta b.jpg\n1\tdog\tc.jpg\n", Shape("\t", 3, "path last")),
        ("a.jpg;b\nc.jpg;d;e\nf.jpg\n", Shape(";", 2, "every")),
    ],
)
def test_regular_lists_are_cut_at_once(text, shape):
    assert cells_at_once(Block(text.encode(), 1), shape, range(shape.count), 0) is not None


@settings(deadline=None)
@given(TEXTS, st.integers(1, 50))
def test_blocks_are_the_whole_text_in_whole_lines(text, size):
    blocks = list(blocks_of(text.encode(), size))
    assert b"".join(block.text for block in blocks) == text.encode()
    assert all(block.text.endswith(b"\n") for block in blocks[:-1])
    assert [line for block in blocks for line in block.content()[0]] == Block(text.encode(), 1).content()[0]


STRINGS = st.lists(
    st.sampled_from(["", "a", "b", "ab", "12345678", "123456789", "x" * 40, "猫", "bad\udcff"]) | st.text()
)


@settings(deadline=None)
@given(STRINGS, st.data())
def test_packed_strings_are_taken_in_any_order(strings, data):
    chosen = data.draw(st.lists(st.integers(0, len(strings) - 1), max_size=30)) if strings else []
    packed = PackedStrings.of(strings)
    assert list(packed) == strings
    assert list(packed.take(np.array(chosen, np.int64))) == [strings[row] for row in chosen]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["", "a", "b", "ab", "12345678", "123456789", "x" * 40, "猫", "cat", "cat "]), max_size=40)
)
def test_equal_strings_get_one_number_in_the_order_of_their_first(strings):
    coded = Coding.of(PackedStrings.of(strings).spans())
    assert coded.texts == list(dict.fromkeys(strings))
    assert [coded.texts[code] for code in coded.codes] == strings


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["", "a", "猫/x.jpg", "12345678"]), st.integers(0, 2)), max_size=20))
def test_strings_are_put_behind_others(rows):
    heads = ["", "old/", "猫/"]
    packed = PackedStrings.of(text for text, _ in rows).spans().behind(heads, np.array([h for _, h in rows], np.int64))
    assert list(packed) == [heads[head] + text for text, head in rows]


def test_a_long_list_takes_a_few_times_its_bytes_of_memory(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text("".join(f"train/n{row % 1000:08d}/image_{row:08d}.jpg {row % 1000}\n" for row in range(200_000)))
    tracemalloc.start()
    try:
        listing, problems = parse_listing(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (len(listing.paths), problems) == (200_000, [])
    assert peak < 3 * path.stat().st_size + 20 * 2**20
