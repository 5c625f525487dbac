"""The page of an audit: one self-contained HTML file with the worst findings as pictures side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from PIL import Image

from eyas.data.findings import KINDS, Audit, Finding, PartSummary, Seen
from eyas.render.html import head, marked, text
from eyas.render.html import picture as as_html

SHOWN = 40  # findings of a kind that have a place on the page
SIDE_BY_SIDE = 4  # pictures of a finding

Picture = Callable[[Seen], Image.Image | None]

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --bad: #c33 }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1200px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin: 2.2rem 0 0.2rem } p { margin: 0.3rem 0 }
.todo { opacity: 0.75 } .bad { color: var(--bad) } .more { opacity: 0.75; font-style: italic }
table { border-collapse: collapse; margin: 0.8rem 0 } td, th { padding: 0.2rem 0.8rem 0.2rem 0; text-align: right }
td:first-child, th:first-child { text-align: left } tr { border-bottom: 1px solid var(--line) }
.sheet { display: flex; flex-wrap: wrap; gap: 12px; margin-top: 0.6rem }
.finding { border: 1px solid var(--line); border-radius: 6px; padding: 8px; background: var(--soft) }
.pictures { display: flex; gap: 8px } figure { margin: 0; width: 160px }
figure img { width: 160px; height: 160px; object-fit: contain; image-rendering: pixelated; background: #8883 }
figure img.large { image-rendering: auto } .gone { width: 160px; height: 160px; background: #8883 }
figcaption { font-size: 12px; overflow-wrap: anywhere } figcaption b { font-size: 14px; display: block }
.said { font-size: 12px; opacity: 0.75; margin-top: 4px } li { overflow-wrap: anywhere }
"""


def sheet(audit: Audit, title: str, picture: Picture) -> str:
    """Return the page; `picture` gives an image of a finding, None where it cannot be read (any more)."""
    return "\n".join(
        [
            head(title, STYLE),
            f"<h1>{text(title)}</h1>",
            *_overlaps(audit),
            *_parts(audit),
            *(line for kind in KINDS for line in _kind(audit, kind, picture)),
            *([] if audit.findings else ["<p>Nothing was found.</p>"]),
            *(f"<p class=more><bdi>{marked(note)}</bdi></p>" for note in audit.notes),
            *_classes(audit.parts),
            "</body></html>\n",
        ]
    )


def _overlaps(audit: Audit) -> Iterator[str]:
    images = {part.name: part.images for part in audit.parts}
    for overlap in audit.overlaps:
        both, whole = overlap.same + overlap.alike, images[overlap.part]
        yield (
            f"<p class=bad><b>{text(overlap.part)}</b> shares {both:,} of its {whole:,} images "
            f"({100 * both / whole:.2f} %) with <b>{text(overlap.of)}</b>: {overlap.same:,} the same, "
            f"{overlap.alike:,} nearly the same.</p>"
        )


def _parts(audit: Audit) -> Iterator[str]:
    yield "<table><tr><th>part</th><th>images</th><th>unreadable</th><th>classes</th><th>width</th><th>height</th>"
    yield "<th>files</th></tr>"
    for part in audit.parts:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in part.kinds[:6])
        cells = (part.images, part.unreadable, len(part.classes))
        numbers = "".join(f"<td>{cell:,}</td>" for cell in cells)
        spreads = "".join(f"<td>{_spread(spread)}</td>" for spread in (part.widths, part.heights))
        yield f"<tr><td>{text(part.name)}</td>{numbers}{spreads}<td>{text(kinds)}</td></tr>"
    yield "</table>"


def _spread(spread: tuple[int, int, int] | None) -> str:
    return "-" if spread is None else f"{spread[0]:,} / {spread[1]:,} / {spread[2]:,}"


def _kind(audit: Audit, kind: str, picture: Picture) -> Iterator[str]:
    findings, total = audit.of(kind), audit.totals.get(kind, 0)
    if not findings:
        return
    yield f"<h2>{text(KINDS[kind].title.capitalize())}: {total:,}</h2>"
    yield f"<p class=todo>{text(KINDS[kind].remedy.capitalize())}.</p>"
    if kind == "unreadable" or not findings[0].images:
        said = [": ".join([*(seen.place for seen in f.images), f.reason]) for f in findings[:SHOWN]]
        yield f"<ul>{''.join(f'<li>{text(line)}</li>' for line in said)}</ul>"
    else:
        yield "<div class=sheet>"
        yield from (_finding(finding, picture) for finding in findings[:SHOWN])
        yield "</div>"
    if total > SHOWN:
        yield f"<p class=more>and {total - SHOWN:,} more: --csv and --json list them all</p>"


def _finding(finding: Finding, picture: Picture) -> str:
    said = [finding.reason] if finding.reason else []
    if finding.likeness is not None and finding.kind.startswith("near"):
        said.append(f"likeness {finding.likeness:.3f}")
    if finding.mirrored:
        said.append("mirrored")
    if finding.count > SIDE_BY_SIDE:
        said.append(f"{finding.count:,} pictures")
    shown = "".join(_figure(seen, picture(seen)) for seen in finding.images[:SIDE_BY_SIDE])
    return f"<div class=finding><div class=pictures>{shown}</div><div class=said>{text(', '.join(said))}</div></div>"


def _figure(seen: Seen, picture: Image.Image | None) -> str:
    image = '<div class="gone"></div>' if picture is None else as_html(picture)
    names = f"<b>{text(seen.label)}</b>{text(seen.part)}<br>{text(seen.place)}"
    return f"<figure>{image}<figcaption>{names}</figcaption></figure>"


def _classes(parts: tuple[PartSummary, ...]) -> Iterator[str]:
    """Yield the table of images per class and part, the smallest class of the first part first."""
    counts = [dict(part.classes) for part in parts]
    names = dict.fromkeys(name for count in counts for name in count)
    ordered = sorted(names, key=lambda name: counts[0].get(name, 0))
    yield "<h2>Images per class</h2><table><tr><th>class</th>"
    yield f"{''.join(f'<th>{text(part.name)}</th>' for part in parts)}</tr>"
    for name in ordered[:500]:
        cells = "".join(f"<td>{count.get(name, 0):,}</td>" for count in counts)
        yield f"<tr><td>{text(name)}</td>{cells}</tr>"
    yield "</table>"
    if len(ordered) > 500:
        yield f"<p class=more>and {len(ordered) - 500:,} larger classes</p>"
