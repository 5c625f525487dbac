"""How the terminal says numbers and times."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from eyas.evaluation.scores import Scores
from eyas.training.events import Evaluated, Progress, Started

KNOWN_STEPS, KNOWN_SECONDS = 20, 10.0  # after either of them the speed is worth an estimate
FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # what a cell begins with that a spreadsheet runs
REMEMBERED = 120  # intervals between signs of life, about a minute: old ones say little about the speed now


def no_formula(label: str) -> str:
    """Return a text that a spreadsheet does not run; no two texts become the same."""
    return f"'{label}" if label.lstrip("' ").startswith(FORMULA) else label


def said_percent(share: float, digits: int = 2) -> str:
    """Return a share as `91.34 %`, and `-` where there is none (nan)."""
    return "-" if share != share else f"{100 * share:.{digits}f} %"


def said_interval(scores: Scores) -> str:
    """Return the accuracy with its 95 % interval as `91.34 % [90.77, 91.87]`."""
    low, high = scores.interval
    return f"{said_percent(scores.accuracy)} [{100 * low:.2f}, {100 * high:.2f}]"


def said_accuracy(scores: Scores) -> str:
    """Return the accuracy, its interval and the samples as `91.34 % [90.77, 91.87] of 10,000`."""
    return f"{said_interval(scores)} of {scores.count:,}"


def said_verdict(scores: Scores) -> str:
    """Return what to say after an accuracy that is no better than guessing, with what guessing gives; else nothing."""
    if scores.beats_guessing:
        return ""
    guess = scores.guess
    if guess.share == 1:  # a model cannot do better there
        return f": tells nothing of how it tells classes apart: all its images are of one, {guess.always!r}"
    gives = f"{100 * guess.share:.3g} %"
    told = gives if guess.always is None else f"always answering {guess.always!r} gives {gives}"
    few = f", as far as {scores.count:,} images can tell" if scores.accuracy > guess.share else ""
    return f": no better than guessing ({told}){few}"


def said_loss(loss: float | None) -> str:
    """Return a loss as `0.3042`, in six characters where it is larger, `-` where there is none yet."""
    if loss is None:
        return "-"
    return f"{loss:.4f}" if abs(loss) < 9.99995 else f"{loss:.3f}" if abs(loss) < 99.9995 else f"{loss:.4g}"


def said_rate(images_per_second: float) -> str:
    """Return a speed as `1,234 images/s`."""
    return f"{images_per_second:,.{0 if images_per_second >= 10 else 1}f} images/s"


def said_duration(seconds: float) -> str:
    """Return a time as `9 h 10 min`, `12 min 30 s` or `4.2 s`."""
    if seconds < 59.5:
        return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def said_briefly(seconds: float) -> str:
    """Return a short time as `1.25 s`, `12.5 ms` or `4.2 µs`."""
    factor, unit = (1.0, "s") if seconds >= 1 else (1e3, "ms") if seconds >= 1e-3 else (1e6, "µs")
    value = seconds * factor
    return f"{value:,.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"


def said_clock(seconds: float) -> str:
    """Return a time for a narrow column: `4.2 s`, `12:30`, `1:12:30`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


class Pace:
    """How fast the run goes, and from that how long it will take."""

    def __init__(self, started: Started, clock: Callable[[], float]) -> None:
        """Begin without knowing anything; `clock` gives seconds."""
        self._clock = clock
        self._started = started
        self._intervals: deque[tuple[float, int]] = deque(maxlen=REMEMBERED)
        self._last: tuple[float, int] | None = None
        self._evaluating: dict[str, float] = {}

    def watch(self, event: Progress | Evaluated) -> None:
        """Learn from a sign of life; what lies between two of different stages is no speed of training."""
        if isinstance(event, Evaluated):
            self._evaluating[event.split] = event.seconds
        if not isinstance(event, Progress) or event.stage != "train":
            self._last = None
            return
        now = self._clock()
        if self._last is not None:
            self._intervals.append((now - self._last[0], event.step - self._last[1]))
        self._last = now, event.step

    @property
    def known(self) -> bool:
        """Say whether enough was seen for an estimate."""
        seconds, steps = self._seen()
        return steps >= KNOWN_STEPS or (steps > 0 and seconds >= KNOWN_SECONDS)

    def left(self, step: int) -> float | None:
        """Return the estimated seconds from `step` to the end, None while not known.

        Evaluations count as soon as one of them has been seen.
        """
        if not self.known:
            return None
        seconds, steps = self._seen()
        per_epoch, epochs = self._started.steps_per_epoch, self._started.epochs
        to_evaluate = epochs - step // per_epoch
        return (per_epoch * epochs - step) * seconds / steps + to_evaluate * sum(self._evaluating.values())

    def _seen(self) -> tuple[float, int]:
        return sum(part[0] for part in self._intervals), sum(part[1] for part in self._intervals)
