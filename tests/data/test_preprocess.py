"""Preprocess against Pillow and torchvision's transforms on PIL images."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, v2

from eyas.config.data import DataConfig, PreprocessConfig
from eyas.data.images.decode import to_tensor
from eyas.data.images.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess, resolve_preprocess
from eyas.data.spec import open_images
from eyas.errors import CheckpointError, DataError, SettingsError

SIZES = [(500, 333), (333, 500), (64, 64), (97, 31), (640, 480)]


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth colours with edges and a little grain, as photographs have them."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    waves = [np.sin(2 * np.pi * (a * x + b * y + c)) for a, b, c in rng.uniform(0.3, 6, (9, 3))]
    pixels = np.stack([sum(waves[3 * c : 3 * c + 3]) for c in range(3)], -1) * 35 + 128
    pixels[(x - 0.4) ** 2 + (y - 0.3) ** 2 < 0.03] += 60
    return Image.fromarray((pixels + rng.normal(0, 4, pixels.shape)).clip(0, 255).astype(np.uint8))


def furthest(ours: torch.Tensor, theirs: torch.Tensor) -> int:
    assert ours.shape == theirs.shape
    return int((ours.int() - theirs.int()).abs().max())


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", SIZES)
def test_stretching_equals_torchvision_on_pil_images_within_one_grey_level(size, interpolation):
    picture = photo(*size)
    for side in (32, 224):
        theirs = to_tensor(v2.Resize((side, side), InterpolationMode(interpolation))(picture))
        apart = (Preprocess(side, interpolation=interpolation).resized(to_tensor(picture)).int() - theirs.int()).abs()
        assert (apart > 1).sum() <= 5  # of 150,528: ties that Pillow and torch round in other directions ...
        assert apart.max() <= 2  # ... in both passes, by width and by height


@pytest.mark.parametrize("size", SIZES)
def test_the_nearest_pixels_are_those_that_pillow_takes(size):
    picture = photo(*size)
    for side in (128, 384):  # so divisible by two that no centre falls between two pixels, where rounding decides
        theirs = to_tensor(v2.Resize((side, side), InterpolationMode.NEAREST)(picture))
        assert torch.equal(Preprocess(side, interpolation="nearest").resized(to_tensor(picture)), theirs)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", SIZES)
def test_cropping_equals_torchvision_on_pil_images_within_one_grey_level(size, interpolation):
    picture = photo(*size)
    theirs = v2.Compose([v2.Resize(256, InterpolationMode(interpolation)), v2.CenterCrop(224)])(picture)
    ours = Preprocess(224, "crop", 0.875, interpolation).resized(to_tensor(picture))
    assert furthest(ours, to_tensor(theirs)) <= 1


def test_a_crop_resizes_every_shape_as_torchvision_does():
    # the longer side is rounded down; in floating point it can come out one pixel short
    for width, height in itertools.product([31, 49, 99, 100, 331, 333, 500], repeat=2):
        picture = Image.linear_gradient("L").resize((width, height)).convert("RGB")
        theirs = to_tensor(v2.CenterCrop(28)(v2.Resize(32)(picture)))
        assert furthest(Preprocess(28, "crop").resized(to_tensor(picture)), theirs) <= 1, (width, height)


@pytest.mark.parametrize("size", SIZES)
def test_padding_keeps_the_shape_in_the_middle_of_the_mean_colour(size):
    picture = photo(*size)
    fitted = Preprocess(128, "pad").resized(to_tensor(picture))
    assert fitted.shape == (3, 128, 128)
    width, height = (round(128 * side / max(size)) for side in size)
    inside = to_tensor(picture.resize((width, height), Image.Resampling.BILINEAR))
    left, top = (128 - width) // 2, (128 - height) // 2
    assert furthest(fitted[:, top : top + height, left : left + width], inside) <= 1
    outside = torch.ones(128, 128, dtype=torch.bool)
    outside[top : top + height, left : left + width] = False
    border = Preprocess(128, "pad").normalize(fitted)[:, outside]
    assert border.numel() == 0 or border.abs().max() < 0.5 / 255 / min(IMAGENET_STD)  # zero but for rounding


def test_an_image_of_one_line_is_padded_and_not_lost():
    fitted = Preprocess(16, "pad").resized(torch.full((3, 1, 400), 200, dtype=torch.uint8))
    assert (fitted == 200).all(0).sum() == 16


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (3, 7)])
def test_every_shape_becomes_the_input(resize, shape):
    assert Preprocess(24, resize)(torch.zeros(3, *shape, dtype=torch.uint8)).shape == (3, 24, 24)


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_a_batch_gets_the_bits_of_its_images(resize):
    images = torch.stack([to_tensor(photo(60, 40, seed)) for seed in range(4)])
    way = Preprocess(32, resize)
    assert torch.equal(way.resized(images), torch.stack([way.resized(image) for image in images]))
    assert torch.allclose(way(images), torch.stack([way(image) for image in images]), atol=1e-6)


def test_an_image_of_the_right_size_is_not_touched():
    image = to_tensor(photo(40, 40))
    for resize in ("stretch", "pad"):
        assert torch.equal(Preprocess(40, resize).resized(image), image)


def test_the_input_is_scaled_and_normalised_as_torchvision_does():
    image = to_tensor(photo(30, 30))
    theirs = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(IMAGENET_MEAN, IMAGENET_STD)])(image)
    assert torch.allclose(Preprocess(30)(image), theirs, atol=1e-6)
    assert Preprocess(30)(image).dtype == torch.float32


def test_a_tensor_of_another_type_is_refused_since_its_range_would_be_a_guess():
    with pytest.raises(DataError, match=r"uint8.*float32"):
        Preprocess(8)(torch.rand(3, 8, 8))


def test_a_grey_or_transparent_pil_image_is_taken_too():
    assert Preprocess(16)(photo(20, 20).convert("L")).shape == (3, 16, 16)
    assert Preprocess(16)(photo(20, 20).convert("RGBA")).shape == (3, 16, 16)


def test_it_is_plain_data_and_comes_back_equal():
    way = Preprocess(48, "crop", 0.9, "bicubic", (0.1, 0.2, 0.3), (0.5, 0.5, 0.25))
    assert Preprocess.from_dict(json.loads(json.dumps(way.to_dict()))) == way


@pytest.mark.parametrize("change", [{"gamma": 2.2}, {"size": None}])
def test_unknown_and_missing_keys_are_refused_by_name(change):
    data = {**Preprocess().to_dict(), **change}
    data = {name: value for name, value in data.items() if value is not None}
    with pytest.raises(CheckpointError, match=next(iter(change))):
        Preprocess.from_dict(data)


def test_what_is_asked_for_wins_over_what_weights_expect_and_that_over_the_standard():
    digits = open_images("digits", DataConfig(), split="train")
    expected = {"size": 224, "resize": "crop", "mean": (0.5, 0.5, 0.5)}
    assert resolve_preprocess(PreprocessConfig(), None, digits) == Preprocess()
    resolved = resolve_preprocess(PreprocessConfig(size=64), expected, digits)
    assert resolved == Preprocess(64, "crop", mean=(0.5, 0.5, 0.5))


def test_a_mean_and_a_deviation_of_pixels_of_0_to_255_are_refused_but_a_model_that_was_trained_with_them_loads():
    assert PreprocessConfig(mean=(-1, 0, 1), std=(1, 1, 1)).std == (1, 1, 1)
    for given in ({"mean": (123.675, 116.28, 103.53)}, {"std": (58.395, 57.12, 57.375)}):
        with pytest.raises(SettingsError, match="divide by 255"):
            PreprocessConfig(**given)
        stored = {**Preprocess().to_dict(), **given}
        assert Preprocess.from_dict(stored).to_dict() == stored


def test_one_line_says_what_it_does():
    assert Preprocess().in_words() == "256x256 by stretch, bilinear; mean 0.485 0.456 0.406; std 0.229 0.224 0.225"
    assert "crop (ratio 0.875)" in Preprocess(resize="crop").in_words()


def summed(images: torch.Tensor) -> torch.Tensor:
    """A network whose answer depends on where things are."""
    places = torch.arange(images[0].numel(), dtype=torch.float32).view(images.shape[1:]) / 1000
    return torch.stack([(images * places).sum((1, 2, 3)), images.square().mean((1, 2, 3))], 1)


def test_an_answer_for_two_views_is_their_mean_and_a_mirrored_image_gets_the_same():
    images = torch.randint(0, 256, (3, 3, 12, 12), dtype=torch.uint8)
    both = Preprocess(12, views="flip")
    sides = [summed(both.normalize(view)) for view in (images, images.flip(-1))]
    assert torch.allclose(both.answer(summed, images), (sides[0] + sides[1]) / 2, rtol=1e-5)
    assert torch.allclose(both.answer(summed, images.flip(-1)), both.answer(summed, images), rtol=1e-5)
    assert torch.equal(Preprocess(12).answer(summed, images), sides[0])


def test_an_answer_for_six_views_weighs_the_image_as_much_as_its_two_moves():
    images = torch.randint(0, 256, (2, 3, 10, 10), dtype=torch.uint8)
    six = Preprocess(10, views="shift")
    whole = torch.nn.functional.pad(six.normalize(images), (1, 1, 1, 1), "reflect")
    moved = {at: whole[..., at : at + 10, at : at + 10] for at in (0, 1, 2)}
    weights = {0: 0.25, 1: 0.5, 2: 0.25}
    expected = sum(weights[at] / 2 * (summed(view) + summed(view.flip(-1))) for at, view in moved.items())
    assert torch.allclose(six.answer(summed, images), expected, rtol=1e-5)


def test_preprocessing_of_a_file_without_views_has_one():
    stored = Preprocess(24).to_dict()
    del stored["views"]
    assert Preprocess.from_dict(stored) == Preprocess(24)


RESIZES = """
import sys
import numpy as np
import torch
from eyas.data.images.preprocess import Preprocess

images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 3, 50, 61), np.uint8))
for interpolation in ("bilinear", "bicubic", "nearest"):
    for resize in ("stretch", "crop", "pad"):
        fit = Preprocess(size=32, resize=resize, interpolation=interpolation).resized
        sys.stdout.buffer.write(fit(images).numpy().tobytes() + fit(images[0]).numpy().tobytes())
"""


def test_the_grey_levels_are_the_same_on_a_processor_without_avx():
    """torchvision resizes in floats there, where PyTorch's own kernel for grey levels is the same on every processor."""
    answers = set()
    for kernels in ("default", ""):
        variables = {**os.environ, "ATEN_CPU_CAPABILITY": kernels} if kernels else os.environ
        answers.add(
            subprocess.run([sys.executable, "-c", RESIZES], env=variables, capture_output=True, check=True).stdout
        )
    assert len(answers) == 1
