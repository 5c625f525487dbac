"""What only a GPU shows. Each has a twin on the CPU that always runs: the laws, and tests/training/test_step.py."""

from __future__ import annotations

import pytest
import torch

from eyas.events import EpochTrained, Evaluated, Trained
from eyas.tensorfile import read_tensors
from tests.runs import assert_same_run, config_of, run_fit

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def test_a_deterministic_run_cut_and_resumed_equals_an_uncut_one_bit_by_bit(pictures, tmp_path):
    config = config_of(pictures, device="cuda", deterministic=True, momentum=0.9, ema=0.9)
    run_fit(config, tmp_path / "uncut")
    run_fit(config, tmp_path / "cut", stop_at=lambda event: isinstance(event, Trained) and event.step == 6)
    run_fit(config, tmp_path / "cut", resuming=True)
    assert_same_run(tmp_path / "cut", tmp_path / "uncut")


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_learns_as_full_precision_does(pictures, tmp_path, precision):
    scores = {}
    for kind in ("fp32", precision):
        events = run_fit(config_of(pictures, device="cuda", precision=kind, epochs=5), tmp_path / kind)
        scores[kind] = [event.loss for event in events if isinstance(event, EpochTrained)][-1]
    assert scores[precision] == pytest.approx(scores["fp32"], abs=0.1)


def test_accumulating_in_four_parts_equals_one(pictures, tmp_path):
    for parts in (1, 4):
        config = config_of(pictures, device="cuda", model="timm/test_convnext", size=32, accumulate=parts, lr=0.002)
        run_fit(config, tmp_path / str(parts))
    one, four = (read_tensors(tmp_path / parts / "state.safetensors", "state")[0] for parts in ("1", "4"))
    for name in one:
        assert torch.allclose(one[name], four[name], atol=1e-4), name


def test_the_gpu_and_the_cpu_agree_on_every_count(pictures, tmp_path):
    passes = {}
    for device in ("cpu", "cuda"):
        events = run_fit(config_of(pictures, device=device, epochs=1), tmp_path / device)
        passes[device] = next(event.scores for event in events if isinstance(event, Evaluated))
    assert passes["cuda"].count == passes["cpu"].count == 21
    assert passes["cuda"].loss == pytest.approx(passes["cpu"].loss, rel=0.05)
