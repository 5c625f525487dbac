"""What a long list costs: seconds to read it, memory at the peak, and how much each loader process grows in an epoch.

    python benchmarks/lists.py [--lines 1000000] [--ten-million] [--rounds 3] [--files 20000] [--workers 2]

Each measurement has a process of its own. The list names a thousand folders and classes, its lines in no order.
Growth is that of a loader process's own memory (USS: private pages) from its start to the end of an epoch in which each
path and label is looked up in random order; beside it the same for the list as Python pairs, as most scripts keep it.
`--files` files are made to measure what a look at each adds; they are in the system's memory by then.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

BATCH = 2048


def write_list(path: Path, lines: int) -> None:
    """Write a list of `lines` images of a thousand classes."""
    draw = random.Random(0).randrange
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, lines, 100_000):
            rows = ((row, draw(1000)) for row in range(start, min(start + 100_000, lines)))
            file.writelines(f"train/n{label:08d}/image_{row:08d}.jpg {label}\n" for row, label in rows)


def reading(path: Path) -> dict[str, float]:
    """Return what it takes to read the list, without a look at the files."""
    from eyas.data.lists.listing import parse_listing

    before, began, cpu = _peak(), time.perf_counter(), time.process_time()
    listing, problems = parse_listing(path)
    assert not problems
    return {
        "lines": len(listing.paths),
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "peak": _peak() - before,
    }


def looking(path: Path) -> dict[str, float]:
    """Return the seconds that reading takes with a look at each file."""
    from eyas.data.lists.listing import read_listing

    began = time.perf_counter()
    listing = read_listing(path)
    return {"lines": len(listing.paths), "seconds": time.perf_counter() - began}


def growth(path: Path, kept: str, workers: int) -> dict[str, float]:
    """Return how many bytes a loader process grows by in an epoch over the list, kept packed or as Python pairs."""
    from torch.utils.data import DataLoader

    from eyas.data.lists.listing import parse_listing

    listing, _ = parse_listing(path)
    rows: Any = _Rows(listing.paths, listing.labels)
    if kept == "pairs":
        rows = list(zip(listing.paths, listing.labels.tolist(), strict=True))
    before, grown = multiprocessing.Array("q", workers), [0]

    def begin(worker: int) -> None:
        before[worker] = _own_memory("self")

    loader = DataLoader(
        rows,
        BATCH,
        shuffle=True,
        num_workers=workers,
        collate_fn=len,
        worker_init_fn=begin,
        multiprocessing_context="fork",
    )
    for number, _ in enumerate(loader):
        if number == len(loader) - 2 * workers - 1:  # before the processes run out of work and end
            children = sorted(child.pid or 0 for child in multiprocessing.active_children())
            grown = [_own_memory(child) - first for child, first in zip(children, before, strict=True)]
    return {"growth": max(grown)}


class _Rows:
    def __init__(self, paths: Any, labels: Any) -> None:
        self.paths, self.labels = paths, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[str, int]:
        return self.paths[index], int(self.labels[index])


def _own_memory(process: int | str) -> int:
    """Return the bytes that no other process shares."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def _peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measured(*arguments: str) -> dict[str, float]:
    """Return what one measurement gives in a process of its own."""
    command = [sys.executable, __file__, "--measure", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {name: float(value) for name, value in (pair.split("=") for pair in done.stdout.split())}


def tell(path: Path, lines: int, rounds: int, workers: int) -> None:
    """Print a list's rows."""
    write_list(path, lines)
    size = path.stat().st_size
    found = [measured("reading", str(path)) for _ in range(rounds)]
    seconds = [result["seconds"] for result in found]
    print(f"{lines:,} lines, {size / 2**20:,.0f} MB", flush=True)
    print(f"  read in           {median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f}), "
          f"{median(result['cpu'] for result in found):.2f} s of the processor")  # fmt: skip
    peak = median(result["peak"] for result in found)
    print(f"  memory, at most   {peak / 2**20:,.0f} MB: {peak / size:.1f} times the file", flush=True)
    for kept in ("packed", "pairs") if lines <= 1_000_000 else ("packed",):
        grown = measured("growth", str(path), kept, str(workers))["growth"]
        print(f"  a worker grows by {grown / 2**20:,.1f} MB in an epoch, kept as {kept}", flush=True)


def tell_looks(folder: Path, count: int) -> None:
    """Print what a look at each file adds."""
    path = folder / "files.txt"
    write_list(path, count)
    for line in path.read_text(encoding="utf-8").splitlines():
        file = folder / line.split()[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    with_looks, without = measured("looking", str(path)), measured("reading", str(path))
    each = (with_looks["seconds"] - without["seconds"]) / count
    print(f"a look at each file: {1e6 * each:.1f} microseconds, {each * 1e6:.1f} s for a million")


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--measure"]:
        verb, path, *rest = sys.argv[2:]
        found = growth(Path(path), rest[0], int(rest[1])) if verb == "growth" else globals()[verb](Path(path))
        print(*(f"{name}={value}" for name, value in found.items()))
        return
    about = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    about.add_argument("--lines", type=int, default=1_000_000)
    about.add_argument("--ten-million", action="store_true", help="also a list of 10,000,000 lines")
    about.add_argument("--rounds", type=int, default=3)
    about.add_argument("--files", type=int, default=20_000)
    about.add_argument("--workers", type=int, default=2)
    given = about.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for lines in (given.lines, *[10_000_000] * given.ten_million):
            tell(Path(folder) / "list.txt", lines, given.rounds, given.workers)
        tell_looks(Path(folder), given.files)


if __name__ == "__main__":
    main()
