"""What events say as numbers with names: the same ones for every place where curves are shown."""

from __future__ import annotations

import re

from eyas.evaluation.measures import LOSSES_FIRST, MEASURES, ONCE, further, measured, numbers_of
from eyas.files.pathnames import last_part
from eyas.training.events import EpochTrained, Evaluated, Setting

CURVES_CLASSES = 50  # above this, a curve for each class is a page nobody scrolls through: only the charts
BEST = tuple(one.name for one in MEASURES if one.shown >= ONCE)  # measures of a best epoch
COMPARED: dict[str, type] = {  # settings that runs are compared by, in the order to show
    **dict.fromkeys(("train", "model", "weights", "resize", "views", "optimizer", "schedule", "class_weights"), str),
    **dict.fromkeys(("precision", "select"), str),
    **dict.fromkeys(("pretrained", "nesterov", "trivial_augment"), bool),
    **dict.fromkeys(
        ("size", "epochs", "batch_size", "lr", "momentum", "weight_decay", "backbone_lr", "head_lr"), float
    ),
    **dict.fromkeys(("warmup_epochs", "ema", "label_smoothing", "progressive_size", "clip_norm", "flip"), float),
    **dict.fromkeys(("crop_padding", "crop_scale", "color_jitter", "erasing", "mixup", "cutmix", "seed"), float),
}
PLACES = frozenset(  # settings that name a place on this machine: only their last part is anyone else's concern
    {"train", "test", "val", "root", "classes", "data_dir", "cache_dir", "mirror", "weights", "transform", "out"}
)


def epoch_scalars(event: EpochTrained) -> dict[str, float]:
    """Return what an epoch's training came to, by tag."""
    return {
        "train/loss_epoch": event.loss,
        "train/accuracy_epoch": event.accuracy,
        "time/seconds_per_epoch": event.seconds,
        "time/images_per_second": event.images_per_second,
        "time/waiting_for_data": event.waiting,
    }


def evaluated_scalars(event: Evaluated) -> dict[str, float]:
    """Return an evaluation's numbers, by tag; those of each class where there are few."""
    scores, split = event.scores, event.split
    numbers = numbers_of(scores)
    whole = {f"{split}/{one.tag or one.name}": numbers[one.name] for one in (*LOSSES_FIRST, *further(numbers))}
    if len(scores.classes) > CURVES_CLASSES:
        return whole
    tags = class_tags(scores.classes)
    return whole | {
        f"{split}_{measure}/{tag}": float(value)
        for measure in ("precision", "recall", "f1")
        for tag, value in zip(tags, getattr(scores, measure), strict=True)
    }


class BestSoFar:
    """Knows which epoch is the best, and what its evaluations came to."""

    def __init__(self) -> None:
        self._epoch = self._best = 0
        self._pending: list[Evaluated] = []

    def hear(self, event: Evaluated) -> list[Evaluated]:
        """Take an evaluation; return those of the best epoch that are news by it, none where it is not the best."""
        if event.epoch != self._epoch:
            self._epoch, self._pending = event.epoch, []
        self._pending.append(event)
        if not event.improved and self._best != event.epoch:
            return []
        self._best = event.epoch
        ready, self._pending = self._pending, []
        return ready


def best_scalars(event: Evaluated) -> dict[str, float]:
    """Return the numbers of a best epoch, by tag."""
    numbers = numbers_of(event.scores, ONCE)
    best = {f"best/{event.split}_{one.name}": float(numbers[one.name]) for one in measured(numbers, ONCE)}
    return best | {"best/epoch": float(event.epoch)}


def shown_settings(settings: tuple[tuple[str, Setting], ...]) -> dict[str, Setting]:
    """Return the settings with files and folders by their last part."""
    return {
        name: last_part(value) if name in PLACES and isinstance(value, str) else value for name, value in settings
    }


def class_tags(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return a tag for each class: its name without characters that TensorBoard or a path would take apart.

    Where two names become the same, every tag is given its class number in front.
    """
    slugs = [re.sub(r"[^\w.-]+", "_", name).strip("_") or "_" for name in classes]
    if len({slug.casefold() for slug in slugs}) == len(slugs):
        return tuple(slugs)
    width = len(str(len(slugs) - 1))
    return tuple(f"{number:0{width}}_{slug}" for number, slug in enumerate(slugs))
