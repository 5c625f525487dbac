"""Which device computes, chosen by name."""

from __future__ import annotations

import torch

from eyas.errors import SettingsError


def choose_device(name: str) -> torch.device:
    """Return the device called `name`; "auto" is the first CUDA device, else MPS, else the CPU.

    Raises `SettingsError` if there is no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingsError(f"--device {name}: unknown. Use cpu, cuda, cuda:0, mps or auto.") from None
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device.type, False):
        usable = ", ".join(kind for kind, present in there.items() if present)
        raise SettingsError(
            f"--device {name}: this machine or this build of PyTorch has none. Here there is: {usable}."
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise SettingsError(
            f"--device {name}: this machine has {torch.cuda.device_count()} CUDA device(s), from cuda:0."
        )
    return device


def device_in_words(device: torch.device) -> str:
    """Return the device's name for people, such as "cpu, 2 threads"."""
    if device.type == "cuda":
        return f"{device}, {torch.cuda.get_device_name(device)}"
    return f"cpu, {torch.get_num_threads()} threads" if device.type == "cpu" else str(device)


def settled_precision(name: str, device: torch.device) -> str:
    """Return "bf16" or "fp32" for "auto": bf16 where the device computes in it, not merely imitates it."""
    if name != "auto":
        return name
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return "bf16" if native else "fp32"


# how torch and oneDNN say so; a primitive that cannot be made after the preflight made it wants memory
_NO_MEMORY = ("out of memory", "DefaultCPUAllocator", "allocate memory", "could not create a primitive")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the memory of a device, or of the machine, ran out."""
    words = str(error)
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in words for sign in _NO_MEMORY)
    )


def sums_type(device: torch.device) -> torch.dtype:
    """Return the type that sums are kept in: float64, or float32 on a device that has none."""
    return torch.float32 if device.type == "mps" else torch.float64


def usual_batch(size: int, device: torch.device) -> int:
    """Return how many images of `size` pixels a network answers for at once: a function of both alone.

    So the same images meet in a batch in every run. On a CPU an input of more than 6 MB is no faster; a GPU has room
    for more, without gradients.
    """
    room = 2**28 if device.type == "cuda" else 6 * 2**20
    return max(32, min(2048, room // (12 * size * size)))
