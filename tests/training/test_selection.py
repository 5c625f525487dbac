"""Best epoch, early stopping, plateau: values after a sequence of results."""

from __future__ import annotations

import pytest

from eyas.training.selection import Plateau, Selection, is_better

NAN = float("nan")


def after(
    values: list[float], *, measure: str = "accuracy", train: list[float] | None = None, val: list[float] | None = None
) -> Selection:
    selection = Selection(measure)
    train, val = train or [1.0] * len(values), val or [1.0] * len(values)
    for epoch, (value, train_loss, val_loss) in enumerate(zip(values, train, val, strict=True), start=1):
        selection = selection.updated(value, epoch, train_loss=train_loss, val_loss=val_loss)
    return selection


def test_the_first_result_is_the_best():
    first = after([0.0])
    assert (first.epoch, first.value, first.waited) == (1, 0.0, 0)


def test_the_highest_accuracy_is_kept_with_its_epoch():
    best = after([0.5, 0.8, 0.7, 0.6])
    assert (best.epoch, best.value, best.waited) == (2, 0.8, 2)


def test_the_lowest_loss_is_kept():
    best = after([0.9, 0.4, 0.6], measure="loss")
    assert (best.epoch, best.value, best.waited) == (2, 0.4, 1)


@pytest.mark.parametrize("measure", ["accuracy", "loss", "macro_f1"])
def test_an_equal_result_is_no_improvement(measure):
    assert after([0.5, 0.5, 0.5], measure=measure).epoch == 1


@pytest.mark.parametrize("measure", ["accuracy", "loss", "macro_f1"])
@pytest.mark.parametrize("value", [NAN, float("inf"), float("-inf")])
def test_what_is_not_a_number_is_never_better(measure, value):
    assert not is_better(measure, value, None)
    assert not is_better(measure, value, 0.5)
    best = after([value, 0.5, value], measure=measure)
    assert (best.epoch, best.value, best.waited) == (2, 0.5, 1)


def test_a_run_stops_after_its_patience_and_not_before():
    assert after([0.5, 0.4]).stop_reason(2, 0) == ""
    assert after([0.5, 0.4, 0.5]).stop_reason(2, 0) == "stalled"
    assert after([0.5, 0.4, 0.6]).stop_reason(2, 0) == ""


def test_a_patience_of_zero_never_stops():
    assert after([0.5] + [0.1] * 100).stop_reason(0, 0) == ""


def test_overfitting_is_a_rising_validation_loss_while_the_training_loss_falls():
    def reason(train: list[float], val: list[float]) -> str:
        return after([0.1 * n for n in range(len(train))], train=train, val=val).stop_reason(0, 2)

    assert reason([3, 2, 1], [1, 2, 3]) == "overfitting"
    assert reason([3, 2, 1], [3, 2, 1]) == ""  # both fall
    assert reason([1, 2, 3], [1, 2, 3]) == ""  # both rise
    assert reason([4, 3, 2, 1], [1, 2, 1, 2]) == ""  # not running
    assert reason([3, 2], [1, 2]) == ""  # once is not twice


def test_a_stalled_run_is_called_so_before_overfitting():
    assert after([0.5, 0.4, 0.3], train=[3, 2, 1], val=[1, 2, 3]).stop_reason(2, 2) == "stalled"


def factors(values: list[float], *, patience: int, measure: str = "accuracy") -> list[float]:
    plateau, seen = Plateau(measure), []
    for value in values:
        plateau = plateau.updated(value, patience=patience, drop=0.1)
        seen.append(plateau.factor)
    return seen


def test_the_rate_drops_after_every_patience_without_improvement():
    assert factors([0.5] * 7, patience=2) == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01, 0.001])


def test_an_improvement_begins_the_patience_anew():
    assert factors([0.5, 0.4, 0.6, 0.5, 0.5], patience=2) == pytest.approx([1, 1, 1, 1, 0.1])
    assert factors([0.5, 0.4, 0.3, 0.3], patience=2, measure="loss") == pytest.approx([1, 1, 1, 1])


def test_results_that_are_no_numbers_count_as_no_improvement():
    assert factors([NAN, NAN, NAN], patience=2) == pytest.approx([1, 0.1, 0.1])


def test_without_a_patience_the_rate_never_drops():
    assert factors([0.5] * 50, patience=0) == [1.0] * 50
