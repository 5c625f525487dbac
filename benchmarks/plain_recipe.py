"""The standard recipe as a plain PyTorch script, the way tutorials write it; and the bare steps of the same network.

    python benchmarks/plain_recipe.py TRAIN.txt TEST.txt --model alexnet --size 256 --epochs 2
    python benchmarks/plain_recipe.py TRAIN.txt TEST.txt --bare 20      20 steps on one batch that is already in place
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from common import MEAN, STD, Stopwatch, class_count, count, flags, network, out_folder, read_list
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms


class ListDataset(Dataset):
    """The images of a list file, opened and transformed one by one."""

    def __init__(self, path, transform):
        self.samples = read_list(path)
        self.transform = transform

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        path, label = self.samples[index]
        return self.transform(Image.open(path).convert("RGB")), label


def transforms_for(size):
    """Return the transforms for training and for testing: the same, but for the random flip."""
    after = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    resize = transforms.Resize((size, size))
    return (
        transforms.Compose([resize, transforms.RandomHorizontalFlip(0.5), *after]),
        transforms.Compose([resize, *after]),
    )


def loaders_for(given):
    """Return the loaders of both lists."""
    train_transform, test_transform = transforms_for(given.size)
    settings = {"batch_size": given.batch_size, "num_workers": given.workers}
    return (
        DataLoader(ListDataset(given.train, train_transform), shuffle=True, **settings),
        DataLoader(ListDataset(given.test, test_transform), **settings),
    )


def arranged(images: Tensor, given: argparse.Namespace) -> Tensor:
    """Return the batch in channels-last order if asked for."""
    return images.contiguous(memory_format=torch.channels_last) if given.channels_last else images


def train(given):
    """Train and test for every epoch, save the weights after each, print the times."""
    watch, folder = Stopwatch(), out_folder(given)
    train_loader, test_loader = loaders_for(given)
    model = network(given.model, class_count(given.train), channels_last=given.channels_last)
    loss_of = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=given.lr)
    for epoch in range(given.epochs):
        model.train()
        watch.epoch_begins()
        for images, labels in train_loader:
            loss = loss_of(model(arranged(images, given)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watch.step_done()
        watch.epoch_ends()
        model.eval()
        watch.test_begins()
        test_loss = correct = 0
        with torch.no_grad():
            for images, labels in test_loader:
                outputs = model(arranged(images, given))
                test_loss += loss_of(outputs, labels).item()
                correct += (outputs.argmax(1) == labels).sum().item()
        watch.test_ends()
        torch.save(model.state_dict(), folder / f"epoch_{epoch + 1}.pth")
    watch.report(given, ["pillow"], accuracy=correct / len(test_loader.dataset))


def bare(given):
    """Time steps on one batch in place: what no trainer of the same network, layout and precision can go below.

    Prints seconds of an epoch and of a test pass of as many images as the lists have.
    """
    watch = Stopwatch()
    classes = class_count(given.train)
    model = network(given.model, classes, channels_last=given.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=given.lr)
    images = arranged(torch.randn(given.batch_size, 3, given.size, given.size), given)
    labels = torch.randint(0, classes, (given.batch_size,))

    def step():
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step_done()

    def forward():
        with torch.no_grad():
            model(images)

    model.train()
    per_step = _median_seconds(step, given.bare)
    model.eval()
    per_batch = _median_seconds(forward, given.bare)
    watch.epochs = [per_step * count(given.train) / given.batch_size]
    watch.tests = [per_batch * count(given.test) / given.batch_size]
    watch.report(given, [], step_seconds=per_step)


def _median_seconds(action, times):
    """Return the median seconds of an action, after three that are not counted."""
    seconds = []
    for _ in range(times + 3):
        began = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[3:])


if __name__ == "__main__":
    parser = flags(__doc__)
    parser.add_argument("--bare", type=int, metavar="STEPS", help="only time this many steps on one batch in place")
    arguments = parser.parse_args()
    bare(arguments) if arguments.bare else train(arguments)
