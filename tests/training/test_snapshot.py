"""Copies of tensors in kept memory: what they hold, and that the memory is the same each time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from eyas.training.state import Snapshot


def odd_tensors(device: str = "cpu") -> dict[str, Tensor]:
    """Return tensors of every kind that a state has, and some that lie in memory in another way."""
    numbers = torch.arange(2 * 3 * 4 * 5, dtype=torch.float32, device=device).reshape(2, 3, 4, 5)
    return {
        "weight": numbers.clone(),
        "channels last": numbers.to(memory_format=torch.channels_last),
        "transposed": numbers.clone().permute(3, 1, 0, 2),
        "with gaps": numbers.clone()[:, ::2],
        "expanded": torch.tensor([1.0, 2.0], device=device).expand(3, 2),
        "inside another": numbers.clone()[1],
        "count": torch.tensor(7, device=device),
        "empty": torch.zeros(0, 3, device=device),
        "half": numbers.half(),
        "bfloat16": numbers.bfloat16(),
        "double": numbers.to("cpu", torch.float64).to(device) if device != "mps" else numbers.clone(),
        "flags": numbers > 50,
        "on the host": torch.tensor(3.0),
    }


def changed(tensor: Tensor) -> Tensor:
    return ~tensor if tensor.dtype == torch.bool else tensor + 1


def check_snapshots(device: str) -> None:
    tensors = odd_tensors(device)
    snapshot = Snapshot()
    snapshot.make_room(tensors)
    before = {name: tensor.cpu().clone() for name, tensor in tensors.items()}
    taken = snapshot.take(tensors)
    places = {name: tensor.data_ptr() for name, tensor in taken.items()}
    for name, tensor in tensors.items():
        if name != "expanded":  # its numbers share one place: they cannot be changed one by one
            tensor.copy_(changed(tensor))
    assert taken.keys() == tensors.keys()
    for name, tensor in taken.items():
        assert tensor.device.type == "cpu", name
        assert tensor.dtype == before[name].dtype, name
        assert torch.equal(tensor, before[name]), name
    again = snapshot.take(tensors)
    assert {name: tensor.data_ptr() for name, tensor in again.items()} == places
    for name, tensor in tensors.items():
        assert torch.equal(again[name], tensor.cpu()), name


def test_a_snapshot_holds_the_values_at_its_time_whatever_the_layout_in_memory_it_kept():
    check_snapshots("cpu")


@pytest.mark.gpu
def test_a_snapshot_of_tensors_on_a_gpu_holds_the_values_at_its_time_in_page_locked_memory():
    check_snapshots("cuda")
    tensor = torch.ones(5, device="cuda")
    assert Snapshot().take({"a": tensor})["a"].is_pinned()


def test_a_tensor_of_another_shape_or_type_gets_room_of_its_own():
    snapshot = Snapshot()
    snapshot.take({"a": torch.zeros(3), "b": torch.zeros(3)})
    taken = snapshot.take({"a": torch.ones(2, 2), "b": torch.ones(3, dtype=torch.float64)})
    assert torch.equal(taken["a"], torch.ones(2, 2))
    assert taken["b"].dtype == torch.float64


def test_the_order_of_channels_in_memory_is_kept_so_that_a_copy_is_one_piece():
    tensor = torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last)
    assert Snapshot().take({"a": tensor})["a"].stride() == tensor.stride()
