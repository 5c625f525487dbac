"""A file of every kind of docs/images.md: those that are read, and those that are refused."""

from __future__ import annotations

import struct

import numpy as np
from PIL import Image

from tests import hostile
from tests.hostile import chunk, picture, saved

CLEAR = (200, 0, 0, 90)
RAMP = np.arange(0, 65_500, 100, dtype=np.uint16)[:600].reshape(24, 25)


def turned(kind: str, turn: int, **options: object) -> bytes:
    """Return a picture with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = turn
    image = Image.new("RGB", (32, 24))
    image.paste((255, 0, 0), (0, 0, 16, 12))
    return saved(image, kind, exif=exif, **options)


def tags_of(data: bytes, **values: int) -> bytes:
    """Return a TIFF with short values of some tags, named `t262`, replaced."""
    changed = bytearray(data)
    start = struct.unpack_from("<I", changed, 4)[0]
    for place in range(start + 2, start + 2 + 12 * struct.unpack_from("<H", changed, start)[0], 12):
        name = f"t{struct.unpack_from('<H', changed, place)[0]}"
        if name in values:
            struct.pack_into("<HIHH", changed, place + 2, 3, 1, values[name], 0)
    return bytes(changed)


def grey16(values: np.ndarray, kind: str = "PNG") -> bytes:
    """Return grey of 16 bits."""
    return saved(Image.fromarray(values.astype(np.uint16)), kind)


def colour16(values: np.ndarray) -> bytes:
    """Return a PNG of 16 bits in colour from uint16 [H, W, 3]."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return hostile.png(width, height, depth=16, colour=2, data=rows)


def read() -> dict[str, bytes]:
    """Return files that are read, by a name that says what they are."""
    alpha = picture().convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(alpha.size))
    palette = picture().convert("P")
    frames = [picture(), Image.new("RGB", picture().size, "blue")]
    several = {"save_all": True, "append_images": frames[1:]}
    grey = picture().convert("L")
    return {
        **{f"turned-{turn}.jpg": turned("JPEG", turn) for turn in range(1, 9)},
        "turned.png": turned("PNG", 6), "turned.webp": turned("WEBP", 6), "turned.tif": turned("TIFF", 6),
        "looping-exif.jpg": hostile.looping_exif(),
        "damaged-exif.jpg": saved(picture(), "JPEG", exif=b"Exif\0\0rubbish"),
        "grey.png": saved(grey, "PNG"), "one.png": saved(picture().convert("1"), "PNG"),
        "grey16.png": grey16(RAMP), "grey16.tif": grey16(RAMP, "TIFF"),
        "grey16-big.tif": saved(Image.fromarray(RAMP.astype(">u2")), "TIFF"),
        "grey16.pgm": b"P5 25 24 65535\n" + RAMP.astype(">u2").tobytes(),
        "grey12.pgm": b"P5 25 24 4095\n" + (RAMP // 16).astype(">u2").tobytes(),
        "white-is-zero.tif": tags_of(grey16(RAMP, "TIFF"), t262=0),
        "clear16.png": hostile.png(1, 1, chunk(b"tRNS", b"\1\2"), depth=16, colour=0, data=b"\0\1\2"),
        "colour16.png": colour16(np.stack([RAMP, RAMP[::-1], RAMP], axis=2)),
        "palette.png": saved(palette, "PNG"), "palette.gif": saved(palette, "GIF"),
        "clear-palette.png": saved(palette, "PNG", transparency=bytes(range(256))),
        "clear-palette.gif": saved(palette, "GIF", transparency=3),
        "clear-colour.png": saved(Image.new("RGB", (9, 9), "red"), "PNG", transparency=(255, 0, 0)),
        "alpha.png": saved(alpha, "PNG"), "alpha.webp": saved(alpha, "WEBP", lossless=True),
        "alpha.tif": saved(alpha, "TIFF"), "alpha.avif": saved(alpha, "AVIF"),
        "grey-alpha.png": saved(Image.merge("LA", (grey, alpha.getchannel("A"))), "PNG"),
        "all-clear.png": saved(Image.new("RGBA", (20, 20), (0, 0, 0, 0)), "PNG"),
        "cmyk.jpg": saved(picture().convert("CMYK"), "JPEG"), "cmyk.tif": saved(picture().convert("CMYK"), "TIFF"),
        "lab.tif": saved(Image.merge("LAB", [grey] * 3), "TIFF"),
        "animated.gif": saved(frames[0], "GIF", **several), "animated.webp": saved(frames[0], "WEBP", **several),
        "animated.png": saved(frames[0], "PNG", **several), "pages.tif": saved(frames[0], "TIFF", **several),
        "several.mpo": saved(frames[0], "MPO", **several),
        "progressive.jpg": saved(picture(), "JPEG", progressive=True),
        "wrong.jpg": saved(picture(), "PNG"), "x.bmp": saved(picture(), "BMP"), "x.ppm": saved(picture(), "PPM"),
        "x.avif": saved(picture(), "AVIF"), "lzw.tif": saved(picture(), "TIFF", compression="tiff_lzw"),
    }  # fmt: skip


def refused() -> dict[str, bytes]:
    """Return files that are refused, by a name that says why."""
    return {
        "floats.tif": saved(Image.new("F", (2, 2), 0.5), "TIFF"),
        "beyond16.tif": saved(Image.fromarray(np.array([[70_000]], np.int32)), "TIFF"),
        "negative.tif": saved(Image.fromarray(np.array([[-1]], np.int32)), "TIFF"),
        "half.png": saved(picture(), "PNG")[:900], "half.jpg": saved(picture(), "JPEG")[:700],
        "huge.gif": hostile.gif(65535, 65535), "thread.png": saved(Image.new("RGB", (1, 1001)), "PNG"),
        "page.jpg": b"<!DOCTYPE html><html></html>", "scan.dcm": bytes(128) + b"DICM" + bytes(99),
        "drawing.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "empty.png": b"",
    }  # fmt: skip
