"""What `fit` tells its observers: frozen values. Nothing in them reaches back into the training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from eyas.device.profile import Share

if TYPE_CHECKING:
    import numpy as np

    from eyas.evaluation.scores import Scores


Setting = bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Pictured:
    """Some images of a split, the same ones in every event of a run: evenly spread over the set."""

    split: str
    samples: np.ndarray  # int64 [n], n <= 32: their numbers in the set, from 0
    pictures: np.ndarray  # uint8 [n, H, W, 3]: as the network sees them, at most 128 pixels wide


@dataclass(frozen=True, slots=True)
class Histogram:
    """The numbers of one tensor, counted in 64 equal parts of their range."""

    name: str  # the parameter's
    kind: str  # "weights" or "gradients"
    low: float
    high: float
    count: int
    total: float
    squares: float  # sum of the squares
    counts: np.ndarray  # int64 [64]


@dataclass(frozen=True, slots=True)
class Started:
    """The run is about to take its first step, or to go on at `step`."""

    directory: Path
    step: int  # steps already taken; 0 in a fresh run
    steps_per_epoch: int
    epochs: int
    classes: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]  # (what, said in words): data, model, device, ... in the order to show
    shapes: tuple[tuple[str, str, str], ...]  # (stage, shape, note): the batch that went through the whole path
    first_batch: np.ndarray  # uint8 [n, H, W, 3], n <= 32: the first batch after augmentation, as pictures
    first_labels: tuple[str, ...]  # their class names
    selects_on: str | None  # the split that chooses the best epoch: "val", "test", None without either
    waits_for: str = ""  # what waiting for data is spent on and what shortens it, in words
    settings: tuple[tuple[str, Setting], ...] = ()  # every setting of the run by its name, as plain data
    pictured: tuple[Pictured, ...] = ()  # some images of each split that is evaluated


@dataclass(frozen=True, slots=True)
class Progress:
    """A sign of life, at most twice a second; not a record."""

    step: int
    loss: float | None  # mean training loss since the last record, None before the first step
    images_per_second: float
    waiting: float  # share of the time spent waiting for data, 0 to 1
    stage: str = "train"  # or "val", "test": the split being evaluated
    done: int = 0  # samples of that evaluation done
    total: int = 0


@dataclass(frozen=True, slots=True)
class Trained:
    """Training loss, recorded every `log_every` steps and at the first and last step of an epoch."""

    step: int  # steps taken, from 1
    epoch: int  # from 1
    loss: float  # mean per sample over the `samples` seen since the record before
    samples: int
    lr: float


@dataclass(frozen=True, slots=True)
class EpochTrained:
    """An epoch's training steps are done."""

    step: int
    epoch: int
    loss: float  # mean per sample over the epoch, in training mode, while the weights moved
    accuracy: float
    samples: int
    lr: float  # at the epoch's last step
    seconds: float  # wall time of the training steps, over interruptions
    images_per_second: float
    waiting: float  # share of the seconds spent waiting for data


@dataclass(frozen=True, slots=True)
class Weighed:
    """With `--histograms`: every parameter at an epoch's end, and its gradient in the epoch's last step."""

    step: int
    epoch: int
    histograms: tuple[Histogram, ...]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One pass over a test or validation set: every sample counted once."""

    step: int
    epoch: int
    split: str  # "test" or "val"
    scores: Scores
    selects: bool  # the best epoch is chosen by this split
    improved: bool  # and this epoch is the best so far
    seconds: float


@dataclass(frozen=True, slots=True)
class Saved:
    """A file is whole on the disk. It holds the values of `step`; the training may have gone on meanwhile."""

    step: int
    path: Path
    kind: str  # "epoch", "best", "state"
    seconds: float  # that the training paused for it: to copy the values, and until the save before was done


@dataclass(frozen=True, slots=True)
class EpochOver:
    """All that belongs to an epoch is done: training, evaluation, saving."""

    step: int
    epoch: int
    seconds: float  # wall time of all that, and of the observers; of the training also before an interruption
    saving: float  # seconds of them that the training paused to save


@dataclass(frozen=True, slots=True)
class Profiled:
    """With `--profile`: where the time went, in an epoch or in the whole run. The sums are exact."""

    step: int
    epoch: int | None  # None: since this process began
    seconds: float
    shares: tuple[Share, ...]  # (name, depth, seconds, count, threads): each followed by those that lie in it
    trace: Path  # of every span; there when the run has ended
    dropped: int  # spans so far that are not in it


@dataclass(frozen=True, slots=True)
class Noted:
    """Something the user should read, in a sentence: a dropped learning rate, a stop, a warning."""

    step: int
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """The run is over: complete, stopped early, or interrupted and resumable."""

    step: int
    epoch: int  # epochs completed
    reason: str  # "complete", "stalled", "overfitting", "interrupted"
    best_epoch: int | None
    best_value: float | None
    select: str  # the measure that chose it: "accuracy", "loss", "macro_f1"
    selects_on: str | None
    seconds: float  # of this process


Event = (
    Started | Progress | Trained | EpochTrained | Weighed | Evaluated | Saved | EpochOver | Profiled | Noted | Finished
)


class Sink(Protocol):
    """Receives every event of a run, in order; never reaches back into the training."""

    def write(self, event: Event) -> None:
        """Take one event; what it leaves on the disk is there when this returns."""

    def close(self) -> None:
        """Let go of files and of the terminal; may be called twice."""
