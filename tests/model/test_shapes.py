"""Shapes in a table, and failures of a first step in words: every error here is raised by a real network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from eyas.errors import SettingsError
from eyas.model.compact import compact
from eyas.model.failures import explain_failure
from eyas.model.shapes import check_logits, shape_table
from eyas.model.zoo import build, outline


def _explained(network: nn.Module, images: torch.Tensor, num_classes: int = 3) -> str:
    """Return what is said of the failure of a first training step."""
    with pytest.raises((RuntimeError, ValueError, AssertionError, TypeError, IndexError)) as failure:
        nn.functional.cross_entropy(network(images), torch.full((len(images),), num_classes - 1)).backward()
    return str(explain_failure(failure.value, "mine", images.shape, num_classes))


def test_the_table_has_the_shape_behind_every_stage() -> None:
    table = shape_table(outline("alexnet", 10), torch.empty(64, 3, 256, 256, device="meta"))

    assert [row[:2] for row in table] == [
        ("images", "64x3x256x256"),
        ("features", "64x256x7x7"),
        ("avgpool", "64x256x6x6"),
        ("classifier", "64x10"),
        ("logits", "64x10"),
    ]
    assert table[1][2] == "Sequential, 2,469,696 parameters"


def test_a_long_network_is_cut_in_the_middle() -> None:
    table = shape_table(outline("inception_v3", 10), torch.empty(2, 3, 299, 299, device="meta"))

    assert len(table) == 12
    assert any(stage == "..." for stage, _, _ in table)


def test_the_table_leaves_the_network_as_it_was() -> None:
    network = compact(3)
    network.stage1.eval()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    images = torch.rand(2, 3, 32, 32)
    state = torch.random.get_rng_state()

    shape_table(network, images)

    assert network.training and not network.stage1.training
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("size", [4, 20])
def test_images_that_shrink_to_nothing_are_explained(size: int) -> None:
    said = _explained(build("alexnet", 3), torch.rand(2, 3, size, size))

    assert f"images of {size}x{size} pixels" in said and "--size" in said


def test_a_one_channel_network_is_explained() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))

    said = _explained(network, torch.rand(2, 3, 16, 16))

    assert "expects one-channel (grey) images; eyas feeds RGB images of 3 channels" in said


def test_layers_that_do_not_fit_together_are_not_blamed_on_the_images() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(5, 4, 3))

    assert "layers that do not fit together: one expects 5 channels and is given 4" in _explained(
        network, torch.rand(2, 3, 16, 16)
    )


def test_a_linear_layer_of_another_size_is_explained() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(100, 3))

    assert "784 features of images of 16x16 pixels, where its linear layer expects 100" in _explained(
        network, torch.rand(2, 3, 16, 16)
    )


def test_a_transformer_of_one_size_is_explained() -> None:
    with pytest.raises(AssertionError) as failure:
        outline("vit_b_16", 3)(torch.empty(2, 3, 64, 64, device="meta"))

    assert "exactly 224x224 pixels and is given 64x64" in str(
        explain_failure(failure.value, "vit_b_16", (2, 3, 64, 64), 3)
    )


def test_timms_transformer_of_one_size_is_explained() -> None:
    pytest.importorskip("timm")
    with pytest.raises(AssertionError) as failure:
        outline("vit_tiny_patch16_224", 3)(torch.empty(2, 3, 64, 64, device="meta"))

    assert "exactly 224x224 pixels" in str(explain_failure(failure.value, "vit", (2, 3, 64, 64), 3))


def test_a_last_batch_of_one_image_is_explained() -> None:
    said = _explained(compact(3), torch.rand(1, 3, 4, 4))

    assert "the last batch has 1 image. Use another --batch-size, or --drop-last" in said


def test_too_few_outputs_are_explained() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))

    assert "label 4 needs at least 5" in _explained(network, torch.rand(2, 3, 4, 4), num_classes=5)


def test_several_outputs_are_explained() -> None:
    class Twice(nn.Module):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return images.mean((2, 3)), images.mean((2, 3))

    assert "must return one tensor of logits [2, 3]" in _explained(Twice(), torch.rand(2, 3, 4, 4))
    with pytest.raises(SettingsError, match=r"mine returns a tuple of 2 instead of one tensor of logits \[2, 3\]"):
        check_logits(Twice()(torch.rand(2, 3, 4, 4)), "mine", batch_size=2, num_classes=3)


def test_logits_of_other_classes_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"float32 \[2, 1000\] for 2 images of 10 classes"):
        check_logits(torch.zeros(2, 1000), "mine", batch_size=2, num_classes=10)
    check_logits(torch.zeros(2, 10), "mine", batch_size=2, num_classes=10)


def test_memory_that_runs_out_is_explained() -> None:
    with pytest.raises(RuntimeError) as failure:
        torch.empty(1 << 60, dtype=torch.uint8)

    for error in (
        failure.value,
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        MemoryError(),
    ):
        said = str(explain_failure(error, "mine", (64, 3, 256, 256), 3))
        assert "64 images of 256x256 pixels" in said and "--accumulate" in said


def test_an_unknown_failure_keeps_its_first_line() -> None:
    said = str(explain_failure(ValueError("the moon\nis full"), "mine", (2, 3, 8, 8), 3))

    assert said == "mine fails on images 2x3x8x8: ValueError: the moon"
