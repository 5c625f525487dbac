"""The best epoch of before a resume, read back from the run folder: its scores on every split."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eyas.errors import EyasError
from eyas.evaluation.scores import Scores
from eyas.files.atomic import PREDICTIONS
from eyas.files.headers import read_header
from eyas.sinks.story import EpochRow
from eyas.training.events import Evaluated


def best_of_before(folder: Path, epoch: int) -> EpochRow | None:
    """Return what the best model, that of `epoch`, was measured at; None where the folder does not say it whole."""
    path = folder / PREDICTIONS
    if not path.exists():
        return None
    from eyas.files.tensors import read_tensors

    try:
        facts = read_header(folder / "best.safetensors", "model")["facts"]
        tensors, about = read_tensors(path, "predictions")
        if not epoch == facts["epoch"] == about["epoch"]:
            return None
        row = EpochRow(epoch)
        for split in sorted(about["samples"], reverse=True):  # val, then test: as every other place says them
            said = facts["scores"][split]
            labels, predicted = (tensors[f"{split}/{name}"].numpy() for name in ("labels", "predicted"))
            confusion = _confusion(labels, predicted, len(about["classes"]))
            scores = Scores(tuple(about["classes"]), confusion, said["loss"] * said["count"], said["skipped"])
            selects = split == facts["selects_on"]
            row.evaluated[split] = Evaluated(facts["step"], epoch, split, scores, selects, selects, 0.0)
    except (EyasError, KeyError):  # a summary is no reason to end a run: it says less then
        return None
    return row


def _confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return int64 [classes, classes]: rows are the true classes, columns the predicted ones."""
    pairs = labels.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
