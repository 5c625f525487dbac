"""Scores from a confusion matrix, against scikit-learn and published numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from eyas.evaluation.scores import Guess, Scores, wilson


def scores_of(confusion: list[list[int]] | np.ndarray, loss_sum: float = 0.0) -> Scores:
    table = np.asarray(confusion, dtype=np.int64)
    return Scores(tuple(f"class {number}" for number in range(len(table))), table, loss_sum)


@pytest.mark.parametrize(("classes", "count", "seed"), [(2, 30, 0), (5, 400, 1), (10, 1000, 2), (40, 200, 3)])
def test_precision_recall_and_f1_equal_scikit_learns(classes, count, seed):
    rng = np.random.default_rng(seed)
    true = rng.integers(0, classes, count)
    called = np.where(rng.random(count) < 0.5, true, rng.integers(0, classes, count))
    scores = scores_of(confusion_matrix(true, called, labels=range(classes)))
    precision, recall, f1, support = precision_recall_fscore_support(
        true, called, labels=range(classes), zero_division=np.nan
    )
    np.testing.assert_allclose(scores.precision, precision)
    np.testing.assert_allclose(scores.recall, recall)
    np.testing.assert_allclose(scores.f1, f1)
    np.testing.assert_array_equal(scores.support, support)
    assert scores.macro_f1 == pytest.approx(np.mean(f1[support > 0]))
    assert scores.accuracy == pytest.approx(accuracy_score(true, called))


def test_rows_are_the_true_classes():
    scores = scores_of([[1, 3], [0, 4]])
    assert scores.support.tolist() == [4, 4]
    assert scores.recall.tolist() == [0.25, 1.0]
    assert scores.precision.tolist() == [1.0, 4 / 7]
    assert (scores.correct, scores.count, scores.accuracy) == (5, 8, 0.625)


def test_a_class_that_neither_occurs_nor_is_predicted_has_no_scores_and_no_share_in_the_mean():
    scores = scores_of([[2, 0, 0], [1, 1, 0], [0, 0, 0]])
    assert math.isnan(scores.precision[2])
    assert math.isnan(scores.recall[2])
    assert math.isnan(scores.f1[2])
    assert scores.macro_f1 == pytest.approx((0.8 + 2 / 3) / 2)


def test_a_class_that_is_never_predicted_has_an_f1_of_zero_and_no_precision():
    scores = scores_of([[3, 0], [2, 0]])
    assert math.isnan(scores.precision[1])
    assert (scores.recall[1], scores.f1[1]) == (0.0, 0.0)
    assert scores.macro_f1 == pytest.approx(0.375)


def test_a_class_that_does_not_occur_but_is_predicted_has_no_recall():
    scores = scores_of([[3, 1], [0, 0]])
    assert math.isnan(scores.recall[1])
    assert (scores.precision[1], scores.f1[1]) == (0.0, 0.0)


def test_the_loss_is_the_sum_over_the_samples_divided_once():
    assert scores_of([[2, 1], [1, 4]], loss_sum=6.0).loss == 0.75


@pytest.mark.parametrize(
    ("correct", "count", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_equals_newcombes_published_ones(correct, count, low, high):
    assert wilson(correct, count) == pytest.approx((low, high), abs=5e-5)


def test_the_interval_mirrors():
    for correct in range(11):
        low, high = wilson(correct, 10)
        assert wilson(10 - correct, 10) == pytest.approx((1 - high, 1 - low))
        assert low <= correct / 10 <= high


@pytest.mark.parametrize("count", [1, 7, 1000, 10**9])
def test_the_interval_ends_exactly_at_nothing_and_at_everything(count):
    assert wilson(0, count)[0] == 0.0
    assert wilson(count, count)[1] == 1.0
    assert 0 < wilson(0, count)[1] < 1
    assert 0 < wilson(count, count)[0] < 1


def test_nothing_measured_says_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


def test_a_measure_is_found_by_its_name():
    scores = scores_of([[3, 1], [1, 3]], loss_sum=4.0)
    assert (scores.measure("accuracy"), scores.measure("loss")) == (0.75, 0.5)
    assert scores.measure("macro_f1") == pytest.approx(0.75)


def test_guessing_gives_the_share_of_the_most_frequent_class():
    assert scores_of([[1, 3], [0, 4]]).guess == Guess(0.5, None)
    assert scores_of([[5, 1], [1, 2]]).guess == Guess(6 / 9, "class 0")
    assert scores_of([[2, 0, 0], [0, 2, 0], [0, 0, 0]]).guess == Guess(0.5, "class 0")  # the third one is not there


@pytest.mark.parametrize(("right", "beats", "doubts"), [
    (500, False, False), (530, False, False), (531, True, False), (700, True, False), (751, True, True), (300, False, False),
])  # fmt: skip
def test_a_result_is_one_only_where_its_interval_lies_above_guessing(right, beats, doubts):
    half = right // 2
    scores = scores_of([[half, 500 - half], [500 - (right - half), right - half]])
    assert scores.guess.share == 0.5
    assert scores.beats_guessing is beats is (wilson(right, 1000)[0] > 0.5)
    assert scores.can_doubt is doubts
