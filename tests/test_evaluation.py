"""What an evaluation keeps of every sample."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from eyas.files.tensors import read_tensors
from eyas.training.events import Evaluated
from tests.runs import config_of, run_fit


def test_the_answers_that_are_kept_give_every_number_again(pictures, tmp_path):
    events = run_fit(config_of(pictures, epochs=1), tmp_path / "run")
    scores = [event.scores for event in events if isinstance(event, Evaluated)][-1]
    logits, targets = torch.from_numpy(scores.logits), torch.from_numpy(scores.targets).long()
    assert logits.shape == (scores.count, len(scores.classes))
    assert torch.equal(logits.argmax(1), torch.from_numpy(scores.predicted).long())
    assert int((logits.argmax(1) == targets).sum()) == scores.correct
    assert float(cross_entropy(logits.double(), targets, reduction="sum")) == pytest.approx(scores.loss_sum, rel=1e-6)
    kept, _ = read_tensors(tmp_path / "run" / "predictions.safetensors", "predictions")
    assert torch.equal(kept["test/logits"], logits)
    assert torch.equal(kept["test/labels"], targets.int())
