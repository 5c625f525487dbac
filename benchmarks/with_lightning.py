"""The same work with Lightning's Trainer: the plain recipe's loaders, a module, its checkpoints and log."""

from __future__ import annotations

import lightning as L
import torch
from common import Stopwatch, class_count, flags, network, out_folder
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from plain_recipe import arranged, loaders_for
from torch.nn import functional as nnf


class Classifier(L.LightningModule):
    """The network with its loss and its measure."""

    def __init__(self, given):
        super().__init__()
        self.given = given
        self.net = network(given.model, class_count(given.train), channels_last=given.channels_last)

    def training_step(self, batch, batch_idx):
        images, labels = batch
        loss = nnf.cross_entropy(self.net(arranged(images, self.given)), labels)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        images, labels = batch
        output = self.net(arranged(images, self.given))
        self.log("val_loss", nnf.cross_entropy(output, labels), batch_size=len(images))
        self.log("val_accuracy", (output.argmax(1) == labels).float().mean(), batch_size=len(images))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.given.lr)


class Watching(Callback):
    """Tells the stopwatch what happens."""

    def __init__(self, watch):
        self.watch = watch

    def on_train_epoch_start(self, trainer, module):
        self.watch.epoch_begins()

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.watch.step_done()

    def on_validation_start(self, trainer, module):
        self.watch.epoch_ends()  # Lightning validates before it calls an epoch ended
        self.watch.test_begins()

    def on_validation_end(self, trainer, module):
        self.watch.test_ends()


def main() -> None:
    """Train, test and save for every epoch."""
    given = flags(__doc__).parse_args()
    watch, folder = Stopwatch(), out_folder(given)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=given.epochs,
        default_root_dir=folder,
        num_sanity_val_steps=0,
        callbacks=[Watching(watch), ModelCheckpoint(dirpath=folder, save_top_k=-1)],
    )
    trainer.fit(Classifier(given), *loaders_for(given))
    watch.report(given, ["lightning", "pillow"], accuracy=float(trainer.callback_metrics["val_accuracy"]))


if __name__ == "__main__":
    main()
