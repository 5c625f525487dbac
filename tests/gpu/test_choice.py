"""Which device is chosen, what is set for it, and what is said."""

from __future__ import annotations

import pytest
import torch
from tests.runs import config_of

from eyas.config.training import DeviceConfig
from eyas.device.choice import choose_device
from eyas.device.runtime import open_runtime
from eyas.errors import SettingsError
from eyas.training.planning import make_plan
from eyas.training.tuning import tune
from eyas.verbs.train import train


def test_a_device_has_its_number_and_becomes_the_current_one_as_long_as_it_is_used(emulated):
    assert choose_device("cuda") == torch.device("cuda", 0)
    with open_runtime(DeviceConfig(device="cuda:1")) as runtime:
        assert (runtime.device, torch.cuda.current_device()) == (torch.device("cuda", 1), 1)
    assert torch.cuda.current_device() == 0


def test_a_run_leaves_pytorch_as_it_was(emulated):
    def settings() -> tuple[object, ...]:
        return (
            torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark,
            torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision, torch.cuda.current_device(),
        )  # fmt: skip

    before = settings()
    with open_runtime(DeviceConfig(device="cuda:1", threads=3, deterministic=True, precision="tf32")) as runtime:
        runtime.compiled(torch.nn.Linear(1, 1), parts=1)
        assert settings() == (3, True, False, "tf32", "tf32", 1)
    assert settings() == before
    with open_runtime(DeviceConfig(device="cuda")) as runtime:
        assert settings()[2:] == (True, "tf32", "ieee", 0)
        assert "fp32 (convolutions in TF32)" in runtime.in_words() and "cuDNN benchmark" in runtime.in_words()


def test_a_processor_run_leaves_the_threads_as_they_were():
    before = torch.get_num_threads()
    with open_runtime(DeviceConfig(device="cpu", threads=before + 1, deterministic=True)):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    assert not torch.are_deterministic_algorithms_enabled()


def test_tf32_is_refused_where_there_is_none(emulated, monkeypatch):
    with pytest.raises(SettingsError, match="has no TF32"):
        open_runtime(DeviceConfig(device="cpu", precision="tf32")).__enter__()
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75"])
    with pytest.raises(SettingsError, match=r"compute capability 8\.0"):
        open_runtime(DeviceConfig(device="cuda", precision="tf32")).__enter__()


@pytest.mark.parametrize(
    ("capability", "built", "usable"),
    [((9, 0), ["sm_80", "sm_90"], True), ((8, 9), ["sm_80", "sm_90"], True), ((7, 0), ["sm_75", "sm_90"], False),
     ((12, 0), ["sm_80", "compute_90"], True), ((12, 0), ["sm_80", "sm_90"], False), ((9, 0), ["sm_90a"], True)],
)  # fmt: skip
def test_a_gpu_that_pytorch_has_no_kernels_for_is_named(emulated, monkeypatch, capability, built, usable):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: built)
    if usable:
        assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", 0)
        return
    with pytest.raises(
        SettingsError, match=rf"no kernels for .* \(compute capability {capability[0]}\.{capability[1]}"
    ):
        choose_device("cuda")
    with pytest.warns(RuntimeWarning, match="--device auto: .* has no kernels"):
        assert choose_device("auto") == torch.device("cpu")


def test_a_gpu_whose_driver_is_too_old_is_not_passed_over_in_silence(monkeypatch):
    def refuse() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "init", refuse)
    monkeypatch.setattr(torch.version, "cuda", "13.2")
    for _ in range(2):  # PyTorch warns once in a process
        with pytest.warns(RuntimeWarning, match=r"sees no GPU: The NVIDIA driver on your system is too old \(found version 11040\)\.$"):
            assert choose_device("auto") == torch.device("cpu")
        with pytest.raises(SettingsError, match="too old"):
            choose_device("cuda")


def test_a_gpu_of_amd_is_taken(emulated, monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["gfx942"])
    assert choose_device("auto") == torch.device("cuda", 0)
    with pytest.raises(SettingsError, match="has no TF32"):
        open_runtime(DeviceConfig(device="cuda", precision="tf32")).__enter__()


def test_a_pytorch_without_cuda_beside_a_gpu_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/nvidia-smi" if name == "nvidia-smi" else None)
    with pytest.warns(RuntimeWarning, match="built without CUDA"):
        assert choose_device("auto") == torch.device("cpu")


def test_where_nothing_compiles_auto_goes_on_without_and_says_why(emulated, pictures, tmp_path, monkeypatch):
    """Slim containers have no C compiler: the default must not end a run there."""
    monkeypatch.setattr("eyas.training.tuning.COMPILED", 0.0)
    emulated.compiles = False
    config = config_of(pictures, device="cuda", epochs=1000)
    with open_runtime(config.device) as runtime:
        settled, said = tune(make_plan(config, tmp_path), runtime)
    assert settled.compile == "off"
    assert "not compiled: InductorError: InvalidCxxCompiler" in said


def test_compile_on_where_nothing_compiles_is_one_line_before_the_run(emulated, pictures, tmp_path):
    emulated.compiles = False
    with pytest.raises(
        SettingsError, match=r"--compile on: compact cannot be compiled here: .*InvalidCxxCompiler.*C compiler.*--compile off"
    ):
        train(pictures["train"], out=tmp_path / "run", model="compact", size=16, device="cuda", compile="on")
    assert not (tmp_path / "run").exists()


def test_alexnet_trains_deterministically(cuda, pictures, tmp_path):
    """PyTorch has no deterministic gradient of its adaptive pooling on CUDA, and AlexNet is the standard recipe."""
    config = config_of(pictures, device="cuda", model="alexnet", size=64, epochs=1, batch_size=28, deterministic=True)
    with open_runtime(config.device) as runtime:
        plan = make_plan(config, tmp_path)
        images = plan.preprocess.normalize(runtime.put(plan.pipeline.first_images()[:2]))
        torch.nn.functional.cross_entropy(runtime.place(plan.new_model())(images), runtime.put(torch.tensor([0, 1]))).backward()


def test_a_network_without_deterministic_kernels_is_refused_in_words(cuda):
    from eyas.model.failures import explain_failure

    error = RuntimeError(
        "adaptive_max_pool2d_backward_cuda does not have a deterministic implementation, but you set ..."
    )
    assert "Leave out --deterministic" in str(explain_failure(error, "mine", (2, 3, 8, 8), 3))
