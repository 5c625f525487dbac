"""Lists are cut block by block exactly as line by line, and strings keep their values in packed form."""

from __future__ import annotations

import tracemalloc
from itertools import chain
from pathlib import Path

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eyas.data.images.packed import Coding, PackedStrings
from eyas.data.lists.cells import Block, blocks_of, read_cells
from eyas.data.lists.listing import parse_listing
from eyas.data.lists.shape import Shape
from eyas.errors import DataError

LIST = Path("list.csv")

WORDS = st.sampled_from(
    ["a/1.jpg", "b c.png", "猫/二.jpg", "0", "17", "cat", "狗", "", "x", "#", "é", "Colts Foot", "\u3000", "\xa0", "\x0b",
     "\x1f", "a\u2003b", '"q']
)  # fmt: skip
GAPS = st.sampled_from([" ", "  ", "\t", " \t", ",", ", ", ";", ",,", "\n", "\n\n", "\n# said\n", "\n \n"])
TEXTS = st.lists(st.tuples(WORDS, GAPS), min_size=1, max_size=40).map(lambda parts: "".join(chain(*parts)))
WAYS = st.sampled_from(["every", "path first", "path last", "quoted"])
SHAPES = st.builds(Shape, st.sampled_from(" \t,;"), st.integers(1, 4), WAYS)


def by_hand(text: str, shape: Shape, after: int) -> tuple[object, ...]:
    """What a list says, one line after the other."""
    right, wrong = [], []
    for number, line in enumerate(text.split("\n"), 1):
        if number > after and line.strip() and line[0] != "#":
            row = next(iter(shape.cut([line])))
            (right if len(row) == shape.count else wrong).append((number, row))
    columns = [[row[column].strip() for _, row in right] for column in range(shape.count)]
    return columns, [number for number, _ in right], wrong


@settings(deadline=None)
@given(TEXTS, SHAPES, st.integers(0, 3))
@example("a/1.jpg, a/1.jpg ", Shape(",", 1, "quoted"), 0)
@example("a/1.jpg 0\nb c.jpg   17\n\n# said\n  猫.jpg\t3 ", Shape(" ", 2, "path first"), 0)
@example("a/1.jpg,cat\nb c.jpg , dog\n猫.jpg,", Shape(",", 2, "quoted"), 0)
@example("0\tcat\ta b.jpg\n1\tdog\tc.jpg\n", Shape("\t", 3, "path last"), 0)
@example("a.jpg;b\nc.jpg;d;e\nf.jpg\n", Shape(";", 2, "every"), 0)
def test_a_list_is_cut_block_by_block_as_line_by_line(text, shape, after):
    columns, lines, wrong = [[] for _ in range(shape.count)], [], []
    try:
        for block in blocks_of(text.encode(), LIST, 8):
            cells = read_cells(block, shape, range(shape.count), after=after)
            columns = [[*column, *more] for column, more in zip(columns, cells.columns, strict=True)]
            lines += cells.lines
            wrong += cells.wrong
    except DataError as error:  # an open quotation mark
        assert '"' in text and str(error).startswith("list.csv:")
    else:
        assert (columns, lines, wrong) == by_hand(text, shape, after)


@settings(deadline=None)
@given(TEXTS, SHAPES, st.data())
def test_a_line_that_may_be_short_has_empty_cells(text, shape, data):
    least = data.draw(st.integers(0, shape.count))
    if shape.way != "quoted":
        cells = read_cells(Block(text.encode(), 1, LIST), shape, range(shape.count), least=least)
        whole = read_cells(Block(text.encode(), 1, LIST), shape, range(shape.count))
        short = [(line, [cell.strip() for cell in row]) for line, row in whole.wrong if least <= len(row) < shape.count]
        rows = dict(zip(cells.lines, zip(*cells.columns, strict=True), strict=True))
        for line, row in short:
            assert rows[line] == (*row, *[""] * (shape.count - len(row)))
        assert sorted(rows) == cells.lines == sorted([*whole.lines, *(line for line, _ in short)])


@settings(deadline=None)
@given(TEXTS, st.integers(1, 50))
def test_blocks_are_the_whole_text_in_whole_lines(text, size):
    blocks = list(blocks_of(text.encode(), LIST, size))
    assert b"".join(block.text for block in blocks) == text.encode()
    assert all(block.text.endswith(b"\n") for block in blocks[:-1])
    assert [line for block in blocks for line in block.content()[0]] == Block(text.encode(), 1, LIST).content()[0]


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
    coded = Coding.of(PackedStrings.of(strings))
    assert coded.texts == list(dict.fromkeys(strings))
    assert [coded.texts[code] for code in coded.codes] == strings


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
