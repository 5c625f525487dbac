"""Every test of this folder is run twice: on the emulated CUDA device, and on a real one where there is one."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import pytest
import torch
from tests.fake_cuda import FakeCuda, installed

HAS_GPU = torch.cuda.is_available()
REAL = pytest.param("real", marks=[pytest.mark.gpu, pytest.mark.skipif(not HAS_GPU, reason="needs a CUDA device")])


class RealCuda:
    """The GPU at hand."""

    is_real = True

    @contextlib.contextmanager
    def no_waits(self) -> Iterator[None]:
        """Fail where the host waits for the device inside."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it says of itself that it is a prototype
                torch.cuda.set_sync_debug_mode("error")
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")


class EmulatedCuda:
    """The same, emulated; `devices` is what the emulation keeps."""

    is_real = False

    def __init__(self, devices: FakeCuda) -> None:
        self.devices = devices

    @contextlib.contextmanager
    def no_waits(self) -> Iterator[None]:
        """Fail where the host waits for the device inside."""
        before = self.devices.waits.copy()
        yield
        assert not self.devices.waits - before


@pytest.fixture(params=["emulated", REAL])
def cuda(request: pytest.FixtureRequest) -> Iterator[RealCuda | EmulatedCuda]:
    """The device `cuda:0`, emulated or real."""
    if request.param == "real":
        yield RealCuda()
        return
    with installed() as devices:
        yield EmulatedCuda(devices)


@pytest.fixture
def emulated() -> Iterator[FakeCuda]:
    """The emulated devices `cuda:0` and `cuda:1`, for what only they can show."""
    with installed() as devices:
        yield devices
