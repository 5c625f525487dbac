"""HEIC where the extra is installed; tests/test_extras.py has what is said where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tests.hostile import picture, saved

from eyas.config.data import DataConfig
from eyas.data.images.decode import Decoding, decode, decode_with_kind, header_pixels, is_of_known_kind
from eyas.data.spec import open_images
from eyas.errors import DataError

pillow_heif = pytest.importorskip("pillow_heif")


def heic(image: Image.Image, **options: object) -> bytes:
    pillow_heif.register_heif_opener()
    return saved(image, "HEIF", **options)


def test_a_photo_is_read_upright_and_near_to_what_was_written():
    data = heic(picture(64, 48), quality=-1)
    image, kind = decode_with_kind(data)
    assert (image.mode, image.size, kind) == ("RGB", (64, 48), "HEIF RGB")
    smooth = Image.linear_gradient("L").resize((64, 48)).convert("RGB")
    assert np.abs(np.asarray(decode(heic(smooth))).astype(int) - np.asarray(smooth)).max() < 12
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = picture(64, 48)
    lying.info["exif"] = exif.tobytes()  # written as the turn of the HEIC container, as phones do
    assert decode(heic(lying)).size == (48, 64)
    assert header_pixels(data) == 64 * 48
    assert is_of_known_kind(data)


def test_transparency_is_laid_over_white():
    assert decode(heic(Image.new("RGBA", (64, 64), (0, 0, 0, 0)))).getpixel((9, 9)) == (255, 255, 255)


def test_the_limit_of_pixels_is_read_from_its_header_and_damage_is_an_error():
    data = heic(picture(64, 48))
    with pytest.raises(DataError, match=r"3,072 pixels are more than 0\.001 million"):
        decode(data, "x", Decoding(max_pixels=1000))
    for place in range(40, len(data) - 1, max(1, len(data) // 20)):
        with pytest.raises(DataError, match="cannot be decoded"):
            decode(data[:place], "x")


def test_photos_under_the_endings_of_phones_are_images_of_a_folder(tmp_path):
    for name in ("cat/1.heic", "dog/2.HEIC", "dog/3.heif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(heic(picture(64, 48)))
    images = open_images(str(tmp_path), DataConfig(), split="train")
    assert (len(images), images.notes) == (3, ())
    assert images.images.picture(2).size == (64, 48)
