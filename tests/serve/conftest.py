"""A served model that tests share."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.scenes import scene

from eyas import Classifier

if TYPE_CHECKING or (find_spec("fastapi") and find_spec("httpx")):  # else no test here is run
    from tests.serve.servers import Running, classifier_of, file_of, serving


@pytest.fixture(scope="session")
def picture() -> bytes:
    return file_of(scene(1, (64, 48)))


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file."""
    path = tmp_path_factory.mktemp("served") / "model.safetensors"
    classifier_of().save(path)
    return path


@pytest.fixture(scope="module")
def running(model: Path) -> Iterator[Running]:
    """A server with the usual limits, but for small requests."""
    with serving(Classifier.load(model), max_mb=1, max_files=4) as one:
        yield one
