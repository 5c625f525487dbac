"""Calibration: reliability, calibration error, temperature; and labels that are probably wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eyas.evaluation.scores import wilson

BINS = 15  # of equal width, as Guo et al. 2017
BOUNDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)  # of --unknown-below that a table shows; 0: every image is answered
WARMEST = 100.0  # times as flat or as steep as the model is: a fit that runs further has nothing to fit


@dataclass(frozen=True, slots=True)
class Reliability:
    """How often a model is right by how sure it is. All arrays have a place for each of `BINS` bins."""

    counts: np.ndarray  # int64: samples whose largest probability lies in the bin
    confidence: np.ndarray  # float64: their mean largest probability; nan in an empty bin
    accuracy: np.ndarray  # float64: the share of them that is right; nan in an empty bin

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance of both, weighted by samples (Naeini et al. 2015)."""
        filled = self.counts > 0
        distances = np.abs(self.confidence[filled] - self.accuracy[filled])
        return float(distances @ self.counts[filled] / self.counts.sum())

    @property
    def mean_confidence(self) -> float:
        """The mean largest probability."""
        return float(np.nansum(self.confidence * self.counts) / self.counts.sum())


@dataclass(frozen=True, slots=True)
class Threshold:
    """What becomes of `count` samples where those below a bound are called unknown."""

    bound: float  # the least largest probability that is answered
    count: int
    answered: int
    correct: int  # of those answered

    @property
    def share(self) -> float:
        """The share that is answered."""
        return self.answered / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy of the answered: Wilson (1927)."""
        return wilson(self.correct, self.answered)


@dataclass(frozen=True, slots=True)
class Doubt:
    """A sample whose label is probably another one."""

    sample: int
    label: int  # the class it is said to be of
    likely: int  # the class the model sees
    given: float  # probability of the label
    probability: float  # of the likely class


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return the probabilities, float64 [N, C], that logits [N, C] mean at a temperature."""
    scaled = logits.astype(np.float64) / temperature
    exponents = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


def log_loss(logits: np.ndarray, targets: np.ndarray, temperature: float = 1.0) -> float:
    """Return the mean cross entropy of logits [N, C] for classes [N] at a temperature."""
    scaled = logits.astype(np.float64) / temperature
    highest = scaled.max(axis=1, keepdims=True)
    whole = np.log(np.exp(scaled - highest).sum(axis=1)) + highest[:, 0]
    return float((whole - scaled[np.arange(len(targets)), targets]).mean())


def reliability(probabilities: np.ndarray, targets: np.ndarray) -> Reliability:
    """Return how sure and how right probabilities [N, C] are for classes [N]."""
    surest = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    bins = np.minimum((surest * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(bins, surest, BINS) / counts
        accuracy = np.bincount(bins, right, BINS) / counts
    return Reliability(counts, confidence, accuracy)


def thresholds(probabilities: np.ndarray, targets: np.ndarray) -> tuple[Threshold, ...]:
    """Return what each of `BOUNDS` makes of probabilities [N, C] for classes [N], by the rule of `--unknown-below`."""
    surest = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    return tuple(
        Threshold(bound, len(targets), int((surest >= bound).sum()), int(right[surest >= bound].sum()))
        for bound in BOUNDS
    )


def find_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """Return the temperature that makes the cross entropy of logits [N, C] for classes [N] least: Guo et al. 2017.

    Raises `ValueError` where there is no least one: a model that is always right, or never, would be made ever steeper
    or ever flatter.
    """
    from scipy.optimize import minimize_scalar

    limit, of_class = float(np.log(WARMEST)), logits[np.arange(len(targets)), targets].astype(np.float64)
    # the loss is convex in 1 / temperature: these are its slopes where that is nothing, and where it is endless
    if (of_class - logits.mean(axis=1, dtype=np.float64)).mean() <= 0 or (logits.max(axis=1) <= of_class).all():
        raise ValueError("the loss has no least value")
    found = minimize_scalar(
        lambda log: log_loss(logits, targets, float(np.exp(log))),
        bounds=(-limit, limit),
        method="bounded",
        options={"xatol": 1e-6},
    )
    if abs(found.x) > limit - 0.01:
        raise ValueError("the loss has no least value")
    return float(np.exp(found.x))


def doubtful_labels(probabilities: np.ndarray, targets: np.ndarray) -> list[Doubt]:
    """Return the samples whose labels are probably wrong, the surest first: confident learning.

    `probabilities` [N, C] must come from a model that was not trained on these samples. A class is as likely as
    a sample's must be where the probability is at least the mean of that class over the samples labelled so;
    a sample is doubted where the likeliest of such classes is not its label (Northcutt et al. 2021, arXiv:1911.00068),
    unless the model's own answer is. They are ordered by the probability of the label less that of the likely class.
    """
    count, classes = probabilities.shape
    given = probabilities[np.arange(count), targets]
    labelled = np.bincount(targets, minlength=classes)
    sums = np.bincount(targets, given, classes)
    thresholds = np.divide(sums, labelled, out=np.full(classes, np.inf), where=labelled > 0)
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    likely = confident.argmax(axis=1)
    agrees = probabilities.argmax(axis=1) == targets
    doubted = np.flatnonzero((confident.max(axis=1) >= 0) & (likely != targets) & ~agrees)
    margins = given[doubted] - probabilities[doubted, likely[doubted]]
    ordered = doubted[np.argsort(margins, kind="stable")]
    return [
        Doubt(int(i), int(targets[i]), int(likely[i]), float(given[i]), float(probabilities[i, likely[i]]))
        for i in ordered
    ]
