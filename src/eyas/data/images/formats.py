"""Which file endings are images; and HEIC, which is read where the extra `heic` is installed."""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec

from PIL import Image

HEIC_SUFFIXES = (".heic", ".heif", ".hif")
REMEDY = "pip install 'eyas[heic]' to have it read, or convert it to JPEG"
_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def hint(endings: Collection[str]) -> str:
    """Return what to add to a note on files that are left out, by their endings: the remedy where it is the extra."""
    named = [ending for ending in HEIC_SUFFIXES if ending in endings]
    return f"; pip install 'eyas[heic]' to have {' and '.join(named)} read" if named else ""


def is_heic(data: bytes) -> bool:
    """Return whether a file's first bytes are those of HEIC; AVIF may have the same, and is tried first."""
    return data[4:8] == b"ftyp" and data[8:12] in _BRANDS


def is_installed() -> bool:
    """Return whether the extra is there."""
    return find_spec("pillow_heif") is not None


IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".ppm",
    ".pgm", ".pbm", ".pnm", ".avif", ".mpo", *(HEIC_SUFFIXES if is_installed() else ()),
)  # fmt: skip


def is_image(name: str) -> bool:
    """Tell whether a file name ends like an image's."""
    return name.rstrip().lower().endswith(IMAGE_SUFFIXES)


def reader_added() -> bool:
    """Let Pillow read HEIC if the extra is installed; return whether it does."""
    if "HEIF" not in Image.OPEN and is_installed():
        from pillow_heif import register_heif_opener

        register_heif_opener()
    return "HEIF" in Image.OPEN
