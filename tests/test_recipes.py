"""The recipes: that each runs as it is, on pictures like those that it is for."""

from __future__ import annotations

import pytest
import torch

import eyas
from eyas.config import make_config
from eyas.device import settled_precision
from eyas.plan import make_plan
from eyas.recipes import RECIPES
from eyas.tensorfile import read_tensors
from tests.conftest import write_pictures


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_trains_and_learns(tmp_path, recipe):
    train = write_pictures(tmp_path / "train", {"red": 40, "green": 40, "blue": 40}, size=32)
    test = write_pictures(tmp_path / "test", {"red": 10, "green": 10, "blue": 10}, size=32, seed=1)
    quick = {} if recipe == "fast" else {"model": "compact", "size": 32, "lr": 0.02}
    run = eyas.train(
        train, test=str(test), recipe=recipe, **quick, batch_size=24, epochs=4, device="cpu", view="none",
        out=tmp_path / "run",
    )  # fmt: skip
    assert run.finished.reason == "complete"
    assert run.finished.best_value > 0.8


def test_fast_begins_with_small_images_and_ends_with_whole_ones(pictures, tmp_path):
    plan = make_plan(make_config({"train": pictures["train"]}, recipe="fast"), tmp_path)
    assert [plan.size(epoch) for epoch in range(9)] == [20, 20, 24, 24, 28, 28, 32, 32, 32]


@pytest.mark.parametrize(
    ("size", "share", "epochs"), [(256, 0.5, 10), (224, 0.6, 3), (33, 0.3, 5), (7, 0.1, 2), (32, 0.5, 1)]
)
def test_images_grow_evenly_and_are_whole_in_the_last_third(pictures, tmp_path, size, share, epochs):
    given = {"train": pictures["train"], "model": "swift", "size": size, "progressive_size": share, "epochs": epochs}
    plan = make_plan(make_config(given), tmp_path)
    sizes = [plan.size(epoch) for epoch in range(epochs)]
    assert sizes == sorted(sizes)
    assert all(size * share - size // 8 - 1 <= one <= size for one in sizes)
    assert epochs == 1 or sizes[-1] == size
    assert plan.size(epochs) == size  # what is tuned and measured


def test_precision_auto_is_what_the_device_has_and_is_written_down(pictures, tmp_path):
    cpu = torch.device("cpu")
    found = settled_precision("auto", cpu)
    assert found == ("bf16" if torch.cpu._is_avx512_bf16_supported() else "fp32")
    assert settled_precision("fp16", cpu) == "fp16"
    given = {"model": "compact", "size": 16, "epochs": 1, "view": "none", "device": "cpu", "precision": "auto"}
    run = eyas.train(pictures["train"], **given, out=tmp_path / "run")
    assert f'precision = "{found}"' in (run.directory / "config.toml").read_text()
    assert read_tensors(run.directory / "state.safetensors", "state")[1]["fingerprint"]["precision"] == found
    assert eyas.resume(run.directory, epochs=2).finished.epoch == 2
