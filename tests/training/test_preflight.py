"""What is said before the first step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.runs import config_of
from torch import nn

from eyas.device.runtime import open_runtime
from eyas.model.shapes import values_normalised
from eyas.training.events import Started
from eyas.training.loop import fit
from eyas.training.planning import make_plan


def warnings(pictures: dict[str, str], directory: Path, **given: Any) -> list[str]:
    """What the first event of a run on 56 pictures warns of."""
    config = config_of(pictures, **given)
    with open_runtime(config.device) as runtime:
        events = fit(make_plan(config, directory), runtime)
        first = next(events)
        events.close()
    assert isinstance(first, Started)
    return [said for what, said in first.facts if what == "warning"]


def test_batch_normalisation_over_very_few_values_in_the_last_batch_is_warned_of(pictures, tmp_path):
    (said,) = warnings(pictures, tmp_path, model="resnet18", size=32, batch_size=18)
    assert said == (
        "the last batch of an epoch has 2 image(s): layer4.0.bn1 (batch normalisation) takes its variance from 2 values "
        "per channel, and a step with so few can ruin the weights. "
        "What helps: --drop-last leaves it out, another --batch-size, or a larger --size."
    )


@pytest.mark.parametrize(
    "given",
    [
        {"model": "resnet18", "size": 32, "batch_size": 18, "drop_last": True},
        {"model": "resnet18", "size": 32, "batch_size": 16},  # ends with 8
        {"model": "resnet18", "size": 64, "batch_size": 18},
        {"model": "compact", "size": 32, "batch_size": 18},
        {"model": "squeezenet1_1", "size": 32, "batch_size": 18},  # without batch normalisation
    ],
)
def test_enough_values_are_not_warned_of(pictures, tmp_path, given):
    assert warnings(pictures, tmp_path, **given) == []


def test_a_batch_that_is_small_for_another_reason_is_not_said_to_be_the_last(pictures, tmp_path):
    (said,) = warnings(pictures, tmp_path, model="resnet18", size=32, batch_size=28, accumulate=14)
    assert said.startswith("a batch has 28 image(s), of which the network sees 2 at once: layer4.0.bn1 ")
    assert said.endswith("What helps: another --batch-size, a smaller --accumulate, or a larger --size.")
    (said,) = warnings(pictures, tmp_path, model="resnet18", size=32, batch_size=23, accumulate=3)
    assert said.startswith("the last batch of an epoch has 10 image(s), of which the network sees 3 at once: ")
    assert "--drop-last" not in said, "seven images at once are few too"


def test_a_process_sees_its_share_of_a_batch_in_parts(pictures, tmp_path):
    plan = make_plan(config_of(pictures, accumulate=4), tmp_path)
    assert [plan.part(16, 1), plan.part(16, 2), plan.part(17, 2), plan.part(2, 1)] == [4, 2, 2, 1]


def test_values_are_counted_by_layer_where_it_trains_and_nothing_is_left_behind():
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.BatchNorm1d(48), nn.BatchNorm1d(48).eval())
    with values_normalised(network) as values:
        network(torch.rand(5, 3, 4, 4))
    assert values == {"0": 5 * 4 * 4, "2": 5}
    assert not any(layer._forward_pre_hooks for layer in network)
