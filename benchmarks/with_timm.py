"""The same work with timm's own parts: its folder reader, loader, optimiser factory, loss, meters and saver.

timm's package does not hold its `train.py`; this loop does what that script does on one device with its other switches
off: it reads the loss in every step and logs every 50. timm's centre crop stands where the recipe stretches: on square
images the two are the same.
"""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from common import MEAN, STD, Stopwatch, class_count, flags, image_tree, network, out_folder
from timm.data import create_dataset, create_loader
from timm.optim import create_optimizer_v2
from timm.utils import AverageMeter, CheckpointSaver, accuracy, setup_default_logging
from torch import nn

LOG_INTERVAL = 50
log = logging.getLogger("train")


def loader_for(given, tree, split):
    """Return timm's loader of one split; its prefetching wrapper normalises whole batches."""
    training = split == "train"
    return create_loader(
        create_dataset("", root=str(tree), split=split, is_training=training),
        input_size=(3, given.size, given.size),
        batch_size=given.batch_size,
        is_training=training,
        scale=(1.0, 1.0),
        ratio=(1.0, 1.0),
        color_jitter=0,
        hflip=0.5,
        interpolation="bilinear",
        mean=MEAN,
        std=STD,
        crop_pct=1.0,
        num_workers=given.workers,
        device=torch.device("cpu"),
    )


def arranged(images, given):
    """Return the batch in channels-last order if asked for."""
    return images.contiguous(memory_format=torch.channels_last) if given.channels_last else images


def train_one_epoch(epoch, model, loader, optimizer, given, watch):
    """Take an epoch's steps."""
    model.train()
    losses, loss_of = AverageMeter(), nn.CrossEntropyLoss()
    for number, (images, labels) in enumerate(loader):
        loss = loss_of(model(arranged(images, given)), labels)
        loss.backward()
        optimizer.step()
        losses.update(loss.item(), len(images))
        optimizer.zero_grad()
        watch.step_done()
        if number % LOG_INTERVAL == 0:
            log.info(f"Train: {epoch} [{number}/{len(loader)}] Loss: {losses.val:.3g} ({losses.avg:.3g})")


def validate(model, loader, given):
    """Return the accuracy in per cent."""
    model.eval()
    losses, top1, loss_of = AverageMeter(), AverageMeter(), nn.CrossEntropyLoss()
    with torch.inference_mode():
        for images, labels in loader:
            output = model(arranged(images, given))
            losses.update(loss_of(output, labels).item(), len(images))
            top1.update(accuracy(output, labels)[0].item(), len(images))
    return top1.avg


def main() -> None:
    """Train, test and save for every epoch."""
    parser = flags(__doc__)
    parser.add_argument("--tree", type=Path, required=True, help="folder of class folders, made if it is missing")
    given = parser.parse_args()
    setup_default_logging()
    watch, folder = Stopwatch(), out_folder(given)
    tree = image_tree(given.train, given.test, given.tree)
    train_loader, test_loader = loader_for(given, tree, "train"), loader_for(given, tree, "val")
    model = network(given.model, class_count(given.train), channels_last=given.channels_last)
    optimizer = create_optimizer_v2(model, opt="momentum", lr=given.lr, momentum=0.0, weight_decay=0.0)
    saver = CheckpointSaver(model, optimizer, checkpoint_dir=str(folder), recovery_dir=str(folder), max_history=100)
    accuracy_now = 0.0
    for epoch in range(given.epochs):
        watch.epoch_begins()
        train_one_epoch(epoch, model, train_loader, optimizer, given, watch)
        watch.epoch_ends()
        watch.test_begins()
        accuracy_now = validate(model, test_loader, given)
        watch.test_ends()
        saver.save_checkpoint(epoch, metric=accuracy_now)
    watch.report(given, ["timm", "pillow"], accuracy=accuracy_now / 100)


if __name__ == "__main__":
    main()
