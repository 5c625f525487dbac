"""The same work by eyas's own command, its times read from the run's events. Other flags are handed on to it.

    python benchmarks/with_eyas.py TRAIN.txt TEST.txt --model alexnet --size 256 --epochs 2 --channels-last
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import common


def command(given, more: list[str]) -> list[str]:
    """Return the command line of `eyas train`."""
    names = ("test", "model", "size", "batch_size", "epochs", "workers", "lr", "out")
    pairs = [(f"--{name.replace('_', '-')}", str(getattr(given, name))) for name in names]
    flat = [text for pair in pairs for text in pair]
    fixed = ["--outside-root", "--device", "cpu", "--view", "none"]
    fixed += ["--channels-last", "on" if given.channels_last else "off"]
    return [sys.executable, "-m", "eyas", "train", str(given.train), *flat, *fixed, *more]


def environment() -> dict[str, str]:
    """Return the environment in which this checkout's eyas is found."""
    source = str(Path(__file__).resolve().parent.parent / "src")
    return os.environ | {"PYTHONPATH": os.pathsep.join([source, os.environ.get("PYTHONPATH", "")])}


def events_of(run: Path) -> dict[str, list[dict]]:
    """Return the run's records by their kind."""
    records: dict[str, list[dict]] = {}
    for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        records.setdefault(record["event"], []).append(record)
    return records


def when(record: dict) -> float:
    """Return the time of a record, in seconds since 1970."""
    return datetime.fromisoformat(record["time"]).timestamp()


def main() -> None:
    """Run eyas and print what it measured."""
    given, more = common.flags(__doc__).parse_known_args()
    # no trace of the run is wanted, and a folder that holds a run is refused
    given.out = common.out_folder(given) / "run"
    shutil.rmtree(given.out, ignore_errors=True)
    began = time.time()
    subprocess.run(command(given, more), env=environment(), check=True)
    records = events_of(given.out)
    watch = common.Stopwatch()
    watch.first_step = when(records["trained"][0]) - began
    watch.epochs = [record["seconds"] for record in records["epochtrained"]]
    watch.tests = [record["seconds"] for record in records["evaluated"]]
    last = records["evaluated"][-1]
    waiting = [record["waiting"] for record in records["epochtrained"]]
    watch.report(given, ["pillow"], accuracy=last["accuracy"], waiting=waiting)


if __name__ == "__main__":
    main()
