"""Labels that name several classes at once, such as `Mass|Hernia`: one image has one class here, so a note says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

SIGNS = ("|", ";", ",", "/", "+", "&", " ")
_AROUND = " \t'\"[](){}"  # ['cat', 'dog']
_MANY = 6  # labels that are needed to tell that all are made of few words


def several_note(classes: Sequence[str]) -> tuple[str, ...]:
    """Return a note where labels are made of others: their parts are labels themselves, or few words make them all."""
    for sign in SIGNS:
        parts = {text: [part.strip(_AROUND) for part in text.split(sign)] for text in classes if sign in text.strip()}
        alone = {text.strip(_AROUND) for text in classes if text not in parts}
        made = [text for text, found in parts.items() if len(alone.intersection(found)) == len(set(found)) > 1]
        words = Counter(part for found in parts.values() for part in {*found})
        lengths = {len(found) for found in parts.values()}  # alike in names such as `ace of clubs`
        few = len(parts) >= _MANY and len(lengths) > 2 and 2 * len(words) <= len(parts)
        if made or few:
            words.update(alone)
            shared = [text for text, found in parts.items() if sign in "|;" or min(words[part] for part in found) > 1]
            told, count = (made or shared or [*parts])[0], len(shared or parts)
            return (
                f"{count} of {len(classes)} labels name{'s' * (count == 1)} several classes at once (multi-label), "
                f"such as {told!r}: each combination is learnt as a class of its own, since an image has one class; "
                "leave those lines out where that is not meant",
            )
    return ()
