"""The network `swift`: its first layer comes from the images, its filters begin as the identity."""

from __future__ import annotations

import pytest
import torch
from tests.runs import assert_same_run, config_of, run_fit

from eyas.files.tensors import read_tensors
from eyas.model.zoo import build
from eyas.training.planning import make_plan

FAST = {"model": "swift", "optimizer": "muon", "lr": 0.1, "momentum": 0.6, "schedule": "linear"}


@pytest.mark.parametrize("size", [9, 16, 33])
def test_it_takes_images_of_any_size_from_nine_pixels(size):
    assert build("swift", 7)(torch.randn(2, 3, size, size)).shape == (2, 7)


def test_the_first_layer_makes_patches_white():
    torch.manual_seed(0)
    model = build("swift", 3)
    images = torch.nn.functional.avg_pool2d(torch.randn(50, 3, 34, 34), 3, 1)  # neighbours are alike
    model.prime(images)
    filters = model.get_buffer("filters")
    answers = torch.nn.functional.conv2d(images, filters[:12]).permute(1, 0, 2, 3).flatten(1)
    second_moments = answers @ answers.T / answers.shape[1]
    assert torch.allclose(second_moments, torch.eye(12), atol=0.05)
    assert torch.equal(filters[12:], -filters[:12])


def test_it_is_primed_with_the_training_images_and_they_are_stored_with_the_weights(pictures, tmp_path):
    config = config_of(pictures, **FAST, epochs=1)
    plan = make_plan(config, tmp_path)
    expected = build("swift", 3)
    expected.prime(plan.preprocess.normalize(plan.pipeline.first_images()))
    run_fit(config, tmp_path / "run")
    stored, _ = read_tensors(tmp_path / "run" / "last.safetensors", "model")
    assert torch.equal(stored["filters"], expected.get_buffer("filters"))


def test_a_run_with_muon_on_growing_images_cut_and_resumed_equals_an_uncut_one(pictures, tmp_path):
    config = config_of(pictures, **FAST, progressive_size=0.75, alternate_flip=True, epochs=4)
    run_fit(config, tmp_path / "uncut")
    run_fit(config, tmp_path / "cut", stop_at=lambda event: getattr(event, "step", 0) == 6)
    run_fit(config, tmp_path / "cut", resuming=True)
    assert_same_run(tmp_path / "cut", tmp_path / "uncut")
