"""A training on a GPU: in every form the same numbers as on the CPU, resumed exactly, and without waiting in a step."""

from __future__ import annotations

import dataclasses
from itertools import islice
from typing import Any

import pytest
import torch
from tests.runs import assert_same_run, config_of, run_fit

from eyas.device.runtime import open_runtime
from eyas.files.tensors import read_tensors
from eyas.training.events import EpochTrained, Evaluated, Trained
from eyas.training.loop import train_batches
from eyas.training.planning import make_plan
from eyas.training.state import TrainState
from eyas.training.step import train_step

# Batches of 14 divide the 56 pictures.
FORMS: dict[str, dict[str, Any]] = {
    "kept on the device": {},
    "kept in memory": {"cache": "ram"},
    "decoded each time": {"cache": "none"},
    "in parts": {"accumulate": 2},
    "mixed": {"mixup": 0.4, "cutmix": 1.0},
    "weighed classes": {"class_weights": "balanced", "label_smoothing": 0.1},
    "averaged": {"ema": 0.9, "momentum": 0.9, "nesterov": True},
    "clipped": {"clip_norm": 1.0},
    "tf32": {"precision": "tf32"},
    "tf32, compiled": {"precision": "tf32", "compile": "on"},
    "bf16": {"precision": "bf16"},
    "fp16": {"precision": "fp16"},
    "fp16, clipped, averaged, in parts": {"precision": "fp16", "clip_norm": 1.0, "ema": 0.9, "accumulate": 2},
    "channels last": {"channels_last": "on"},
    "muon": {"optimizer": "muon", "momentum": 0.6},
    "adam": {"optimizer": "adam", "lr": 0.001},
    "adamw": {"optimizer": "adamw", "lr": 0.001, "weight_decay": 0.01},
    "nadam": {"optimizer": "nadam", "lr": 0.001},
    "radam": {"optimizer": "radam", "lr": 0.001},
    "rmsprop": {"optimizer": "rmsprop", "lr": 0.0001},
    "adagrad": {"optimizer": "adagrad", "lr": 0.001},
    "progressive": {"progressive_size": 0.5, "size": 32, "epochs": 2},
    "views": {"views": "shift"},
    "histograms": {"histograms": True},
    "random crops and colours": {"crop_scale": 0.5, "color_jitter": 0.3, "erasing": 0.5},
    "TrivialAugment": {"trivial_augment": True},
    "a schedule and a plateau": {"schedule": "cosine", "warmup_epochs": 0.5, "plateau": 1},
    "compiled": {"compile": "on"},
    "compiled, in parts": {"compile": "on", "accumulate": 2},
}  # fmt: skip


ROUNDED = {"progressive": 0.02, "random crops and colours": 0.02}  # a GPU resizes in floats: to one grey level the same


def settings(pictures: dict[str, str], **given: Any) -> Any:
    return config_of(pictures, **{"epochs": 1, "batch_size": 14, "device": "cuda", **given})


@pytest.mark.parametrize("form", FORMS)
def test_a_run_in_every_form_ends_and_learns_what_one_on_the_cpu_learns(cuda, pictures, tmp_path, form):
    found = {}
    for device in ("cpu", "cuda"):
        on_cpu = {"compile": "off", "precision": FORMS[form].get("precision", "fp32").replace("tf32", "fp32")} if device == "cpu" else {}
        events = run_fit(settings(pictures, **{**FORMS[form], "device": device, **on_cpu}), tmp_path / device)
        found[device] = next(event.loss for event in reversed(events) if isinstance(event, EpochTrained))
        counts = [event.scores.count for event in events if isinstance(event, Evaluated)]
        assert set(counts) == {21}
    near = 0.1 if cuda.is_real or "16" in form else ROUNDED.get(form, 1e-4)
    assert found["cuda"] == pytest.approx(found["cpu"], abs=near)


EXACT = {
    "plain": {}, "momentum and average": {"momentum": 0.9, "ema": 0.9}, "fp16": {"precision": "fp16"}, "bf16": {"precision": "bf16"}, "muon": {"optimizer": "muon", "momentum": 0.6},
    "adamw": {"optimizer": "adamw", "lr": 0.001}, "varied": {"trivial_augment": True, "mixup": 0.4}, "in parts": {"accumulate": 2}, "compiled": {"compile": "on"},
    "dropout": {"model": "squeezenet1_1", "size": 48, "lr": 0.001},
}  # fmt: skip


@pytest.mark.parametrize("form", EXACT)
def test_a_deterministic_run_cut_and_resumed_equals_an_uncut_one_bit_by_bit(cuda, pictures, tmp_path, form):
    config = settings(pictures, epochs=2, deterministic=True, **EXACT[form])
    run_fit(config, tmp_path / "uncut")
    run_fit(config, tmp_path / "cut", stop_at=lambda event: isinstance(event, Trained) and event.step == 6)
    torch.cuda.manual_seed(7)  # nothing depends on what was drawn before
    run_fit(config, tmp_path / "cut", resuming=True)
    assert_same_run(tmp_path / "cut", tmp_path / "uncut")


def test_a_run_on_the_second_device_is_the_one_on_the_first(emulated, pictures, tmp_path):
    """Dropout draws from the generator of its own device: it is that which the step has to seed."""
    for name in ("cuda:0", "cuda:1"):
        run_fit(settings(pictures, **EXACT["dropout"], device=name), tmp_path / name)
        torch.cuda.manual_seed(11)
    one, other = (read_tensors(tmp_path / name / "state.safetensors", "state")[0] for name in ("cuda:0", "cuda:1"))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("form", [name for name in FORMS if "compiled" not in name])
def test_no_step_waits_for_the_device(cuda, pictures, tmp_path, form):
    """But those that record: the host gives the next step out while this one is computed."""
    config = (
        settings(pictures, **FORMS[form], epochs=2)
        if "epochs" not in FORMS[form]
        else settings(pictures, **FORMS[form])
    )
    with open_runtime(config.device) as runtime:
        plan = make_plan(config, tmp_path).placed(runtime)
        state = TrainState.fresh(plan, runtime)
        batches = train_batches(plan, runtime, start=0)
        train_step(state, state.model, next(batches), plan, runtime)  # the first one sets up what the others use
        for batch in islice(batches, 2):
            with cuda.no_waits():
                train_step(state, state.model, batch, plan, runtime)
        state.window.means()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_users_own_function_is_given_pictures_of_the_processor(cuda, pictures, tmp_path, workers):
    own = tmp_path / "own.py"
    own.write_text("import torch\ndef darker(image):\n    return torch.from_numpy(image.numpy() // 2)\n")
    for device in ("cpu", "cuda"):
        run_fit(settings(pictures, transform=f"{own}:darker", workers=workers, device=device), tmp_path / device)
    one, other = (read_tensors(tmp_path / device / "state.safetensors", "state")[0] for device in ("cpu", "cuda"))
    assert all(torch.allclose(one[name], other[name], atol=0.1 if cuda.is_real else 1e-5) for name in one)


@pytest.mark.parametrize("compiled", ["off", "on"])
def test_accumulating_in_four_parts_equals_one(cuda, pictures, tmp_path, compiled):
    for parts in (1, 4):
        config = settings(pictures, model="timm/test_convnext", size=32, accumulate=parts, lr=0.002, compile=compiled)
        run_fit(config, tmp_path / str(parts))
    one, four = (read_tensors(tmp_path / parts / "state.safetensors", "state")[0] for parts in ("1", "4"))
    for name in one:
        assert torch.allclose(one[name], four[name], atol=1e-4), name


def test_the_epochs_seconds_are_taken_when_the_device_is_done(emulated, pictures, tmp_path):
    """A GPU is given work and computes later: a clock that is not preceded by a wait measures the giving."""
    waits = []
    for event in run_fit(settings(pictures, log_every=1000), tmp_path / "run"):
        if isinstance(event, EpochTrained):
            waits = [place for what, place in emulated.waits if what == "synchronize"]
    assert any(place.startswith("device/runtime.py") for place in waits)


def test_steps_of_a_graph_that_begins_anew_are_marked(emulated, pictures, tmp_path):
    """Without the mark the emulated graph refuses its second call, as CUDA graphs overwrite what they returned."""
    events = run_fit(settings(pictures, compile="on"), tmp_path / "run")
    assert [event.step for event in events if isinstance(event, Trained)] == [1, 2, 3, 4]


def test_the_batch_after_the_last_full_one_is_computed_too(cuda, pictures, tmp_path):
    events = run_fit(settings(pictures, batch_size=21, compile="on"), tmp_path / "run")
    assert [event.samples for event in events if isinstance(event, EpochTrained)] == [56]


def test_pixels_and_labels_of_a_set_that_fits_lie_on_the_device(cuda, pictures, tmp_path):
    config = settings(pictures)
    with open_runtime(config.device) as runtime:
        plan = make_plan(config, tmp_path).placed(runtime)
        assert plan.train.store.pixels.is_cuda and plan.train.targets.is_cuda and runtime.keeps_pixels
        assert dataclasses.replace(plan).loss.class_weights is None


def test_a_network_is_compiled_once_for_each_size_of_its_input(pictures, tmp_path, monkeypatch):
    """The last batch is shorter and the images grow: neither is compiled anew in every epoch, nor for any size."""
    from torch._dynamo.testing import CompileCounter

    counter, usual = CompileCounter(), torch.compile
    monkeypatch.setattr(torch, "compile", lambda model, *, dynamic, mode: usual(model, dynamic=dynamic, backend=counter))
    config = config_of(pictures, compile="on", epochs=6, progressive_size=0.5, size=16)
    with open_runtime(config.device):
        plan = make_plan(config, tmp_path)
        sizes = {*plan.pipeline.sizes[:6]}
    counter.clear()
    run_fit(config, tmp_path / "run")
    assert len(sizes) > 2
    assert counter.frame_count <= 2 * len(sizes)
