"""`eyas runs`: lists the runs in a folder, best first. Does not import torch."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eyas.config.flags import RunsFlags, parsed
from eyas.config.run_config import RunConfig, differing, setting_text
from eyas.errors import DataError, EyasError, SettingsError
from eyas.evaluation.measures import ACCURACY
from eyas.files.atomic import CONFIG, disk_use, is_locked
from eyas.files.json_file import write_json
from eyas.run_folder.record import Record
from eyas.terminal.clean import clean
from eyas.terminal.wording import loss_text

GAP = 2  # blanks between two columns
RIGHT = frozenset({"epochs", "best", "loss", "size", "changed"})  # columns of numbers
LEFT_OUT = ("size", "best", "changed", "data", "loss", "model", "epochs")  # where a terminal is narrow, in this order
SAY_LITTLE = frozenset({"train", "training", "list", "labels", "data", "images", "val", "valid", "test"})


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run and its best model, from their files. Values that are not known yet are None."""

    name: str
    path: str
    model: str
    data: str  # what it was trained on
    state: str  # "complete", "stopped" (early), "interrupted", "running"
    epochs_done: int
    epochs_asked: int
    best_epoch: int | None
    split: str | None  # the split of `accuracy` and `loss`: test, else val
    source: str | None  # the name of that set
    count: int | None  # its images
    accuracy: float | None
    interval: tuple[float, float] | None  # 95 %
    loss: float | None
    selects_on: str | None  # the split that chose the best epoch
    samples: str | None  # which images those are: numbers compare only where this is the same
    bytes: int  # on the disk, a file of several names counted once
    changed: float  # seconds since the epoch (1970) when the run last wrote
    differs: dict[str, Any] = field(default_factory=dict)  # settings by name, where not all listed runs share one


@dataclass(frozen=True, slots=True)
class Overview:
    """The runs in a folder."""

    runs: tuple[ListedRun, ...]
    others: tuple[str, ...]  # a sentence for each folder that holds no run, or one that cannot be read


Key = Callable[[ListedRun], Any]
_NEVER = float("inf")
SORTS: dict[str, Key] = {
    "accuracy": lambda run: (-1.0 if run.accuracy is None else -run.accuracy, _NEVER if run.loss is None else run.loss),
    "loss": lambda run: _NEVER if run.loss is None else run.loss,
    "name": lambda run: run.name,
    "time": lambda run: -run.changed,
}


def runs(folder: str | Path = "runs", *, sort: str = "accuracy") -> Overview:
    """Return the runs in a folder (or the run, if it is one), sorted by accuracy, loss, name or time (newest first).

    For accuracy and loss, runs evaluated on the same samples are grouped, best first, because numbers from different
    samples are not comparable. No weights are read. Raises `DataError` if there is no such folder.
    """
    place = Path(folder)
    if sort not in SORTS:
        raise SettingsError(f"--sort {sort}: unknown; there are {', '.join(SORTS)}.")
    if not place.is_dir():
        raise DataError(f"{folder}: there is no such folder. Runs are in `runs`, unless --out said otherwise.")
    single = (place / "config.toml").exists()
    folders = [place] if single else sorted(path for path in place.iterdir() if path.is_dir() and path.name[0] != ".")
    found, configs, others = [], [], []
    for record in map(Record, folders):
        try:
            found.append(_listed(record))
        except EyasError as error:
            others.append(str(error))
            continue
        configs.append(record.config)
    settings = differing(configs) if configs else []
    found = [replace(run, differs=one) for run, one in zip(found, settings, strict=True)]
    return Overview(tuple(_sorted(found, sort)), tuple(others))


def _sorted(found: list[ListedRun], sort: str) -> list[ListedRun]:
    found.sort(key=lambda run: run.name)
    found.sort(key=SORTS[sort])
    if sort in ("accuracy", "loss"):
        order = {key: place for place, key in enumerate(groups(found))}
        found.sort(key=lambda run: order[group_of(run)])
    return found


def group_of(run: ListedRun) -> tuple[str, ...]:
    """Return a key that is equal for runs whose numbers are comparable."""
    return ("",) if run.split is None else (run.split, run.source or "", str(run.count), run.samples or "unknown")


def groups(found: list[ListedRun] | tuple[ListedRun, ...]) -> list[tuple[str, ...]]:
    """Return the groups of comparable runs: the largest first, that of runs without a number last."""
    sizes: dict[tuple[str, ...], int] = {}
    for run in found:
        sizes[group_of(run)] = sizes.get(group_of(run), 0) + 1
    return sorted(sizes, key=lambda key: (key == ("",), -sizes[key], key))


def _listed(record: Record) -> ListedRun:
    """Return what a run folder's files say. Raises an `EyasError` where it holds no whole run."""
    if not (record.folder / CONFIG).is_file():
        raise DataError(f"{record.folder}: holds no run (config.toml is missing).")
    config = record.config
    try:
        return _from_files(record, config)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(f"{record.folder}: is damaged: what its files say of it cannot be read ({error!r}).") from error


def _from_files(record: Record, config: RunConfig) -> ListedRun:
    folder, state, model = record.folder, record.state, record.light_header
    facts: dict[str, Any] = model["facts"] if model is not None else {}
    scores: dict[str, dict[str, Any]] = facts.get("scores", {})
    split = "test" if "test" in scores else next(iter(scores), None)
    measured = scores[split] if split is not None else {}
    done = int(state["state"]["epochs_done"]) if state is not None else int(facts.get("epoch", 0))
    accuracy, interval, loss = (measured.get(name) for name in ("accuracy", "interval", "loss"))
    samples = None if split is None else record.samples.get(split)
    size, changed = disk_use(folder)
    return ListedRun(
        name=folder.absolute().name,
        path=str(folder),
        model=str(model["model"] if model is not None else config.model.model),
        data=_data(config.data.train),
        state=_state(folder, state, done, config),
        epochs_done=done,
        epochs_asked=config.training.epochs,
        best_epoch=int(facts["epoch"]) if facts else None,
        split=split,
        source=measured.get("source"),
        count=measured.get("count"),
        accuracy=None if accuracy is None else float(accuracy),
        interval=None if interval is None else (float(interval[0]), float(interval[1])),
        loss=None if loss is None else float(loss),
        selects_on=facts.get("selects_on"),
        samples=None if samples is None else str(samples),
        bytes=size,
        changed=changed,
    )


def _data(spec: str) -> str:
    """Return a training set's name; `train.txt` or `train` alone says little, so its folder stands before it."""
    path = Path(spec)
    return f"{path.parent.name}/{path.name}".lstrip("/") if path.stem.casefold() in SAY_LITTLE else path.name


def _state(folder: Path, state: dict[str, Any] | None, done: int, config: RunConfig) -> str:
    if is_locked(folder):
        return "running"
    if done >= config.training.epochs:
        return "complete"
    return "stopped" if state is not None and state["state"]["stopped"] else "interrupted"


def write_overview(overview: Overview, path: str) -> None:
    """Write all of it to a JSON file."""
    write_json(path, overview)


def print_overview(overview: Overview, folder: str) -> None:
    """Print the runs as a table, what each group was measured on, and the folders that hold none."""
    from rich.console import Console
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 220)
    if overview.runs:
        console.print(_table(overview.runs, console.width))
        console.print()
        for letter, key in _letters(overview.runs):
            if key != ("",):
                split, source, count, _ = key
                console.print(Text(clean(f"{letter}  {split} set of {source}: {int(count):,} images")), soft_wrap=True)
        for line in _differences(overview.runs):
            console.print(Text(clean(line)), soft_wrap=True)
    elif not overview.others:
        console.print(Text(clean(f"{folder}: is empty.")), soft_wrap=True)
    for said in overview.others:
        console.print(Text(clean(said)), soft_wrap=True)


def _differences(found: tuple[ListedRun, ...]) -> Iterator[str]:
    """Yield a line for each run with the settings that not all runs share; paths in short where that will do."""
    said: dict[str, list[str]] = {}
    for name in found[0].differs:
        whole = [setting_text(run.differs[name]) for run in found]
        short = [_data(value) if "/" in value or "\\" in value else value for value in whole]
        said[name] = short if len(set(short)) == len(set(whole)) else whole
    width = max(len(run.name) for run in found)
    for place, run in enumerate(found if said else ()):
        yield f"  {run.name:{width}}  differs: {', '.join(f'{name}={values[place]}' for name, values in said.items())}"


def _letters(found: tuple[ListedRun, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """Return each group with its mark: A, B, ..., Z, then numbers; none for runs without a number."""
    keys = groups(found)
    return [("" if key == ("",) else chr(65 + place) if place < 26 else str(place + 1), key)
            for place, key in enumerate(keys)]  # fmt: skip


def _table(found: tuple[ListedRun, ...], width: int) -> Any:
    """Return the rows with the columns that fit into a terminal of `width` characters."""
    from eyas.terminal.tables import table

    letters = {key: letter for letter, key in _letters(found)}
    now = time.time()
    cells = [{name: clean(cell) for name, cell in _cells(run, letters[group_of(run)], now)} for run in found]
    shown = list(cells[0])
    lengths = {name: max(len(name), *(len(row[name]) for row in cells)) for name in shown}
    for name in LEFT_OUT:  # the least telling ones first
        if sum(lengths[one] + GAP for one in shown) - GAP <= width:
            break
        shown.remove(name)
    return table(shown, ([row[name] for name in shown] for row in cells), right=RIGHT)


def _cells(run: ListedRun, letter: str, now: float) -> Iterator[tuple[str, str]]:
    """Yield the head and the text of each cell of a row."""
    accuracy = ACCURACY.said({"accuracy": run.accuracy, "interval": run.interval})
    if run.accuracy is not None and run.selects_on == run.split:
        accuracy += f" selected on {run.split}"
    yield "run", run.name
    yield "model", run.model
    yield "data", run.data
    yield "epochs", f"{run.epochs_done}/{run.epochs_asked}"
    yield "state", run.state
    yield "best", "-" if run.best_epoch is None else str(run.best_epoch)
    yield "on", f"{letter} {run.split}" if run.split is not None else "-"
    yield "accuracy", accuracy
    yield "loss", loss_text(run.loss)
    yield "size", f"{run.bytes / 1e6:,.1f} MB" if run.bytes < 1e9 else f"{run.bytes / 1e9:,.2f} GB"
    yield "changed", _age(now - run.changed)


def _age(seconds: float) -> str:
    """Return how long ago something was, in its largest unit."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} ago"
    return "just now"


def command(arguments: list[str]) -> int:
    """`eyas runs`: list the runs in a folder, best first."""
    given = parsed(RunsFlags, "runs", arguments)
    overview = runs(given.folder, sort=given.sort)
    print_overview(overview, given.folder)
    if given.json_file is not None:
        write_overview(overview, given.json_file)
    return 0
