"""Labels that name several classes at once are told, and names of several words are left alone."""

from __future__ import annotations

import pytest

from eyas.data.lists.labels import several_note

PLANET = ["clear primary", "haze primary", "clear primary water", "haze primary road water", "clear road", "cloudy",
          "haze primary road", "clear primary road", "clear water primary road", "haze water", "clear water",
          "haze road"]  # fmt: skip


@pytest.mark.parametrize(
    ("classes", "count"),
    [
        (["Mass", "Hernia", "Mass|Hernia", "No Finding"], 1),
        (["cat", "dog", "dog;cat", "bird;cat"], 2),
        (["cat", "dog", "cat,dog"], 1),
        (["scab", "rust", "healthy", "rust scab", "scab rust"], 2),
        (["['cat']", "['dog']", "['cat', 'dog']"], 1),
        (["0", "1", "16 0", "1 0"], 1),
        (PLANET, len(PLANET) - 1),
    ],
)
def test_labels_of_several_classes_are_told(classes, count):
    (note,) = several_note(classes)
    assert note.startswith(f"{count} of {len(classes)} labels name") and "(multi-label)" in note


@pytest.mark.parametrize(
    "classes",
    [
        ["cat", "dog", "emu"],
        ["a|b", "c|d"],
        ["Golden Retriever", "Labrador Retriever", "Boxer"],
        ["tiger", "tiger cat", "tench, Tinca tinca", "corn", "ear, spike, capitulum"],
        [f"{rank} of {suit}" for rank in "A23456789JQK" for suit in ("clubs", "hearts", "spades", "diamonds")],
        [f"{kind} {fruit}" for kind in ("fresh", "rotten") for fruit in ("apple", "banana", "orange", "okra")],
        ["Audi A4 Sedan 2012", "Audi S4 Sedan 2007", "BMW M3 Coupe 2012", "Ford F-150 Regular Cab 2012"],
        ["0", "1", "2", "10"],
        ["n/a", "a", "x/"],
    ],
)
def test_names_of_several_words_are_names(classes):
    assert several_note(classes) == ()
