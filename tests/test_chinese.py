"""What a run says of itself on a Chinese page: in Chinese, but for names and commands."""

from __future__ import annotations

import re

import pytest

from eyas.render.language import language

SAID = (
    "compact; weights: from a b.pth (model without 'x.'): 122 tensors, all but the head, which starts fresh for these classes.",
    "compact; weights: from w: 1,220 tensors, all but the head, which starts fresh for these classes; left out: a.b, c.d.",
    "compact; weights: from w: 44 tensors, all but the head, which starts fresh for these classes: none of the file's 3 classes is known to be one of them.",
    "compact; weights: from w: 44 tensors, all but the head, which starts fresh for these classes: the class names in the file do not fit its 2 outputs.",
    "compact; weights: from w: 44 tensors, all but the head, which starts fresh for these classes: the file's head is of another make (fc.1.bias, fc.1.weight).",
    "compact; weights: from w: 44 tensors, the head too, whose rows are taken in the order of your classes, since the file names none.",
    "compact; weights: from w: 44 tensors, the head too, its 2 rows by the classes' names, in another order.",
    "compact; weights: from w: 44 tensors, the head too, its 2 rows by the classes' numbers: both sets must mean the same by them.",
    "compact; weights: from w: 44 tensors, head: 2 of 3 classes taken over by name (cat, dog); new: emu.",
    "/a/photos: there is no such list or folder any more; the run has it as --train. If it was moved: eyas resume run --train PATH",
    "/a/test: is no more the set that was measured: its images or labels were changed.",
    "/a/l.csv:2: img/0.png does not exist in /a; --root names another",
    "p/val has no image of 1 of 2 classes: dog",
    "photos: left out: 6 .heic",
    "not used: the column source (x, y)",
    "line 1 is taken for a header: path, label",
    "l.csv orders its classes differently from m.csv: matched by name",
    "l.txt labels its images by number, counted from 0: the names are those of m.csv (cat, dog)",
    "paths are written the Windows way: \\ is read as /",
)  # fmt: skip


@pytest.mark.parametrize("words", SAID)
def test_what_a_run_says_is_in_chinese_but_for_names_and_commands(words: str) -> None:
    said = language("zh").translated(words)
    beside = re.sub(r"<code>.*?</code>", "", said)
    assert re.search(r"[\u4e00-\u9fff]", beside)
    assert not re.search(r"[A-Za-z]{2,}", beside.replace("Windows", ""))
    for code in re.findall(r"<code>(.*?)</code>", said):
        assert " the " not in code
        assert not code.startswith(("weights", "Weights"))
