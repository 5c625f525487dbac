"""Results as a Markdown table: medians with their ranges, and ratios within rounds."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

Result = dict[str, Any]
Reading = Callable[[Result], float | None]
SECONDS = ", s"  # what ends so is better where it is smaller


def _later(values: list[float] | None) -> float | None:
    """Return the median without the first where there are more."""
    return median(values[1:] or values) if values else None


def _images_per_second(result: Result) -> float | None:
    seconds = _later(result["epoch_seconds"])
    return result.get("images_per_second") or (result["train_images"] / seconds if seconds else None)


def _whole(result: Result) -> float | None:
    return None if "step_seconds" in result else result["wall_seconds"]


def _first_epoch(result: Result) -> float | None:
    return result["epoch_seconds"][0] if len(result["epoch_seconds"]) > 1 else None


COLUMNS: dict[str, Reading] = {
    "to the first step, s": lambda result: None if "step_seconds" in result else result["first_step_seconds"],
    "first epoch, s": _first_epoch,
    "later epochs, s": lambda result: _later(result["epoch_seconds"]),
    "images/s": _images_per_second,
    "test pass, s": lambda result: _later(result["test_seconds"]),
    "whole run, s": _whole,
    "peak memory, MB": lambda result: result["peak_mb"],
}


def table(results: list[Result], compared: str) -> str:
    """Return the table of contenders; `compared` names the column that the ratios are of."""
    names = list(dict.fromkeys(result["contender"] for result in results))
    references = [name for name in ("plain", "eyas") if name in names]
    columns = [title for title, reading in COLUMNS.items() if any(reading(result) is not None for result in results)]
    head = ["", *columns, *(f"speed / {name}" for name in references), "rounds"]
    lines = [head, ["---"] * len(head)]
    for name in names:
        mine = [result for result in results if result["contender"] == name]
        cells = [_spread([COLUMNS[title](result) for result in mine]) for title in columns]
        ratios = [_ratio(results, name, reference, compared) for reference in references]
        lines.append([name, *cells, *ratios, str(len(mine))])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def facts(results: list[Result], command: str) -> str:
    """Return the date, the machine, the versions and the command."""
    versions: dict[str, str] = {}
    for result in results:
        versions |= result["versions"]
    commits = ", ".join(sorted({result["commit"] for result in results}))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return "\n".join(
        [
            f"{date.today()}: {os.cpu_count()} cores of {_processor()}, {memory:.0f} GiB, {platform.system()},"
            f" Python {platform.python_version()}; eyas at {commits}.",
            ", ".join(f"{name} {number}" for name, number in versions.items()) + ".",
            f"`{command}`",
            "",
        ]
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine())


def _spread(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    middle = _number(median(known))
    return middle if len(known) == 1 else f"{middle} ({_number(min(known))} to {_number(max(known))})"


def _number(value: float) -> str:
    """Return three significant digits, whole numbers whole."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _ratio(results: list[Result], name: str, reference: str, compared: str) -> str:
    """Return how many times as fast as the reference, round by round."""
    rounds: dict[int, dict[str, float]] = {}
    for result in results:
        value = COLUMNS[compared](result)
        if value is not None:
            rounds.setdefault(result["round"], {})[result["contender"]] = value
    both = [(one[name], one[reference]) for one in rounds.values() if name in one and reference in one]
    smaller = compared.endswith(SECONDS)
    return _spread([theirs / mine if smaller else mine / theirs for mine, theirs in both])
