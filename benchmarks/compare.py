"""Runs a row of the comparison: its contenders one after the other, several rounds, and a table of what came out.

    python benchmarks/compare.py light --repeats 5
    python benchmarks/compare.py alexnet --only plain,eyas,bare --repeats 3
    python benchmarks/compare.py light --table            only the table of the results there are

Rows: small, photos (the input path alone), light, alexnet (whole training), start (to the first step), sizes.
See README.md. Medians are printed with their ranges; ratios are taken within a round, where both sides met the
same moments of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from common import image_tree
from measured import RunnerError, measured
from table import facts, table

HERE = Path(__file__).resolve().parent
# what `eyas train` sets for itself: idle threads sleep soon, and glibc keeps the memory of a step for the next
TUNED = {"GOMP_SPINCOUNT": "1000", "MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)}
TREE_READERS = ("with_timm.py", "with_torchvision.py", "with_ultralytics.py")


@dataclass(frozen=True)
class Contender:
    """A script of this folder with its flags; `peer`: run in the peers' environment; `tuned`: with eyas's settings."""

    script: str
    flags: str = ""
    peer: bool = False
    tuned: bool = False
    lists: str | None = None  # folder of the lists, where it is not the row's


@dataclass(frozen=True)
class Row:
    """What all contenders do, who they are, and which column is compared."""

    flags: str
    contenders: dict[str, Contender]
    compared: str = "images/s"
    lists: tuple[str, ...] = ("train", "test")
    also: dict[str, Contender] = field(default_factory=dict)  # only when named by --only


LAST = "--channels-last"
PLAIN = {
    "plain": Contender("plain_recipe.py"),
    "plain 2 workers": Contender("plain_recipe.py", "--workers 2"),
    "plain tuned": Contender("plain_recipe.py", tuned=True),
}
PEERS = {
    name: Contender(f"with_{name}.py", peer=True)
    for name in ("torchvision", "timm", "lightning", "transformers", "fastai", "ultralytics")
}
EYAS = {"eyas": Contender("with_eyas.py"), "eyas channels-last": Contender("with_eyas.py", LAST)}


def bare(steps: int) -> dict[str, Contender]:
    """Return the bare steps in both layouts, with the settings that eyas gives itself."""
    flags = f"--bare {steps}"
    return {
        "bare": Contender("plain_recipe.py", flags, tuned=True),
        "bare channels-last": Contender("plain_recipe.py", f"{flags} {LAST}", tuned=True),
    }


INPUT = {
    "plain": Contender("input_path.py", "plain"),
    "plain 2 workers": Contender("input_path.py", "plain --workers 2"),
    "plain tuned": Contender("input_path.py", "plain", tuned=True),
    "plain 2 workers tuned": Contender("input_path.py", "plain --workers 2", tuned=True),
    "dali on the CPU": Contender("input_path.py", "dali", peer=True),
    "eyas": Contender("input_path.py", "eyas"),
    "eyas nothing kept": Contender("input_path.py", "eyas --cache none"),
    "eyas nothing kept 2 workers": Contender("input_path.py", "eyas --cache none --workers 2"),
}
SIZES = {f"{size} images": Contender("sizes.py", lists=f"sizes/{size}") for size in (1_000, 10_000, 50_000, 1_000_000)}
WORKERS = {
    f"10000 images nothing kept {workers} workers": Contender(
        "sizes.py", f"--cache none --workers {workers}", lists="sizes/10000"
    )
    for workers in range(5)
}
ROWS = {
    "small": Row("--size 256 --batch-size 64 --passes 3", INPUT, lists=("train",)),
    "photos": Row("--size 256 --batch-size 64 --passes 3", INPUT, lists=("train",)),
    "light": Row("--model compact --size 32 --batch-size 64 --epochs 3", PLAIN | PEERS | EYAS | bare(100)),
    "alexnet": Row(
        "--model alexnet --size 256 --batch-size 64 --epochs 2", PLAIN | EYAS | bare(5), also=PEERS
    ),
    "start": Row(
        "--model alexnet --size 256 --batch-size 64 --epochs 1",
        {"plain": PLAIN["plain"]} | PEERS | {"eyas": EYAS["eyas"]},
        compared="to the first step, s",
    ),
    "sizes": Row("--model compact --size 32 --batch-size 64 --steps 320", SIZES | WORKERS),
}


def command_of(contender: Contender, row: Row, name: str, given: argparse.Namespace) -> list[str]:
    """Return the command line of a contender."""
    python = str(given.peers / "bin/python") if contender.peer else sys.executable
    folder = lists_of(contender, name, given)
    lists = [str(folder / f"{split}.txt") for split in row.lists]
    flags = contender.flags.split()
    if contender.script == "input_path.py":
        return [python, str(HERE / contender.script), flags[0], *lists, *row.flags.split(), *flags[1:], *given.more]
    tree = ["--tree", str(folder / "tree")] if contender.script in TREE_READERS else []
    return [python, str(HERE / contender.script), *lists, *row.flags.split(), *flags, *tree, *given.more]


def lists_of(contender: Contender, name: str, given: argparse.Namespace) -> Path:
    """Return the folder of a contender's lists: cut short for a trial if so asked."""
    folder = given.data / (contender.lists or name)
    if given.images is None:
        return folder
    short = given.data / "short" / str(given.images) / (contender.lists or name)
    short.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.txt"):
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        (short / file.name).write_text("".join(lines if file.stem == "classes" else lines[: given.images]), "utf-8")
    return short


def environment_of(contender: Contender, given: argparse.Namespace) -> dict[str, str]:
    """Return the environment of a contender: as installed, without network, and with this checkout's networks."""
    settings = {
        "PYTHONPATH": str(HERE.parent / "src"),
        "PYTHONWARNINGS": "ignore",
        "YOLO_CONFIG_DIR": str(given.peers / "yolo"),
        "YOLO_OFFLINE": "true",
        "HF_HUB_OFFLINE": "1",
        "MPLBACKEND": "Agg",
    }
    return os.environ | settings | (TUNED if contender.tuned or given.tune else {})


def rounds(name: str, row: Row, chosen: dict[str, Contender], given: argparse.Namespace) -> None:
    """Run every contender in every round; add each result to the file of results as soon as it is there."""
    results = given.out / f"{name}.jsonl"
    given.out.mkdir(parents=True, exist_ok=True)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True).stdout
    past = [json.loads(line)["round"] for line in results.read_text().splitlines()] if results.exists() else []
    first = max(past, default=0) + 1
    for number in range(first, first + given.repeats):
        for title, contender in chosen.items():
            log = given.out / "logs" / f"{name}-{title.replace(' ', '_')}.txt"
            with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
                environment = environment_of(contender, given) | {"TMPDIR": scratch}
                try:
                    result = measured(command_of(contender, row, name, given), environment, log)
                except RunnerError as failure:
                    print(f"{title} failed: {failure}", file=sys.stderr)
                    continue
            print(f"round {number}: {title}: {result['wall_seconds']:.1f} s", file=sys.stderr, flush=True)
            record = {"round": number, "contender": title, "tune": given.tune, "commit": commit.strip()}
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record | result) + "\n")


def parsed() -> argparse.Namespace:
    """Return the flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", choices=ROWS)
    parser.add_argument("--repeats", type=int, default=3, help="rounds in which every contender runs once (3)")
    parser.add_argument("--only", help="contenders by name, separated by commas")
    parser.add_argument("--images", type=int, help="use only the first so many lines of every list: a trial")
    parser.add_argument("--tune", action="store_true", help="give all contenders eyas's settings of the processor")
    parser.add_argument("--table", action="store_true", help="run nothing, print the table of the results there are")
    parser.add_argument("--data", type=Path, default=Path("build/benchmark-data"), help="what files.py made")
    parser.add_argument("--peers", type=Path, default=Path("build/peers"), help="what setup_peers made")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"), help="folder of the results")
    given, given.more = parser.parse_known_args()
    for folder in ("data", "peers", "out"):
        setattr(given, folder, getattr(given, folder).absolute())
    return given


def main() -> None:
    """Run a row and print its table."""
    given = parsed()
    row = ROWS[given.row]
    everyone = row.contenders | row.also
    names = [name.strip() for name in given.only.split(",")] if given.only else list(row.contenders)
    chosen = {name: everyone[name] for name in names}
    if not given.table:
        for contender in chosen.values():
            if contender.script in TREE_READERS:
                folder = lists_of(contender, given.row, given)
                image_tree(folder / "train.txt", folder / "test.txt", folder / "tree")
        rounds(given.row, row, chosen, given)
    lines = (given.out / f"{given.row}.jsonl").read_text(encoding="utf-8").splitlines()
    results = [json.loads(line) for line in lines]
    print(facts(results, f"python benchmarks/compare.py {' '.join(sys.argv[1:])}"))
    print(table([result for result in results if result["contender"] in chosen], row.compared))


if __name__ == "__main__":
    main()
