"""Chooses the device by name, and says what it can do."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from eyas.errors import SettingsError


def choose_device(name: str) -> torch.device:
    """Return the device called `name`, a CUDA device with its number; "auto" is the first CUDA device if this PyTorch
    can use it, else MPS, else the CPU.

    Warns where "auto" passes over a GPU. Raises `SettingsError` if there is no such device here, or PyTorch cannot
    use it.
    """
    if name == "auto":
        unused = _unused_gpu()
        if not unused and _cuda_is_available():
            return torch.device("cuda", 0)
        if unused:
            # as from here, whoever asks: so it is told once
            warnings.warn(f"--device auto: {unused}", RuntimeWarning, stacklevel=1)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingsError(f"--device {name}: unknown. Use cpu, cuda, cuda:0, mps or auto.") from None
    there = {"cpu": True, "cuda": _cuda_is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device.type, False):
        usable = ", ".join(kind for kind, present in there.items() if present)
        reason = _unused_gpu() if device.type == "cuda" else ""
        raise SettingsError(
            f"--device {name}: {reason or 'this machine or this build of PyTorch has none.'} Here there is: {usable}."
        )
    if device.type != "cuda":
        return device
    if (device.index or 0) >= torch.cuda.device_count():
        raise SettingsError(
            f"--device {name}: this machine has {torch.cuda.device_count()} CUDA device(s), from cuda:0."
        )
    device = torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)
    if reason := _too_old(device.index):
        raise SettingsError(f"--device {name}: {reason}")
    return device


def _unused_gpu() -> str:
    """Return why an NVIDIA GPU that is here computes nothing, in one sentence; "" where there is none, or it can."""
    if _cuda_is_available():
        return _too_old(0)
    if torch.cuda.device_count() == 0 and not Path("/dev/nvidia0").exists() and shutil.which("nvidia-smi") is None:
        return ""
    if torch.version.cuda is None:
        return "An NVIDIA driver is here, but this PyTorch is built without CUDA: install one with it (pytorch.org)."
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:  # it says why each time, a warning of it is given only once
        reason = first_line(error).partition(". ")[0]
    else:
        reason = "CUDA_VISIBLE_DEVICES may hide it"
    which = f"PyTorch {torch.__version__} (CUDA {torch.version.cuda})"
    return f"An NVIDIA driver is here, but {which} sees no GPU: {reason}."


def _cuda_is_available() -> bool:
    """Return whether PyTorch can use a CUDA device; what it warns of is told by `_unused_gpu`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.cuda.is_available()


def _too_old(index: int) -> str:
    """Return why PyTorch has no kernels for a CUDA device, in one sentence; "" if it has."""
    if torch.version.cuda is None:  # AMD's, by ROCm: PyTorch itself does not compare them
        return ""
    major, minor = torch.cuda.get_device_capability(index)
    built = [arch.partition("_")[::2] for arch in torch.cuda.get_arch_list()]  # such as ("sm", "90"), ("compute", "90")
    numbers = [(kind, int(digits.rstrip("af")[:-1]), int(digits.rstrip("af")[-1])) for kind, digits in built]
    fits = any(
        (one, two) <= (major, minor) and (kind == "compute" or one == major) for kind, one, two in numbers
    )  # binary code runs on later GPUs of its own generation, PTX on all later ones
    if fits or not numbers:
        return ""
    name, there = torch.cuda.get_device_name(index), ", ".join(torch.cuda.get_arch_list())
    return (
        f"PyTorch {torch.__version__} has no kernels for {name} (compute capability {major}.{minor}; it has {there}): "
        "install a PyTorch that has them."
    )


def device_in_words(device: torch.device) -> str:
    """Return the device's name for people, such as "cpu, 2 threads"."""
    if device.type == "cuda":
        return f"{device}, {torch.cuda.get_device_name(device)}"
    return f"cpu, {torch.get_num_threads()} threads" if device.type == "cpu" else str(device)


def settled_precision(name: str, device: torch.device) -> str:
    """Return a precision by name: "auto" is bf16 where the device computes in it, not merely imitates it, else fp32.

    Raises `SettingsError` for tf32 on a device that has none.
    """
    if name == "tf32" and not has_tf32(device):
        raise SettingsError(
            f"--precision tf32: {device_in_words(device)} has no TF32 (NVIDIA GPUs have it from compute capability 8.0 "
            "on). Use fp32."
        )
    if name != "auto":
        return name
    if device.type == "cuda":
        with torch.cuda.device(device):  # it asks the current one
            native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return "bf16" if native else "fp32"


def has_tf32(device: torch.device) -> bool:
    """Return whether a device can multiply fp32 numbers rounded to 10 bits of mantissa (TF32)."""
    nvidia = device.type == "cuda" and torch.version.cuda is not None
    return nvidia and torch.cuda.get_device_capability(device) >= (8, 0)


# how torch, oneDNN, cuBLAS and cuDNN say so; a primitive that cannot be made after the preflight made it wants memory
_NO_MEMORY = (
    "out of memory", "DefaultCPUAllocator", "allocate memory", "could not create a primitive", "_STATUS_ALLOC_FAILED",
    "_ALLOCATION_FAILED", "valid cuDNN algorithm",
)  # fmt: skip


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the memory of a device, or of the machine, ran out."""
    words = str(error)
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in words for sign in _NO_MEMORY)
    )


def first_line(error: BaseException) -> str:
    """Return the first line of what a library says, at most 200 characters of it."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(" .:")


@dataclass(slots=True)
class Room:
    """How many images a network has memory for at once: halved each time that it runs out, and so from then on."""

    images: int = 2**31

    def answered(self, answer: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Return `answer(images)`, in parts where memory runs out: each image's answer is its own."""
        while True:
            try:
                return torch.cat([answer(part) for part in images.split(self.images)])  # type: ignore[no-untyped-call]
            except RuntimeError as error:
                most = min(len(images), self.images)
                if most == 1 or not is_out_of_memory(error):
                    raise
            self.images = (most + 1) // 2  # outside the handler, which would keep what the failed pass holds


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
