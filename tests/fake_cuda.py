"""A CUDA device made of CPU tensors: the rules of a GPU without a GPU, so that code for one is run by every test run.

What is kept of the rules: tensors of two devices do not meet (but for CPU scalars and indices); a CUDA tensor has no
`numpy()` and cannot be pinned; random numbers come from the generator of their device; operations that have no
deterministic kernel are refused where deterministic ones are asked for; a compiled CUDA graph overwrites what it
returned before. Every wait of the host for the device is counted, with its place in eyas. What is not kept: speed,
memory, streams that race, the last bits of CUDA's kernels.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torchvision.transforms.v2._augment
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

aten = torch.ops.aten
# refused by torch.use_deterministic_algorithms on CUDA, of those that a network for images may have
WITHOUT_DETERMINISTIC_KERNEL = {
    "aten::_adaptive_avg_pool2d_backward", "aten::adaptive_max_pool2d_backward", "aten::fractional_max_pool2d_backward",
    "aten::upsample_bicubic2d_backward", "aten::upsample_linear1d_backward", "aten::reflection_pad2d_backward", "aten::grid_sampler_2d_backward",
    "aten::max_unpool2d", "aten::histc", "aten::kthvalue",
}  # fmt: skip
WAITS = {"aten::nonzero", "aten::masked_select", "aten::equal", "aten::bincount", "aten::_unique2", "aten::is_nonzero"}
INDEXED = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}


class FakeCuda:
    """The devices: how many, which one is current, their generators, and what was waited for."""

    def __init__(self, count: int = 2) -> None:
        self.count, self.current = count, 0
        self.generators = tuple(torch.Generator() for _ in range(count))
        self.waits: Counter[tuple[str, str]] = Counter()  # (what, place in eyas) -> times
        self.free = 64 << 30  # bytes that the device says are free
        self.room: int | None = None  # images that a convolution has memory for, None: any number
        self.compiles = True  # whether torch.compile finds a compiler

    def wait(self, what: str) -> None:
        """Count a wait of the host for the device."""
        frames = (frame for frame in reversed(traceback.extract_stack()) if "/eyas/" in frame.filename)
        self.waits[what, next((f"{f.filename.rpartition('/eyas/')[2]}:{f.lineno}" for f in frames), "?")] += 1


_usual_to = torch.Tensor.to
_fake: FakeCuda | None = None  # whose rules hold now


def fake() -> FakeCuda:
    assert _fake is not None, "a tensor of the emulated device outlived it"
    return _fake


class CudaTensor(torch.Tensor):
    """A tensor that says it is on a CUDA device; `inner` holds its values."""

    inner: torch.Tensor
    index: int

    @staticmethod
    def __new__(cls, inner: torch.Tensor, index: int) -> CudaTensor:
        with torch.inference_mode(False):  # a view of a usual tensor is one, also inside inference mode
            made: CudaTensor = torch.Tensor._make_wrapper_subclass(
                cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype, layout=inner.layout, device="cpu", requires_grad=False
            )  # fmt: skip
        made.inner, made.index = inner, index
        return made

    def __init__(self, inner: torch.Tensor, index: int) -> None: ...

    __torch_function__ = torch._C._disabled_torch_function_impl
    device = property(lambda self: torch.device("cuda", self.index))  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]
    is_cpu = property(lambda self: False)  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})

    def __repr__(self, **_: Any) -> str:
        return f"CudaTensor({self.inner}, cuda:{self.index})"

    def __deepcopy__(self, memo: Any) -> torch.Tensor:
        copy = CudaTensor(self.inner.detach().clone(), self.index)
        if getattr(self, "_is_param", False):
            return torch.nn.Parameter(copy, self.requires_grad)
        return copy

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError(f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() first.")

    def pin_memory(self, *_: Any) -> Any:  # type: ignore[override]
        raise RuntimeError(f"cannot pin 'torch.cuda.{self.dtype}' only dense CPU tensors can be pinned")

    def is_pinned(self, *_: Any) -> bool:  # type: ignore[override]
        return False

    def data_ptr(self) -> int:
        return self.inner.data_ptr()

    def record_stream(self, stream: Any) -> None: ...

    def tolist(self) -> Any:
        fake().wait("tolist")
        return self.inner.tolist()

    def cpu(self, *_: Any, **__: Any) -> torch.Tensor:  # type: ignore[override]
        return self.to("cpu")

    def cuda(self, *_: Any, **__: Any) -> torch.Tensor:  # type: ignore[override]
        return self

    def to(self, *args: Any, **kwargs: Any) -> torch.Tensor:  # type: ignore[override]
        """Like torch's; it parses what was given itself, since C++ takes this tensor for one on the CPU."""
        device, dtype, waits, order = _parsed(*args, **kwargs)
        copied: dict[str, Any] = {"dtype": dtype} if dtype not in (None, self.dtype) else {}
        copied |= {"memory_format": order} if order not in (None, torch.preserve_format) else {}
        copied |= {"copy": True} if kwargs.get("copy") else {}
        if device is None or device == self.device:
            return _usual_to(self, **copied) if copied else self
        moved = _Moved.apply(self, device, waits)
        return moved.to(**copied) if copied else moved  # type: ignore[no-any-return]


def _parsed(*args: Any, **kwargs: Any) -> tuple[torch.device | None, torch.dtype | None, bool, Any]:
    """Return (device, dtype, whether the host waits, memory format) of what `Tensor.to` was called with."""
    device, dtype, flags = kwargs.get("device"), kwargs.get("dtype"), []
    for given in (*args, *([kwargs["other"]] if "other" in kwargs else [])):
        if isinstance(given, torch.Tensor):
            device, dtype = given.device, given.dtype
        elif isinstance(given, torch.dtype):
            dtype = given
        elif isinstance(given, bool):
            flags.append(given)
        else:
            device = given
    named = None if device is None else _indexed(torch.device(device))
    return named, dtype, not kwargs.get("non_blocking", flags[0] if flags else False), kwargs.get("memory_format")


def _indexed(device: torch.device) -> torch.device:
    return torch.device("cuda", fake().current) if device.type == "cuda" and device.index is None else device


class _Moved(torch.autograd.Function):
    """A copy to another device, through which gradients go back."""

    @staticmethod
    def forward(ctx: Any, tensor: CudaTensor, device: torch.device, waits: bool) -> torch.Tensor:  # type: ignore[override]
        ctx.index = tensor.index
        if waits:
            fake().wait("copy to the host")
        values = tensor.inner.clone(memory_format=torch.preserve_format)
        return values if device.type == "cpu" else CudaTensor(values, device.index)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:  # type: ignore[override]
        return CudaTensor(_inner(gradient), ctx.index), None, None


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, CudaTensor) else value


def computed(func: Any, args: Any, kwargs: Any) -> Any:
    """Return what an operation gives on the devices that its tensors are on. Raises as CUDA would."""
    name = func._schema.name
    tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, torch.Tensor)]
    indices = {tensor.index for tensor in tensors if isinstance(tensor, CudaTensor)}
    asked = None if kwargs.get("device") is None else _indexed(torch.device(kwargs["device"]))
    if not indices and (asked is None or asked.type != "cuda"):
        return func(*args, **kwargs)
    if name == "aten::_local_scalar_dense":
        fake().wait("item")
        return func(_inner(args[0]))
    if name == "aten::is_pinned":
        return False
    if name in ("aten::_to_copy", "aten::copy_"):
        return _copied(func, args, kwargs, asked)
    _check(func, name, tensors, indices)
    hosted = bool(kwargs.get("pin_memory"))  # empty_like(tensor, device="cpu", pin_memory=True)
    target = torch.device("cpu") if hosted else torch.device("cuda", *indices) if indices else asked
    with _drawing_from(func, target):
        inner = {key: value for key, value in kwargs.items() if key not in ("device", "pin_memory")}
        result = func(*tree_map(_inner, args), **tree_map(_inner, inner))
    if hosted:
        return result
    result = tree_map(
        lambda value: CudaTensor(value, target.index) if isinstance(value, torch.Tensor) else value, result
    )
    return return_and_correct_aliasing(func, args, kwargs, result) if indices else result


def _copied(func: Any, args: Any, kwargs: Any, asked: torch.device | None) -> Any:
    """Copy between devices, or within one."""
    source = args[1] if func._schema.name == "aten::copy_" else args[0]
    if func._schema.name == "aten::copy_":
        crosses = isinstance(args[0], CudaTensor) != isinstance(source, CudaTensor)
        waits = crosses and not (args[2] if len(args) > 2 else kwargs.get("non_blocking", False))
        if waits and (isinstance(source, CudaTensor) or source.dim()):
            fake().wait("copy_")
        _inner(args[0]).copy_(_inner(source))
        return args[0]
    values = func(
        _inner(source), **{key: value for key, value in kwargs.items() if key not in ("device", "pin_memory")}
    )
    if isinstance(source, CudaTensor):  # what C++ casts stays where it is; it names the host, and means this device
        return CudaTensor(values.clone() if values is source.inner else values, source.index)
    target = asked or source.device
    if target.type == "cpu":
        return values
    if not kwargs.get("non_blocking"):
        fake().wait("copy to the device")
    return CudaTensor(values.clone() if values is source else values, target.index)


def _check(func: Any, name: str, tensors: list[torch.Tensor], indices: set[int]) -> None:
    hosted = [t for t in tensors if not isinstance(t, CudaTensor) and t.dim() > 0]
    if name in INDEXED:
        if any(t.dtype == torch.bool for t in tensors) or hosted:
            fake().wait(name)
        hosted = [t for t in hosted if t.dtype not in (torch.int64, torch.bool)]
    if len(indices) > 1 or (hosted and indices):
        found = sorted({str(t.device) for t in tensors})
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, {' and '.join(found)}! ({func})"
        )
    if name in WITHOUT_DETERMINISTIC_KERNEL and torch.are_deterministic_algorithms_enabled():
        kernel = name.removeprefix("aten::").lstrip("_") + "_cuda"
        raise RuntimeError(
            f"{kernel} does not have a deterministic implementation, but you set 'torch.use_deterministic_algorithms(True)'."
        )
    if name in WAITS:
        fake().wait(name)
    if name in ("aten::convolution", "aten::conv2d") and fake().room is not None and len(tensors[0]) > fake().room:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@contextlib.contextmanager
def _drawing_from(func: Any, device: torch.device) -> Iterator[None]:
    """Let an operation with random numbers draw from the generator of its device, not from the host's."""
    if device.type == "cpu" or torch.Tag.nondeterministic_seeded not in func.tags:
        yield
        return
    host, own = torch.default_generator.get_state(), fake().generators[device.index]
    torch.default_generator.set_state(own.get_state())
    try:
        yield
    finally:
        own.set_state(torch.default_generator.get_state())
        torch.default_generator.set_state(host)


class _Mode(TorchDispatchMode):
    """Sees what makes tensors out of none (`torch.zeros(3, device="cuda")`)."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})


class _Stream:
    def __init__(self, *_: Any, **__: Any) -> None: ...
    def record_event(self, *_: Any) -> _Stream:
        return self

    def wait_event(self, event: Any) -> None: ...
    def wait_stream(self, stream: Any) -> None: ...
    def synchronize(self) -> None: ...


class _Graphed(torch.nn.Module):
    """A network compiled into a CUDA graph: what it returned is overwritten by its next call in the same step."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network, self.calls = network, 0

    def forward(self, images: torch.Tensor) -> Any:
        if not fake().compiles:
            raise RuntimeError(
                "InductorError: InvalidCxxCompiler: No working C++ compiler found in torch._inductor.config.cpp.cxx"
            )
        if torch.is_grad_enabled() and self.calls:
            raise RuntimeError(
                "Error: accessing tensor output of CUDAGraphs that has been overwritten by a subsequent run."
            )
        self.calls += 1
        return self.network(images)


def _compiled(network: torch.nn.Module, *, mode: str | None = None, **_: Any) -> torch.nn.Module:
    if mode != "reduce-overhead" and fake().compiles:
        return network
    graphed = _Graphed(network)
    _graphed.append(graphed)
    return graphed


_graphed: list[_Graphed] = []


def _step_begins() -> None:
    for graphed in _graphed:
        graphed.calls = 0


@contextlib.contextmanager
def installed(count: int = 2) -> Iterator[FakeCuda]:
    """Let this process see `count` CUDA devices inside."""
    global _fake
    devices = FakeCuda(count)
    cuda, waiting = torch.cuda, lambda *_: devices.wait("synchronize")
    autocast, one_hot = torch.autocast, torch.nn.functional.one_hot

    class Autocast(autocast):  # type: ignore[misc, valid-type]
        def __init__(self, device_type: str, *args: Any, **kwargs: Any) -> None:
            super().__init__("cpu", *args, **kwargs)

    def set_device(device: Any) -> None:
        devices.current = device if isinstance(device, int) else _indexed(torch.device(device)).index

    @contextlib.contextmanager
    def device(which: Any) -> Iterator[None]:
        before = devices.current
        set_device(which)
        yield
        devices.current = before

    def to(self: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Like torch's; in any thread, while the mode is the one of this thread only."""
        device, dtype, waits, order = _parsed(*args, **kwargs)
        if device is None or device.type != "cuda":
            return _usual_to(self, *args, **kwargs)
        if waits:
            devices.wait("copy to the device")
        values = _usual_to(self.detach(), dtype or self.dtype, copy=True, **({"memory_format": order} if order else {}))
        return CudaTensor(values, device.index)

    usual_run = threading.Thread.run

    def run(thread: threading.Thread) -> None:
        with _Mode():  # a mode holds for the thread that has entered it
            usual_run(thread)

    def grouped(tensors: Any, with_indices: bool = False) -> Any:
        kinds: dict[Any, tuple[list[list[torch.Tensor]], list[int]]] = {}
        for number, tensor in enumerate(tensors[0]):
            lists, numbers = kinds.setdefault((tensor.device, tensor.dtype), ([[] for _ in tensors], []))
            numbers.append(number)
            for own, given in zip(lists, tensors, strict=True):
                own += given[number : number + 1]  # some lists are empty
        return kinds

    def one_hot_(labels: torch.Tensor, num_classes: int = -1) -> torch.Tensor:
        made = one_hot(_inner(labels), num_classes)
        return CudaTensor(made, labels.index) if isinstance(labels, CudaTensor) else made

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "_lazy_init": lambda: None, "_initialized": True, "is_available": lambda: True, "is_initialized": lambda: True, "device_count": lambda: count,
            "current_device": lambda: devices.current, "set_device": set_device, "device": device, "default_generators": devices.generators,
            "get_device_name": lambda *_: "Emulated CUDA device", "get_device_capability": lambda *_: (9, 0), "get_arch_list": lambda: ["sm_80", "sm_90"],
            "is_bf16_supported": lambda *_, **__: True, "mem_get_info": lambda *_: (devices.free, 80 << 30), "synchronize": waiting,
            "manual_seed": lambda seed: devices.generators[devices.current].manual_seed(seed), "Stream": _Stream, "stream": lambda _: contextlib.nullcontext(),
            "current_stream": lambda *_: _Stream(), "empty_cache": lambda: None, "reset_peak_memory_stats": lambda *_: None,
            "max_memory_allocated": lambda *_: 1 << 30,
        }.items():  # fmt: skip
            patch.setattr(cuda, name, value)
        patch.setattr(torch.accelerator, "synchronize", waiting)
        patch.setattr(torch.version, "cuda", "13.0")
        patch.setattr(torch, "autocast", Autocast)
        patch.setattr(torch, "compile", _compiled)
        patch.setattr(torch.compiler, "cudagraph_mark_step_begin", _step_begins)
        for module in (torch.nn.functional, torchvision.transforms.v2._augment):
            patch.setattr(module, "one_hot", one_hot_)
        patch.setattr(torch.Tensor, "pin_memory", lambda self, *_: self.clone())
        patch.setattr(torch.Tensor, "to", to)
        patch.setattr(threading.Thread, "run", run)
        for module in (torch.nn.utils.clip_grad, sys.modules["torch.optim.optimizer"]):
            patch.setattr(module, "_group_tensors_by_device_and_dtype", grouped)
        patch.setattr(torch.backends.cudnn, "enabled", False)
        torch._C._ensureCUDADeviceGuardSet()
        overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        torch._C._set_only_lift_cpu_tensors(True)
        _fake = devices
        try:
            with _Mode():
                yield devices
        finally:
            torch._C._set_only_lift_cpu_tensors(False)
            torch.__future__.set_overwrite_module_params_on_conversion(overwrites)
            _graphed.clear()
