"""The hatcheries that trials come from, the run that is never cut, and the tally of the trials."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.faults.trial import Hatchery, flags

EVERYTHING = {  # all that has a state or draws at random, at once, and a save after every step
    "model": "compact", "size": 16, "epochs": 3, "batch_size": 16, "log_every": 1, "device": "cpu", "threads": 1,
    "optimizer": "adamw", "lr": 0.003, "weight_decay": 0.01, "schedule": "cosine", "warmup_epochs": 0.5, "ema": 0.9,
    "plateau": 1, "crop_padding": 2, "erasing": 0.5, "mixup": 0.2, "label_smoothing": 0.1, "accumulate": 2, "val": 0.2,
    "save_minutes": 1e-6, "keep": 2, "view": "plain",
}  # fmt: skip
collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]  # forks, /proc and limits as Linux has them
TALLY = "EYAS_FAULTS_TALLY"  # a file to which every trial adds a line


@pytest.fixture(scope="session")
def failing_hatchery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hatchery]:
    """Forks commands above a C library that can make any file operation fail."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler: writes of other languages than Python cannot be made to fail")
    folder = tmp_path_factory.mktemp("failing")
    source, library = Path(__file__).with_name("failing.c"), folder / "failing.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    found = Hatchery(folder, preload=library)
    yield found
    found.close()


@pytest.fixture(scope="session")
def command(pictures: dict[str, str]) -> list[str]:
    """`train` with everything that has a state switched on; `--out` follows."""
    return ["train", pictures["train"], "--test", pictures["test"], *flags(EVERYTHING), "--out"]


@pytest.fixture(scope="session")
def uncut(hatchery: Hatchery, command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing happened to."""
    run = tmp_path_factory.mktemp("uncut") / "run"
    trial = hatchery.run(*command, run)
    assert trial.code == 0, trial.text
    return run


@pytest.fixture
def tally() -> Callable[..., None]:
    """Count trials of a fault that ended as they should; a test that fails counts its last one as lost by itself."""

    def count(fault: str, tries: int = 1) -> None:
        if os.environ.get(TALLY):
            with Path(os.environ[TALLY]).open("a") as file:
                file.write(json.dumps({"fault": fault, "tries": tries}) + "\n")

    return count


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Note every test that failed or was skipped, for the table."""
    report = yield
    if os.environ.get(TALLY) and (report.failed or report.skipped):
        outcome = "lost" if report.failed else "skipped"
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
        with Path(os.environ[TALLY]).open("a") as file:
            file.write(json.dumps({outcome: item.name, "reason": reason}) + "\n")
    return report
