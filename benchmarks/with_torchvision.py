"""The same work in the manner of torchvision's classification reference: image folders, transforms v2, meters.

The reference script is not in torchvision's package. Like it, this loop reads the loss and two accuracies in every
step, prints every 10 steps, tests with the same batches, and saves model and optimiser after every epoch.
"""

from __future__ import annotations

from pathlib import Path

import torch
from common import MEAN, STD, Stopwatch, class_count, flags, image_tree, network, out_folder
from torch import nn
from torch.utils.data import DataLoader, RandomSampler, SequentialSampler
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

PRINT_FREQUENCY = 10


def loader_for(given, tree, split):
    """Return the loader of one split."""
    after = [v2.PILToTensor(), v2.ToDtype(torch.float, scale=True), v2.Normalize(MEAN, STD), v2.ToPureTensor()]
    flip = [v2.RandomHorizontalFlip(0.5)] if split == "train" else []
    data = ImageFolder(str(tree / split), v2.Compose([v2.Resize((given.size, given.size)), *flip, *after]))
    sampler = RandomSampler(data) if split == "train" else SequentialSampler(data)
    return DataLoader(data, batch_size=given.batch_size, sampler=sampler, num_workers=given.workers)


def arranged(images, given):
    """Return the batch in channels-last order if asked for."""
    return images.contiguous(memory_format=torch.channels_last) if given.channels_last else images


def top(output, labels, ranks):
    """Return for each of `ranks` how many labels are among so many best answers."""
    best = output.topk(max(ranks), 1).indices.eq(labels[:, None])
    return [best[:, :rank].sum().item() for rank in ranks]


def train_one_epoch(epoch, model, loader, optimizer, given, watch):
    """Take an epoch's steps."""
    model.train()
    loss_of = nn.CrossEntropyLoss()
    for number, (images, labels) in enumerate(loader):
        output = model(arranged(images, given))
        loss = loss_of(output, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        first, fifth = top(output, labels, (1, 5))
        value = loss.item()
        watch.step_done()
        if number % PRINT_FREQUENCY == 0:
            print(f"Epoch: [{epoch}] [{number}/{len(loader)}] loss: {value:.4f} acc1: {first} acc5: {fifth}")


def evaluate(model, loader, given):
    """Return the accuracy."""
    model.eval()
    loss_of, losses, correct = nn.CrossEntropyLoss(), [], 0
    with torch.inference_mode():
        for images, labels in loader:
            output = model(arranged(images, given))
            losses.append(loss_of(output, labels).item())
            correct += top(output, labels, (1, 5))[0]
    return correct / len(loader.dataset)


def main() -> None:
    """Train, test and save for every epoch."""
    parser = flags(__doc__)
    parser.add_argument("--tree", type=Path, required=True, help="folder of class folders, made if it is missing")
    given = parser.parse_args()
    watch, folder = Stopwatch(), out_folder(given)
    tree = image_tree(given.train, given.test, given.tree)
    train_loader, test_loader = loader_for(given, tree, "train"), loader_for(given, tree, "val")
    model = network(given.model, class_count(given.train), channels_last=given.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=given.lr)
    accuracy = 0.0
    for epoch in range(given.epochs):
        watch.epoch_begins()
        train_one_epoch(epoch, model, train_loader, optimizer, given, watch)
        watch.epoch_ends()
        watch.test_begins()
        accuracy = evaluate(model, test_loader, given)
        watch.test_ends()
        saved = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}
        torch.save(saved, folder / f"model_{epoch}.pth")
    watch.report(given, ["pillow"], accuracy=accuracy)


if __name__ == "__main__":
    main()
