"""`eyas compare`: compares runs, and tests which differences are statistically significant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from eyas.config.flags import CompareFlags, parsed
from eyas.config.run_config import differing, setting_text
from eyas.errors import SettingsError
from eyas.evaluation.measures import ACCURACY, Measure, measured
from eyas.evaluation.significance import SIGNIFICANT, mcnemar, paired_interval
from eyas.files.atomic import PREDICTIONS, write_bytes
from eyas.files.json_file import write_json
from eyas.run_folder.record import Record, read_record

RUN_HEADS = ("run", "model", "epoch", "on")


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """The best model of a run, from its file. `scores` has a dict of metrics per split."""

    name: str
    model: str
    epoch: int
    selects_on: str | None
    scores: dict[str, dict[str, Any]]
    temperature: float = 1.0


@dataclass(frozen=True, slots=True)
class Difference:
    """Two runs on the same samples. `difference` is the accuracy of `second` minus that of `first`."""

    first: str
    second: str
    split: str
    count: int
    only_first: int  # samples that only the first one answers rightly
    only_second: int
    difference: float
    interval: tuple[float, float]  # 95 %, of the difference
    p: float  # McNemar's exact test, two-sided, times the number of comparisons made (Holm)

    @property
    def is_larger_than_chance(self) -> bool:
        """Whether the difference is statistically significant at the 5 % level."""
        return self.p < SIGNIFICANT


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of `compare`. `settings` has a row per setting that differs: its name and the value in each run."""

    runs: tuple[ComparedRun, ...]
    differences: tuple[Difference, ...]
    settings: tuple[tuple[str, tuple[str, ...]], ...]
    notes: tuple[str, ...]
    epochs: tuple[tuple[dict[str, str], ...], ...] = ()  # of each run, the rows of its metrics.csv


def compare(*runs: str | Path) -> Comparison:
    """Compare the best models of two or more runs, pair by pair, on the samples that both were evaluated on.

    Raises `SettingsError` for fewer than two runs, `DataError` or `CheckpointError` if one cannot be read.
    """

    if len(runs) < 2:
        raise SettingsError("Name two runs or more: eyas compare RUN RUN...")
    records = [read_record(run) for run in runs]
    folders = [record.folder for record in records]
    names = [folder.absolute().name for folder in folders]
    names = names if len(set(names)) == len(names) else [str(folder) for folder in folders]
    found = tuple(_run(record, name) for record, name in zip(records, names, strict=True))
    answers = [_answers(record, run.name) for record, run in zip(records, found, strict=True)]
    notes = tuple(said for said in answers if isinstance(said, str))
    notes += tuple(f"{run.name}: was measured on no set, so there is nothing to compare." for run in found
                   if not run.scores)  # fmt: skip
    differences: list[Difference] = []
    for (one, ones), (other, others) in combinations(zip(found, answers, strict=True), 2):
        if not isinstance(ones, str) and not isinstance(others, str):
            differences += _differences(one.name, ones, other.name, others)
    if not differences and not notes:
        notes = ("No two of these runs were measured on the same samples: their numbers cannot be compared.",)
    different = differing([record.config for record in records])
    settings = tuple((name, tuple(setting_text(one[name]) for one in different)) for name in different[0])
    temperatures = tuple(f"{run.temperature:.4g}" for run in found)
    if len(set(temperatures)) > 1:
        settings += (("temperature (eyas calibrate)", temperatures),)
    return Comparison(found, tuple(_holm(differences)), settings, notes, tuple(record.rows for record in records))


Answers = dict[str, tuple[str, np.ndarray, np.ndarray]]  # by split: (which samples, right class, answered class)


def _run(record: Record, name: str) -> ComparedRun:
    header = record.header
    about = header["facts"]
    temperature = header.get("temperature", 1.0)
    return ComparedRun(name, header["model"], about["epoch"], about["selects_on"], about["scores"], temperature)


def _answers(record: Record, name: str) -> Answers | str:
    """Return the best model's predictions, or a sentence that says why there are none."""
    if record.answers is None:
        return f"{name}: has no {PREDICTIONS}, so its answers cannot be compared sample by sample."
    return {
        split: (one.samples, np.array(one.classes)[one.targets], np.array(one.classes)[one.predicted])
        for split, one in record.answers.items()
    }


def _differences(one: str, ones: Answers, other: str, others: Answers) -> list[Difference]:
    rows = []
    for split in ones.keys() & others.keys():
        samples, labels, first = ones[split]
        same, other_labels, second = others[split]
        if samples != same or not np.array_equal(labels, other_labels):
            continue
        right, also = first == labels, second == labels
        lost, won, count = int((right & ~also).sum()), int((~right & also).sum()), len(labels)
        interval = paired_interval(lost, won, count)
        rows.append(Difference(one, other, split, count, lost, won, (won - lost) / count, interval, mcnemar(lost, won)))
    return sorted(rows, key=lambda row: row.split)


def _holm(rows: list[Difference]) -> list[Difference]:
    """Return the rows with p as it is after several comparisons (Holm 1979), in the order given."""
    adjusted, largest = {}, 0.0
    for rank, number in enumerate(sorted(range(len(rows)), key=lambda one: rows[one].p)):
        largest = max(largest, min(1.0, (len(rows) - rank) * rows[number].p))
        adjusted[number] = replace(rows[number], p=largest)
    return [adjusted[number] for number in range(len(rows))]


def _names(folders: list[Path]) -> list[str]:
    """Return the folders' own names where they differ, else their paths."""
    names = [folder.absolute().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def write_comparison(comparison: Comparison, path: str) -> None:
    """Write all of it to a JSON file."""
    write_json(path, comparison)


def write_page(comparison: Comparison, path: str, spoken: str) -> None:
    """Write all of it, with the curves over each other, to an HTML file, in a language of `LANGUAGES`."""
    from eyas.render.comparison_page import comparison_page
    from eyas.render.language import language

    words = language(spoken).words
    heads = [words[head] for head in ("run", "model", "best epoch", "set")]
    page = comparison_page([run.name for run in comparison.runs], comparison.epochs, {
        "heads": [*heads, *(one.heading(spoken) for one in _shown(comparison))],
        "runs": list(_run_rows(comparison, words)),
        "notes": comparison.notes,
        "differences": [difference_text(row, words) for row in comparison.differences],
        "settings": comparison.settings,
    }, spoken)  # fmt: skip
    write_bytes(Path(path), page.encode("utf-8", "backslashreplace"))


def print_comparison(comparison: Comparison) -> None:
    """Print the runs, the differences and the settings as tables."""
    from rich.console import Console
    from rich.text import Text

    from eyas.terminal.clean import clean
    from eyas.terminal.tables import table

    console = Console(soft_wrap=True)
    heads = (*RUN_HEADS, *(one.label for one in _shown(comparison)))
    console.print(table(heads, _run_rows(comparison, _terminal_words())))
    for note in comparison.notes:
        console.print(Text(clean(note)))
    console.print()
    for row in comparison.differences:
        console.print(Text(clean(difference_text(row))))
    if comparison.settings:
        console.print()
        names = tuple(run.name for run in comparison.runs)
        console.print(table(("setting", *names), ((name, *values) for name, values in comparison.settings)))
    else:
        console.print(Text("\nTheir settings are the same."))


def _terminal_words() -> Mapping[str, str]:
    """Return the English words; sets are called as their flags are."""
    from eyas.render.language import language

    return {**language("en").words, "train": "train", "val": "val", "test": "test"}


def difference_text(row: Difference, words: Mapping[str, str] | None = None) -> str:
    """Return one difference in the words of a language, by default those of the terminal."""
    words = words or _terminal_words()
    low, high = (100 * end for end in row.interval)
    p = f"= {row.p:.2g}" if row.p >= 0.0001 else "< 0.0001"
    return words["difference"].format(
        first=row.first, second=row.second, split=words[row.split], points=100 * row.difference, low=low, high=high,
        count=row.count, won=row.only_second, lost=row.only_first, p=p,
        verdict=words["larger" if row.is_larger_than_chance else "not larger"],
    )  # fmt: skip


def _shown(comparison: Comparison) -> list[Measure]:
    """Return the measures that any run has."""
    names = {name: None for run in comparison.runs for scores in run.scores.values() for name in scores}
    return measured({"accuracy": None, "loss": None, **names})


def _run_rows(comparison: Comparison, words: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each run and each set that it was measured on."""
    shown = _shown(comparison)
    for run in comparison.runs:
        for split, scores in run.scores.items():
            said = words["accuracy of"].format(said=ACCURACY.said(scores), count=scores["count"])
            said += words["also skipped"].format(count=scores["skipped"]) if scores["skipped"] else ""
            said += words["also selected"].format(split=words[split]) if run.selects_on == split else ""
            cells = (said if one is ACCURACY else one.said(scores) for one in shown)
            yield run.name, run.model, str(run.epoch), words[split], *cells


def command(arguments: list[str]) -> int:
    """`eyas compare`: compare runs, and test which differences are statistically significant."""
    given = parsed(CompareFlags, "compare", arguments)
    comparison = compare(*given.runs)
    print_comparison(comparison)
    if given.json_file is not None:
        write_comparison(comparison, given.json_file)
    if given.html is not None:
        write_page(comparison, given.html, given.language)
    return 0
