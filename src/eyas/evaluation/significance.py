"""Whether two models differ by more than chance on the same samples: McNemar's test and a paired interval."""

from __future__ import annotations

import math

from eyas.evaluation.scores import Z_95

SIGNIFICANT = 0.05  # a p below it: more than chance


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided exact p of McNemar (1947): that right answers differ so unevenly by chance."""
    from scipy.stats import binomtest

    differing = only_first + only_second
    return float(binomtest(only_first, differing).pvalue) if differing else 1.0


def paired_interval(only_first: int, only_second: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two shares of the same samples: Agresti and Min (2005)."""
    low, high, total = only_first + 0.5, only_second + 0.5, count + 2
    middle = (high - low) / total
    half = Z_95 * math.sqrt(low + high - (high - low) ** 2 / total) / total
    return max(-1.0, middle - half), min(1.0, middle + half)
