"""One result for every kind of image file, or one clear error."""

from __future__ import annotations

import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eyas.data.images.decode import PER_PIXEL, Decoding, decode, read_image, room_for, to_tensor
from eyas.errors import DataError
from eyas.files.system import free_memory


def noise(height: int = 24, width: int = 32, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM", "AVIF"])
def test_a_plain_image_is_what_pillow_makes_of_it(kind: str) -> None:
    data = saved(Image.fromarray(noise()), kind)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert np.array_equal(np.asarray(decode(data)), expected)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    kind = {"CMYK": "TIFF", "YCbCr": "TIFF"}.get(mode, "PNG")
    image = decode(saved(Image.fromarray(noise()).convert(mode), kind))
    assert (image.mode, image.size) == ("RGB", (32, 24))


def test_a_lab_image_becomes_the_colour_it_shows() -> None:
    lab = Image.new("LAB", (2, 2), (255, 128, 128))
    assert min(decode(saved(lab, "TIFF")).getpixel((0, 0))) >= 250


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_orientation_is_applied(turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    picture = Image.fromarray(noise())
    picture.putpixel((0, 0), (255, 0, 0))
    image = decode(saved(picture, "PNG", exif=exif))
    assert image.size == ((32, 24) if turn < 5 else (24, 32))
    corner = {1: (0, 0), 2: (31, 0), 3: (31, 23), 4: (0, 23), 5: (0, 0), 6: (23, 0), 7: (23, 31), 8: (0, 31)}[turn]
    assert image.getpixel(corner) == (255, 0, 0)


def test_damaged_exif_does_not_fail_the_image() -> None:
    data = saved(Image.fromarray(noise()), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff rubbish")
    assert decode(data).size == (32, 24)


def test_16_bit_grey_is_scaled_and_not_clipped() -> None:
    grey = np.array([[0, 257, 32768, 65535]], np.uint16)
    assert np.asarray(decode(saved(Image.fromarray(grey), "PNG")))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_transparency_is_laid_over_white() -> None:
    clear = Image.new("RGBA", (2, 2), (200, 0, 0, 0))
    assert decode(saved(clear, "PNG")).getpixel((0, 0)) == (255, 255, 255)
    palette = Image.new("P", (2, 2), 3)
    palette.putpalette([9] * 768)
    assert decode(saved(palette, "PNG", transparency=3)).getpixel((0, 0)) == (255, 255, 255)
    assert decode(saved(palette, "PNG", transparency=b"\0\0\0\0")).getpixel((1, 1)) == (255, 255, 255)


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(data).getpixel((0, 0)) == (255, 0, 0)


def test_the_format_is_read_from_the_bytes_and_not_from_the_name(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(saved(Image.fromarray(noise()), "PNG"))
    assert torch.equal(read_image(tmp_path / "x.jpg"), torch.from_numpy(noise()).permute(2, 0, 1))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"<!DOCTYPE html><html></html>", "it is a web page"),
        (b"\xff\xd8\xff garbage", "cannot be decoded"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is a PostScript document"),
        (bytes(64), "of none of the formats"),
    ],
)
def test_what_is_no_image_is_an_error_that_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=rf"^cat.jpg: cannot be decoded: .*{reason}|^cat.jpg: {reason}"):
        decode(data, "cat.jpg")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_a_truncated_image_is_an_error_or_whole(kind: str) -> None:
    data = saved(Image.fromarray(noise(64, 64)), kind)
    whole = np.asarray(decode(data))
    for length in range(0, len(data) - 1, max(1, len(data) // 60)):
        try:
            found = np.asarray(decode(data[:length], "x"))
        except DataError:
            continue
        assert np.array_equal(found, whole), f"{kind} cut at {length} of {len(data)}"


def test_too_many_pixels_are_refused_from_the_header() -> None:
    few = Decoding(max_pixels=100)
    assert decode(saved(Image.new("RGB", (10, 10)), "PNG"), decoding=few).size == (10, 10)
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF"):
        with pytest.raises(
            DataError, match=r"110 pixels are more than 0.0001 million \(--max-megapixels allows more\)"
        ):
            decode(saved(Image.new("RGB", (11, 10)), kind), "photo", few)
    with pytest.raises(DataError, match="600,000,000 pixels are more than 200 million"):
        decode(saved(Image.new("1", (30_000, 20_000)), "PNG"), "bomb.png")


def test_a_photo_of_50_megapixels_is_read_and_a_flat_file_of_as_many_in_few_bytes_is_not() -> None:
    photo = saved(Image.new("RGB", (8192, 6144), "red"), "JPEG", quality=20)
    assert decode(photo).size == (8192, 6144)
    with pytest.raises(DataError, match=r"50,331,648 pixels in [\d,]+ bytes: above 50 million, 1,024 pixels a byte"):
        decode(saved(Image.new("1", (8192, 6144)), "PNG"), "bomb.png")


def test_pillows_own_limit_is_as_it_was_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)  # a script's own
    assert decode(saved(Image.fromarray(noise()), "PNG")).size == noise().shape[1::-1]
    assert Image.MAX_IMAGE_PIXELS == 5


def test_large_pictures_wait_for_each_other_where_memory_has_room_for_one_of_them() -> None:
    pixels, first, both = int(0.7 * free_memory() / PER_PIXEL), threading.Event(), []

    def second() -> None:
        with room_for(pixels):
            both.append(first.is_set())

    thread = threading.Thread(target=second)
    with room_for(pixels):
        thread.start()
        thread.join(0.1)
        first.set()
    thread.join()
    assert both == [True]


def test_a_picture_that_memory_has_no_room_for_is_refused_in_words() -> None:
    with (
        pytest.raises(MemoryError, match=r"1,000,000,000 million pixels take up to [\d.]+ GB .* of memory are free"),
        room_for(10**15),
    ):
        pass


def test_floating_point_pixels_are_refused() -> None:
    with pytest.raises(DataError, match="no agreed range"):
        decode(saved(Image.new("F", (2, 2), 0.5), "TIFF"))


def test_a_pipe_is_refused_and_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jpg")
    with pytest.raises(DataError, match="is not a regular file"):
        read_image(tmp_path / "x.jpg")
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_image(tmp_path / "none.jpg")


def test_the_tensor_is_its_own_memory_channels_first() -> None:
    image = Image.fromarray(noise())
    tensor = to_tensor(image)
    assert (tensor.dtype, tuple(tensor.shape)) == (torch.uint8, (3, 24, 32))
    tensor[:] = 0
    assert np.asarray(image).any()


def test_pillows_warnings_stay_away_in_threads_too() -> None:
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([7] * 768)
    data = saved(palette, "PNG", transparency=b"\0\x80")
    with ThreadPoolExecutor(4) as threads:
        sizes = list(threads.map(lambda _: decode(data).size, range(200)))
    assert sizes == [(8, 8)] * 200
