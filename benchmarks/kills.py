"""A real training, killed at random moments and resumed until it is done: is it the uncut one, bit by bit?

    python benchmarks/kills.py TRAIN --test TEST [--kills 100] [--epochs 6] [--folder DIR]

The command runs as a user would run it, `eyas train` and then `eyas resume` after every SIGKILL, which comes between
the begin of a process and a third of the time that the uncut run took. After each kill the newest state must verify.
At the end the SHA-256 of every model file, of the state and of the history is compared with the uncut run's. Where a
run ends with fewer kills than asked for, another one is begun.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from eyas.sinks.jsonl import read_events
from eyas.training.checkpoint import newest_state

FLAGS = ("--model", "compact", "--size", "32", "--batch-size", "64", "--lr", "0.05", "--momentum", "0.9",
         "--ema", "0.9", "--plateau", "1", "--save-minutes", "0.005", "--log-every", "5", "--view", "none")  # fmt: skip
UNTIMED = ("seconds", "images_per_second", "waiting", "saving", "waited")


def main() -> None:
    """Kill, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", help="training set, as for eyas train")
    parser.add_argument("--test", required=True, help="test set")
    parser.add_argument("--kills", type=int, default=100, help="SIGKILLs in all (%(default)s)")
    parser.add_argument("--epochs", type=int, default=6, help="epochs of the run (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (%(default)s)")
    parser.add_argument("--folder", help="where the runs go (a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        command = [
            "train", options.train, "--test", options.test, "--outside-root", *FLAGS, "--epochs", str(options.epochs),
            "--out",
        ]  # fmt: skip
        began = time.monotonic()
        started([*command, str(folder / "uncut")]).wait()
        longest, uncut = time.monotonic() - began, hashes(folder / "uncut")
        print(f"uncut: {longest:.1f} s")
        for what, digest in uncut.items():
            print(f"  {digest[:16]}  {what}")
        moments = random.Random(options.seed)
        kills = runs = 0
        while kills < options.kills:
            killed = killed_run(folder / "cut", command, moments, longest, options.kills - kills)
            kills, runs = kills + killed, runs + 1
            found = hashes(folder / "cut")
            other = [what for what in uncut if found.get(what) != uncut[what]]
            print(f"run {runs}: {killed} kills; {'EQUAL' if not other else f'OTHER: {other}'}", flush=True)
            if other:
                sys.exit(1)
            shutil.rmtree(folder / "cut")
        print(f"{kills} kills in {runs} runs: all equal to the uncut one")


def killed_run(run: Path, command: list[str], moments: random.Random, longest: float, most: int) -> int:
    """Bring a run to its end through at most `most` kills; return how many there were."""
    kills = 0
    child = started([*command, str(run)])
    while True:
        try:
            code = child.wait(moments.uniform(0, longest / 3) if kills < most else None)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            kills += 1
            there = (run / "config.toml").exists()
            if there:
                newest_state(run)  # raises where no saved state is whole
            else:
                shutil.rmtree(run, ignore_errors=True)  # killed before its first step: there is no run yet
            child = started(["resume", str(run)] if there else [*command, str(run)])
            continue
        if code:
            sys.exit(f"eyas ended with {code}: {child.args}")
        return kills


def started(arguments: list[str]) -> subprocess.Popen[bytes]:
    """Start the command."""
    return subprocess.Popen([sys.executable, "-m", "eyas", *arguments])


def hashes(run: Path) -> dict[str, str]:
    """Return the SHA-256 of everything that a run leaves, without what a clock gave."""
    found = {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run.rglob("*.safetensors"))
        if not path.name.startswith("state")
    }
    state = newest_state(run)
    assert state is not None
    tensors, header, _ = state
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].numpy().tobytes())
    plain = {name: value for name, value in header["state"].items() if name not in UNTIMED}
    digest.update(json.dumps(plain, sort_keys=True).encode())
    history = [
        {name: value for name, value in event.items() if name not in (*UNTIMED, "time", "directory", "path")}
        for event in read_events(run / "events.jsonl")
        if event["event"] in ("trained", "epoch_trained", "evaluated")
    ]
    lines = json.dumps(history, sort_keys=True).encode()
    return found | {"the state": digest.hexdigest(), "the history": hashlib.sha256(lines).hexdigest()}


if __name__ == "__main__":
    main()
