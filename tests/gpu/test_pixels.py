"""What a GPU makes of pictures: what the CPU makes of them, to the grey level where the arithmetic is the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.runs import config_of

from eyas.config.data import AugmentConfig
from eyas.data.augment.augment import Augment
from eyas.data.images.preprocess import Preprocess
from eyas.device.runtime import open_runtime
from eyas.training.loop import train_batches
from eyas.training.planning import make_plan

CHANGES = {
    "flips": {"flip": 0.5, "vertical_flip": 0.5}, "shifts": {"crop_padding": 4}, "shifts, mirrored": {"crop_padding": 4, "crop_fill": "reflect"}, "crops": {"crop_scale": 0.4},
    "colours": {"color_jitter": 0.4}, "TrivialAugment": {"trivial_augment": True}, "erasing": {"erasing": 0.7},
}  # fmt: skip


@pytest.fixture
def images() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (24, 3, 32, 32), np.uint8))


@pytest.mark.parametrize("change", CHANGES)
def test_augmented_pictures_are_those_of_the_cpu(cuda, images, change):
    augment = Augment(AugmentConfig(**CHANGES[change]), 32, (124, 116, 104))
    stored = (
        torch.nn.functional.interpolate(images.float(), augment.stored_size).to(torch.uint8)
        if augment.stored_size != 32
        else images
    )
    drawn = {"seed": 3, "epoch": 1, "samples": np.arange(24)}
    on_cpu, on_gpu = (
        augment(augment.flipped(some, **drawn), **drawn).cpu().int() for some in (stored, stored.to("cuda"))
    )
    differing = (on_cpu - on_gpu).abs()
    assert (differing > 1).float().mean() < 0.01  # CUDA multiplies by reciprocals: a floor may fall on the other side
    assert differing.float().mean() < 0.5


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resized_pictures_are_those_of_the_cpu_to_one_grey_level(cuda, images, resize, interpolation):
    preprocess = Preprocess(size=20, resize=resize, interpolation=interpolation)
    on_cpu, on_gpu = (preprocess.resized(some).cpu().int() for some in (images, images.to("cuda")))
    assert (on_cpu - on_gpu).abs().max() <= 1
    assert (on_cpu != on_gpu).float().mean() < 0.05
    normalised = [preprocess.normalize(preprocess.resized(images).to(device)).cpu() for device in ("cpu", "cuda")]
    assert torch.allclose(*normalised, atol=1e-5)


@pytest.mark.parametrize("cache", ["auto", "ram", "disk", "none"])
def test_the_batches_are_the_same_wherever_the_pixels_are_kept(cuda, pictures, tmp_path, cache):
    found = {}
    for device, kept in (("cpu", "ram"), ("cuda", cache)):
        config = config_of(pictures, device=device, cache=kept, cache_dir=str(tmp_path / "cache"), epochs=2)
        with open_runtime(config.device) as runtime:
            plan = make_plan(config, tmp_path).placed(runtime)
            batches = train_batches(plan, runtime, start=0)
            found[device] = [(batch.images.cpu(), batch.labels.cpu(), batch.samples) for batch in batches]
    for one, other in zip(found["cpu"], found["cuda"], strict=True):
        assert (one[0].int() - other[0].int()).abs().max() <= 1
        assert torch.equal(one[1], other[1]) and (one[2] == other[2]).all()


def test_pixels_are_kept_on_the_device_only_if_they_fit_into_a_quarter_of_it(emulated, pictures, tmp_path):
    config = config_of(pictures, device="cuda")
    for free, kept in ((10**9, True), (56 * 16 * 16 * 3 * 4 - 1, False)):
        emulated.free = free
        with open_runtime(config.device) as runtime:
            assert make_plan(config, tmp_path).placed(runtime).train.store.pixels.is_cuda == kept


def test_a_snapshot_of_tensors_on_a_device_lies_in_host_memory(cuda):
    from eyas.training.state import Snapshot

    values = {"a": torch.arange(12.0).reshape(3, 4).to("cuda"), "b": torch.ones(2, dtype=torch.int64).to("cuda")}
    snapshot = Snapshot()
    for _ in range(2):  # its memory is used again
        taken = snapshot.take(values)
        assert all(not tensor.is_cuda and torch.equal(tensor, values[name].cpu()) for name, tensor in taken.items())
