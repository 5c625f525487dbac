"""`eyas inspect`: checks every image of a data set before training. Changes none of the user's files."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import replace
from pathlib import Path

from PIL import Image

from eyas.audit.audit import Auditing
from eyas.audit.survey import SurveyCache
from eyas.config.data import DataConfig
from eyas.config.flags import InspectFlags, parsed
from eyas.data.findings import Audit, Finding, Seen
from eyas.data.parts import Part, open_parts
from eyas.errors import DataError
from eyas.files.atomic import write_bytes
from eyas.terminal.wording import no_formula

CACHED = 10**9  # bytes of surveys in the cache folder, at most: of about four million images
COLUMNS = ("finding", "kind", "part", "place", "class", "likeness", "mirrored", "reason")


def inspect(
    data: str | Path,
    against: str | Path | None = None,
    *,
    settings: DataConfig | None = None,
    html: str | Path | None = None,
    language: str = "en",
) -> Audit:
    """Check all splits of a data set, and its overlap with the set `against`, and return the findings.

    Both are a list file, a folder or a named set. `html` is a page to write, with the images of the worst findings, in
    `language` (en or zh). Unreadable images and invalid lines are findings. Raises `DataError` if nothing can be read.
    """
    config = settings or DataConfig()
    parts = open_parts(str(data), None if against is None else str(against), config)
    found = audit_parts(parts, config)
    if html is not None:
        from eyas.render.audit_page import audit_page

        specs = [str(spec) for spec in (data, against) if spec is not None]
        _write(Path(html), audit_page(found, specs, lambda seen: _picture(parts, seen), language))
    return found


def audit_parts(parts: tuple[Part, ...], config: DataConfig) -> Audit:
    """Check sets that are already open; files that were checked before are not read again."""
    refused: list[str] = []
    folder = Path(config.cache_dir).expanduser()
    cache = SurveyCache(folder, min(CACHED, int(config.cache_gb * 1e9)), refused.append)
    surveys = [cache.surveyed(part.images) for part in parts]
    if refused:
        note = f"what was seen is not kept for another look ({refused[0]}); --cache-dir names another folder"
        first = replace(parts[0].images, notes=(*parts[0].images.notes, note))
        parts = (replace(parts[0], images=first), *parts[1:])
    return Auditing(parts, surveys).audit()


def print_audit(audit: Audit) -> None:
    """Print an audit, the worst first."""
    from rich.console import Console
    from rich.text import Text

    from eyas.audit.view import PLAIN_WIDTH, audit_view

    console = Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    for part in audit_view(audit):
        console.print(part, soft_wrap=isinstance(part, Text))  # so that a path can be copied whole


def write_audit(audit: Audit, *, json_file: str | None, csv_file: str | None) -> None:
    """Write all findings to a JSON file, and one row per image of each finding to a CSV file, if given."""
    if json_file is not None:
        _write(Path(json_file), json.dumps(audit.to_dict(), ensure_ascii=False, indent=1, allow_nan=False) + "\n")
    if csv_file is not None:
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(COLUMNS)
        for number, finding in enumerate(audit.findings, 1):
            table.writerows([number, *row] for row in _rows(finding))
        _write(Path(csv_file), text.getvalue())


def _rows(finding: Finding) -> list[list[str]]:
    likeness = "" if finding.likeness is None else f"{finding.likeness:.3f}"
    end = [likeness, "1" if finding.mirrored else "", no_formula(finding.reason)]
    if not finding.images:
        return [[finding.kind, "", "", "", *end]]
    return [
        [finding.kind, no_formula(seen.part), no_formula(seen.place), no_formula(seen.label), *end]
        for seen in finding.images
    ]


def _picture(parts: tuple[Part, ...], seen: Seen) -> Image.Image | None:
    """Return an image of a finding, None where it cannot be read."""
    part = next(part for part in parts if part.name == seen.part)
    try:
        return part.images.images.picture(seen.index)
    except DataError:
        return None


def _write(path: Path, text: str) -> None:
    """Write a text whole; bytes of file names that are no text are escaped."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def command(arguments: list[str]) -> int:
    """`eyas inspect`: check a data set before training: unreadable files, duplicates, leaks, wrong labels."""
    given = parsed(InspectFlags, "inspect", arguments)
    found = inspect(given.data, given.against, settings=given.data_config(), html=given.html, language=given.language)
    write_audit(found, json_file=given.json_file, csv_file=given.csv_file)
    print_audit(found)
    return DataError.exit_code if given.strict and found.wrong else 0
