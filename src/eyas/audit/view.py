"""An audit on the terminal: what was looked at, then the findings, the worst first, each with what to do."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from eyas.data.findings import KINDS, Audit, Finding
from eyas.terminal.clean import clean, clean_lines
from eyas.terminal.tables import table
from eyas.terminal.wording import said_percent

PLAIN_WIDTH = 110  # of tables in a log, whose reader's width is not known
EXAMPLES = 5  # findings of a kind that are shown
MEMBERS = 4  # images of a finding
CLASSES_SHOWN = 30  # rows of the table of classes; of more classes the smallest


def audit_view(audit: Audit) -> Iterator[RenderableType]:
    """Yield the audit as rich renderables."""
    parts = audit.parts
    heads: tuple[str, ...] = ("part", "images", "unreadable", "classes", "width", "height", "files")
    rows = []
    for part in parts:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in part.kinds[:4]) + ", ..." * (len(part.kinds) > 4)
        numbers = (f"{number:,}" for number in (part.images, part.unreadable, len(part.classes)))
        rows.append((part.name, *numbers, _spread(part.widths), _spread(part.heights), kinds))
    yield table(heads, rows, right=heads[1:-1])
    yield Text()
    # the images of each class in each part, the smallest class of the first part first
    counts = [dict(part.classes) for part in parts]
    names = sorted(dict.fromkeys(name for count in counts for name in count), key=lambda name: counts[0].get(name, 0))
    if len(names) > CLASSES_SHOWN:
        yield Text(f"The {CLASSES_SHOWN} smallest of {len(names):,} classes")
    shown = names[:CLASSES_SHOWN]
    classes = ((name, *(f"{count[name]:,}" if name in count else "-" for count in counts)) for name in shown)
    heads = ("class", *(part.name for part in parts))
    yield table(heads, classes, right=heads[1:])
    for note in audit.notes:
        yield Text(f"note: {clean(note)}", style="yellow")
    for overlap in audit.overlaps:
        images = next(part.images for part in parts if part.name == overlap.part)
        share = said_percent((overlap.same + overlap.alike) / images)
        yield Text()
        yield Text(
            f"{clean(overlap.part)} shares {overlap.same + overlap.alike:,} of its {images:,} images ({share}) with "
            f"{clean(overlap.of)}: {overlap.same:,} the same, {overlap.alike:,} nearly the same",
            style="bold red",
        )
    for kind, about in KINDS.items():
        if not (total := audit.totals.get(kind, 0)):
            continue
        yield Text()
        yield Text(f"{about.title}: {total:,}", style="bold red" if about.wrong else "bold")
        yield Text(f"  what to do: {about.remedy}", style="dim")
        for finding in audit.of(kind)[:EXAMPLES]:
            yield from finding_lines(finding)
        if total > EXAMPLES:
            more = f"  ... and {total - EXAMPLES:,} more (--html shows them, --csv and --json list them)"
            yield Text(more, style="dim")
    yield Text()
    wrong = sum(count for kind, count in audit.totals.items() if KINDS[kind].wrong)
    rest = sum(audit.totals.values()) - wrong
    found = f"Found: {wrong:,} that make a result wrong or stop the training, {rest:,} that are worth a look."
    yield Text(found if audit.totals else "Nothing was found.", style="bold")


def _spread(spread: tuple[int, int, int] | None) -> str:
    """Return the least, median and most of a size."""
    if spread is None:
        return "-"
    return f"{spread[0]:,}" if len(set(spread)) == 1 else " / ".join(f"{value:,}" for value in spread)


def finding_lines(finding: Finding) -> Iterator[Text]:
    """Yield a finding: one line for each of its first images, with how alike they are."""
    if not finding.images:
        yield Text("  " + clean_lines(finding.reason).replace("\n", "\n    "))
        return
    if len(finding.images) == 1:
        seen = finding.images[0]
        reason = f": {clean(finding.reason)}" if finding.reason else ""
        yield Text(f"  {clean(seen.place)}{reason}  [{clean(seen.label)}]")
        return
    for number, seen in enumerate(finding.images[:MEMBERS]):
        near = not number and finding.kind.startswith("near")
        said = f"  likeness {finding.likeness:.3f}" if near else ""
        said += "  mirrored" if near and finding.mirrored else ""
        yield Text(f"  {'=' if number else '-'} {clean(seen.place)}  [{clean(seen.label)}]{said}")
    if finding.count > MEMBERS:
        yield Text(f"    and {finding.count - MEMBERS:,} more", style="dim")
