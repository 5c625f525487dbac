"""How long a checkpoint keeps the training waiting: eyas against torch.save, in one run.

    python benchmarks/saving.py [--folder DIR] [--rounds 9] [--steps 4]

AlexNet with momentum after one real step: 228 MB of weights and as much of momentum. Three ways, in turn:

- eyas: `Saver.save`, the copy that the loop waits for; the file is written beside the training, hashed and flushed.
- torch.save in place, as scripts do: neither flushed nor whole at every moment.
- torch.save beside the target, flushed, renamed: what it takes to be as safe, without a checksum.

Then training steps (256x256, batch 16) with nothing else to do, and while a checkpoint is being written. Then the
memory that a first save adds at its peak, each way in a fresh process.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from eyas.config.run_config import make_config
from eyas.device.runtime import Runtime, open_runtime
from eyas.files.tensors import read_tensors
from eyas.training.checkpoint import STATE
from eyas.training.loop import train_batches
from eyas.training.plan import Plan
from eyas.training.planning import make_plan
from eyas.training.saving import Saver
from eyas.training.state import TrainState
from eyas.training.step import train_step

WAYS = ("eyas", "torch.save in place", "torch.save, flushed, renamed")
SETTINGS = {"train": "digits", "model": "alexnet", "size": 256, "batch_size": 16, "momentum": 0.9}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="where the files go: on the disk to measure (a temporary folder)")
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each way (%(default)s)")
    parser.add_argument("--steps", type=int, default=4, help="steps of each kind a round (%(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps (%(default)s)")
    parser.add_argument("--memory-of", choices=(*WAYS, "reading"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    config = make_config({**SETTINGS, "device": options.device})
    if options.memory_of:
        print_memory(make_plan(config, Path(options.folder)), Runtime(config.device), options.memory_of)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name, open_runtime(config.device) as runtime:
        plan = make_plan(config, Path(name))
        state = TrainState.fresh(plan, runtime)
        step = stepper(state, plan, runtime)
        step()
        print(f"torch {torch.__version__}, {runtime.in_words()}, {torch.get_num_threads()} threads")
        print(f"a state of {size_of(state):,.0f} MB\n")
        with Saver(plan, runtime) as saver:
            list(saver.step_done(state))  # sets the memory aside, as the loop does after its first step
            saver.wait()
            print_pauses(state, saver, Path(name), rounds=options.rounds)
            print_steps(state, saver, step, rounds=options.rounds, count=options.steps)
        for way in (*WAYS, "reading"):
            given = ["--memory-of", way, "--folder", name, "--device", options.device]
            subprocess.run([sys.executable, __file__, *given], check=True)


def stepper(state: TrainState, plan: Plan, runtime: Runtime) -> Callable[[], None]:
    """Return a function that takes one training step on the next batch."""
    network = runtime.wrap(state.model)
    batches = train_batches(plan, runtime, start=0)

    def step() -> None:
        train_step(state, network, next(batches), plan, runtime)
        if runtime.device.type != "cpu":
            torch.accelerator.synchronize()

    return step


def ways_of(state: TrainState, saver: Saver, folder: Path) -> dict[str, Callable[[], object]]:
    """Return the ways to save by name, each a function that returns when the training may go on."""

    def contents() -> dict[str, object]:
        return {"model": state.model.state_dict(), "optimizer": state.optimizer.state_dict(), "step": state.step}

    def in_place() -> None:
        torch.save(contents(), folder / "in-place.pt")

    def renamed() -> None:
        torch.save(contents(), folder / "beside.pt")
        with (folder / "beside.pt").open("rb") as file:
            os.fsync(file.fileno())
        (folder / "beside.pt").replace(folder / "renamed.pt")
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)

    return dict(zip(WAYS, (lambda: list(saver.save(state, None)), in_place, renamed), strict=True))


def print_pauses(state: TrainState, saver: Saver, folder: Path, *, rounds: int) -> None:
    """Save in three ways in turn; print what the loop waited, and after how long the file was whole."""
    pauses: dict[str, list[float]] = {way: [] for way in WAYS}
    whole: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, save in ways_of(state, saver, folder).items():
            began = time.perf_counter()
            save()
            pauses[way].append(time.perf_counter() - began)
            saver.wait()
            whole[way].append(time.perf_counter() - began)
    for way in WAYS:
        print(f"{way:30} pause {in_seconds(pauses[way])}   file done after {in_seconds(whole[way])}")
    for way in WAYS[1:]:
        ratio = statistics.median(pauses[way]) / statistics.median(pauses[WAYS[0]])
        print(f"{way} waits {ratio:.1f} times as long as eyas")
    began = time.perf_counter()
    read_tensors(folder / STATE, "state")
    print(f"eyas reads its file back and verifies it in {time.perf_counter() - began:.3f} s\n")


def print_steps(state: TrainState, saver: Saver, step: Callable[[], None], *, rounds: int, count: int) -> None:
    """Time steps alone and beside a writer, in turn."""
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(rounds):
        for kept in (alone, beside):
            if kept is beside:
                list(saver.save(state, None))
            for _ in range(count):
                began = time.perf_counter()
                step()
                kept.append(time.perf_counter() - began)
            saver.wait()
    print(f"{count} steps alone          {in_seconds(alone)} a step")
    print(f"{count} steps after a save   {in_seconds(beside)} a step")
    extra = (statistics.mean(beside) - statistics.mean(alone)) * count
    print(f"a save takes {extra:.2f} s from the steps beside it (means)\n")


def print_memory(plan: Plan, runtime: Runtime, way: str) -> None:
    """Save once, or read back, in this fresh process and print by how much its memory grew at the peak."""
    state = TrainState.fresh(plan, runtime)
    for parameter in state.model.parameters():  # without a step, whose freed memory would hide what a save takes
        state.optimizer.state[parameter]["momentum_buffer"] = torch.ones_like(parameter).detach()
    status = Path("/proc/self/status")
    if not status.exists():
        print(f"{way}: memory is not measured on this system")
        return

    def megabytes(entry: str) -> float:
        line = next(line for line in status.read_text().splitlines() if line.startswith(entry))
        return int(line.split()[1]) / 1e3

    with Saver(plan, runtime) as saver:
        before = megabytes("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
        if way == "reading":
            read_tensors(plan.directory / STATE, "state")
        else:
            ways_of(state, saver, plan.directory)[way]()
            saver.wait()
    print(f"{way:30} {megabytes('VmHWM') - before:+,.0f} MB at the peak, for {size_of(state):,.0f} MB")


def size_of(state: TrainState) -> float:
    """Return the MB of all tensors of a state."""
    return sum(tensor.nbytes for tensor in state.saved()[0].values()) / 1e6


def in_seconds(times: list[float]) -> str:
    """Return the median with its range."""
    return f"{statistics.median(times):.3f} s ({min(times):.3f} to {max(times):.3f})"


if __name__ == "__main__":
    main()
