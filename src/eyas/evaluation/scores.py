"""From a confusion matrix of whole numbers to every score that eyas prints."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

Z_95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution


@dataclass(frozen=True, slots=True)
class Guess:
    """The share that is right without a look at a picture. `always` is the class to answer; None where any will do."""

    share: float
    always: str | None


@dataclass(frozen=True, slots=True)
class Scores:
    """The result of one pass over a set of `count` samples, each counted once."""

    classes: tuple[str, ...]
    confusion: np.ndarray  # int64 [C, C]: rows are the true classes, columns the predicted ones
    loss_sum: float  # cross entropy (natural logarithm) summed over the samples
    skipped: int = 0  # unreadable images left out of the set
    predicted: np.ndarray | None = None  # int32 [count]: the class answered for each sample, in the set's order
    targets: np.ndarray | None = None  # int32 [count]: the class that each sample is of
    logits: np.ndarray | None = None  # float32 [count, C]: of each sample; None also where that is very much
    hits: dict[str, int] = field(default_factory=dict)  # samples that count for further shares, by the measure's name

    @property
    def count(self) -> int:
        """Samples measured."""
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        """Samples whose largest logit is their class."""
        return int(np.trace(self.confusion))

    @property
    def loss(self) -> float:
        """Mean cross entropy per sample."""
        return self.loss_sum / self.count

    @property
    def accuracy(self) -> float:
        """Share of correct samples, 0 to 1."""
        return self.correct / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy for another sample of this size: Wilson (1927)."""
        return self.interval_of("accuracy")

    def interval_of(self, name: str) -> tuple[float, float]:
        """Return the 95 % interval of a share of the samples: the accuracy, or one of `hits`."""
        return wilson(self.hits.get(name, self.correct), self.count)

    @property
    def guess(self) -> Guess:
        """The share of the most frequent class, which is at least 1 / classes: what answering it always gives."""
        most = int(self.support.argmax())
        alike = bool((self.support == self.support[most]).all())
        return Guess(int(self.support[most]) / self.count, None if alike else self.classes[most])

    @property
    def beats_guessing(self) -> bool:
        """Whether the whole interval of the accuracy lies above what guessing gives."""
        return self.interval[0] > self.guess.share

    @property
    def doubts_above(self) -> float:
        """The accuracy above which labels are doubted: half way from guessing to being always right.

        A worse model is wrong more often than people who label are: it would doubt what it has not learnt.
        """
        return (1 + self.guess.share) / 2

    @property
    def can_doubt(self) -> bool:
        """Whether the model is good enough to doubt labels."""
        return self.beats_guessing and self.accuracy > self.doubts_above

    @property
    def support(self) -> np.ndarray:
        """int64 [C]: samples of each true class."""
        return np.asarray(self.confusion.sum(axis=1))

    @property
    def precision(self) -> np.ndarray:
        """float64 [C]: of the samples called this class, the share that is; nan where none was called so."""
        return _ratio(np.diag(self.confusion), self.confusion.sum(axis=0))

    @property
    def recall(self) -> np.ndarray:
        """float64 [C]: of the samples of this class, the share found; nan where there are none."""
        return _ratio(np.diag(self.confusion), self.support)

    @property
    def f1(self) -> np.ndarray:
        """float64 [C]: 2 TP / (2 TP + FP + FN); nan where the class neither occurs nor is predicted."""
        return _ratio(2 * np.diag(self.confusion), self.confusion.sum(axis=0) + self.support)

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the classes that occur in the set."""
        return float(self.f1[self.support > 0].mean())

    def measure(self, name: str) -> float:
        """Return the score called `name`: accuracy, loss, macro_f1, or one of `hits`."""
        return self.hits[name] / self.count if name in self.hits else float(getattr(self, name))


def confusion_of(targets: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return int64 [C, C] for the classes [N] of samples and those answered: rows are the true ones."""
    pairs = targets.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def wilson(correct: int, count: int, z: float = Z_95) -> tuple[float, float]:
    """Return Wilson's score interval (low, high) of a share; correct at 0 %, 100 % and for few samples."""
    if count == 0:
        return 0.0, 1.0
    share, spread = correct / count, z * z / count
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * np.sqrt(share * (1 - share) / count + spread / (4 * count))
    # the ends are exact where every sample, or none, is correct: rounding may not cut off the share itself
    low = 0.0 if correct == 0 else float(centre - half)
    high = 1.0 if correct == count else float(centre + half)
    return low, high


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide, with nan where there is nothing to divide by."""
    ratio = np.full(len(whole), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio
