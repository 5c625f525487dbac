"""What a package page shows: the README, without what leads nowhere there. All else is in pyproject.toml."""

import re
from pathlib import Path

from setuptools import setup

LOCAL = r"(?!https?:|#)([^)\s#]+)(?:#[^)\s]*)?"  # a path of the repository, and the heading in it
PICTURE = re.compile(rf'!\[([^\]]*)\]\({LOCAL}\)|<img src="([^"]+)"[^>]*alt="([^"]*)"[^>]*>')
LINK = re.compile(rf"\[([^\]]+)\]\({LOCAL}\)")
NOTE = "*Pictures and pages named by a path are in the source distribution.*"


def page(readme: str) -> str:
    """Return the README with pictures and relative links told by their path."""
    first, _, rest = readme.partition("\n\n")  # its title
    rest = PICTURE.sub(lambda found: f"*Picture: {found[1] or found[4]} (`{found[2] or found[3]}`)*", rest)
    rest = LINK.sub(lambda found: found[1] if found[1] == found[2] else f"{found[1]} (`{found[2]}`)", rest)
    return f"{first}\n\n{NOTE}\n\n{rest}"


if __name__ == "__main__":
    readme = Path(__file__).parent / "README.md"
    setup(long_description=page(readme.read_text(encoding="utf-8")), long_description_content_type="text/markdown")
