"""The same work with fastai's Learner: its DataBlock, whole-batch flip and normalisation, SaveModelCallback."""

from __future__ import annotations

import random

from common import MEAN, STD, Stopwatch, class_count, flags, network, out_folder, read_list
from fastai.callback.core import Callback
from fastai.callback.tracker import SaveModelCallback
from fastai.data.block import CategoryBlock, DataBlock
from fastai.data.transforms import IndexSplitter, Normalize
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.metrics import accuracy
from fastai.optimizer import SGD
from fastai.vision.augment import Flip, Resize, ResizeMethod
from fastai.vision.data import ImageBlock


class Watching(Callback):
    """Tells the stopwatch what happens."""

    def __init__(self, watch):
        self.watch = watch

    def before_train(self):
        self.watch.epoch_begins()

    def after_batch(self):
        if self.training:
            self.watch.step_done()

    def after_train(self):
        self.watch.epoch_ends()

    def before_validate(self):
        self.watch.test_begins()

    def after_validate(self):
        self.watch.test_ends()


def loaders_for(given):
    """Return fastai's loaders of both lists."""
    train, test = read_list(given.train), read_list(given.test)
    samples = train + test
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock(vocab=list(range(class_count(given.train))))),
        get_x=lambda sample: samples[sample][0],
        get_y=lambda sample: samples[sample][1],
        splitter=IndexSplitter(list(range(len(train), len(samples)))),
        item_tfms=Resize(given.size, method=ResizeMethod.Squish),
        batch_tfms=[Flip(0.5), Normalize.from_stats(MEAN, STD)],
    )
    settings = {"bs": given.batch_size, "num_workers": given.workers, "device": "cpu"}
    return block.dataloaders(range(len(samples)), val_bs=given.batch_size, drop_last=False, **settings)


def main() -> None:
    """Train, test and save for every epoch."""
    random.seed(0)
    given = flags(__doc__).parse_args()
    watch, folder = Stopwatch(), out_folder(given)
    learner = Learner(
        loaders_for(given),
        network(given.model, class_count(given.train), channels_last=given.channels_last),
        loss_func=CrossEntropyLossFlat(),
        opt_func=SGD,
        lr=given.lr,
        metrics=accuracy,
        wd=0.0,
        path=folder,
        cbs=[Watching(watch), SaveModelCallback(every_epoch=True)],
    )
    learner.fit(given.epochs)
    watch.report(given, ["fastai", "pillow"], accuracy=float(learner.recorder.values[-1][-1]))


if __name__ == "__main__":
    main()
