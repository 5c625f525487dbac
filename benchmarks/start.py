"""How long a command takes to answer: help, mistakes, and a training's first step, against `import torch` alone.

    python benchmarks/start.py [--rounds 5] [--only help,digits]

Each command is a process of its own; the commands take turns. A training is ended as soon as its first step stands in
`events.jsonl`. The table has wall seconds and seconds of the processor: medians, with their ranges.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

EYAS = (sys.executable, "-m", "eyas")
TRAIN = ("--model", "compact", "--size", "32", "--epochs", "1", "--out", "run")


def commands() -> dict[str, tuple[str, ...]]:
    """Return what is measured: names and commands, to be run in a folder that `prepare` made."""
    return {
        "python": (sys.executable, "-c", "pass"),
        "import torch": (sys.executable, "-c", "import torch"),
        "help": (*EYAS, "--help"),
        "help of train": (*EYAS, "train", "--help"),
        "mistake in a flag": (*EYAS, "train", "digits", "--epoch", "3"),
        "mistake in a list": (*EYAS, "train", "bad.txt"),
        "missing list": (*EYAS, "train", "none.txt"),
        "unknown run": (*EYAS, "predict", "none", "bad.txt"),
        "digits: first step": (*EYAS, "train", "digits", *TRAIN),
        "a list: first step": (*EYAS, "train", "good/train.txt", "--test", "good/test.txt", *TRAIN),
    }


def prepare(folder: Path) -> None:
    """Make the lists that the commands name."""
    subprocess.run([*EYAS, "datasets", "digits", "--export", "good"], cwd=folder, check=True, capture_output=True)
    lines = (folder / "good" / "train.txt").read_text(encoding="utf-8").splitlines()
    lines[700] = "nowhere.png 3"
    (folder / "bad.txt").write_text("\n".join(f"good/{line}" for line in lines), encoding="utf-8")


def measured(command: tuple[str, ...], folder: Path) -> tuple[float, float]:
    """Return wall seconds and seconds of the processor until a command ends, or until its run has made one step."""
    events = folder / "run" / "events.jsonl"
    began = time.perf_counter()
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while "run" in command and child.poll() is None:
        if events.exists() and '"event": "trained"' in events.read_text(encoding="utf-8"):
            child.kill()
            break
        time.sleep(0.005)
    _, _, used = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - began
    child.returncode = 0  # it was waited for above, for what it used
    if events.exists():
        subprocess.run(["rm", "-r", str(events.parent)], check=True)
    return seconds, used.ru_utime + used.ru_stime


def main() -> None:
    """Measure and print."""
    about = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    about.add_argument("--rounds", type=int, default=5)
    about.add_argument("--only", default="", help="commands whose names hold one of these, parted by commas")
    given = about.parse_args()
    chosen = {n: c for n, c in commands().items() if any(part in n for part in given.only.split(","))}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in chosen}
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        for _ in range(given.rounds):
            for name, command in chosen.items():
                found[name].append(measured(command, Path(folder)))
    print(f"| {'command':20} | wall, s | range | processor, s | range |")
    print("| --- | --- | --- | --- | --- |")
    for name, results in found.items():
        columns = []
        for values in zip(*results, strict=True):
            columns += [f"{median(values):.2f}", f"{min(values):.2f} to {max(values):.2f}"]
        print(f"| {name:20} | {' | '.join(columns)} |")


if __name__ == "__main__":
    main()
