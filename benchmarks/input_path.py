"""The way from image files to batches alone: float32 [B, 3, size, size], flipped at random, normalised; no network.

    python benchmarks/input_path.py plain|dali|eyas LIST.txt --size 256 --passes 3 --workers 2

A pass gives every image once, shuffled. The first one is told apart: a path that keeps what it decoded pays there.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from common import MEAN, STD, Stopwatch, count, read_list


def plain_batches(given: argparse.Namespace) -> Iterator[None]:
    """The plain recipe's loader."""
    from plain_recipe import ListDataset, transforms_for
    from torch.utils.data import DataLoader

    data = ListDataset(given.train, transforms_for(given.size)[0])
    loader = DataLoader(data, batch_size=given.batch_size, shuffle=True, num_workers=given.workers)
    for _ in range(given.passes):
        for _ in loader:
            yield


def dali_batches(given: argparse.Namespace) -> Iterator[None]:
    """NVIDIA DALI's path without a GPU, as many threads as cores; every batch is a torch tensor in the end."""
    from nvidia.dali import fn, pipeline_def, types
    from nvidia.dali.plugin.base_iterator import LastBatchPolicy
    from nvidia.dali.plugin.pytorch import DALIGenericIterator

    samples = read_list(given.train)

    @pipeline_def(batch_size=given.batch_size, num_threads=os.cpu_count(), device_id=None)
    def pipeline():
        files, labels = [str(path) for path, _ in samples], [label for _, label in samples]
        data, labels = fn.readers.file(files=files, labels=labels, random_shuffle=True, name="reader")
        images = fn.decoders.image(data, device="cpu", output_type=types.RGB)
        images = fn.resize(images, resize_x=given.size, resize_y=given.size, antialias=True)
        flips = fn.random.coin_flip(probability=0.5)
        mean, std = ([255 * value for value in values] for values in (MEAN, STD))
        images = fn.crop_mirror_normalize(
            images, mirror=flips, dtype=types.FLOAT, output_layout="CHW", mean=mean, std=std
        )
        return images, labels

    policy = LastBatchPolicy.PARTIAL
    batches = DALIGenericIterator(
        pipeline(), ["images", "labels"], reader_name="reader", auto_reset=True, last_batch_policy=policy
    )
    for _ in range(given.passes):
        for _ in batches:
            yield


def eyas_batches(given: argparse.Namespace) -> Iterator[None]:
    """eyas's own path, as a run of it takes it: read and decoded while the plan is made, then batch by batch."""
    from eyas import make_config, make_plan, open_runtime
    from eyas.training.loop import train_batches

    asked = {"train": str(given.train), "size": given.size, "batch_size": given.batch_size, "epochs": given.passes}
    config = make_config(asked | {"workers": given.workers, "cache": given.cache, "device": "cpu"})
    with open_runtime(config.device) as runtime:
        plan = make_plan(config, Path("unused"))
        for batch in train_batches(plan, runtime, start=0):
            plan.preprocess.normalize(batch.images, runtime.memory_format)
            yield


PATHS = {"plain": plain_batches, "dali": dali_batches, "eyas": eyas_batches}
PACKAGES = {"plain": ["pillow"], "dali": ["nvidia-dali-cuda130"], "eyas": ["pillow"]}


def main() -> None:
    """Time every pass."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", choices=PATHS)
    parser.add_argument("train", type=Path, help="list file: a path, a space and a class number on each line")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--cache", default="auto", help="eyas's setting of this name")
    given = parser.parse_args()
    given.test = given.train
    if given.path == "eyas":
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command does
    import torch  # noqa: F401 - none of the paths shall be charged with importing it

    steps = -(-count(given.train) // given.batch_size)
    watch = Stopwatch()
    watch.epoch_begins()
    for number, _ in enumerate(PATHS[given.path](given), start=1):
        watch.step_done()
        if number % steps == 0:
            watch.epoch_ends()
            watch.epoch_begins()
    assert len(watch.epochs) == given.passes, "a pass did not give every image once"
    watch.first_step = None
    watch.report(given, PACKAGES[given.path], test_images=0)


if __name__ == "__main__":
    main()
