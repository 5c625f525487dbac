"""Small real files that tests train on; the conditions that scripts/matrix sets; which tests need which extra."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import signal
from collections.abc import Generator, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eyas.errors import SettingsError
from tests.faults.trial import Hatchery

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts jobs in the background without it
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side: more threads would only fight

method = os.environ.get("EYAS_TEST_START_METHOD")
if method and multiprocessing.get_start_method(allow_none=True) is None:  # a process started so has it already
    multiprocessing.set_start_method(method)

# files that are nothing without these libraries, which only extras bring; single tests use pytest.importorskip
NEEDS = {
    "serve/test_": ("httpx", "fastapi", "uvicorn", "python_multipart", "prometheus_client"),
    "serve/test_openapi.py": ("schemathesis",),
    "test_exporting.py": ("onnx", "onnxruntime", "onnxscript"),
    "gpu/test_memory.py": ("timm",),
    "training/test_rollback.py": ("timm",),
    "shipping/test_quantise.py": ("onnx", "onnxruntime", "onnxscript"),
}
HERE = Path(__file__).parent
COLOURS = {"red": (200, 60, 60), "green": (60, 180, 60), "blue": (60, 60, 210)}

EXTRAS = {"timm": "timm", "export": "onnxruntime", "serve": "fastapi", "parquet": "pyarrow"}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, None, None]:
    """Leave out a test whose fixtures need an extra that is not installed."""
    yield from _without_extra()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """Leave out a test that needs an extra which is not installed: eyas says which one."""
    yield from _without_extra()


def _without_extra() -> Generator[None, None, None]:
    try:
        yield
    except SettingsError as error:
        extra = re.search(r"pip install 'eyas\[(\w+)\]'", str(error))
        if extra and extra[1] in EXTRAS and find_spec(EXTRAS[extra[1]]) is None:
            pytest.skip(f"without the extra {extra[1]}")
        raise


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--order-seed", type=int, help="shuffle the files, and the tests in each, by this number")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    seed = config.getoption("--order-seed")
    if seed is not None:
        shuffled = random.Random(seed)
        place = {path: shuffled.random() for path in dict.fromkeys(item.path for item in items)}
        items.sort(key=lambda item: (place[item.path], shuffled.random()))


class Lacking(pytest.Module):
    """A file whose tests are left out, because a library is not installed."""

    def collect(self) -> list[pytest.Item]:
        pytest.skip(f"needs {self.config.stash[MISSING][self.path]}", allow_module_level=True)


MISSING: pytest.StashKey[dict[Path, str]] = pytest.StashKey()


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    name = module_path.relative_to(HERE).as_posix()
    needed = [library for place, libraries in NEEDS.items() if name.startswith(place) for library in libraries]
    missing = [library for library in needed if find_spec(library) is None]
    if not missing:
        return None
    parent.config.stash.setdefault(MISSING, {})[module_path] = ", ".join(missing)
    return Lacking.from_parent(parent, path=module_path)


def write_pictures(folder: Path, counts: dict[str, int], *, size: int = 20, seed: int = 0) -> Path:
    """Write noisy pictures of a colour, and the list `folder/list.txt` of "path name" lines; return the list."""
    rng = np.random.default_rng(seed)
    lines = []
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            noise = rng.normal(0, 60, (size, size, 3)) + np.array(COLOURS[name])
            path = folder / name / f"{number:03d}.png"
            Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(path)
            lines.append(f"{name}/{number:03d}.png {name}")
    (folder / "list.txt").write_text("\n".join(lines) + "\n")
    return folder / "list.txt"


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Lists of 56 training and 21 test pictures in three classes; an epoch of batches of 16 ends with one of 8.

    A last batch of 2 or 3 would make chance of every number: batch normalisation takes its variance from it.
    """
    folder = tmp_path_factory.mktemp("pictures")
    train = write_pictures(folder / "train", {"red": 22, "green": 18, "blue": 16})
    test = write_pictures(folder / "test", {"red": 8, "green": 7, "blue": 6}, seed=1)
    return {"train": str(train), "test": str(test)}


@pytest.fixture(scope="session")
def hatchery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hatchery]:
    """Forks commands from a process that has loaded everything."""
    found = Hatchery(tmp_path_factory.mktemp("hatchery"))
    yield found
    found.close()
