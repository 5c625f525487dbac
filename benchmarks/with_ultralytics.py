"""The same work with Ultralytics' classify trainer, its augmentation switched off but for the flip.

It reads class folders with OpenCV, crops where the recipe stretches (on square images the two are the same), keeps a
running average of the weights and measures that.
"""

from __future__ import annotations

import os
from pathlib import Path

# it must not report usage, nor look for downloads, while it is timed
os.environ.setdefault("YOLO_OFFLINE", "true")

import torch
from common import Stopwatch, class_count, flags, image_tree, network, out_folder
from torch import nn
from ultralytics.models.yolo.classify import ClassificationTrainer
from ultralytics.nn.tasks import ClassificationModel
from ultralytics.utils import SETTINGS


class Network(ClassificationModel):
    """Any network in the place of one that is described by Ultralytics' own YAML."""

    def __init__(self, given, classes):
        nn.Module.__init__(self)
        self.model = nn.Sequential(network(given.model, classes, channels_last=given.channels_last))
        self.yaml = {"nc": classes, "channels": 3}
        self.stride = torch.Tensor([1])
        self.names = {number: str(number) for number in range(classes)}
        self.channels_last = given.channels_last

    def predict(self, x, *args, **kwargs):
        return self.model(x.contiguous(memory_format=torch.channels_last) if self.channels_last else x)


def trainer_for(given, tree, folder):
    """Return the trainer with everything but the flip switched off."""
    off = ["scale", "hsv_h", "hsv_s", "hsv_v", "erasing", "warmup_epochs", "momentum", "weight_decay", "dropout"]
    settings = {
        "model": "yolo26n-cls.yaml",  # asked for, though `get_model` below takes its place
        "data": str(tree),
        "epochs": given.epochs,
        "batch": given.batch_size,
        "nbs": given.batch_size,
        "imgsz": given.size,
        "workers": given.workers,
        "lr0": given.lr,
        "lrf": 1.0,
        "optimizer": "SGD",
        "device": "cpu",
        "amp": False,
        "plots": False,
        "pretrained": False,
        "auto_augment": None,
        "fliplr": 0.5,
        "save_period": 1,
        "project": str(folder),
        "name": "run",
    }

    class Trainer(ClassificationTrainer):
        def get_model(self, cfg=None, weights=None, verbose=True):
            return Network(given, self.data["nc"])

    return Trainer(overrides=settings | dict.fromkeys(off, 0.0))


def main() -> None:
    """Train, test and save for every epoch."""
    parser = flags(__doc__)
    parser.add_argument("--tree", type=Path, required=True, help="folder of class folders, made if it is missing")
    given = parser.parse_args()
    SETTINGS.update(sync=False)
    watch, folder = Stopwatch(), out_folder(given)
    trainer = trainer_for(given, image_tree(given.train, given.test, given.tree), folder)
    assert class_count(given.train) == trainer.data["nc"]
    trainer.add_callback("on_train_epoch_start", lambda _: watch.epoch_begins())
    trainer.add_callback("on_train_batch_end", lambda _: watch.step_done())
    trainer.add_callback("on_train_epoch_end", lambda _: watch.epoch_ends())
    trainer.add_callback("on_val_start", lambda _: watch.test_begins())
    trainer.add_callback("on_val_end", lambda _: watch.test_ends())
    trainer.train()
    watch.tests = watch.tests[: given.epochs]  # after the last epoch it measures the best one once more
    watch.report(given, ["ultralytics", "opencv-python"], accuracy=float(trainer.metrics["metrics/accuracy_top1"]))


if __name__ == "__main__":
    main()
