"""Class names in charts: in a font that has their characters, or by number."""

from __future__ import annotations

from collections.abc import Sequence

LATIN = "DejaVu Sans"  # comes with matplotlib: there is no machine without it
EASTERN = (  # fonts with Chinese (most also with Japanese or Korean) characters, of Linux, macOS and Windows
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "PingFang SC", "Hiragino Sans GB"),
    *("STHeiti", "Heiti SC", "Arial Unicode MS", "Microsoft YaHei", "SimHei", "SimSun", "Malgun Gothic"),
)


def lettered(names: Sequence[str], *, longest: int = 24) -> tuple[list[str], list[str]]:
    """Return the names as they can be shown, and the fonts that show them.

    A name with a character that no known font of this machine has becomes `class 7`, 7 being its place in
    `names`; of a name longer than `longest` the middle is left out: its end may be what tells it from others.
    """
    from matplotlib.font_manager import fontManager

    fonts, missing = [LATIN], set(map(ord, "".join(names))) - _characters(LATIN)
    installed = {font.name for font in fontManager.ttflist} if missing else set()
    for family in EASTERN:
        if family in installed and (found := missing & _characters(family)):
            fonts.append(family)
            missing -= found
    head = longest * 2 // 3
    cut = [name if len(name) <= longest else f"{name[:head]}…{name[head + 1 - longest :]}" for name in names]
    shown = [
        f"class {number}" if missing & set(map(ord, name)) or not name.strip() else cut[number]
        for number, name in enumerate(names)
    ]
    return shown, fonts


def _characters(family: str) -> set[int]:
    """Return the code points that a font can draw."""
    from matplotlib.font_manager import findfont, get_font

    return set(get_font(findfont(family)).get_charmap())
