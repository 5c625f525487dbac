"""One optimiser step: precision, clipping, weights of classes, smoothing."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.runs import config_of, run_fit
from torch.nn import functional as nnf

from eyas.device.runtime import open_runtime
from eyas.training.loop import train_batches
from eyas.training.loss import Loss
from eyas.training.plan import Plan
from eyas.training.planning import make_plan
from eyas.training.state import Sums, TrainState
from eyas.training.step import train_step


def steps(pictures: dict[str, str], count: int, **given: Any) -> tuple[TrainState, list[float], Plan]:
    """The state after some steps of a run, and the mean loss of each."""
    config = config_of(pictures, **given)
    plan = make_plan(config, Path("not-written"))
    losses = []
    with open_runtime(config.device) as runtime:
        state = TrainState.fresh(plan, runtime)
        for batch in train_batches(plan, runtime, start=0):
            state.window = Sums.zeros(runtime.device)
            train_step(state, state.model, batch, plan, runtime)
            losses.append(state.window.means()[0])
            if state.step == count:
                break
    return state, losses, plan


def weights(state: TrainState) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in state.model.parameters()])


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_sixteen_bits_learn_on_a_cpu_and_keep_their_weights_in_32(pictures, precision):
    state, losses, _ = steps(pictures, 12, precision=precision)
    assert losses[-1] < 0.7 * losses[0]
    assert {parameter.dtype for parameter in state.model.parameters()} == {torch.float32}


@pytest.mark.parametrize(("precision", "near"), [("bf16", 0.02), ("fp16", 0.003)])
def test_a_step_in_sixteen_bits_is_close_to_one_in_32(pictures, precision, near):
    (full, full_losses, _), (half, half_losses, _) = (
        steps(pictures, 1, precision=kind) for kind in ("fp32", precision)
    )
    assert half_losses == pytest.approx(full_losses, rel=near)
    assert (weights(half) - weights(full)).norm() < 5 * near * weights(full).norm()
    assert not torch.equal(weights(half), weights(full))


def test_a_scaler_works_in_fp16_only(pictures):
    for precision, enabled in (("fp32", False), ("bf16", False), ("fp16", True)):
        state, _, _ = steps(pictures, 1, precision=precision)
        assert state.scaler.is_enabled() == enabled


def test_a_gradient_is_clipped_to_its_norm(pictures):
    for limit in (0.01, 0.1):
        given = {"clip_norm": limit, "lr": 0.5, "weight_decay": 0.0}
        config = config_of(pictures, **given)
        with open_runtime(config.device) as runtime:
            before = weights(TrainState.fresh(make_plan(config, Path("not-written")), runtime))
        state, _, _ = steps(pictures, 1, **given)
        assert (weights(state) - before).norm().item() == pytest.approx(0.5 * limit, rel=0.01)


def test_a_norm_that_is_not_reached_clips_nothing(pictures):
    free, _, _ = steps(pictures, 2)
    wide, _, _ = steps(pictures, 2, clip_norm=1e6)
    assert torch.equal(weights(free), weights(wide))


def test_a_step_changes_nothing_but_the_state(pictures):
    config = config_of(pictures, mixup=0.2)
    plan = make_plan(config, Path("not-written"))
    with open_runtime(config.device) as runtime:
        state = TrainState.fresh(plan, runtime)
        batch = next(iter(train_batches(plan, runtime, start=0)))
        images, labels = batch.images.clone(), batch.labels.clone()
        train_step(state, state.model, batch, plan, runtime)
        other = TrainState.fresh(plan, runtime)
        torch.manual_seed(99)  # nor does it depend on what was drawn before
        train_step(other, other.model, batch, plan, runtime)
    assert torch.equal(batch.images, images)
    assert torch.equal(batch.labels, labels)
    assert torch.equal(weights(state), weights(other))
    assert state.step == 1
    assert all(parameter.grad is None for parameter in state.model.parameters())


def test_the_counted_loss_and_accuracy_are_those_of_the_batch(pictures):
    config = config_of(pictures, flip=0.0)
    plan = make_plan(config, Path("not-written"))
    with open_runtime(config.device) as runtime:
        state = TrainState.fresh(plan, runtime)
        batch = next(iter(train_batches(plan, runtime, start=0)))
        logits = copy.deepcopy(state.model).train()(plan.preprocess.normalize(batch.images))
        train_step(state, state.model, batch, plan, runtime)
    loss, accuracy, samples = state.window.means()
    assert samples == 16
    assert loss == pytest.approx(nnf.cross_entropy(logits, batch.labels).item(), rel=1e-5)
    assert accuracy == (logits.argmax(1) == batch.labels).float().mean().item()
    assert state.epoch.means() == state.window.means()


def test_class_weights_are_one_for_a_sample_on_average_and_alike_for_a_class(pictures):
    plan = make_plan(config_of(pictures, class_weights="balanced"), Path("not-written"))
    given = plan.loss.class_weights
    labels = torch.from_numpy(plan.train.images.labels)
    assert given[labels].mean().item() == pytest.approx(1, abs=1e-6)
    sums = given * torch.bincount(labels)
    assert sums.tolist() == pytest.approx([56 / 3] * 3, rel=1e-6)


def test_without_class_weights_there_are_none(pictures):
    assert make_plan(config_of(pictures), Path("not-written")).loss.class_weights is None


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighed", [False, True])
def test_the_loss_is_torchs_summed_over_samples(smoothing, weighed):
    torch.manual_seed(0)
    logits, labels = torch.randn(7, 4), torch.tensor([0, 1, 2, 3, 0, 1, 2])
    given = torch.tensor([0.5, 1.0, 2.0, 1.5]) if weighed else None
    criterion = torch.nn.CrossEntropyLoss(given, label_smoothing=smoothing, reduction="sum")
    assert Loss(smoothing, given)(logits, labels).item() == pytest.approx(criterion(logits, labels).item())
    if not weighed:
        mean = torch.nn.CrossEntropyLoss(label_smoothing=smoothing)
        assert Loss(smoothing)(logits, labels).item() / 7 == pytest.approx(mean(logits, labels).item())


def test_blended_targets_weigh_both_their_losses():
    torch.manual_seed(0)
    logits, labels, others = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1]), torch.tensor([2, 2, 1, 1, 0])
    targets = 0.3 * nnf.one_hot(labels, 3).float() + 0.7 * nnf.one_hot(others, 3).float()
    expected = 0.3 * Loss()(logits, labels) + 0.7 * Loss()(logits, others)
    assert Loss()(logits, targets).item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_loss_of_sixteen_bit_logits_is_computed_in_32():
    assert Loss()(torch.randn(4, 3).to(torch.bfloat16), torch.tensor([0, 1, 2, 0])).dtype == torch.float32


def test_more_parts_than_images_are_as_many_as_there_are(pictures):
    pytest.importorskip("timm", minversion="1.0.11")
    state, losses, _ = steps(pictures, 4, batch_size=48, accumulate=64, model="timm/test_vit", size=160)
    assert state.step == 4
    assert all(loss == loss for loss in losses)


def test_sums_of_nothing_have_no_mean():
    loss, accuracy, samples = Sums.zeros(torch.device("cpu")).means()
    assert loss != loss
    assert accuracy != accuracy
    assert samples == 0


def test_a_run_in_channels_last_order_passes_its_own_check(pictures, tmp_path):
    pytest.importorskip("timm", minversion="1.0.11")
    config = config_of(
        pictures, model="timm/tf_efficientnet_lite0", size=64, epochs=1, batch_size=25, channels_last=True
    )
    assert run_fit(config, tmp_path / "run")[-1].reason == "complete"
