"""Processes that read images: killed, stopped or without shared memory, every batch comes, or the file is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from eyas.config.data import DataConfig
from eyas.data.images.ahead import read_ahead
from eyas.data.images.imageset import ImageSet
from eyas.data.images.preprocess import Preprocess
from eyas.data.loading.workers import read_by_processes
from eyas.data.pipeline import loaded
from eyas.data.prepared import prepare
from eyas.data.spec import open_images
from eyas.errors import TrainingError
from eyas.seeds import Indices

IN_PROC = pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
WANTED = [(np.arange(start, start + 4), 0) for start in range(0, 80, 4)]


@dataclass
class Numbers:
    """Images that say which sample they are; what `fault` does to a process happens before it reads `at`."""

    at: int = -1
    fault: int = 0
    once: str = ""  # a file that is there when the fault has happened
    side: int = 2

    @property
    def shape(self) -> tuple[int, int, int]:
        return 3, self.side, self.side

    def batch(self, samples: Indices, epoch: int, began: Callable[[int], None]) -> Tensor:
        images = torch.zeros(len(samples), *self.shape, dtype=torch.uint8)
        for place, sample in enumerate(samples.tolist()):
            began(sample)
            if sample == self.at and not (self.once and Path(self.once).exists()):
                if self.once:
                    Path(self.once).touch()
                os.kill(os.getpid(), self.fault)
            images[place] = sample
        return images

    def place(self, sample: int) -> str:
        return f"list.txt:{sample + 1}: {sample}.png"


def read(reading: Numbers, told: list[str], *, limit: float = 3.0) -> Iterator[list[int]]:
    for samples, images in read_by_processes(reading, WANTED, workers=2, limit=limit, tell=told.append):
        assert images[:, 0, 0, 0].tolist() == samples.tolist()
        yield samples.tolist()


EXPECTED = [samples.tolist() for samples, _ in WANTED]


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("at", [0, 42])
def test_a_process_that_dies_or_hangs_is_named_and_begun_anew_and_no_batch_is_lost(tmp_path, fault, at):
    told: list[str] = []
    assert list(read(Numbers(at, fault, str(tmp_path / "once")), told)) == EXPECTED
    assert len(told) == 1
    assert f"while it read list.txt:{at + 1}: {at}.png" in told[0]
    assert ("was killed by SIGKILL" if fault == signal.SIGKILL else "has given nothing for 3 seconds") in told[0]
    assert "All workers are restarted" in told[0]


AFTER_A_LOADER = """
import signal, sys
from torch.utils.data import DataLoader
from tests.data.test_workers import EXPECTED, Numbers, read
assert len(list(DataLoader([1, 2, 3], num_workers=1))) == 3
told = []
assert list(read(Numbers(0, signal.SIGKILL, sys.argv[1]), told)) == EXPECTED
assert len(told) == 1
"""


def test_a_plain_loader_that_was_used_before_disturbs_nothing(tmp_path):
    command = [sys.executable, "-c", AFTER_A_LOADER, str(tmp_path / "once")]
    answer = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


def test_a_file_at_which_every_process_dies_ends_the_run_by_its_name():
    told: list[str] = []
    batches = read(Numbers(9, signal.SIGKILL), told)
    with pytest.raises(TrainingError, match=r"while it read list\.txt:10: 9\.png\. .*--workers 0"):
        list(batches)
    assert len(told) == 3


@IN_PROC
def test_a_process_killed_from_outside_while_the_training_is_elsewhere_disturbs_nothing_there(tmp_path):
    told: list[str] = []
    batches = read(Numbers(), told)
    first = next(batches)
    workers = [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:  # what stands for a step: an error raised here would be lost in it
        sum(range(1000))
    assert [first, *batches] == EXPECTED
    assert len(told) <= 1  # none where all batches were ready by then


@IN_PROC
def test_no_process_stays_behind():
    told: list[str] = []
    batches = read(Numbers(6, signal.SIGSTOP), told, limit=1.0)
    with pytest.raises(TrainingError):
        list(batches)
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    stopped = [pid for pid in children if Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] == "T"]
    assert not stopped


SMALL = """
import sys
sys.path.insert(0, {root!r})
from tests.data.test_workers import EXPECTED, Numbers, read
told = []
assert list(read(Numbers(side=300), told)) == EXPECTED
assert not told
"""


@pytest.mark.skipif(not sys.platform.startswith("linux") or os.geteuid() != 0, reason="only root mounts a /dev/shm")
def test_a_shared_memory_smaller_than_a_batch_kills_nothing():
    code = SMALL.format(root=str(Path(__file__).parents[2]))
    mount = "mount -t tmpfs -o size=1m tmpfs /dev/shm"
    command = ["unshare", "-m", "sh", "-c", f'{mount} || exit 77; exec "$0" -c "$1"', sys.executable, code]
    elsewhere = {name: value for name, value in os.environ.items() if name != "TMPDIR"}  # it may be in /dev/shm
    answer = subprocess.run(command, env=elsewhere, capture_output=True, text=True)
    if answer.returncode in (1, 77) and "ermi" in answer.stderr:
        pytest.skip(f"mounting is not allowed here: {answer.stderr.strip()}")
    assert answer.returncode == 0, answer.stderr


@dataclass(frozen=True, eq=False)
class Stuck:
    """A source whose third image never comes, as on a disk of the network that went away."""

    source: object
    gone: threading.Event

    def __len__(self) -> int:
        return len(self.source)

    def picture(self, index: int):
        if index == 2 and self.gone.is_set():
            time.sleep(3600)
        return self.source.picture(index)

    def place(self, index: int) -> str:
        return self.source.place(index)


def test_a_thread_that_hangs_is_given_up_with_the_file_it_was_on(pictures):
    images = open_images(pictures["train"], DataConfig(), split="train")
    gone = threading.Event()
    stuck: ImageSet = replace(images, images=Stuck(images.images, gone))
    config = DataConfig(cache="none", worker_timeout=1)
    prepared = prepare(stuck, Preprocess(8), config)
    gone.set()
    batches = loaded(prepared, [(np.array([0, 1]), 0), (np.array([3, 2]), 0)], config)
    assert next(batches)[0].tolist() == [0, 1]
    with pytest.raises(TrainingError, match=r"list\.txt:3: red/002\.png: reading it has not ended in 1 seconds"):
        next(batches)


HANGS = """
import time
from eyas.data.images.ahead import HangingError, read_ahead
try:
    list(read_ahead([[1]], lambda item: time.sleep(3600), limit=0.2))
except HangingError as error:
    print("told", error.item)
"""


def test_a_thread_that_hangs_does_not_keep_the_process_from_ending():
    answer = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60)
    assert answer.stdout == "told 1\n"


def test_no_reading_thread_outlives_the_reading():
    """One that is still ending when Python ends may take the process down."""
    before = set(threading.enumerate())  # tests of what hangs leave threads that hang
    for _ in range(50):
        assert [sum(part) for part in read_ahead([[1, 2], [3, 4]], lambda item: item, threads=4)] == [3, 7]
        assert set(threading.enumerate()) <= before
    reading = read_ahead([[number] for number in range(50)], lambda item: item, threads=4)
    next(reading)
    reading.close()
    assert set(threading.enumerate()) <= before
