"""The same work with Hugging Face's Trainer: the plain recipe's data sets and network, its own loop and checkpoints."""

from __future__ import annotations

import torch
from common import Stopwatch, class_count, flags, network, out_folder
from plain_recipe import ListDataset, arranged, transforms_for
from torch import nn
from torch.nn import functional as nnf
from transformers import Trainer, TrainerCallback, TrainingArguments


class Classifier(nn.Module):
    """A network as the Trainer wants it: named inputs, and a dictionary with the loss."""

    def __init__(self, given):
        super().__init__()
        self.given = given
        self.net = network(given.model, class_count(given.train), channels_last=given.channels_last)

    def forward(self, pixel_values, labels):
        logits = self.net(arranged(pixel_values, self.given))
        return {"loss": nnf.cross_entropy(logits, labels), "logits": logits}


class Watching(TrainerCallback):
    """Tells the stopwatch what happens; the Trainer itself times its evaluations."""

    def __init__(self, watch):
        self.watch = watch

    def on_epoch_begin(self, args, state, control, **more):
        self.watch.epoch_begins()

    def on_step_end(self, args, state, control, **more):
        self.watch.step_done()

    def on_epoch_end(self, args, state, control, **more):
        self.watch.epoch_ends()

    def on_evaluate(self, args, state, control, metrics, **more):
        self.watch.tests.append(metrics["eval_runtime"])


def collate(samples):
    """Return a batch of (image, label) pairs."""
    images, labels = zip(*samples, strict=True)
    return {"pixel_values": torch.stack(images), "labels": torch.tensor(labels)}


def main() -> None:
    """Train, test and save for every epoch."""
    given = flags(__doc__).parse_args()
    watch, folder = Stopwatch(), out_folder(given)
    train_transform, test_transform = transforms_for(given.size)
    settings = TrainingArguments(
        output_dir=str(folder),
        use_cpu=True,
        num_train_epochs=given.epochs,
        per_device_train_batch_size=given.batch_size,
        per_device_eval_batch_size=given.batch_size,
        learning_rate=given.lr,
        lr_scheduler_type="constant",
        optim="sgd",
        max_grad_norm=0.0,
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_steps=500,
        dataloader_num_workers=given.workers,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        report_to="none",
    )
    trainer = Trainer(
        Classifier(given),
        settings,
        data_collator=collate,
        train_dataset=ListDataset(given.train, train_transform),
        eval_dataset=ListDataset(given.test, test_transform),
        compute_metrics=lambda found: {"accuracy": float((found.predictions.argmax(1) == found.label_ids).mean())},
        callbacks=[Watching(watch)],
    )
    trainer.train()
    scores = [record["eval_accuracy"] for record in trainer.state.log_history if "eval_accuracy" in record]
    watch.report(given, ["transformers", "accelerate", "pillow"], accuracy=scores[-1])


if __name__ == "__main__":
    main()
