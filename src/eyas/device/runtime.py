"""Device, precision, processes and signals. The only file that uses torch.distributed."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from eyas.config.training import DeviceConfig
from eyas.device.choice import Room, choose_device, device_in_words, has_tf32, settled_precision, sums_type
from eyas.device.pooling import with_deterministic_pooling
from eyas.device.profile import NoSpans, Profile, Spans
from eyas.files.system import keep_memory, stop_signals
from eyas.seeds import Indices, key

_KERNELS = 64  # compiled versions of a network in one run
_POLL_STEPS = 16  # several processes ask each other this seldom whether one was told to stop: it costs a message
_DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Runtime:
    """The device and numerics of this process, which computes every batch, or its part if there are several processes.

    `profile` records where the time goes; it does nothing unless `open_runtime` was called with it.
    """

    def __init__(self, config: DeviceConfig, *, rank: int = 0, world: int = 1, local_rank: int = 0) -> None:
        self.rank, self.world = rank, world
        several_gpus = world > 1 and config.device in ("auto", "cuda") and torch.cuda.is_available()
        self.device = choose_device(f"cuda:{local_rank}" if several_gpus else config.device)
        self.config = config.model_copy(update={"precision": settled_precision(config.precision, self.device)})
        self.dtype = _DTYPES[self.config.precision]
        self.stop_requested = False
        self.profile: Profile = NoSpans()
        self.back = ExitStack()  # what the process is set back to when the runtime is closed
        self.room = Room()  # of the passes over a set
        self.keeps_pixels = self.device.type == "cuda"  # whether the sets' images are kept on the device
        self._last_save = time.monotonic()
        self._notes: list[str] = []

    def set(self, owner: Any, name: str, value: object) -> None:
        """Set a setting of PyTorch's for the whole process until the runtime is closed."""
        self.back.callback(setattr, owner, name, getattr(owner, name))
        setattr(owner, name, value)

    def note(self, said: str) -> None:
        """Keep a sentence for the user until the loop tells it."""
        self._notes.append(said)

    def noted(self) -> list[str]:
        """Return the sentences kept, and keep none."""
        notes, self._notes = self._notes, []
        return notes

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def seed(self, seed: int, step: int) -> None:
        """Make dropout and mixing a function of (seed, step, rank)."""
        number = key(seed, "step", step, self.rank)
        torch.default_generator.manual_seed(number)
        if self.device.type == "cuda":
            with torch.cuda.device(self.device):  # it seeds the current device
                torch.cuda.manual_seed(number % 2**63)
        elif self.device.type == "mps":
            torch.mps.manual_seed(number % 2**63)

    def autocast(self) -> AbstractContextManager[Any]:
        """Compute in 16 bits inside, if so configured."""
        mixed = self.dtype != torch.float32
        return torch.autocast(self.device.type, self.dtype) if mixed else nullcontext()

    def scaler(self) -> torch.amp.GradScaler:
        """Return the gradient scaler; one that does nothing except for fp16."""
        return torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)

    def place(self, model: nn.Module) -> nn.Module:
        """Move a bare model to the device, in the memory order configured."""
        if self.config.deterministic and self.device.type == "cuda":
            with_deterministic_pooling(model)
        model.to(device=self.device)
        model.to(memory_format=torch.channels_last if self.config.channels_last == "on" else torch.preserve_format)
        return model

    def compiled(self, model: nn.Module, *, parts: int) -> Any:
        """Return the network to call in training: compiled, if so configured, for steps in this many `parts`."""
        if self.config.compile != "on":
            return model
        import torch._dynamo  # takes a second

        self.set(torch._dynamo.config, "recompile_limit", _KERNELS)
        self.back.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", message="TensorFloat32 tensor cores")  # --precision says whether to use them
        # A graph keeps its gradients where they are: those of the next part would overwrite them (pytorch#96693).
        graphs = self.device.type == "cuda" and self.world == 1 and parts == 1
        # The last batch is shorter and progressive sizes grow: a kernel for each size, not one slower kernel for all.
        return torch.compile(model, mode="reduce-overhead" if graphs else None, dynamic=False)

    def forget_compiled(self) -> None:
        """Let go of what was compiled: its graphs hold memory of the device as long as they are known."""
        if "torch._dynamo" in sys.modules:
            torch._dynamo.reset()

    def joined(self, network: Any) -> Any:
        """Return the network with its gradients joined with the other processes', if there are any."""
        if self.world == 1:
            return network
        return DistributedDataParallel(network, [self.device.index] if self.device.type == "cuda" else None)

    def begin_step(self, seed: int, step: int) -> None:
        """Seed the step, and let a compiled graph use the memory of the step before again."""
        self.seed(seed, step)
        if self.config.compile == "on":
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]

    def agreed(self, number: float) -> float:
        """Return the first process's number in every process."""
        mine = torch.tensor(number if self.is_main else 0, dtype=sums_type(self.device), device=self.device)
        return float(self.total(mine).item())

    def gradient_sync(self, network: Any, *, enabled: bool) -> AbstractContextManager[Any]:
        """Join gradients with the other processes' at the backward pass inside, or wait for a later one."""
        return nullcontext() if enabled or not isinstance(network, DistributedDataParallel) else network.no_sync()

    def put(self, tensor: Tensor) -> Tensor:
        """Return the tensor on the device."""
        with self.profile.span("transfer"):
            if self.device.type == "cuda" and not tensor.is_cuda:  # what is there already cannot be pinned
                tensor = tensor.pin_memory()
            return tensor.to(self.device, non_blocking=self.device.type == "cuda")  # MPS would not keep a temporary

    def settle(self) -> None:
        """Return when the device has done all that it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()

    @property
    def memory_format(self) -> torch.memory_format:
        """The memory order of the network's filters and input: half the speed is lost where the two differ."""
        return torch.channels_last if self.config.channels_last == "on" else torch.contiguous_format

    def moved(self, batches: Iterator[tuple[Indices, Tensor]]) -> Iterator[tuple[Indices, Tensor]]:
        """Yield the batches on the device; to a GPU each is copied while the one before is computed on."""
        if self.device.type != "cuda":
            yield from ((samples, images.to(self.device)) for samples, images in batches)
            return
        stream, coming = torch.cuda.Stream(self.device), None  # type: ignore[no-untyped-call]
        for samples, images in batches:
            pinned = images if images.is_cuda else images.pin_memory()
            with torch.cuda.stream(stream):
                copied = samples, pinned.to(self.device, non_blocking=True), stream.record_event()
            if coming is not None:
                yield _arrived(*coming)
            coming = copied
        if coming is not None:
            yield _arrived(*coming)

    def total(self, tensor: Tensor) -> Tensor:
        """Return the sum over all processes."""
        if self.world > 1:
            tensor = tensor.clone()
            dist.all_reduce(tensor)
        return tensor

    def share_buffers(self, model: nn.Module) -> None:
        """Give every process rank 0's buffers: the running statistics of BatchNorm are the model's, and it has one."""
        if self.world > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, 0)

    def wait_for_all(self) -> None:
        """Return when every process has come here."""
        if self.world > 1:
            dist.barrier()

    def interrupted(self, step: int) -> bool:
        """Return whether the run should stop after this step; the same answer in every process."""
        if self.world == 1:
            return self.stop_requested
        return step % _POLL_STEPS == 0 and self.any(self.stop_requested)

    def save_due(self, step: int, minutes: float) -> bool:
        """Return whether the last save is `minutes` ago (0: never due); the same answer in every process."""
        late = minutes > 0 and time.monotonic() - self._last_save > 60 * minutes
        if self.world > 1:
            return minutes > 0 and step % _POLL_STEPS == 0 and self.any(late and self.is_main)
        return late

    def saved(self) -> None:
        """Note that the state was saved now."""
        self._last_save = time.monotonic()

    def any(self, flag: bool) -> bool:
        """Return whether `flag` is true in one of the processes."""
        return bool(self.total(torch.tensor(int(flag), device=self.device)).item())

    def in_words(self) -> str:
        """Return the device, the precision and what else decides which kernels compute, for people."""
        partly = " (convolutions in TF32)" if self.config.precision == "fp32" and has_tf32(self.device) else ""
        parts = [device_in_words(self.device), self.config.precision + partly]
        parts += ["the fastest kernels as measured (cuDNN benchmark)"] if torch.backends.cudnn.benchmark else []
        parts += ["deterministic kernels"] if self.config.deterministic and self.device.type == "cuda" else []
        parts += [f"{self.world} processes"] if self.world > 1 else []
        parts += ["compiled"] if self.config.compile == "on" else []
        parts += ["channels last"] if self.config.channels_last == "on" else []
        return ", ".join(parts)


def _arrived(samples: Indices, images: Tensor, event: torch.cuda.Event) -> tuple[Indices, Tensor]:
    """Return a batch that was copied on another stream: whatever is computed from now on waits for the copy."""
    torch.cuda.current_stream(images.device).wait_event(event)
    images.record_stream(torch.cuda.current_stream(images.device))
    return samples, images


@contextmanager
def open_runtime(config: DeviceConfig, *, profile: bool = False) -> Iterator[Runtime]:
    """Open the runtime of this process (a context manager); under torchrun, join the other processes.

    `profile` measures where the time goes in the first process; the device is then synchronised at every mark.
    """
    rank, world, local_rank = (int(os.environ.get(name, first)) for name, first in _ENVIRONMENT)
    runtime = Runtime(config, rank=rank, world=world, local_rank=local_rank)
    if profile and runtime.is_main:
        runtime.profile = Spans(runtime.settle)
    with runtime.back, keep_memory():
        _set_arithmetic(runtime)
        if world > 1:
            on_gpu = runtime.device.type == "cuda"
            dist.init_process_group("nccl" if on_gpu else "gloo", device_id=runtime.device if on_gpu else None)
            runtime.back.callback(dist.destroy_process_group)
        yield runtime


def _set_arithmetic(runtime: Runtime) -> None:
    """Set what PyTorch decides for the whole process; all of it is put back with the runtime's end."""
    config, back = runtime.config, runtime.back
    if config.threads:
        back.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(config.threads)
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS refuses to be deterministic
        warns = torch.is_deterministic_algorithms_warn_only_enabled()
        back.callback(torch.use_deterministic_algorithms, torch.are_deterministic_algorithms_enabled(), warn_only=warns)
        torch.use_deterministic_algorithms(True)
    if runtime.device.type == "cuda":
        if runtime.world == 1:  # each process of several would open a context on the first GPU by going back to it
            back.callback(torch.cuda.set_device, torch.cuda.current_device())
        torch.cuda.set_device(runtime.device)
        runtime.set(torch.backends.cudnn, "benchmark", not config.deterministic)
        convolutions, matrices = torch.backends.cudnn.conv, torch.backends.cuda.matmul  # type: ignore[attr-defined]
        for kind in (convolutions, matrices):
            back.callback(setattr, kind, "fp32_precision", kind.fp32_precision)
        # by the older names, which set the newer ones too: the compiler of PyTorch 2.10 reads only the older ones
        torch.backends.cudnn.allow_tf32 = True  # PyTorch's own default
        matrices.allow_tf32 = config.precision == "tf32"


_ENVIRONMENT = (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))


@contextmanager
def stoppable(runtime: Runtime) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and Ctrl-Break inside stop the run after its step, saved; a second one ends it at once.

    They only set a flag: nothing is ever saved inside a signal's handler.
    """

    def ask(number: int, frame: FrameType | None) -> None:
        runtime.stop_requested = True
        for waiting, usual in before.items():  # the second one is answered as usual
            signal.signal(waiting, usual)

    before: dict[signal.Signals, Any] = {}
    try:
        for number in stop_signals():
            before[number] = signal.signal(number, ask)
    except ValueError:  # not the main thread: then whoever owns it decides
        before = {}
    try:
        yield
    finally:
        for number, usual in before.items():
            signal.signal(number, usual)
