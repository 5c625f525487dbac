"""What eyas does on the GPU at hand: whether a cut run ends as an uncut one, and how fast it is beside plain PyTorch.

    python benchmarks/gpu.py --out build/gpu            all of it, in the minutes that --minutes gives
    python benchmarks/gpu.py --out build/gpu --tiny     the same with sizes that only show that it works

Needs no network and no data: it writes the pictures that it trains on. Each fact is a line of OUT/facts.jsonl as soon
as it is known; OUT/table.md is the table for docs/benchmarks.md. eyas, a plain PyTorch loop with a DataLoader, and bare
steps on one batch in place take turns; rates are medians over the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import platform
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.models import get_model

from eyas.config.run_config import make_config
from eyas.device.runtime import open_runtime
from eyas.training.events import EpochTrained, Trained
from eyas.training.loop import fit
from eyas.training.planning import make_plan

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Case:
    """A network, what it is trained on, and in which batches."""

    model: str
    size: int  # of the network's input
    batch: int
    images: int
    shape: tuple[int, int]  # of the pictures on the disk, height and width
    kind: str  # of their files

    @property
    def name(self) -> str:
        return f"{self.model}, {self.size} px, batches of {self.batch}"


CASES = (
    Case("resnet18", 32, 512, 20_480, (32, 32), "png"),
    Case("alexnet", 256, 256, 5_120, (375, 500), "jpg"),
    Case("resnet50", 224, 128, 5_120, (375, 500), "jpg"),
)
EXACT = Case("compact", 16, 256, 2_048, (32, 32), "png")
TINY = (Case("squeezenet1_1", 32, 8, 24, (24, 24), "png"),)
FORMS: dict[str, dict[str, str]] = {
    "fp32": {}, "tf32": {"precision": "tf32"}, "bf16": {"precision": "bf16", "channels_last": "on"},
    "bf16, compiled": {"precision": "bf16", "channels_last": "on", "compile": "on"},
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for facts, table, pictures and runs")
    parser.add_argument("--tiny", action="store_true", help="sizes that only show that it works")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=4.0, help="nothing new is begun after this time (4)")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    if not torch.cuda.is_available():
        print("PyTorch finds no CUDA device here.")
        return 2
    facts = Facts(given.out / "facts.jsonl", ends=time.monotonic() + 60 * given.minutes)
    facts.add("versions", **versions())
    check_exact(facts, given)
    measure_rates(facts, given)
    (given.out / "table.md").write_text(table(facts.known), encoding="utf-8")
    print((given.out / "table.md").read_text(encoding="utf-8"))
    return 0 if all(fact.get("equal", True) for fact in facts.known) else 1


class Facts:
    """What was found out, each in a line of a file at once: a machine that is taken away takes nothing of it."""

    def __init__(self, path: Path, ends: float) -> None:
        self.path, self.ends, self.known = path, ends, []

    def add(self, fact: str, **values: Any) -> None:
        self.known.append({"fact": fact, **values})
        line = json.dumps(self.known[-1])
        print(line, flush=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    @property
    def time_is_up(self) -> bool:
        return time.monotonic() > self.ends


def versions() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "gpu": torch.cuda.get_device_name(0), "capability": list(torch.cuda.get_device_capability(0)),
        "torch": torch.__version__, "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(), "python": platform.python_version(), "cores": os.cpu_count(),
    }  # fmt: skip


def check_exact(facts: Facts, given: argparse.Namespace) -> None:
    """Train deterministically, once in one go and once cut and resumed, and compare the models' bytes."""
    forms: dict[str, dict[str, Any]] = {
        "fp32": {},
        "bf16": {"precision": "bf16"},
        "fp16": {"precision": "fp16"},
        "muon": {"optimizer": "muon"},
    }
    pictures = written(TINY[0] if given.tiny else EXACT, given.out / "pictures")
    for name, form in forms.items():
        config = make_config({
            "train": str(pictures), "val": "0.2", "model": "compact", "size": 16,
            "batch_size": 4 if given.tiny else EXACT.batch, "epochs": 2, "momentum": 0.9,
            "device": "cuda", "deterministic": True, "log_every": 1, "cache_dir": str(given.out / "cache"), **form,
        })  # fmt: skip
        hashes = []
        for stops in ((), (5,)):
            folder = fresh(given.out / f"exact-{name}-{len(stops)}")
            for step in (*stops, None):
                with open_runtime(config.device) as runtime:
                    for event in fit(make_plan(config, folder, resuming=step is None and bool(stops)), runtime):
                        runtime.stop_requested = isinstance(event, Trained) and event.step == step
            hashes.append(hashlib.sha256((folder / "last.safetensors").read_bytes()).hexdigest())
        facts.add("cut and resumed", form=name, equal=hashes[0] == hashes[1], sha256=hashes[0][:16])


def fresh(folder: Path) -> Path:
    """Return an empty folder: what an earlier check left there goes."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    return folder


def measure_rates(facts: Facts, given: argparse.Namespace) -> None:
    """Take turns, round by round, so that every contender meets the same machine and every network has a first round.

    What is compiled is measured last in a round: it takes the longest to begin.
    """
    contenders = {"bare steps": bare_rate, "plain PyTorch": plain_rate, "eyas": eyas_rate}
    for number in range(1, 1 + given.rounds):
        for form, settings in FORMS.items():
            for case in TINY if given.tiny else CASES:
                for contender, rate in contenders.items():
                    about = {"case": case.name, "form": form, "contender": contender, "round": number}
                    if facts.time_is_up:
                        facts.add("left out", **about)
                        continue
                    pictures = written(case, given.out / "pictures")
                    torch.cuda.empty_cache()
                    torch.cuda.reset_peak_memory_stats()
                    found = rate(case, settings, pictures, given.out)
                    peak = torch.cuda.max_memory_allocated() / 2**20
                    facts.add("rate", **about, images_per_second=found, peak_mb=peak)


def written(case: Case, folder: Path) -> Path:
    """Write pictures with some structure and their list; return the list."""
    target = folder / f"{case.images}-{case.shape[0]}x{case.shape[1]}-{case.kind}"
    if (target / "list.txt").is_file():
        return target / "list.txt"
    target.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (64, case.shape[0] // 8 + 1, case.shape[1] // 8 + 1, 3), np.uint8)

    def write(number: int) -> str:
        picture = Image.fromarray(coarse[number % 64]).resize(case.shape[::-1], Image.Resampling.BICUBIC)
        picture.rotate(number % 360).save(target / f"{number:06d}.{case.kind}")
        return f"{number:06d}.{case.kind} {number % 10}"

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        lines = list(threads.map(write, range(case.images)))
    (target / "list.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return target / "list.txt"


def eyas_rate(case: Case, settings: dict[str, str], pictures: Path, out: Path) -> float:
    """Return the images per second of the second epoch, from the files on."""
    config = make_config({
        "train": str(pictures), "model": case.model, "size": case.size, "batch_size": case.batch, "epochs": 2,
        "device": "cuda", "channels_last": "off", "compile": "off", "cache_dir": str(out / "cache"), **settings,
    })  # fmt: skip
    folder = fresh(out / "run")
    with open_runtime(config.device) as runtime:
        events = list(fit(make_plan(config, folder), runtime))
    return [event.images_per_second for event in events if isinstance(event, EpochTrained)][-1]


class Pictures(Dataset):  # type: ignore[type-arg]
    """The images of a list, opened and transformed one by one, as tutorials do it."""

    def __init__(self, path: Path, size: int) -> None:
        self.folder = path.parent
        self.samples = [line.split(" ") for line in path.read_text(encoding="utf-8").splitlines()]
        steps = [
            transforms.Resize((size, size)),
            transforms.RandomHorizontalFlip(0.5),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
        self.transform = transforms.Compose(steps)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        name, label = self.samples[index]
        return self.transform(Image.open(self.folder / name).convert("RGB")), int(label)


def plain_rate(case: Case, settings: dict[str, str], pictures: Path, out: Path) -> float:
    """Return the images per second of the second epoch of a plain loop with a DataLoader on every core."""
    workers = os.cpu_count() if case.images > 100 else 0
    loader = DataLoader(
        Pictures(pictures, case.size),
        case.batch,
        shuffle=True,
        num_workers=workers or 0,
        pin_memory=bool(workers),
        persistent_workers=bool(workers),
    )
    with arithmetic(settings) as precision:
        step = stepping(case, settings, precision)
        for _ in range(2):
            began = time.perf_counter()
            for images, labels in loader:
                step(images.to("cuda", non_blocking=True), labels.to("cuda", non_blocking=True))
            torch.cuda.synchronize()
    return case.images / (time.perf_counter() - began)


def bare_rate(case: Case, settings: dict[str, str], pictures: Path, out: Path) -> float:
    """Return the images per second of steps on one batch in place: what no training of this network can exceed."""
    count = 3 if case.images <= 100 else 30
    with arithmetic(settings) as precision:
        step = stepping(case, settings, precision)
        images, labels = (
            torch.randn(case.batch, 3, case.size, case.size).to("cuda"),
            torch.randint(0, 10, (case.batch,)).to("cuda"),
        )
        seconds = []
        for part in range(3 + 3):
            began = time.perf_counter()
            for _ in range(count // 3):
                step(images, labels)
            torch.cuda.synchronize()
            seconds += [time.perf_counter() - began] if part >= 3 else []
    return count // 3 * case.batch / statistics.median(seconds)


def stepping(case: Case, settings: dict[str, str], precision: torch.dtype) -> Any:
    """Return a function of (images, labels) that takes one plain step of SGD."""
    torch.manual_seed(0)
    order = torch.channels_last if settings.get("channels_last") == "on" else torch.contiguous_format
    model = get_model(case.model, weights=None, num_classes=10).to("cuda").to(memory_format=order)
    compiled = settings.get("compile") == "on"
    network = torch.compile(model, dynamic=False, mode="reduce-overhead") if compiled else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, fused=True)

    def step(images: torch.Tensor, labels: torch.Tensor) -> None:
        if compiled:
            torch.compiler.cudagraph_mark_step_begin()
        with torch.autocast("cuda", precision) if precision != torch.float32 else contextlib.nullcontext():
            loss = nn.functional.cross_entropy(network(images.contiguous(memory_format=order)).float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


@contextlib.contextmanager
def arithmetic(settings: dict[str, str]) -> Iterator[torch.dtype]:
    """Set PyTorch inside as a user of plain PyTorch would for the same precision."""
    before = torch.backends.cudnn.benchmark, torch.backends.cuda.matmul.fp32_precision
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.fp32_precision = "tf32" if settings.get("precision") == "tf32" else "ieee"
    try:
        yield torch.bfloat16 if settings.get("precision") == "bf16" else torch.float32
    finally:
        torch.backends.cudnn.benchmark, torch.backends.cuda.matmul.fp32_precision = before


def table(facts: list[dict[str, Any]]) -> str:
    """Return the facts as Markdown: a row per network and form, medians over the rounds."""
    about = next(fact for fact in facts if fact["fact"] == "versions")
    rates = [fact for fact in facts if fact["fact"] == "rate"]
    titles = (
        "network", "form", "bare steps, images/s", "plain PyTorch", "eyas", "eyas / bare", "eyas / plain",
        "peak MB, plain", "eyas",
    )  # fmt: skip
    lines = [
        f"{about['gpu']}, torch {about['torch']}, CUDA {about['cuda']}, Python {about['python']}, "
        f"{about['cores']} cores.",
        "",
        f"| {' | '.join(titles)} |",
        "|" + " --- |" * len(titles),
    ]
    for case, form in dict.fromkeys((fact["case"], fact["form"]) for fact in rates):
        here = [fact for fact in rates if (fact["case"], fact["form"]) == (case, form)]

        def median(contender: str, value: str, here: list[dict[str, Any]] = here) -> float:
            return statistics.median([fact[value] for fact in here if fact["contender"] == contender] or [float("nan")])

        bare, plain, ours = (
            median(contender, "images_per_second") for contender in ("bare steps", "plain PyTorch", "eyas")
        )
        memory = " | ".join(f"{median(contender, 'peak_mb'):,.0f}" for contender in ("plain PyTorch", "eyas"))
        rates_of = f"{bare:,.0f} | {plain:,.0f} | {ours:,.0f} | {ours / bare:.2f} | {ours / plain:.2f}"
        lines.append(f"| {case} | {form} | {rates_of} | {memory} |")
    exact = [fact for fact in facts if fact["fact"] == "cut and resumed"]
    lines += [
        "",
        "Cut and resumed, deterministic: "
        + ", ".join(f"{fact['form']} {'equal' if fact['equal'] else 'DIFFERENT'}" for fact in exact)
        + ".",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
