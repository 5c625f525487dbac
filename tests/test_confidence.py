"""How far probabilities can be trusted."""

from __future__ import annotations

import numpy as np
import pytest

from eyas.evaluation.confidence import (
    BINS,
    BOUNDS,
    doubtful_labels,
    find_temperature,
    log_loss,
    reliability,
    softmax,
    thresholds,
)


def drawn(count: int, classes: int, *, steepness: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits [N, C] and classes drawn by their probabilities: the logits are right at temperature `steepness`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (count, classes))
    shares = softmax(logits)
    targets = (shares.cumsum(1) > rng.random((count, 1))).argmax(1)
    return (logits * steepness).astype(np.float32), targets


def test_the_softmax_of_large_logits_is_exact():
    assert softmax(np.array([[1000.0, 1000.0], [-1000.0, 0.0]])) == pytest.approx(np.array([[0.5, 0.5], [0.0, 1.0]]))


def test_the_loss_is_the_mean_negative_log_probability_of_the_class():
    logits, targets = drawn(50, 4)
    for temperature in (0.3, 1.0, 7.0):
        shares = softmax(logits, temperature)[np.arange(50), targets]
        assert log_loss(logits, targets, temperature) == pytest.approx(-np.log(shares).mean(), rel=1e-12)


def test_the_calibration_error_is_that_of_its_definition():
    logits, targets = drawn(500, 5, steepness=2.0)
    shares = softmax(logits)
    found = reliability(shares, targets)
    expected = 0.0
    for place in range(BINS):
        inside = [
            row for row in range(500)
            if place / BINS <= shares[row].max() < (place + 1) / BINS or (place == BINS - 1 and shares[row].max() == 1)
        ]  # fmt: skip
        assert found.counts[place] == len(inside)
        if inside:
            sure = np.mean([shares[row].max() for row in inside])
            right = np.mean([shares[row].argmax() == targets[row] for row in inside])
            expected += len(inside) / 500 * abs(sure - right)
    assert found.error == pytest.approx(expected, abs=1e-12)
    assert found.mean_confidence == pytest.approx(shares.max(axis=1).mean())


def test_whoever_is_as_sure_as_right_has_a_small_error_and_whoever_is_surer_a_large_one():
    right, too_sure = (
        reliability(softmax(logits), targets) for logits, targets in (drawn(20_000, 4), drawn(20_000, 4, steepness=3.0))
    )
    assert right.error < 0.015
    assert too_sure.error > 0.1


def test_one_that_is_always_certain_falls_into_the_last_bin():
    found = reliability(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 0]))
    assert found.counts.tolist() == [0] * (BINS - 1) + [2]
    assert found.error == 0.5


@pytest.mark.parametrize("steepness", [0.25, 1.0, 4.0])
def test_the_temperature_that_was_put_in_is_found(steepness):
    logits, targets = drawn(20_000, 4, steepness=steepness)
    found = find_temperature(logits, targets)
    assert found == pytest.approx(steepness, rel=0.05)
    near = [log_loss(logits, targets, found * factor) for factor in (0.98, 1.0, 1.02)]
    assert near[1] < min(near[0], near[2])


@pytest.mark.parametrize("right", [True, False])
def test_always_right_or_always_wrong_has_no_temperature(right):
    targets = np.arange(30) % 3
    logits = np.eye(3, dtype=np.float32)[targets if right else (targets + 1) % 3] * 5
    with pytest.raises(ValueError, match="no least value"):
        find_temperature(logits, targets)


def test_labels_that_were_changed_are_doubted_and_the_others_are_not():
    rng = np.random.default_rng(1)
    targets = rng.integers(0, 5, 1000)
    logits = rng.normal(0, 0.3, (1000, 5))
    logits[np.arange(1000), targets] += 5
    labels = targets.copy()
    changed = rng.choice(1000, 20, replace=False)
    labels[changed] = (labels[changed] + 1) % 5
    found = doubtful_labels(softmax(logits), labels)
    assert {one.sample for one in found} == set(changed.tolist())
    assert all(one.likely == targets[one.sample] and one.label == labels[one.sample] for one in found)
    margins = [one.given - one.probability for one in found]
    assert margins == sorted(margins)


def test_a_sample_that_the_model_answers_with_its_label_is_not_doubted():
    # class 1 is answered so unsurely that a low probability is enough for it
    shares = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.7, 0.3]])
    found = doubtful_labels(shares, np.array([0, 0, 0, 1]))
    assert 2 not in {one.sample for one in found}


def test_a_class_without_samples_is_never_the_likely_one():
    shares = np.array([[0.1, 0.1, 0.8], [0.2, 0.1, 0.7], [0.1, 0.8, 0.1]])
    assert doubtful_labels(shares, np.array([0, 0, 1])) == []


def test_a_bound_answers_those_that_reach_it_as_predict_does():
    shares = np.array([[0.5, 0.5], [0.6, 0.4], [0.05, 0.95], [0.0, 1.0]])
    found = {row.bound: row for row in thresholds(shares, np.array([0, 1, 1, 0]))}
    assert tuple(found) == BOUNDS
    assert [(found[bound].answered, found[bound].correct) for bound in (0.0, 0.5, 0.6, 0.7, 0.95, 0.99)] == [
        (4, 2), (4, 2), (3, 1), (2, 1), (2, 1), (1, 0),
    ]  # fmt: skip
    assert found[0.6].share == 0.75
    low, high = found[0.6].interval
    assert low < 1 / 3 < high


def test_with_a_larger_bound_fewer_are_answered():
    logits, targets = drawn(300, 4)
    answered = [row.answered for row in thresholds(softmax(logits), targets)]
    assert answered == sorted(answered, reverse=True)
    assert answered[0] == 300
