"""The page of an audit: one self-contained HTML file with the worst findings as pictures side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PIL import Image

from eyas.data.findings import KINDS, Audit, Seen
from eyas.render.html import page

SHOWN = 40  # findings of a kind that have a place on the page
SIDE_BY_SIDE = 4  # pictures of a finding
CLASSES_SHOWN = 500

Picture = Callable[[Seen], Image.Image | None]


def audit_page(audit: Audit, specs: Sequence[str], picture: Picture, spoken: str = "en") -> str:
    """Return the page of one or two specs; `picture` gives an image of a finding, None where it cannot be read."""
    counts = [dict(part.classes) for part in audit.parts]
    names = dict.fromkeys(name for count in counts for name in count)
    return page("audit.html", spoken, {
        "audit": audit,
        "specs": specs,
        "findings": [(kind, audit.of(kind), audit.totals.get(kind, 0)) for kind in KINDS if audit.of(kind)],
        "images": {part.name: part.images for part in audit.parts},
        "counts": counts,
        "classes": sorted(names, key=lambda name: counts[0].get(name, 0)),  # the smallest of the first part first
        "look": picture,
        "most": SHOWN,
        "most_pictures": SIDE_BY_SIDE,
        "most_classes": CLASSES_SHOWN,
    })  # fmt: skip
