"""A hand-written PyTorch loop with three parts of eyas: a list file as a data set, the preprocessing, AlexNet.

python examples/plain_loop.py train.txt test.txt
"""

import sys

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from eyas import ImageTxtDataset, Preprocess, alex


def main(train_list: str, test_list: str, *, epochs: int = 1, size: int = 256) -> float:
    """Train AlexNet by the standard recipe and return its accuracy on the test list."""
    torch.manual_seed(0)
    preprocess = Preprocess(size=size)
    train = ImageTxtDataset(train_list, transform=v2.Compose([v2.RandomHorizontalFlip(0.5), preprocess]))
    test = ImageTxtDataset(test_list, classes=train.classes, transform=preprocess)
    model = alex(len(train.classes))
    loss_of = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    for epoch in range(epochs):
        model.train()
        for images, labels in DataLoader(train, batch_size=64, shuffle=True):
            loss = loss_of(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: last loss {loss.item():.4f}")

    correct = 0
    model.eval()
    with torch.no_grad():
        for images, labels in DataLoader(test, batch_size=64):
            correct += (model(images).argmax(1) == labels).sum().item()
    print(f"accuracy {correct / len(test):.2%} of {len(test)}")
    return correct / len(test)


if __name__ == "__main__":
    main(*sys.argv[1:3])
