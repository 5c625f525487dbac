"""Pictures of more than 8 bits: a range of grey values that is the same everywhere, found, stored, and said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.hostile import saved
from tests.kinds import colour16, grey16, turned

from eyas import Classifier, Preprocess
from eyas.config.data import DataConfig, PreprocessConfig
from eyas.data.images.decode import Decoding, decode, read_image
from eyas.data.images.greys import found_range
from eyas.data.images.rgb import eight_bits
from eyas.data.prepared import prepare
from eyas.data.spec import open_images
from eyas.errors import CheckpointError, DataError, SettingsError, ShortMemoryError
from eyas.model.classifier import _pixels
from eyas.verbs.inspect import inspect
from eyas.verbs.predict import predict_files

TWELVE = (0, 4095)


def written(folder: Path, **files: bytes) -> None:
    """Write files named CLASS_NAME.ENDING, `__` for a dot, into folders of their classes."""
    for name, data in files.items():
        label, _, rest = name.partition("_")
        (folder / label).mkdir(parents=True, exist_ok=True)
        (folder / label / rest.replace("__", ".")).write_bytes(data)


def values(*numbers: int) -> bytes:
    return grey16(np.array([numbers]))


def notes_of(folder: Path, grey_range: tuple[float, float] | None = None, **settings: object) -> list[str]:
    config = DataConfig(**settings)
    images = open_images(str(folder), config, split="train")
    prepared = prepare(images, Preprocess(8, grey_range=grey_range), config)
    return [note.removeprefix(f"{folder}: ") for note in prepared.images.notes]


@given(
    st.lists(st.integers(0, 65535), min_size=1, max_size=40),
    st.tuples(st.integers(-70_000, 70_000), st.integers(1, 140_000)),
    st.sampled_from([np.uint16, np.int32, np.float32]),
)
@settings(max_examples=60, deadline=None)
def test_a_range_becomes_0_to_255_and_all_else_is_clipped(numbers, span, kind):
    low, high = span[0], span[0] + span[1]
    found = eight_bits(Image.fromarray(np.array([numbers], kind)), (low, high))
    expected = [(min(max(number, low), high) - low) * 255 / (high - low) for number in numbers]
    assert found[0].tolist() == pytest.approx(expected, abs=0.5 + 1e-6)


def test_without_a_range_16_bits_are_divided_by_257_as_ever():
    every = np.arange(65536).reshape(256, 256)
    assert np.array_equal(eight_bits(Image.fromarray(every.astype(np.uint16)), None), (every + 128) // 257)


@pytest.mark.parametrize(
    ("most", "found"),
    [(1, 1), (200, 255), (1000, 1023), (1024, 4095), (3000, 4095), (16_000, 16_383), (20_000, 65_535)],
)
def test_auto_takes_the_fewest_bits_that_hold_the_values_of_all_pictures(tmp_path, most, found):
    written(
        tmp_path,
        a_1__png=values(0, most // 2),
        b_1__tif=grey16(np.array([[0, most]]), "TIFF"),
        b_8__png=turned("PNG", 1),
    )
    assert found_range(open_images(str(tmp_path), DataConfig(), split="train")) == (0, found)


def test_auto_goes_from_the_least_to_the_largest_value_where_bits_fit_badly(tmp_path):
    def range_of(name: str, one: bytes, two: bytes) -> object:
        written(tmp_path / name, a_1__tif=one, b_1__tif=two)
        return found_range(open_images(str(tmp_path / name), DataConfig(), split="train"))

    assert range_of("offset", values(31_744), values(35_839)) == (31_744, 35_839)
    signed = [saved(Image.fromarray(np.array([[number]], np.int32)), "TIFF") for number in (-1024, 3071)]
    assert range_of("signed", *signed) == (-1024, 3071)
    floats = [saved(Image.fromarray(np.array([[number]], np.float32)), "TIFF") for number in (0.25, 0.5)]
    assert range_of("floats", *floats) == (0.25, 0.5)
    assert range_of("8 bits", turned("JPEG", 1), turned("JPEG", 2)) is None


@pytest.mark.parametrize(("strays", "found"), [(1, 4095), (2, 65_535)])
def test_auto_passes_over_a_single_hot_pixel_of_a_picture_and_over_no_more(tmp_path, strays, found):
    """Of a picture of less than 20,000 pixels that is one."""
    pixels = np.arange(0, 4096, 8).reshape(16, 32)
    pixels[3, :strays] = 65_535
    written(tmp_path, a_1__png=grey16(pixels), b_1__png=values(0, 4095))
    assert found_range(open_images(str(tmp_path), DataConfig(), split="train")) == (0, found)


def test_pictures_that_use_few_of_their_16_bits_are_counted_with_the_range_that_helps(tmp_path):
    written(tmp_path, a_1__png=values(7, 4095), a_2__tif=grey16(np.array([[9, 10]]), "TIFF"), b_1__png=values(3, 8))
    written(tmp_path, b_8__jpg=turned("JPEG", 1))
    said = (
        "3 pictures of 16 bits use at most 4095 of 65535, which leaves 17 of 256 grey levels: "
        "train --grey-range 0 4095 (or auto) keeps more"
    )
    assert notes_of(tmp_path) == [said]
    assert notes_of(tmp_path, TWELVE) == []
    for _ in ("decoded", "found in the cache"):
        assert notes_of(tmp_path, cache="disk", cache_dir=str(tmp_path.parent / "cache")) == [said]
        audit = inspect(tmp_path, settings=DataConfig(cache_dir=str(tmp_path.parent / "cache")))
        assert f"{tmp_path}: {said}" in audit.notes


def test_what_lies_outside_the_range_is_counted(tmp_path):
    written(tmp_path, a_1__png=values(7, 4095), b_1__png=values(3, 4096), b_2__png=values(3, 9000))
    said = "2 of 3 pictures of 16 bits have values outside the grey range 0 to 4095 (they go from 3 to 9000; 2 pixels are outside): those are clipped"
    assert notes_of(tmp_path, TWELVE) == [said]


def test_pictures_of_fewer_bits_among_others_of_16_are_told(tmp_path):
    written(tmp_path, a_1__png=values(0, 4000), b_1__png=values(0, 65_535))
    (said,) = notes_of(tmp_path)
    assert said.startswith("1 of 2 pictures of 16 bits use at most 4000 of 65535, others up to 65535: ")


def test_an_offset_that_takes_most_of_the_range_is_told(tmp_path):
    written(tmp_path, a_1__png=values(31_744), b_1__png=values(35_839))
    (said,) = notes_of(tmp_path)
    assert "use only 31744 to 35839 of 65535" in said
    assert "--grey-range 31744 35839" in said


def test_of_colour_only_the_upper_bits_are_read_and_where_few_are_used_that_is_said(tmp_path):
    dark, full = colour16(np.array([[[0, 4095, 7]]])), colour16(np.array([[[0, 65_535, 7]]]))
    written(tmp_path / "dark", a_1__png=dark, b_1__png=turned("PNG", 1))
    (said,) = notes_of(tmp_path / "dark")
    assert said.startswith(
        "1 picture of 16 bits in colour or with transparency use at most 3855 of 65535: only the upper 8 bits"
    )
    written(tmp_path / "full", a_1__png=full, b_1__png=turned("PNG", 1))
    assert notes_of(tmp_path / "full") == []
    assert notes_of(tmp_path / "full", TWELVE)[0].startswith(
        "1 picture of 16 bits in colour or with transparency only the upper"
    )


def test_scaled_grey_of_12_bits_needs_no_range(tmp_path):
    netpbm = b"P5 2 1 4095\n" + np.array([0, 4095], ">u2").tobytes()
    written(tmp_path, a_1__pgm=netpbm, b_1__pgm=netpbm)
    assert notes_of(tmp_path) == []


def test_signed_and_floating_point_pixels_are_read_once_a_range_is_given_and_refused_without():
    for numbers in (np.array([[-1000, 0, 1000]], np.int32), np.array([[-1000, 0, 1000]], np.float32)):
        data = saved(Image.fromarray(numbers), "TIFF")
        with pytest.raises(DataError, match="train --grey-range"):
            decode(data)
        assert np.asarray(decode(data, "", Decoding((-1000, 1000))))[0, :, 0].tolist() == [0, 128, 255]
    with pytest.raises(DataError, match="not numbers"):
        decode(saved(Image.fromarray(np.array([[np.nan]], np.float32)), "TIFF"), "", Decoding((0, 1)))


def test_every_way_to_the_network_takes_the_models_range(tmp_path):
    """Training, evaluation, the caches, prediction and the library: the same pixels."""
    rng = np.random.default_rng(0)
    data = {f"{label}_{n}__png": grey16(rng.integers(0, 4096, (9, 11))) for label in "ab" for n in range(3)}
    written(
        tmp_path / "set",
        **data,
        a_big__tif=saved(Image.fromarray(rng.integers(0, 4096, (9, 11)).astype(">u2")), "TIFF"),
    )
    plain, fitting = Preprocess(8), Preprocess(8, grey_range=TWELVE)
    images = open_images(str(tmp_path / "set"), DataConfig(), split="train")
    files = [str(images.images.path(index)) for index in range(len(images))]
    expected = torch.stack([fitting.resized(read_image(path, Decoding(TWELVE))) for path in files])
    for cache in ("ram", "disk", "disk", "none"):
        config = DataConfig(cache=cache, cache_dir=str(tmp_path / "cache"))
        for way, same in ((plain, False), (fitting, True)):  # one cache folder for both
            prepared = prepare(images, way, config)
            assert torch.equal(prepared.resized(prepared.read(np.arange(len(files)))), expected) is same, cache
    assert torch.equal(torch.stack([fitting.resized(_pixels(path, TWELVE)) for path in files]), expected)
    opened = [Image.open(path) for path in files]
    assert torch.equal(torch.stack([fitting(image) for image in opened]), fitting.normalize(expected))


def test_a_model_file_keeps_the_range_and_one_without_is_as_it_was_before(tmp_path):
    from eyas.model.zoo import build

    classifier = Classifier(build("compact", 2).eval(), "compact", ("a", "b"), Preprocess(16, grey_range=TWELVE))
    classifier.save(tmp_path / "model.safetensors")
    assert Classifier.load(tmp_path / "model.safetensors").preprocess.grey_range == TWELVE
    assert "grey values 0 to 4095" in classifier.preprocess.in_words()
    assert "grey_range" not in Preprocess().to_dict()
    assert Preprocess.from_dict(json.loads(json.dumps(Preprocess().to_dict()))) == Preprocess()
    for stored in ("auto", [5, 5], [0], "x", None):
        with pytest.raises(CheckpointError):
            Preprocess.from_dict(Preprocess().to_dict() | {"grey_range": stored})
    (tmp_path / "x.png").write_bytes(values(0, 9000))
    (answer,) = predict_files(classifier, [str(tmp_path / "x.png")])
    assert answer.greys is not None and answer.greys.outside == 1


@pytest.mark.parametrize("wrong", [(5, 5), (9, 1), (0, float("nan")), (0, float("inf")), "all"])
def test_a_range_is_two_rising_numbers_or_auto(wrong):
    with pytest.raises(SettingsError):
        PreprocessConfig(grey_range=wrong)


def test_which_pictures_a_set_has_never_depends_on_free_memory(tmp_path):
    written(tmp_path, a_1__png=turned("PNG", 1), b_1__png=turned("PNG", 1))
    images = open_images(str(tmp_path), DataConfig(), split="train")

    class Short:
        """A source for which memory is short."""

        def __init__(self, files: object) -> None:
            self.files = files

        def __len__(self) -> int:
            return 2

        def picture(self, index: int) -> Image.Image:
            raise ShortMemoryError("memory is short")

    with pytest.raises(ShortMemoryError):
        prepare(replace(images, images=Short(images.images)), Preprocess(8), DataConfig(skip_unreadable=True))
