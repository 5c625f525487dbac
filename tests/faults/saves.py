"""What a save does, without a training around it: small, so that every one of its operations can be made to fail."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import torch

from eyas.data.images.preprocess import Preprocess
from eyas.errors import FileError
from eyas.model.classifier import model_header
from eyas.model.zoo import build
from eyas.training.checkpoint import Checkpoint, EpochFile, write_checkpoint
from eyas.training.state import TrainState

FAILED = 74


def save(run: str, *steps: str) -> int:
    """Write the checkpoints of some steps, each the end of an epoch, as `checkpoint_of` makes them; keep two models."""
    torch.default_generator.manual_seed(0)
    weights = build("compact", 3).state_dict()
    for step in map(int, steps):
        tensors = {f"model/{name}": value for name, value in list(weights.items())[:20]}
        tensors |= {"model/step": torch.full((1000,), float(step))}
        facts = {"epoch": step, "step": step}
        model = model_header("compact", ("a", "b", "c"), Preprocess(16), facts)
        plain = {field.name: {} for field in fields(TrainState)} | {"step": step, "epochs_done": step}
        plain |= {"seconds": 0.0, "waited": 0.0, "stopped": ""}
        header = {"state": plain, "fingerprint": {}, "environment": {}}
        answers = {"test/predicted": torch.full((5,), step), "test/labels": torch.zeros(5, dtype=torch.int32)}
        samples = {"test": "those of a test"}
        epoch = EpochFile(step, model, improved=step % 2 == 1, keep=2, answers=answers, samples=samples)
        try:
            write_checkpoint(Checkpoint(step, Path(run), tensors, header, epoch), 0.0)
        except FileError as error:
            print(f"eyas: {error}")
            return FAILED
    return 0
