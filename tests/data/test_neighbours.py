"""Near hashes: exactly those that a comparison of all with all finds, quickly, in bounded time where all are alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyas.audit.duplicates import FEW, Search
from eyas.audit.likeness import MIRROR, RADIUS


def brute_force(hashes: np.ndarray, turned: int) -> dict[tuple[int, int], int]:
    found = {}
    for one in range(len(hashes)):
        for other in range(one + 1, len(hashes)):
            distance = (int(hashes[one]) ^ int(hashes[other]) ^ turned).bit_count()
            if distance <= RADIUS:
                found[one, other] = distance
    return found


def listed(search: Search) -> list[tuple[int, int, int]]:
    return [tuple(map(int, row)) for part in search.pairs() for row in zip(*part, strict=True)]


@given(
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.sets(st.integers(0, 63), max_size=7)), max_size=40),
    st.sampled_from([0, MIRROR, 2**64 - 1]),
)
@settings(deadline=None, max_examples=50)
def test_the_pairs_found_are_those_of_a_comparison_of_all_with_all(centres, changed, turned):
    hashes = np.array(
        [centres[c % len(centres)] ^ (turned if t else 0) ^ sum(1 << b for b in bits) for c, t, bits in changed],
        np.uint64,
    )
    found = listed(Search(hashes, RADIUS, turned))
    assert len(found) == len({pair[:2] for pair in found}), "each pair once"
    assert {pair[:2]: pair[2] for pair in found} == brute_force(hashes, turned)


@pytest.mark.parametrize("turned", [0, MIRROR])
def test_pairs_are_found_among_random_hashes(turned):
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 20_000, np.uint64)
    hashes[10_000:10_100] = hashes[:100] ^ np.uint64(turned) ^ np.uint64(0b1010_0001 << 40)
    found = Search(hashes, RADIUS, turned)
    assert {(row, 10_000 + row, 3) for row in range(100)} <= set(listed(found))
    assert found.complete


def test_where_all_hashes_are_equal_a_bounded_number_of_pairs_is_looked_at_and_that_is_said():
    search = Search(np.zeros(30_000, np.uint64), RADIUS, limit=100_000)
    found = sum(len(first) for first, _, _ in search.pairs())
    assert not search.complete
    assert 0 < found <= search.looked_at <= 100_000 + 3 * 30_000 * FEW
