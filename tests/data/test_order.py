"""Order and draws, beyond what the laws hold."""

from __future__ import annotations

import numpy as np
import pytest

from eyas.data.order import Order
from eyas.seeds import key, permuted, uniform


def test_without_shuffling_samples_come_in_their_own_order():
    order = Order(10, 4, shuffle=False)
    assert [order.batch(step).tolist() for step in range(3)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_the_last_batch_is_short_or_left_out():
    kept, left = Order(10, 4), Order(10, 4, drop_last=True)
    assert (kept.steps_per_epoch, left.steps_per_epoch) == (3, 2)
    assert [kept.size(step) for step in range(6)] == [4, 4, 2, 4, 4, 2]
    assert [left.size(step) for step in range(4)] == [4, 4, 4, 4]
    assert [len(kept.batch(step)) for step in range(3)] == [4, 4, 2]


def test_a_set_smaller_than_a_batch_without_its_last_one_has_no_steps():
    assert Order(3, 4, drop_last=True).steps_per_epoch == 0


def test_any_step_is_reached_directly():
    order = Order(10**9, 512, seed=5)
    far = order.batch(10**8)
    assert order.epoch(10**8) == 51
    assert len(set(far.tolist())) == 512
    assert 0 <= far.min() <= far.max() < 10**9
    assert far.tolist() == Order(10**9, 512, seed=5).batch(10**8).tolist()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 15, 16, 17, 257])
def test_a_shuffle_of_any_length_is_a_permutation(count):
    assert sorted(permuted(np.arange(count), count, key(7)).tolist()) == list(range(count))


def test_a_place_in_a_shuffle_does_not_depend_on_the_places_asked_with_it():
    whole = permuted(np.arange(100), 100, key(3))
    assert permuted(np.array([41, 7]), 100, key(3)).tolist() == whole[[41, 7]].tolist()


def test_all_orders_of_three_samples_come_about_equally_often():
    seen = [tuple(permuted(np.arange(3), 3, key(0, number)).tolist()) for number in range(1200)]
    counts = np.unique(seen, axis=0, return_counts=True)[1]
    assert len(counts) == 6
    assert counts.min() > 140  # 200 expected, a standard deviation is 13


def test_keys_differ_for_every_part():
    parts = [(0,), (1,), (0, "flip"), (0, "flip", 0), (0, "flip", 1), (0, "order", 1), (1, "flip", 0), (0, "flip", 10)]
    assert len({key(*some) for some in parts}) == len(parts)


def test_keys_and_orders_stay_what_they_are():
    # saved runs go on by them: another function would silently be another order
    assert key(0, "order", 1) == 16048572312236012626
    assert Order(10, 5, seed=0).batch(0).tolist() == [7, 1, 0, 6, 3]


def test_draws_are_even_and_lie_in_the_unit_interval():
    draws = uniform(key(0, "flip", 1), np.arange(20_000))
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = np.histogram(draws, 10, (0, 1))[0]
    assert abs(counts - 2000).max() < 200


def test_draws_of_neighbouring_samples_and_epochs_are_unrelated():
    first, second = (uniform(key(0, "flip", epoch), np.arange(20_000)) for epoch in (0, 1))
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.03
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03


def test_the_batches_of_many_steps_are_those_of_each_alone():
    for order in (
        Order(103, 16, seed=1),
        Order(103, 16, shuffle=False),
        Order(9000, 4500),
        Order(5, 8),
        Order(40, 8, drop_last=True),
    ):
        steps = range(order.steps_per_epoch - 1, 3 * order.steps_per_epoch + 1)
        together = [batch.tolist() for batch in order.batches(steps)]
        assert together == [order.batch(step).tolist() for step in steps]
        shares = list(order.shares(steps, 1, 2))
        assert [share.tolist() for share, _ in shares] == [order.share(step, 1, 2).tolist() for step in steps]
        assert [epoch for _, epoch in shares] == [order.epoch(step) for step in steps]
