"""What the results of a run depend on, as plain data: a resume compares it."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from eyas.data.augment.own_transform import transform_fingerprint
from eyas.data.images.imageset import ImageSet
from eyas.training.optim import HORIZON

if TYPE_CHECKING:
    from eyas.training.plan import Plan

_NEVER = 2**63 - 1  # no file is newer: states of earlier versions do not tell


def fingerprint_of(plan: Plan) -> dict[str, Any]:
    """Return what the results depend on: a resume compares it. Lengths, places and speeds are not in it."""
    config = plan.config
    training = config.training.model_dump(exclude={"epochs", "patience", "overfit_patience", "on_nan"})
    grows = config.training.progressive_size < 1
    horizon = {"epochs": config.training.epochs} if grows or config.schedule.schedule in HORIZON else {}
    return {
        "training data": plan.train.images.fingerprint(),
        **{f"{split} data": prepared.images.fingerprint() for split, prepared in plan.evaluations.items()},
        "classes": list(plan.classes),
        "selects on": plan.selects_on,
        "model": config.model.model,
        "precision": config.device.precision,
        **{f"preprocess {name}": _plain(value) for name, value in plan.preprocess.to_dict().items()},
        **config.augment.model_dump(exclude={"transform"}),
        "transform": transform_fingerprint(config.augment.transform),
        **config.optim.model_dump(),
        **config.schedule.model_dump(),
        **training,
        **horizon,
    }


def newest_files(train: ImageSet, others: dict[str, ImageSet]) -> dict[str, int]:
    """Return when the newest file of each set was changed, in nanoseconds; only of sets that have files."""
    times = {split: images.images.times() for split, images in {"training": train, **others}.items()}
    return {split: int(found.max()) for split, found in times.items() if len(found)}


def changed_files(then: dict[str, int], train: ImageSet, others: dict[str, ImageSet]) -> list[str]:
    """Return the places of files that are newer than the newest was `then`: they changed, though maybe not in size.

    Where all files of a set are, it was copied: their sizes are compared anyway, and their content was not kept.
    """
    found = []
    for split, images in {"training": train, **others}.items():
        newer = np.flatnonzero(images.images.times() > then.get(split, _NEVER))
        if len(newer) < len(images):
            found += [images.place(int(sample)) for sample in newer]
    return found


def _plain(value: Any) -> Any:
    """Return the value as JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value


def software() -> str:
    """Return the versions that a result depends on, in words."""
    return f"eyas {version('eyas')}, torch {torch.__version__}, Python {platform.python_version()}"
