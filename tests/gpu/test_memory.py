"""Where a GPU's memory runs out: what was kept in it is given up first, then fewer images are computed at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar
from weakref import WeakSet

import pytest
import torch
from tests.runs import config_of
from timm.models import register_model
from torch import nn

from eyas.device.choice import Room, is_out_of_memory
from eyas.device.runtime import open_runtime
from eyas.files.tensors import read_tensors
from eyas.model.classifier import Classifier
from eyas.training.planning import make_plan
from eyas.verbs.train import train

SAID = (
    "CUDA out of memory. Tried to allocate 2.00 GiB.", "CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "Unable to find a valid cuDNN algorithm to run convolution",
)  # fmt: skip


@pytest.mark.parametrize("said", SAID)
def test_every_way_to_say_that_memory_ran_out_is_known(said):
    assert is_out_of_memory(RuntimeError(said))
    assert not is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))


def test_a_training_gives_up_the_pixels_then_takes_batches_in_parts_with_the_same_result(emulated, pictures, tmp_path):
    given = {
        "model": "timm/test_convnext",
        "size": 32,
        "batch_size": 16,
        "epochs": 1,
        "device": "cuda",
        "drop_last": True,
        "lr": 0.002,
    }
    whole = train(pictures["train"], out=tmp_path / "whole", report="none", **given)
    emulated.room = 8
    split = train(pictures["train"], out=tmp_path / "split", report="none", **given)
    said = [line for line in (split.directory / "events.jsonl").read_text().splitlines() if '"noted"' in line]
    assert [
        word in line
        for line, word in zip(said, ("not kept in the memory of the GPU", "computed in 2 parts"), strict=False)
    ] == [True, True], said
    one, other = (read_tensors(run.directory / "state.safetensors", "state")[0] for run in (whole, split))
    for name in one:
        assert torch.allclose(one[name], other[name], atol=1e-4), name


def test_memory_that_runs_out_while_the_network_is_compiled_makes_parts_too(emulated, pictures, tmp_path):
    emulated.room = 8
    run = train(pictures["train"], out=tmp_path / "run", report="none", model="compact", size=16, batch_size=14, epochs=1, device="cuda", compile="on")
    assert "computed in 2 parts" in (run.directory / "events.jsonl").read_text()


def test_an_evaluation_remembers_how_many_images_fit(emulated, pictures, tmp_path):
    from eyas.evaluation.one_pass import evaluate

    config = config_of(pictures, device="cuda")
    with open_runtime(config.device) as runtime:
        plan = make_plan(config, tmp_path).placed(runtime)
        model = runtime.place(plan.new_model()).eval()
        passes = []
        for room in (None, 3):
            emulated.room = room
            passing = evaluate(
                model, plan.evaluations["test"], plan.preprocess, runtime, data=config.data, batch_size=7
            )
            passes.append(_result(passing))
        assert runtime.room.images == 2
    assert (passes[0].confusion == passes[1].confusion).all() and passes[1].count == 21


def test_a_classifier_answers_in_parts_where_it_must(emulated, pictures, tmp_path):
    run = train(
        pictures["train"], out=tmp_path / "run", model="compact", size=16, epochs=1, device="cuda", report="none"
    )
    classifier = Classifier.load(run.directory, "cuda")
    images = torch.randint(0, 255, (11, 3, 16, 16), dtype=torch.uint8)
    whole = classifier.logits(images).cpu()
    emulated.room = 4
    assert torch.allclose(classifier.logits(images).cpu(), whole, atol=1e-5)
    assert classifier.room.images == 3


def test_one_image_that_does_not_fit_is_an_error():
    def answer(images: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(torch.OutOfMemoryError):
        Room().answered(answer, torch.zeros(5, 3))


def _result(passing: Callable) -> object:
    while True:
        try:
            next(passing)
        except StopIteration as end:
            return end.value


def test_with_room_for_a_third_a_real_gpu_computes_in_parts(cuda, pictures, tmp_path):
    if not cuda.is_real:
        pytest.skip("its twin is above")
    given = {"model": "alexnet", "size": 224, "epochs": 1, "device": "cuda", "batch_size": 48}
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 1.2e9) / torch.cuda.mem_get_info()[1])
    try:
        run = train(pictures["train"], out=tmp_path / "run", report="none", **given)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    said = (run.directory / "events.jsonl").read_text()
    assert run.finished.epoch == 1 and "computed in" in said and "parts" in said


class Diverging(nn.Module):
    """The first one that is trained for five steps gives nan; each counts how many are alive while it is trained."""

    alive: ClassVar[WeakSet[Diverging]] = WeakSet()
    diverged = False
    seen: ClassVar[list[int]] = []

    def __init__(self, num_classes: int = 10, **_: object) -> None:
        super().__init__()
        self.fc = nn.Linear(3 * 16 * 16, num_classes)
        self.steps = 0
        Diverging.alive.add(self)

    def __hash__(self) -> int:
        return id(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.steps += self.training
        if self.training and self.steps > 6 and not Diverging.diverged:
            Diverging.diverged = True
            return self.fc(images.flatten(1)) * float("nan")
        if self.training and Diverging.diverged and self.steps > 2:
            Diverging.seen.append(len(Diverging.alive))
        return self.fc(images.flatten(1))


@register_model
def diverging_net(pretrained: bool = False, **given: Any) -> nn.Module:
    return Diverging(**given)


def test_after_going_back_the_training_that_failed_takes_no_memory_any_more(pictures, tmp_path):
    run = train(pictures["train"], out=tmp_path / "run", model="timm/diverging_net", size=16, batch_size=14, epochs=2, device="cpu", on_nan="rollback", report="none")
    assert run.finished.epoch == 2
    assert Diverging.seen and set(Diverging.seen) == {1}
