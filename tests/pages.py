"""What a browser would make of a page."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "link", "input"}


class Seen(HTMLParser):
    """What a browser would make of a page: every element is closed in its order, and what loads is data."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.counts: Counter[str] = Counter()
        self.words: list[str] = []
        self.loads: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.counts[tag] += 1
        self.counts.update(f"{tag}.{kind}" for kind in (given.get("class") or "").split())
        self.loads += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        assert not any(name.startswith("on") for name in given)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


class Prose(HTMLParser):
    """What a reader sees of a page in words: text and tooltips, alternative texts; without code and style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self._quoted = 0
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self._quoted += tag in ("code", "pre", "style")
        self.words += [value or "" for name, value in attrs if name in ("alt", "title", "aria-label")]

    def handle_endtag(self, tag):
        self._quoted -= tag in ("code", "pre", "style")

    def handle_data(self, data):
        if not self._quoted:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)
