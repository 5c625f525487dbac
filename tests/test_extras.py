"""Without an extra's libraries the feature says in one line what to install; nothing else needs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from eyas import Classifier, Preprocess
from eyas.model.zoo import build

ABSENT = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in sys.argv[1].split(",") else super().find_spec(name, path, target)

sys.meta_path = [Without if finder is PathFinder else finder for finder in sys.meta_path]
from eyas.cli import main
sys.exit(main(sys.argv[2:]))
"""
EXPORT, SERVE = "onnx,onnxruntime,onnxscript", "fastapi,uvicorn,python_multipart,prometheus_client"
ALL = f"{EXPORT},{SERVE},timm,pyarrow,pillow_heif,wandb,mlflow"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model and a picture."""
    made = tmp_path_factory.mktemp("extras")
    Classifier(build("compact", 2).eval(), "compact", ("cat", "dog"), Preprocess(16)).save(made / "model.safetensors")
    Image.new("RGB", (20, 20)).save(made / "a.png")
    return made


def without(libraries: str, command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Return how a command ends where these libraries are not installed."""
    start = [sys.executable, "-c", ABSENT, libraries, *command.split()]
    return subprocess.run(start, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("command", "libraries", "extra"),
    [
        ("export model.safetensors", EXPORT, "export"),
        ("serve model.safetensors --port 0", SERVE, "serve"),
        ("predict model.safetensors a.png --out answers.parquet", "pyarrow", "parquet"),
        ("train digits --model timm/resnet10t", "timm", "timm"),
        ("train digits --model resnet10t", "timm", "timm"),
        ("train digits --wandb birds", "wandb", "wandb"),
        ("train digits --mlflow birds", "mlflow", "mlflow"),
    ],
)
def test_a_feature_whose_library_is_absent_names_the_extra_in_one_line(folder, command, libraries, extra):
    done = without(libraries, command, folder)
    assert done.returncode == 2, done.stderr
    assert f"pip install 'eyas[{extra}]'" in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in folder.iterdir()) == ["a.png", "model.safetensors"]


def test_an_heic_photo_is_named_with_the_extra_that_reads_it(folder):
    (folder / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))
    done = without("pillow_heif", "predict model.safetensors IMG_1.HEIC", folder)
    (folder / "IMG_1.HEIC").unlink()
    assert done.returncode == 65
    assert "IMG_1.HEIC: cannot be decoded: it is an HEIC photo: pip install 'eyas[heic]' to have it read" in done.stderr


def test_without_any_extra_a_model_answers(folder):
    done = without(ALL, "predict model.safetensors a.png", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "a.png" in done.stdout
