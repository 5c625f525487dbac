"""Random numbers as pure functions of (seed, epoch, sample): every random choice comes from here.

Nothing here has a state. A run can go on anywhere, with any number of loading processes, and any sample of any epoch
can be looked at again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Indices: TypeAlias = NDArray[np.int64]

_ROUNDS = 6


def key(seed: int, *parts: int | str) -> int:
    """Return a 64-bit number that is a function of the seed and the parts, and looks random (BLAKE2b)."""
    text = "/".join(map(str, (seed, *parts)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def uniform(draw_key: int, samples: Indices) -> NDArray[np.float64]:
    """Return one number in [0, 1) per sample, float64 [B]: a function of the key and the sample's own index."""
    mixed = _mix(_mix(samples.astype(np.uint64)) ^ np.uint64(draw_key))
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


@dataclass(frozen=True, slots=True)
class Draws:
    """The random numbers of the samples of a batch in an epoch: each follows from (seed, epoch, sample, name)."""

    seed: int
    epoch: int
    samples: Indices

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0) -> NDArray[np.float64]:
        """Return a number in [low, high) per sample, float64 [B]; draws of different names are independent."""
        return low + (high - low) * uniform(key(self.seed, name, self.epoch), self.samples)

    def below(self, name: str, count: int) -> Indices:
        """Return a whole number from 0 to count - 1 per sample, int64 [B]."""
        return np.floor(self.uniform(name) * count).astype(np.int64)


def permuted(positions: Indices, count: int, order_key: int) -> Indices:
    """Return where each position goes in a shuffle of 0..count-1 named by the key, int64 [B].

    A Feistel network over the next even power of two, walked until the value falls below `count` (Black and Rogaway
    2002): a true permutation with random access, without a list of all samples.
    """
    half = max(1, (max(count - 1, 1).bit_length() + 1) // 2)
    values = _feistel(positions.astype(np.uint64), half, order_key)
    while (outside := values >= np.uint64(count)).any():
        values[outside] = _feistel(values[outside], half, order_key)
    return values.astype(np.int64)


def _feistel(values: NDArray[np.uint64], half: int, order_key: int) -> NDArray[np.uint64]:
    shift, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = values >> shift, values & mask
    for number in range(_ROUNDS):
        left, right = right, left ^ (_mix(right ^ np.uint64(key(order_key, number))) & mask)
    return (left << shift) | right


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scatter the bits of 64-bit numbers (SplitMix64's finaliser, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        values = values + np.uint64(0x9E3779B97F4A7C15)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return values ^ (values >> np.uint64(31))
