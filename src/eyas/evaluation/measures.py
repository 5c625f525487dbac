"""The table of measures: name, direction, format, and where each is shown.

Files, curves, the terminal, pages and comparisons go through this table; none of them names a measure by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from eyas.errors import SettingsError
from eyas.evaluation.scores import Scores
from eyas.terminal.wording import loss_text, percent_text, share_text

if TYPE_CHECKING:
    from torch import Tensor

    from eyas.config.data import Measuring

TOP_K, MANY = 5, 10  # of more classes than this the top 5 are measured without being asked for
FILES, ONCE, ALWAYS = range(3)  # shown in files and as curves; also where a set's result is; also epoch by epoch
Numbers = Mapping[str, Any]  # of one set: what `numbers_of` gives, and a model's file and events.jsonl say
Count = Callable[["Tensor", "Tensor"], "Tensor"]  # logits [B, C] and classes [B] -> bool [B]: which samples count


@dataclass(frozen=True, slots=True)
class Measure:
    """A number that follows from a model's answers to a set."""

    name: str  # in files: a key of JSON, and behind a set's name a column of metrics.csv and a tag
    label: str  # for people
    headings: tuple[str, str]  # on a page in English and in Chinese
    shown: int  # FILES, ONCE or ALWAYS
    more_is_better: bool = True
    is_share: bool = True  # printed in per cent
    interval: str = ""  # the key of its 95 % interval, where it has one
    tag: str = ""  # of TensorBoard, where that is not its name

    def heading(self, language: str) -> str:
        """Return its name on a page in `en` or `zh-CN`."""
        return self.headings[language.startswith("zh")]

    def printed(self, value: float) -> str:
        """Return a value as people read it."""
        return percent_text(value) if self.is_share else loss_text(value)

    def said(self, numbers: Numbers) -> str:
        """Return its value with the interval where it has one; `-` where it was not measured."""
        if (value := numbers.get(self.name)) is None:
            return "-"
        interval = numbers.get(self.interval)
        return self.printed(value) if interval is None else share_text(value, interval)

    def text_of(self, numbers: Numbers) -> str:
        """Return what `said` does, a share with an interval also with the number of samples."""
        return f"{self.said(numbers)} of {numbers['count']:,}" if self.interval else self.said(numbers)


MEASURES = (
    Measure("accuracy", "accuracy", ("Accuracy", "准确率"), ALWAYS, interval="interval"),
    Measure("loss_sum", "loss sum", ("Loss sum", "损失之和"), FILES, more_is_better=False, is_share=False),
    Measure("loss", "loss", ("Loss", "损失"), ALWAYS, more_is_better=False, is_share=False, tag="loss_mean"),
    Measure("macro_f1", "macro F1", ("Mean F1", "平均 F1"), ONCE),
)
ACCURACY = MEASURES[0]
LOSSES_FIRST = tuple(sorted(MEASURES, key=lambda one: one.is_share))  # the order of files and of epochs


def counted(settings: Measuring, classes: int) -> dict[str, Count]:
    """Return the shares that a pass counts beside the confusion matrix: by its measure's name, which samples count.

    Raises `SettingsError` where one is asked for that so many classes do not have.
    """
    k = settings.top_k or (TOP_K if classes > MANY else None)
    if k is None:
        return {}
    if k >= classes:
        raise SettingsError(f"--top-k {k}: there are {classes} classes, so the right one always is among {k}. "
                            "Name a smaller number, or leave it out.")  # fmt: skip
    return {f"top{k}_accuracy": partial(in_top, k=k)}


def in_top(logits: Tensor, labels: Tensor, k: int) -> Tensor:
    """Return bool [B]: whether the class [B] is among the `k` largest of its logits [B, C].

    Of equal logits the class of the lower number comes first, as in `argmax`. A logit that is not a number is no hit.
    """
    own = logits.gather(1, labels[:, None])
    larger = (~(logits <= own)).sum(1)
    equal = (logits == own).cumsum(1).gather(1, labels[:, None])[:, 0]  # up to the class, and with it
    return larger + equal <= k


def measure_named(name: str) -> Measure | None:
    """Return the measure of this name; None for any other name."""
    if found := re.fullmatch(r"top([1-9][0-9]{0,8})_accuracy", name):
        names = (f"Top-{found[1]} accuracy", f"前 {found[1]} 准确率")
        return Measure(name, f"top-{found[1]} accuracy", names, ALWAYS, interval=f"{name}_interval")
    return next((one for one in MEASURES if one.name == name), None)


def further(names: Iterable[str]) -> tuple[Measure, ...]:
    """Return the measures among these names that not every pass has."""
    found = map(measure_named, names)
    return tuple(one for one in dict.fromkeys(found) if one is not None and one not in MEASURES)


def numbers_of(scores: Scores, least: int = FILES) -> dict[str, Any]:
    """Return the counts, and by name the measures that are shown in at least such a place, with their intervals."""
    found: dict[str, Any] = {"count": scores.count, "skipped": scores.skipped, "correct": scores.correct}
    for one in (*MEASURES, *further(scores.hits)):
        if one.shown >= least:
            found[one.name] = scores.measure(one.name)
            found |= {one.interval: scores.interval_of(one.name)} if one.interval else {}
    return found | ({"hits": scores.hits} if scores.hits else {})


def measured(numbers: Numbers, least: int = ALWAYS, order: tuple[Measure, ...] = MEASURES) -> list[Measure]:
    """Return the measures of a set that are shown in at least such a place, the further ones last."""
    return [one for one in (*order, *further(numbers)) if one.shown >= least and one.name in numbers]


def accuracy_text(scores: Scores) -> str:
    """Return the accuracy, its interval and the samples as `91.34 % [90.77, 91.87] of 10,000`."""
    return ACCURACY.text_of(numbers_of(scores, ALWAYS))


def verdict_text(scores: Scores) -> str:
    """Return what to say after an accuracy that is no better than guessing, with what guessing gives; else nothing."""
    if scores.beats_guessing:
        return ""
    guess = scores.guess
    if guess.share == 1:  # a model cannot do better there
        return f": says nothing about how well it separates classes: all images are of one class, {guess.always!r}"
    gives = f"{100 * guess.share:.3g} %"
    told = gives if guess.always is None else f"always answering {guess.always!r} gives {gives}"
    few = f", as far as {scores.count:,} images can tell" if scores.accuracy > guess.share else ""
    return f": no better than guessing ({told}){few}"
