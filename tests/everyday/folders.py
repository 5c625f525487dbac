"""Folders of pictures as other programs and other people lay them out."""

from __future__ import annotations

from tests.everyday.case import Case, pictures, train, write

TITLE = "Folders"


def _with_notes() -> None:
    pictures("photos", ("cat", "dog"))
    write("photos/cat/notes.md", "which cat this is")


CASES = (
    Case(
        "a text beside the pictures of a class",
        _with_notes,
        train("photos", "--val 0.25"),
        ("photos: left out: 1 .md",),
    ),
)
