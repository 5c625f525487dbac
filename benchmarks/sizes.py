"""How eyas's speed and memory depend on the number of images: a run of a fixed number of steps, then told to stop.

    python benchmarks/sizes.py LIST.txt TEST.txt --model compact --size 32 --steps 320 --workers 2 --cache none

The images per second are those of training steps after the first record; start is the time to the first step.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time

import common
from with_eyas import command, environment, events_of, when

RECORD = 20  # steps between two records, which also say when they were made


def run(given, more) -> tuple[float, dict[str, list[dict]]]:
    """Return when the run was started, and its records up to the step where it was stopped."""
    given.out = common.out_folder(given) / "run"
    shutil.rmtree(given.out, ignore_errors=True)
    given.epochs = 1 + given.steps * given.batch_size // common.count(given.train)
    began = time.time()
    flags = ["--log-every", str(RECORD), "--keep", "1", *more]
    process = subprocess.Popen(command(given, flags), env=environment())
    while process.poll() is None:
        time.sleep(0.5)
        if (given.out / "events.jsonl").exists():
            trained = events_of(given.out).get("trained", [])
            if trained and trained[-1]["step"] >= given.steps:
                process.send_signal(signal.SIGTERM)
                process.wait()
    if process.returncode not in (0, 75):  # 75: interrupted, and resumable
        raise SystemExit(f"eyas ended with exit code {process.returncode}")
    return began, events_of(given.out)


def images_per_second(records: dict[str, list[dict]]) -> float:
    """Return the speed over whole epochs after the first where there are some, else between records of one."""
    whole = records.get("epochtrained", [])[1:]
    if whole:
        return sum(record["samples"] for record in whole) / sum(record["seconds"] for record in whole)
    first, *rest = (record for record in records["trained"] if record["epoch"] == 1)
    return sum(record["samples"] for record in rest) / (when(rest[-1]) - when(first))


def main() -> None:
    """Run eyas and print its speed."""
    parser = common.flags(__doc__)
    parser.add_argument("--steps", type=int, default=320)
    given, more = parser.parse_known_args()
    began, records = run(given, more)
    watch = common.Stopwatch()
    watch.first_step = when(records["trained"][0]) - began
    watch.report(given, ["pillow"], images_per_second=images_per_second(records))


if __name__ == "__main__":
    main()
