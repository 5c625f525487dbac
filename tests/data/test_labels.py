"""What labels mean: numbers only where they count, names where they name, and never a third thing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eyas.data.classes import match_classes, match_outputs
from eyas.data.images.imageset import ArrayImages, ImageSet
from eyas.data.images.packed import Coded
from eyas.data.lists.class_markup import as_number
from eyas.data.lists.class_names import ClassNames
from eyas.data.lists.labels import MISSING, Labels, read_labels
from eyas.errors import DataError


def coded(texts: list[str]) -> Coded:
    unique = list(dict.fromkeys(texts))
    return Coded(np.array([unique.index(text) for text in texts], np.int32), unique)


def labelled(texts: list[str], names: ClassNames | None = None, first_label: str = "auto") -> tuple[Labels, list[tuple[int, str]]]:
    problems: list[tuple[int, str]] = []
    lines = np.arange(1, len(texts) + 1, dtype=np.int32)
    return read_labels(coded(texts), lines, names, first_label, problems), problems


def meant(texts: list[str], **how) -> list[str]:
    found, problems = labelled(texts, **how)
    assert not problems
    return [found.classes[number] for number in found.numbers]


def named(*names: str, numbers: tuple[int, ...] | None = None, heading: str = "") -> ClassNames:
    return ClassNames(Path("names.txt"), names, numbers, heading)


@pytest.mark.parametrize(
    ("texts", "classes"),
    [
        (["01", "02", "03", "10"], ("01", "02", "03", "10")), (["0_2", "4_6", "8_13"], ("0_2", "4_6", "8_13")), (["1e5", "2e5"], ("1e5", "2e5")),
        (["0.5", "1.0", "1.5", "2.0"], ("0.5", "1.0", "1.5", "2.0")), (["1990", "2000"], ("1990", "2000")), (["-1", "1"], ("-1", "1")),
        (["4006381333931", "5000112637922"], ("4006381333931", "5000112637922")), (["9" * 40, "8" * 40], ("8" * 40, "9" * 40)),
        (["2", "10", "1990"], ("2", "10", "1990")), (["-2", "-1", "0", "1", "2"], ("-2", "-1", "0", "1", "2")), (["0x1F", "0x2A"], ("0x1F", "0x2A")),
        (["+1", "+2"], ("+1", "+2")), (["٣", "٤"], ("٣", "٤")), (["inf", "1"], ("1", "inf")), (["0", "5"], ("0", "5")), (["1", "2", "X"], ("1", "2", "X")),
    ],
)  # fmt: skip
def test_identifiers_are_names_and_exactly_those_that_occur_are_classes(texts, classes):
    found, problems = labelled(texts)
    assert (found.classes, found.named, problems) == (classes, True, [])
    assert [found.classes[number] for number in found.numbers] == texts


@pytest.mark.parametrize("texts", [["0", "1", "2"], ["1", "2", "3"], ["0", "1", "3"], ["3", "10", *map(str, range(3)), *map(str, range(4, 10))]])
def test_numbers_that_count_from_0_or_1_without_large_gaps_are_numbers(texts):
    found, problems = labelled(texts)
    assert (found.classes, found.named, problems) == (tuple(sorted(texts, key=int)), False, [])


def test_numbers_with_gaps_are_noted_as_names():
    assert labelled(["1990", "2000"])[0].notes == ("the labels are numbers with gaps (1990 to 2000): they are taken as names",)
    assert labelled(["0", "1", "3"])[0].notes == ("no label is 2: the classes are the 3 numbers that occur",)
    assert labelled(["0", "1", "X"])[0].notes == ("some labels are numbers, some are not (X): all are taken as names",)


@pytest.mark.parametrize("text", ["nan", "NaN", "None", "NA", "N/A", "null", "NULL", "<NA>", "?", "-", ""])
def test_a_mark_for_nothing_is_no_label_unless_a_class_file_names_it(text):
    _, problems = labelled(["cat", text, "dog"])
    assert [line for line, _ in problems] == [2]
    assert text == "" or "--classes FILE" in problems[0][1]
    if text:
        assert meant(["cat", text, "dog"], names=named("cat", text, "dog")) == ["cat", text, "dog"]


@pytest.mark.parametrize(
    ("texts", "line", "reason"),
    [
        ([*map(str, range(10)), "-1"], 11, "label -1 often marks an image without a label"), (["0", "1", "-1"], 3, "label -1 often marks"),
        ([*map(str, range(10)), "1000000000"], 11, "label 1000000000 lies far from the others (0 to 9)"), (["0", "1", "2", "255"], 4, "label 255 lies far"),
        (["0", "1"] * 10 + ["1O"], 21, "label '1O' is not a whole number, as most labels are"), (["0", "1"] * 10 + ["٣"], 21, "label '٣' is not a whole number"),
        (["0", "1", "1.0"], 3, "labels 1.0 and 1 are the same number, written in two ways"), (["0", "1"] * 10 + ["1_0"], 21, "label '1_0' is not"),
    ],
)  # fmt: skip
def test_a_label_that_fits_badly_to_numbers_is_refused_by_its_line_and_can_be_meant(texts, line, reason):
    _, problems = labelled(texts)
    assert [(place, text[: len(reason)]) for place, text in problems] == [(line, reason)]
    assert meant(texts, names=named(*dict.fromkeys(texts))) == texts


def test_first_label_says_that_numbers_are_numbers():
    found, problems = labelled(["3", "5", "9"], first_label="0")
    assert (found.classes, found.named, found.first, problems) == (("3", "5", "9"), False, 0, [])
    assert labelled(["0", "1", "X"], first_label="0")[1] == [(3, "label 'X' is not a whole number, as --first-label 0 says")]
    assert labelled(["0", "1"], first_label="1")[1] == [(1, "label 0 is out of range: labels are whole numbers from 1")]


def test_a_first_number_where_labels_are_names_is_noted_as_saying_nothing():
    note = "the labels are names, so --first-label 1 says nothing"
    assert labelled(["cat", "dog"], first_label="1")[0].notes == (note,)
    assert labelled(["cat", "dog"], named("cat", "dog"), first_label="1")[0].notes == (note,)
    assert labelled(["1", "2"], named("cat", "dog"), first_label="1")[0].notes == ()


def test_the_numbers_of_a_class_file_with_gaps_are_the_labels():
    gaps = named("rose", "tulip", "daisy", numbers=(0, 1, 5))
    assert meant(["5", "0", "1"], names=gaps) == ["daisy", "rose", "tulip"]
    assert labelled(["0", "2"], names=gaps)[1] == [(2, "label 2 is out of range: names.txt names 3 classes (0 to 5, with gaps)")]


def test_a_heading_is_told_by_the_labels_or_the_run_stops():
    flowers = named("rose", "tulip", "daisy", heading="class")
    assert meant(["0", "1", "2"], names=flowers) == meant(["1", "2", "3"], names=flowers) == ["rose", "tulip", "daisy"]
    assert meant(["rose", "daisy"], names=flowers) == ["rose", "daisy"]
    assert meant(["0", "3"], names=flowers) == meant(["class", "daisy"], names=flowers) == ["class", "daisy"]
    for texts in (["0", "1"], ["1", "2"], ["2"]):
        with pytest.raises(DataError, match=r"names.txt:1: is 'class' a heading or a class"):
            labelled(texts, flowers)


def test_labels_without_0_and_a_class_file_without_numbers_are_not_guessed():
    for texts in (["1", "2"], ["2"]):
        with pytest.raises(DataError, match="do labels count from 0 or from 1"):
            labelled(texts, named("rose", "tulip", "daisy"))
    assert meant(["1", "2"], names=named("rose", "tulip", "daisy"), first_label="0") == ["tulip", "daisy"]
    assert meant(["1", "2"], names=named("rose", "tulip", "daisy"), first_label="1") == ["rose", "tulip"]


def test_a_label_that_is_a_name_and_the_number_of_another_is_refused():
    with pytest.raises(DataError, match="label 1 may be the class of this name, or the number of '10'"):
        labelled(["1", "2"], named("1", "10", "2"))
    assert meant(["1", "2"], names=named("1", "10", "2"), first_label="0") == ["10", "2"]
    assert meant(["1", "2"], names=named("1", "2", "10", numbers=(1, 2, 10))) == ["1", "2"]


# Properties.

SOME = st.sampled_from(["cat", "Cat", "X", "01", "1", "1.0", "0.5", "2.0", "-1", "1e5", "0_2", "1990", "٣", "+1", "NA", "", "?", "1000000", "2", "猫", "c at"])
RUNS = st.builds(lambda first, count: list(map(str, range(first, first + count))), st.sampled_from([0, 0, 1, 1, 5]), st.integers(1, 12))
TEXTS = st.tuples(RUNS | st.lists(st.integers(-3, 40).map(str), max_size=8), st.lists(SOME, max_size=4)).flatmap(
    lambda parts: st.lists(st.sampled_from(parts[0] + parts[1] or ["0"]), min_size=1, max_size=30)
)


def tried(times: int):
    return settings(max_examples=times, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@tried(400)
@given(TEXTS)
def test_every_label_is_its_class_or_refused_by_its_line(texts):
    found, problems = labelled(texts)
    refused = {line for line, _ in problems}
    assert refused >= {line for line, text in enumerate(texts, 1) if not text or text.lower() in MISSING}
    kept = {line: found.classes[number] for line, number in enumerate(found.numbers, 1) if line not in refused}
    decimal = {line: texts[line - 1] == f"{name}.0" for line, name in kept.items()}
    assert all(decimal[line] or name == texts[line - 1] for line, name in kept.items())
    assert not any(decimal.values()) or all(decimal.values())
    assert set(found.classes) == set(kept.values())
    if None not in (numbers := list(map(as_number, found.classes))):
        assert numbers == sorted(numbers)


WORLDS = st.sampled_from(
    [("rose", "tulip", "daisy", "iris"), tuple(map(str, range(10))), tuple(map(str, range(12))), ("01", "02", "03", "10"), ("1", "2", "3", "4"),
     ("1990", "2000", "2010"), ("-1", "1"), ("0.5", "1.0", "1.5", "2.0"), ("0", "1", "2", "X"), ("2", "10", "1", "3")]
)  # fmt: skip
FORMS = st.sampled_from(["list", "folder", "names", "numbers", "numbered", "from 1", "bare", "bare from 1", "named set"])


def image_set(source: str, world: tuple[str, ...], members: list[int], form: str) -> ImageSet:
    """Return images of some classes of a world, as a spec of this form says it."""
    file, numbers = None, {"numbers": 0, "numbered": 0, "from 1": 1, "bare": 0, "bare from 1": 1}.get(form)
    if form in ("names", "numbers", "numbered", "from 1"):
        file = named(*world, numbers=None if form in ("names", "numbers") else tuple(range(numbers, numbers + len(world))))
    if form in ("folder", "named set"):
        classes = tuple(sorted({world[member] for member in members})) if form == "folder" else world
        found, ordered = Labels(np.array([classes.index(world[m]) for m in members]), classes, True, form != "folder", ()), form != "folder"
    else:
        found, problems = labelled([world[m] if numbers is None else str(m + numbers) for m in members], file)
        if problems:
            raise DataError("refused")
        ordered = found.ordered
    images = ArrayImages.of(source, np.zeros((len(members), 1, 1, 3), np.uint8))
    return ImageSet(source, found.classes, found.named, found.numbers, images, ordered=ordered, first=found.first)


@tried(300)
@given(st.data())
def test_two_sets_are_matched_by_what_their_labels_mean_or_refused(data):
    world = data.draw(WORLDS)
    numeric = all(name.replace(".", "").lstrip("-").isdecimal() for name in world if name != "X")
    several = st.lists(st.sampled_from(range(len(world))), min_size=1, max_size=12)
    members = {"train": data.draw(several), "test": data.draw(several)}
    forms = {name: data.draw(FORMS) for name in members}
    bare = {form for form in forms.values() if form.startswith("bare")}
    if len(bare) == 2 or (bare and numeric):
        return  # the same text would mean two classes: no reader can know
    try:
        sets = [image_set(name, world, members[name], forms[name]) for name in members]
        train, test = match_classes(*sets)
    except DataError:
        return
    first = 1 if "bare from 1" in bare else 0
    for images, truth in ((train, members["train"]), (test, members["test"])):
        for label, member in zip(images.labels, truth, strict=True):
            name = train.classes[label]
            alike = {world[member], str(member + first)} if bare == set(forms.values()) else {world[member]}
            assert name in alike | {world[member].removesuffix(".0")}, (world, forms, members, train.classes)


@pytest.mark.parametrize(
    ("train", "test"),
    [("list", "folder"), ("folder", "list"), ("list", "list"), ("list", "numbered"), ("named set", "bare"), ("bare", "named set"), ("bare", "bare")],
)
def test_the_usual_pairs_are_not_refused(train, test):
    for world in (("rose", "tulip", "daisy"), ("0", "1", "2"), ("01", "02", "10")):
        matched = match_classes(image_set("train", world, [0, 1, 2], train), image_set("test", world, [2, 0], test))
        assert [matched[0].classes[label] for label in matched[1].labels] in ([world[2], world[0]], ["2", "0"])


def test_a_test_list_of_some_numbers_meets_the_same_numbers():
    train = image_set("train", tuple(map(str, range(5))), [0, 1, 2, 3, 4], "list")
    for members in ([0, 3], [3], [4, 1]):
        test = match_classes(train, image_set("test", tuple(map(str, range(5))), members, "list"))[1]
        assert test.labels.tolist() == members


def test_whole_grades_in_a_test_list_meet_the_grades_of_the_training():
    grades = ("0.5", "1.0", "1.5", "2.0")
    test = match_classes(image_set("train", grades, [0, 1, 2, 3], "list"), image_set("test", grades, [3, 1], "list"))[1]
    assert [test.classes[label] for label in test.labels] == ["2.0", "1.0"]


def test_01_is_not_1():
    train = image_set("train", ("01", "02", "03"), [0, 1, 2], "list")
    with pytest.raises(DataError, match="test labels its images by number and train by name"):
        match_classes(train, image_set("test", ("1", "2", "3"), [0, 1, 2], "list"))


def test_a_model_of_zero_padded_names_or_foreign_digits_does_not_take_numbers_for_them():
    for names in (("01", "02", "03"), ("٠", "١", "٢")):
        images = image_set("test", names, [0, 2], "list")
        assert match_outputs(names, "compact", images).labels.tolist() == [0, 2]
    model = ("0", "1", "10", "2")
    assert match_outputs(model, "compact", image_set("test", model, [2, 3], "list")).labels.tolist() == [2, 3]
