"""A life on a GPU by the commands: train, go on, evaluate, predict, report, calibrate, answer."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.conftest import write_pictures

from eyas.cli import main
from eyas.model.classifier import Classifier

TRAIN = [
    "--model",
    "compact",
    "--size",
    "16",
    "--epochs",
    "1",
    "--batch-size",
    "16",
    "--momentum",
    "0.9",
    "--lr",
    "0.05",
]


@pytest.fixture
def run(cuda, pictures, tmp_path) -> Path:
    assert (
        main(
            [
                "train",
                pictures["train"],
                "--test",
                pictures["test"],
                *TRAIN,
                "--device",
                "cuda",
                "--out",
                str(tmp_path / "run"),
            ]
        )
        == 0
    )
    return tmp_path / "run"


def test_all_verbs_work_on_a_device_and_answer_as_on_the_cpu(run, pictures, tmp_path, capsys):
    facts = dict(json.loads((run / "events.jsonl").read_text().splitlines()[0])["facts"])
    assert facts["device"].startswith("cuda:0, ")
    assert "in the memory of the GPU" in facts["images"]
    rows = {}
    for device in ("cpu", "cuda"):
        capsys.readouterr()
        assert (
            main(
                ["evaluate", str(run), pictures["test"], "--device", device, "--json", str(tmp_path / f"{device}.json")]
            )
            == 0
        )
        assert (
            main(["predict", str(run), pictures["test"], "--device", device, "--out", str(tmp_path / f"{device}.csv")])
            == 0
        )
        scores = json.loads((tmp_path / f"{device}.json").read_text())
        answers = csv.DictReader(io.StringIO((tmp_path / f"{device}.csv").read_text(encoding="utf-8")))
        rows[device] = scores["accuracy"], [answer["label"] for answer in answers]
    assert rows["cuda"] == rows["cpu"]
    assert main(["report", str(run), "--device", "cuda", "--out", str(tmp_path / "report.html")]) == 0
    assert (tmp_path / "report.html").stat().st_size > 20_000
    odd = write_pictures(tmp_path / "odd", {"red": 8, "green": 8}, seed=2)
    odd.write_text(odd.read_text().replace("red/000.png red", "red/000.png green"))  # one that is answered otherwise
    assert main(["calibrate", str(run), str(odd), "--device", "cuda"]) == 0
    assert main(["resume", str(run), "--epochs", "2"]) == 0
    assert (run / "epochs" / "epoch-002.safetensors").is_file()


def test_a_classifier_on_a_device_answers_and_shows_where_it_looks(run):
    on_cpu, on_gpu = (Classifier.load(run, device) for device in ("cpu", "cuda"))
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 24, 3), np.uint8))
    assert on_gpu.device == torch.device("cuda", 0)
    assert on_gpu.predict(image).probability == pytest.approx(on_cpu.predict(image).probability, abs=2e-3)
    assert on_gpu.heatmap(image).shape == on_cpu.heatmap(image).shape


def test_a_server_answers_from_the_device(run):
    pytest.importorskip("fastapi")
    from fastapi.testclient import TestClient

    from eyas.serve.app import make_app
    from eyas.serve.service import Service
    from eyas.serve.settings import ServeConfig

    service = Service(Classifier.load(run, "cuda"), ServeConfig(device="cuda"))
    with contextlib.closing(service), TestClient(make_app(service)) as client:
        file = io.BytesIO()
        Image.new("RGB", (20, 20), (210, 60, 60)).save(file, "PNG")
        assert (
            client.post("/predict", content=file.getvalue(), headers={"content-type": "image/png"}).status_code == 200
        )
