"""docs/images.md, row by row; and that training, evaluation and prediction see the same pixels."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile
from tests import hostile
from tests.hostile import chunk, picture, saved
from tests.kinds import tags_of, turned

from eyas.config.data import DataConfig
from eyas.data.images.decode import decode, read_image
from eyas.data.images.preprocess import Preprocess
from eyas.data.prepared import prepare
from eyas.data.spec import open_images
from eyas.errors import DataError

RED, WHITE = (255, 0, 0), (255, 255, 255)


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(decode(data, "x"))


@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})],
)
def test_orientation_is_applied_in_every_format_that_has_it(kind, options):
    upright = decode(turned(kind, 6, **options))
    assert upright.size == (24, 32)
    assert upright.getpixel((22, 2))[0] > 240  # the red quarter went from top left to top right
    assert upright.getpixel((2, 2))[0] < 15


def test_grey_of_16_and_12_bits_fills_the_whole_range():
    grey = Image.fromarray(np.array([[0, 257, 32768, 65535]], np.uint16))
    for data in (saved(grey, "PNG"), saved(grey, "TIFF"), b"P5 4 1 65535\n" + np.asarray(grey).astype(">u2").tobytes()):
        assert pixels(data)[0, :, 0].tolist() == [0, 1, 128, 255]
    over = tags_of(saved(grey, "TIFF"), t262=0)  # 0 is white
    assert pixels(over)[0, :, 0].tolist() == [255, 254, 127, 0]
    twelve = Image.fromarray(np.array([[0, 1, 2, 3]], np.uint16))
    packed = tags_of(saved(twelve, "TIFF"), t258=12)
    place = struct.unpack_from("<I", packed, 4)[0]
    strip = next(
        struct.unpack_from("<I", packed, place + 2 + 12 * n + 8)[0]
        for n in range(20)
        if struct.unpack_from("<H", packed, place + 2 + 12 * n)[0] == 273
    )
    data = bytearray(packed)
    data[strip : strip + 6] = bytes((0x00, 0x08, 0x00, 0xFF, 0xF0, 0x10))  # 0, 2048, 4095, 16
    assert pixels(bytes(data))[0, :, 0].tolist() == [0, 128, 255, 1]


def test_rgb_of_16_bits_keeps_the_upper_8():
    values = np.array([[[0, 256, 65535]]], ">u2")
    data = hostile.png(1, 1, depth=16, colour=2, data=b"\0" + values.tobytes())
    assert pixels(data)[0, 0].tolist() == [0, 1, 255]


def test_values_without_a_known_range_are_refused():
    with pytest.raises(DataError, match="no agreed range"):
        decode(saved(Image.new("F", (2, 2), 0.5), "TIFF"))
    with pytest.raises(DataError, match="lie outside 0 to 65535"):
        decode(saved(Image.fromarray(np.array([[70_000]], np.int32)), "TIFF"))


def test_every_way_of_transparency_is_laid_over_white():
    clear = Image.new("RGBA", (4, 4), (200, 0, 0, 0))
    palette = Image.new("P", (4, 4), 3)
    palette.putpalette([9] * 768)
    grey16 = hostile.png(1, 1, chunk(b"tRNS", b"\1\2"), depth=16, colour=0, data=b"\0\1\2")
    files = [
        saved(clear, "PNG"), saved(clear, "WEBP", lossless=True), saved(clear, "TIFF"),
        saved(Image.new("LA", (4, 4), (9, 0)), "PNG"),
        saved(palette, "PNG", transparency=3), saved(palette, "PNG", transparency=b"\0\0\0\0"),
        saved(palette, "GIF", transparency=3), saved(Image.new("RGB", (4, 4), RED), "PNG", transparency=RED), grey16,
    ]  # fmt: skip
    for data in files:
        assert decode(data).getpixel((0, 0)) == WHITE


@pytest.mark.parametrize("adobe", [True, False])
def test_cmyk_is_read_as_adobe_writes_it_with_its_mark_or_without(adobe):
    ink = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # red
    data = saved(ink, "JPEG", quality=100)
    if adobe:
        assert b"Adobe" in data
    else:
        start = data.index(b"\xff\xee")
        data = data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4]) :]
    red, green, blue = decode(data).getpixel((8, 8))
    assert red > 240 and green < 15 and blue < 15
    assert decode(saved(ink, "TIFF")).getpixel((8, 8)) == RED


def test_a_ycck_jpeg_is_read_as_cmyk():
    data = bytearray(saved(Image.new("CMYK", (16, 16), (0, 0, 0, 0)), "JPEG", quality=100))
    data[data.index(b"Adobe") + 11] = 2  # the mark's last byte: YCCK
    assert decode(bytes(data)).mode == "RGB"


def test_a_colour_profile_changes_nothing_be_it_whole_or_damaged():
    from PIL import ImageCms

    plain = picture()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for icc in (profile, b"rubbish"):
        for kind in ("PNG", "TIFF"):
            assert np.array_equal(pixels(saved(plain, kind, icc_profile=icc)), np.asarray(plain))
        assert np.array_equal(pixels(saved(plain, "JPEG", icc_profile=icc)), pixels(saved(plain, "JPEG")))
    broken = hostile.png(1, 1, chunk(b"iCCP", b"k\0\0no zlib"), data=b"\0\7\7\7")
    assert pixels(broken).tolist() == [[[7, 7, 7]]]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_the_first_is_taken(kind):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    assert decode(saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)).getpixel((0, 0)) == RED


def test_of_an_mpo_the_first_picture_is_taken():
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    data = saved(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert Image.open(io.BytesIO(data)).format == "MPO"
    assert decode(data).getpixel((0, 0))[0] > 240


def test_progressive_pictures_are_pictures():
    whole = pixels(saved(picture(), "JPEG"))
    assert np.array_equal(pixels(saved(picture(), "JPEG", progressive=True)), whole)


CUT = {
    "JPEG": {}, "JPEG progressive": {"progressive": True}, "JPEG restarts": {"restart_marker_rows": 1}, "PNG": {},
    "WEBP": {}, "WEBP lossless": {"lossless": True}, "AVIF": {}, "TIFF": {"compression": "tiff_lzw"}, "GIF": {},
    "BMP": {}, "PPM": {},
}  # fmt: skip


@pytest.mark.parametrize("kind", CUT)
@pytest.mark.parametrize("lenient", [False, True], ids=["", "LOAD_TRUNCATED_IMAGES"])
def test_what_is_truncated_is_refused_and_never_filled_up(kind, lenient, monkeypatch):
    """Also where a script told Pillow to fill up with grey."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    data = saved(picture(64, 64), kind.split()[0], **CUT[kind])
    whole = pixels(data)
    for length in range(0, len(data) - 20, max(1, len(data) // 12)):
        try:
            found = pixels(data[:length])
        except DataError:
            continue
        assert np.array_equal(found, whole), f"cut at {length} of {len(data)}"
    assert lenient == ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}], ids=str)
def test_a_jpeg_that_was_cut_and_closed_is_refused(mode, options):
    data = saved(picture(96, 80).convert(mode), "JPEG", **options)
    start = data.index(b"\xff\xda") + 20
    for place in range(start, start + (len(data) - start) // 2, 400):
        with pytest.raises(DataError, match="cannot be decoded"):
            decode(data[:place] + b"\xff\xd9")


def test_a_grey_picture_is_not_taken_for_a_cut_one():
    for mode, grey in (("RGB", (128,) * 3), ("L", 128), ("CMYK", (127,) * 4)):
        for options in ({}, {"progressive": True}):
            data = saved(Image.new(mode, (100, 60), grey), "JPEG", **options)
            assert decode(data).size == decode(data + b"behind the end" * 9).size == (100, 60)


def test_sides_of_a_thousand_to_one_are_the_most():
    assert decode(saved(Image.new("RGB", (1000, 1)), "PNG")).size == (1000, 1)
    with pytest.raises(DataError, match="one side is more than 1,000 times the other"):
        decode(saved(Image.new("RGB", (1, 1001)), "PNG"))


@pytest.mark.parametrize(
    ("begin", "what"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"), (b"\xff\x0a", "JPEG XL"), (b"\0\0\0\x0cjP  \r\n", "JPEG 2000"),
        (b"%PDF-1.4", "PDF"), (b"PK\x03\x04", "zip"), (b"MZ", "program"), (b"#!/bin/sh\nrm -r x", "script"),
        (b"\0\0\1\0", "icon"), (b"\xef\xbb\xbf <svg>", "web page or XML"), (zlib.compress(bytes(99)), "none of the formats"),
    ],
)  # fmt: skip
def test_other_files_are_called_by_their_name(begin, what):
    with pytest.raises(DataError, match=f"^cat.jpg: cannot be decoded: .*{what}"):
        decode(begin + bytes(40), "cat.jpg")


def test_training_evaluation_prediction_and_the_library_see_the_same_pixels(tmp_path: Path):
    """One image of every kind, through each way that pixels can take."""
    from eyas.model.classifier import _pixels as of_library

    grey16 = Image.fromarray(np.arange(0, 60_000, 100, dtype=np.uint16).reshape(24, 25))
    files = {
        "turned.jpg": turned("JPEG", 6), "cmyk.jpg": saved(picture().convert("CMYK"), "JPEG"),
        "grey16.png": saved(grey16, "PNG"), "palette.gif": saved(picture().convert("P"), "GIF"),
        "alpha.webp": saved(Image.new("RGBA", (20, 30), (200, 0, 0, 99)), "WEBP", lossless=True),
        "wrong.jpg": saved(picture(), "PNG"), "lzw.tif": saved(picture(), "TIFF", compression="tiff_lzw"),
        "x.avif": saved(picture(), "AVIF"), "x.bmp": saved(picture(), "BMP"), "x.ppm": saved(picture(), "PPM"),
        "one.png": saved(picture().convert("1"), "PNG"),
    }  # fmt: skip
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "list.txt").write_text("".join(f"{name} {n % 2}\n" for n, name in enumerate(files)))
    fitting = Preprocess(16)
    expected = torch.stack([fitting.resized(read_image(tmp_path / name)) for name in files])
    assert torch.equal(torch.stack([fitting.resized(of_library(tmp_path / name)) for name in files]), expected)
    for cache in ("ram", "disk", "none"):
        config = DataConfig(cache=cache, cache_dir=str(tmp_path / "cache"))
        prepared = prepare(open_images(str(tmp_path / "list.txt"), config, split="train"), fitting, config)
        assert torch.equal(prepared.resized(prepared.read(np.arange(len(files)))), expected), cache
