"""A perceptual fingerprint of an image, robust to size, compression and brightness, and the similarity of two.

A picture's grey levels, shrunk to 32x32, are taken apart into waves (the discrete cosine transform, as in pHash of
Zauner 2010). The 64 longest waves, weighted by their frequency because pictures have less of the shorter ones, are its
mark; their signs are its hash, by which candidates are found. A mirrored picture has the same waves, half of them with
the other sign, so mirrored copies are found without looking at any picture twice. The limits were chosen on CIFAR-10,
whose test set has near duplicates in its training set (docs/why.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE = 32  # pixels of the shrunken picture
RADIUS = 8  # bits in which the hashes of two pictures that look alike may differ
ALIKE = 0.86  # correlation of the marks from which on two pictures count as near duplicates
ALIKE_OTHERWISE = 0.92  # the same for pictures with different labels: these are less likely to be copies
ALIKE_AT_MOST = 0.995  # what either limit is raised to in a set whose pictures are alike by nature
LEAST = 16  # pixels of the shorter side: a smaller picture shows too little, all digits of 8x8 pixels look alike
DULL = 2.0  # grey levels of standard deviation: a picture with less shows nothing that could be compared
_EVERY = ((u, v) for u in range(10) for v in range(10) if u + v)
_WAVES = tuple(sorted(_EVERY, key=lambda wave: (wave[0] ** 2 + wave[1] ** 2, wave)))[:64]
_NOISE = 0.002  # of a mark's length: what is smaller has no sign, or exact symmetry would be a matter of rounding
MIRROR = sum(1 << place for place, (_, across) in enumerate(_WAVES) if across % 2)

Marks = NDArray[np.int8]


def marked(pictures: NDArray[np.uint8]) -> tuple[Marks, NDArray[np.uint64], NDArray[np.bool_]]:
    """Return the marks int8 [N, 64], the hashes uint64 [N] and whether there is anything to compare, bool [N].

    `pictures` are uint8 [N, 32, 32, 3].
    """
    grey = pictures.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    showing = grey.std(axis=(1, 2)) >= DULL
    places, frequencies = np.arange(SIDE), np.arange(10)
    basis = np.cos(np.pi * (2 * places + 1) * frequencies[:, None] / (2 * SIDE)).astype(np.float32)
    basis[0] /= np.sqrt(2)
    waves = basis @ grey @ basis.T
    down, across = np.array(_WAVES).T
    values = waves[:, down, across] * np.hypot(down, across).astype(np.float32)
    length = np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6)
    signs = np.ascontiguousarray(np.packbits(values > _NOISE * length, axis=1, bitorder="little"))
    largest = np.maximum(np.abs(values).max(axis=1, keepdims=True), 1e-6)
    return np.rint(values * (127 / largest)).astype(np.int8), signs.view("<u8")[:, 0].astype(np.uint64), showing


def likeness(one: Marks, other: Marks, *, mirrored: bool = False) -> NDArray[np.float32]:
    """Return the correlation of pairs of marks int8 [N, 64], float32 [N], 1 for pictures that look the same."""
    first, second = one.astype(np.float32), other.astype(np.float32)
    if mirrored:
        second *= np.where(np.array(_WAVES)[:, 1] % 2, -1, 1).astype(np.float32)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    found: NDArray[np.float32] = (first * second).sum(axis=1) / np.maximum(lengths, 1)
    return found
