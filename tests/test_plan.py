"""What the plan makes of training pictures: the same whether their pixels are kept or not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from eyas.training.planning import make_plan
from tests.runs import config_of


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_the_cache_changes_no_training_picture(pictures, tmp_path, resize, interpolation):
    asked = {"resize": resize, "interpolation": interpolation, "size": 23, "progressive_size": 0.7, "flip": 0.5}
    samples = np.arange(56)
    seen = []
    for cache in ("ram", "none"):
        plan = make_plan(config_of(pictures, **asked, cache=cache), tmp_path)
        seen.append([plan.pipeline.varied(plan.train.read(samples), samples, epoch) for epoch in range(3)])
    assert all(torch.equal(kept, streamed) for kept, streamed in zip(*seen, strict=True))
