"""Classes are matched by name: never a silent wrong score."""

from __future__ import annotations

import numpy as np
import pytest

from eyas.data.classes import match_classes, match_outputs
from eyas.data.images.imageset import ArrayImages, ImageSet
from eyas.errors import DataError


def images(
    source: str, classes: list[str], labels: list[int], *, named: bool = True, ordered: bool = False
) -> ImageSet:
    pixels = np.zeros((len(labels), 2, 2, 3), np.uint8)
    numbers = np.array(labels, np.int64)
    return ImageSet(source, tuple(classes), named, numbers, ArrayImages.of(source, pixels), ordered=ordered)


def numbers(source: str, labels: list[int], first: int = 0) -> ImageSet:
    classes = [str(number) for number in range(first, max(labels) + 1)]
    return images(source, classes, [label - first for label in labels], named=False)


CIFAR = images("cifar:test", ["plane", "car", "bird"], [0, 1, 2], ordered=True)


def test_the_same_classes_need_no_change() -> None:
    train = images("train.txt", ["plane", "car", "bird"], [2, 1, 0])
    matched = match_classes(train, CIFAR)[1]
    assert (matched.labels.tolist(), matched.notes) == ([0, 1, 2], ())


def test_another_order_is_remapped_and_said() -> None:
    train, test = match_classes(images("train.txt", ["bird", "car", "plane"], [0, 1, 2]), CIFAR)
    assert test.classes == train.classes
    assert test.labels.tolist() == [2, 1, 0]
    assert test.notes == ("cifar:test orders its classes differently from train.txt: matched by name",)


def test_an_unknown_class_is_an_error_with_the_nearest_names() -> None:
    train = images("train.txt", ["plane", "cart", "bird"], [0, 1, 2])
    with pytest.raises(
        DataError, match=r"cifar:test has 1 class that train.txt does not have:\n'car'. Did you mean 'cart'"
    ):
        match_classes(train, CIFAR)


def test_an_unknown_class_without_images_does_not_matter() -> None:
    other = images("test", ["plane", "car", "bird", "ship"], [0, 1, 2])
    assert match_classes(CIFAR, other)[1].classes == CIFAR.classes


def test_a_class_that_is_not_tested_is_a_note() -> None:
    test = match_classes(CIFAR, images("test", ["car", "plane"], [0, 1]))[1]
    assert test.labels.tolist() == [1, 0]
    assert test.notes == ("test has no image of 1 of 3 classes: bird",)


def test_names_that_differ_only_in_case_are_an_error_and_not_merged() -> None:
    with pytest.raises(DataError, match="'Car', cifar:test has 'car': they differ only in case"):
        match_classes(CIFAR, images("test", ["plane", "Car"], [0, 1]))


def test_a_numbered_training_list_takes_the_names_of_a_named_test_set() -> None:
    train, test = match_classes(numbers("train.txt", [2, 0, 1]), CIFAR)
    assert train.classes == test.classes == ("plane", "car", "bird")
    assert train.labels.tolist() == [2, 0, 1]
    assert train.named
    assert "counted from 0: the names are those of cifar:test" in train.notes[0]


def test_a_training_list_that_counts_from_1_is_matched_if_it_has_all_classes() -> None:
    train = match_classes(numbers("train.txt", [1, 3, 2], first=1), CIFAR)[0]
    assert train.labels.tolist() == [0, 2, 1]
    with pytest.raises(DataError, match="may count from 0 or from 1"):
        match_classes(numbers("train.txt", [1, 2], first=1), CIFAR)


def test_a_number_beyond_the_classes_is_an_error_with_its_place() -> None:
    with pytest.raises(DataError, match=r"train.txt#1: label 7 is out of range: cifar:test has 3 classes \(0 to 2\)"):
        match_classes(numbers("train.txt", [0, 7]), CIFAR)


def test_a_numbered_test_list_is_read_in_a_given_order_only() -> None:
    test = match_classes(CIFAR, numbers("test.txt", [1, 1]))[1]
    assert (test.classes, test.labels.tolist()) == (CIFAR.classes, [1, 1])
    with pytest.raises(DataError, match="--classes FILE"):
        match_classes(images("train.txt", ["bird", "car"], [0, 1]), numbers("test.txt", [0, 1]))


def test_bare_numbers_match_as_text() -> None:
    train = numbers("train.txt", [1, 2, 3], first=1)
    test = match_classes(train, numbers("test.txt", [2, 3]))[1]
    assert [test.classes[label] for label in test.labels] == ["2", "3"]
    with pytest.raises(DataError, match="'0'"):
        match_classes(train, numbers("test.txt", [0, 2]))


def test_numbers_match_names_that_are_the_same_text() -> None:
    folder = images("folder", ["0", "1", "10", "2"], [0, 1, 2, 3])
    train, test = match_classes(numbers("train.txt", [0, 1, 2, 10]), folder)
    assert [train.classes[label] for label in train.labels] == ["0", "1", "2", "10"]
    assert [test.classes[label] for label in test.labels] == ["0", "1", "10", "2"]


def test_outputs_that_are_numbers_take_the_names_of_a_set_only_in_its_given_order() -> None:
    with pytest.raises(DataError, match=r"the compact model labels its images by number.*--classes FILE"):
        match_outputs(("0", "1"), "compact", images("te", ["cat", "dog"], [0, 1]))
    assert match_outputs(("0", "1"), "compact", images("te", ["dog", "cat"], [0, 1], ordered=True)).labels.tolist() == [0, 1]
    assert match_outputs(("0", "1"), "compact", numbers("te", [1, 1])).labels.tolist() == [1, 1]
