"""The tables at the start and end of a run, and of a profile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from rich.console import RenderableType
from rich.text import Text

from eyas.device.profile import Share
from eyas.errors import EyasError
from eyas.evaluation.measures import ACCURACY, ALWAYS, accuracy_text, measure_named, measured, numbers_of, verdict_text
from eyas.evaluation.scores import Scores
from eyas.files.pathnames import quoted
from eyas.run_folder.record import Record
from eyas.sinks.story import EpochRow, Story
from eyas.terminal.clean import clean
from eyas.terminal.tables import pairs, table
from eyas.terminal.wording import duration_text, percent_text, short_number
from eyas.training.events import Evaluated, Finished, Profiled, Started

CLASSES_SHOWN = 30  # rows of the table of classes; of more classes the lowest F1
SHORT_SECONDS = 10.0  # a run shorter than this is over before its estimate is read
LONG_HOURS = 1.0  # a CPU run longer than this is told what would be quicker
WORTH = 0.005  # of a profile: shares below this are left out, they would be said as 0 %
WRITTEN = (
    ("best.safetensors", "best model"),
    ("last.safetensors", "last model"),
    ("epochs", "model of each epoch"),
    ("metrics.csv", "table of epochs"),
    ("events.jsonl", "every event"),
    ("report.html", "report"),
    ("label-doubts.csv", "suspect labels"),
)


def opening(started: Started) -> Iterator[RenderableType]:
    """Yield what is said before the first step: the facts, and the shapes of the batch that was tried."""
    yield pairs(started.facts)
    if started.shapes:
        yield Text()
        yield table(("stage", "shape", ""), started.shapes)
    yield Text()


def estimate(started: Started, seconds: float) -> list[str]:
    """Return how long the run will take from here; for a long one on a CPU, also what would be quicker."""
    if seconds < SHORT_SECONDS:
        return []
    what = "the whole run" if started.step == 0 else "the rest of the run"
    said = [f"about {duration_text(seconds)} for {what}"]
    if _device(started).startswith("cpu") and seconds > LONG_HOURS * 3600:
        said.append("quicker: smaller images (--size 64), a small model (--model compact), or a GPU (--device cuda)")
    return said


def _device(started: Started | None) -> str:
    """Return what a run said of its device."""
    return dict(started.facts).get("device", "").lower() if started else ""


def closing(story: Story, finished: Finished) -> Iterator[RenderableType]:
    """Yield what is said at the end: the result, the classes, where everything is, how to go on."""
    started = story.started
    epochs = started.epochs if started else finished.epoch
    yield Text()
    after = f"after epoch {finished.epoch} of {epochs}"
    outcomes = {
        "complete": f"Done: {finished.epoch} of {epochs} epochs.",
        "stalled": f"Stopped {after}: no more improvement (--patience).",
        "overfitting": f"Stopped {after}: overfitting, the validation loss rose while the training loss fell "
                       "(--overfit-patience).",
        "interrupted": f"Interrupted at step {finished.step:,}, after {finished.epoch} of {epochs} epochs; "
                       "saved exactly.",
    }  # fmt: skip
    yield Text(outcomes.get(finished.reason, f"Ended {after}: {clean(finished.reason)}."), style="bold")
    best = _best(story, finished)
    yield pairs(_result(story, finished, best))
    row = best or story.last
    if row and row.shown:
        yield Text()
        which = "best" if row is best else "last measured"
        yield from class_table(f"Classes on {row.shown.split}, epoch {row.epoch} ({which})", row.shown.scores)
    if started:
        yield Text()
        # lines that are never broken: they are there to be copied
        for name, what in WRITTEN:
            if (started.directory / name).exists():
                yield Text(f"{what:<21}{clean(started.directory / name)}")
        if (started.directory / "tensorboard").exists():
            yield Text(f"{'curves':<21}{_command('tensorboard --logdir', started)}")
        if finished.reason == "interrupted":
            yield Text()
            yield Text(f"go on with:  {_command('eyas resume', started)}", style="bold", no_wrap=True)


def selected(split: str | None) -> str:
    """Return which set chose the best epoch; said wherever a number of that set is shown."""
    return f"selected on {split}" if split else ""


def result(finished: Finished) -> Iterator[tuple[str, str]]:
    """Yield how a run ended and its best epoch, as pairs of what and its value."""
    yield "ended", f"{finished.reason} after {finished.epoch} epochs, {duration_text(finished.seconds)}"
    if finished.best_epoch is not None and finished.best_value is not None:
        yield "best epoch", f"{finished.best_epoch}, {_chosen(finished)}"
        yield _best_value(finished)


def _chosen(finished: Finished) -> str:
    return f"{selected(finished.selects_on)} by {finished.select.replace('_', ' ')}"


def _best_value(finished: Finished, note: str = "") -> tuple[str, str]:
    """Return which measure chose the best epoch, and its value."""
    measure = measure_named(finished.select)
    assert measure is not None and finished.best_value is not None
    return f"{finished.selects_on} {finished.select.replace('_', ' ')}", measure.printed(finished.best_value) + note


def _best(story: Story, finished: Finished) -> EpochRow | None:
    """Return the best epoch with its scores, also where it was measured before a resume; None where none is known."""
    if finished.best_epoch is None or story.started is None:
        return story.best
    if story.best and story.best.epoch == finished.best_epoch:
        return story.best
    record, row = Record(story.started.directory), EpochRow(finished.best_epoch)
    try:
        facts = record.header["facts"]
        if facts["epoch"] != row.epoch or not record.scores:
            return None
        for split in sorted(record.scores, reverse=True):  # val, then test: as every other place says them
            selects = split == facts["selects_on"]
            done = Evaluated(facts["step"], row.epoch, split, record.scores[split], selects, selects, 0.0)
            row.evaluated[split] = done
    except (EyasError, KeyError):  # a summary is no reason to end a run: it says less then
        return None
    return row


def _result(story: Story, finished: Finished, best: EpochRow | None) -> Iterator[tuple[str, str]]:
    """Yield the best epoch, the last one and the time."""
    if finished.best_epoch is not None:
        before = "; measured before the resume" if best and best is not story.best else ""
        yield "best epoch", f"{finished.best_epoch}, {_chosen(finished)}{before}"
        if best:
            yield from _measured(best)
        elif finished.best_value is not None:
            yield _best_value(finished, " (measured before the resume)")
        if finished.selects_on == "test":
            yield "", "a number selected on test is optimistic; --val 0.1 selects on held-out images"
    if story.last and story.last is not best:
        yield "final epoch", f"{story.last.epoch}"
        yield from _measured(story.last)
    if finished.selects_on is None and story.started:
        again = _command("eyas evaluate", story.started)
        yield (
            "accuracy",
            f"not measured; to measure it: {again} DATA; in a new run, add --val 0.1 or --test DATA",
        )
    resumed = story.started is not None and story.started.step > 0
    yield "time", duration_text(finished.seconds) + (" since the resume" if resumed else "")


def _measured(row: EpochRow) -> Iterator[tuple[str, str]]:
    """Yield the shares of an epoch's evaluations that have an interval."""
    for split, done in row.evaluated.items():
        yield f"{split} accuracy", accuracy_text(done.scores) + verdict_text(done.scores)
        numbers = numbers_of(done.scores, ALWAYS)
        for one in measured(numbers):
            if one.interval and one is not ACCURACY:
                yield f"{split} {one.label}", one.text_of(numbers)


def class_table(title: str, scores: Scores) -> Iterator[RenderableType]:
    """Yield precision, recall, F1 and samples of every class, the lowest F1 first; of many classes the lowest ones."""
    order = np.argsort(np.nan_to_num(scores.f1, nan=2.0), kind="stable")[:CLASSES_SHOWN]
    many = len(order) < len(scores.classes)
    yield Text(f"{title}, the {len(order)} lowest F1 of {len(scores.classes)} classes" if many else title)
    heads = ("class", "precision", "recall", "F1", "samples")
    shares = (scores.precision, scores.recall, scores.f1)
    rows = (
        (scores.classes[i], *(percent_text(float(values[i])) for values in shares), f"{scores.support[i]:,}")
        for i in order
    )
    yield table(heads, rows, right=heads[1:])


def _command(verb: str, started: Started) -> str:
    return clean(f"{verb} {quoted(str(started.directory))}")


def profile_table(event: Profiled, started: Started | None) -> Iterator[RenderableType]:
    """Yield where the time of an epoch, or of the run, went: what the training did, then what ran beside it."""
    what = "the whole run" if event.epoch is None else f"epoch {event.epoch}"
    yield Text()
    yield Text(f"Where the time of {what} went: {duration_text(event.seconds)}", style="bold")
    trained = [share for share in event.shares if share.threads == 0]
    yield _times("in the training's thread", "of all", _nested(trained, 0, event.seconds, event.seconds))
    beside = []
    for share in (one for one in event.shares if one.threads):
        threads = f" ({share.threads} thread{'s' if share.threads > 1 else ''})" if share.depth == 0 else ""
        beside.append(_time_cells(share, share.seconds / (share.threads * event.seconds), threads))
    if beside:
        yield _times("beside it, in other threads", "of theirs", beside)
    if not (_device(started) or "cpu").startswith("cpu"):
        yield Text("The device was waited for at every mark; without --profile the run is faster.")
    if event.epoch is not None:
        yield Text()
        return
    left_out = f" (without {event.dropped:,} in its middle)" if event.dropped else ""
    yield Text(f"Every span{left_out} as a file for ui.perfetto.dev or chrome://tracing:")
    yield Text(clean(event.trace))


def _times(head: str, share: str, rows: Iterator[list[str]] | list[list[str]]) -> RenderableType:
    widths = {head: 28, "seconds": 9, share: 9, "times": 8, "each": 8}
    return table(tuple(widths), rows, right=tuple(widths)[1:], widths=widths)


def _nested(part: Sequence[Share], depth: int, seconds: float, whole: float) -> Iterator[list[str]]:
    """Yield the lines that matter; "other" is the rest, so that the lines of a depth add up to what they lie in."""
    heads = [place for place, share in enumerate(part) if share.depth == depth]
    told = 0
    for place, after in zip(heads, [*heads, len(part)][1:], strict=True):
        share = part[place]
        if depth and share.seconds < WORTH * whole:
            continue
        told += 1
        seconds -= share.seconds
        yield _time_cells(share, share.seconds / whole)
        yield from _nested(part[place + 1 : after], depth + 1, share.seconds, whole)
    if depth == 0 or (told and seconds >= WORTH * whole):
        yield _time_cells(Share("other", depth, max(0.0, seconds), 0, 0), max(0.0, seconds) / whole)


def _time_cells(share: Share, part: float, note: str = "") -> list[str]:
    times = [f"{share.count:,}", short_number(share.seconds / share.count)] if share.count else ["", ""]
    return ["  " * share.depth + share.name + note, f"{share.seconds:,.2f}", percent_text(part, 1), *times]
