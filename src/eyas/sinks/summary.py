"""What the terminal shows at the start and at the end of a run, as rich renderables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from eyas.evaluation.scores import Scores
from eyas.files.pathnames import quoted
from eyas.sinks.earlier import best_of_before
from eyas.sinks.story import EpochRow, Story
from eyas.sinks.wording import said_accuracy, said_duration, said_loss, said_percent, said_verdict
from eyas.terminal.clean import clean
from eyas.training.events import Evaluated, Finished, Started

CLASSES_SHOWN = 30  # rows of the table of classes; of more classes the lowest F1
SHORT_SECONDS = 10.0  # a run shorter than this is over before its estimate is read
LONG_HOURS = 1.0  # a CPU run longer than this is told what would be quicker
WRITTEN = (
    ("best.safetensors", "best model"),
    ("last.safetensors", "last model"),
    ("epochs", "model of each epoch"),
    ("metrics.csv", "table of epochs"),
    ("events.jsonl", "every event"),
    ("report.html", "report"),
    ("label-doubts.csv", "labels to look at"),
)


def opening(started: Started) -> Iterator[RenderableType]:
    """Yield what is said before the first step: the facts, and the shapes of the batch that was tried."""
    yield pairs(started.facts)
    if started.shapes:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for head in ("stage", "shape", ""):
            table.add_column(Text(head), overflow="fold")
        for row in started.shapes:
            table.add_row(*(Text(clean(cell)) for cell in row))
        yield Text()
        yield table
    yield Text()


def estimate(started: Started, seconds: float) -> list[str]:
    """Return how long the run will take from here; for a long one on a CPU, also what would be quicker."""
    if seconds < SHORT_SECONDS:
        return []
    what = "the whole run" if started.step == 0 else "the rest of the run"
    said = [f"about {said_duration(seconds)} for {what}"]
    device = next((value for name, value in started.facts if name == "device"), "")
    if device.lower().startswith("cpu") and seconds > LONG_HOURS * 3600:
        said.append("quicker: smaller images (--size 64), a small model (--model compact), or a GPU (--device cuda)")
    return said


def closing(story: Story, finished: Finished) -> Iterator[RenderableType]:
    """Yield what is said at the end: the result, the classes, where everything is, how to go on."""
    started = story.started
    yield Text()
    yield Text(_outcome(finished, started.epochs if started else finished.epoch), style="bold")
    best = _best(story, finished)
    yield pairs(_result(story, finished, best))
    row = best or story.last
    if row and row.shown:
        yield Text()
        yield from _classes(row.shown, best=row is best)
    if started:
        yield Text()
        yield from _places(started)
        if finished.reason == "interrupted":
            yield Text()
            yield Text(f"go on with:  {_command('eyas resume', started)}", style="bold", no_wrap=True)


def pairs(rows: Iterable[tuple[str, str]]) -> Table:
    """Return two aligned columns, what and its value; a `warning` is yellow."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for what, value in rows:
        table.add_row(Text(clean(what)), Text(clean(value)), style="yellow" if what == "warning" else None)
    return table


def selected(split: str | None) -> str:
    """Return which set chose the best epoch; said wherever a number of that set is shown."""
    return f"selected on {split}" if split else ""


def result(finished: Finished) -> Iterator[tuple[str, str]]:
    """Yield how a run ended and its best epoch, as pairs of what and its value."""
    yield "ended", f"{finished.reason} after {finished.epoch} epochs, {said_duration(finished.seconds)}"
    if finished.best_epoch is not None and finished.best_value is not None:
        measure = finished.select.replace("_", " ")
        value = finished.best_value
        said = said_loss(value) if finished.select == "loss" else said_percent(value)
        yield "best epoch", f"{finished.best_epoch}, {selected(finished.selects_on)} by {measure}"
        yield f"{finished.selects_on} {measure}", said


def _outcome(finished: Finished, epochs: int) -> str:
    match finished.reason:
        case "complete":
            return f"Done: {finished.epoch} of {epochs} epochs."
        case "stalled":
            return f"Stopped after epoch {finished.epoch} of {epochs}: no more improvement (--patience)."
        case "overfitting":
            return (
                f"Stopped after epoch {finished.epoch} of {epochs}: overfitting, the validation loss rose "
                "while the training loss fell (--overfit-patience)."
            )
        case "interrupted":
            whole = f"after {finished.epoch} of {epochs} epochs"
            return f"Interrupted at step {finished.step:,}, {whole}; saved exactly."
    return f"Ended after epoch {finished.epoch} of {epochs}: {clean(finished.reason)}."


def _best(story: Story, finished: Finished) -> EpochRow | None:
    """Return the best epoch with its scores, also where it was measured before a resume; None where none is known."""
    if finished.best_epoch is None or story.started is None:
        return story.best
    if story.best and story.best.epoch == finished.best_epoch:
        return story.best
    return best_of_before(story.started.directory, finished.best_epoch)


def _result(story: Story, finished: Finished, best: EpochRow | None) -> Iterator[tuple[str, str]]:
    """Yield the best epoch, the last one and the time."""
    if finished.best_epoch is not None:
        how = f"{selected(finished.selects_on)} by {finished.select.replace('_', ' ')}"
        before = "; measured before the resume" if best and best is not story.best else ""
        yield "best epoch", f"{finished.best_epoch}, {how}{before}"
        if best:
            yield from _measured(best)
        elif finished.best_value is not None:
            value = finished.best_value
            said = said_loss(value) if finished.select == "loss" else said_percent(value)
            yield (
                f"{finished.selects_on} {finished.select.replace('_', ' ')}",
                f"{said} (measured before the resume)",
            )
        if finished.selects_on == "test":
            yield "", "a number selected on test is optimistic; --val 0.1 selects on images kept apart"
    if story.last and story.last is not best:
        yield "final epoch", f"{story.last.epoch}"
        yield from _measured(story.last)
    if finished.selects_on is None and story.started:
        again = _command("eyas evaluate", story.started)
        yield (
            "accuracy",
            f"nothing was measured; measure it by: {again} DATA; in a new run by --val 0.1, or --test DATA",
        )
    resumed = story.started is not None and story.started.step > 0
    yield "time", said_duration(finished.seconds) + (" since the resume" if resumed else "")


def _measured(row: EpochRow) -> Iterator[tuple[str, str]]:
    for split, result in row.evaluated.items():
        yield f"{split} accuracy", said_accuracy(result.scores) + said_verdict(result.scores)


def _classes(result: Evaluated, *, best: bool) -> Iterator[RenderableType]:
    """Yield the table of classes under its title."""
    which = "best" if best else "last measured"
    yield from class_table(f"Classes on {result.split}, epoch {result.epoch} ({which})", result.scores)


def class_table(title: str, scores: Scores) -> Iterator[RenderableType]:
    """Yield precision, recall, F1 and samples of every class, the lowest F1 first; of many classes the lowest ones."""
    order = np.argsort(np.nan_to_num(scores.f1, nan=2.0), kind="stable")[:CLASSES_SHOWN]
    many = len(order) < len(scores.classes)
    yield Text(f"{title}, the {len(order)} lowest F1 of {len(scores.classes)} classes" if many else title)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("class", overflow="fold")
    for head in ("precision", "recall", "F1", "samples"):
        table.add_column(head, justify="right", no_wrap=True)
    for number in order:
        cells = (said_percent(float(values[number])) for values in (scores.precision, scores.recall, scores.f1))
        table.add_row(Text(clean(scores.classes[number])), *cells, f"{scores.support[number]:,}")
    yield table


def _places(started: Started) -> Iterator[Text]:
    """Yield what was written and is there, as lines that are never broken: they are there to be copied."""
    for name, what in WRITTEN:
        if (started.directory / name).exists():
            yield Text(f"{what:<21}{clean(started.directory / name)}")
    if (started.directory / "tensorboard").exists():
        yield Text(f"{'curves':<21}{_command('tensorboard --logdir', started)}")


def _command(verb: str, started: Started) -> str:
    return clean(f"{verb} {quoted(str(started.directory))}")
