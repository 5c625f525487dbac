"""eyas evaluate --answers: a row for each image that was measured."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import eyas
from eyas.answers.table import write_table
from eyas.confidence import softmax
from eyas.errors import SettingsError
from tests.runs import QUICK

KINDS = {"path": str, "label": str, "probability": float, "right": bool}


@pytest.fixture(scope="module")
def run(pictures, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("answers") / "run"
    eyas.train(pictures["train"], test=pictures["test"], out=out, view="none", **{**QUICK, "epochs": 1, "report": "none"})
    return out


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_the_rows_are_the_confusion_matrix_and_each_sample_is_there_once(run, pictures, tmp_path, form):
    if form == "parquet":
        pytest.importorskip("pyarrow")
    scores, _ = eyas.evaluate(run, pictures["test"], answers=tmp_path / f"a.{form}")
    rows = read(tmp_path / f"a.{form}")
    folder = Path(pictures["test"]).parent
    lines = [line.split() for line in Path(pictures["test"]).read_text().splitlines()]
    assert [(row["path"], row["label"]) for row in rows] == [(str(folder / path), label) for path, label in lines]
    counted = Counter((row["label"], row["answer"]) for row in rows)
    assert [[counted[one, other] for other in scores.classes] for one in scores.classes] == scores.confusion.tolist()
    assert [row["right"] for row in rows] == [row["label"] == row["answer"] for row in rows]
    assert [row["probability"] for row in rows] == pytest.approx(softmax(scores.logits).max(axis=1).tolist(), abs=1e-6)


def read(path: Path) -> list[dict]:
    if path.suffix == ".parquet":
        import pyarrow.parquet

        return pyarrow.parquet.read_table(path).to_pylist()
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    rows = list(csv.DictReader(text.splitlines()))
    return [row | {"probability": float(row["probability"]), "right": row["right"] == "true"} for row in rows]


def test_the_probability_is_that_of_predict_after_a_calibration(run, pictures, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    classifier = eyas.Classifier.load(tmp_path / "run")
    replace(classifier, temperature=3.0).save(tmp_path / "run" / "best.safetensors")
    eyas.evaluate(tmp_path / "run", pictures["test"], answers=tmp_path / "a.csv")
    for row in read(tmp_path / "a.csv")[::7]:
        said = eyas.Classifier.load(tmp_path / "run").predict(row["path"])
        assert (row["answer"], row["probability"]) == (said.label, pytest.approx(said.probability, abs=1e-4))


def test_unreadable_images_that_are_left_out_have_no_row(run, pictures, tmp_path):
    for number in range(3):
        (tmp_path / "set" / "red").mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20, 20, 3), 60 * number, np.uint8)).save(tmp_path / "set" / "red" / f"{number}.png")
    (tmp_path / "set" / "red" / "1.png").write_bytes(b"no picture")
    settings = eyas.make_config({"train": "digits", "skip_unreadable": True}).data
    scores, _ = eyas.evaluate(run, str(tmp_path / "set"), settings=settings, answers=tmp_path / "a.csv")
    assert [Path(row["path"]).name for row in read(tmp_path / "a.csv")] == ["0.png", "2.png"]
    assert scores.count == 2


def test_a_file_that_cannot_be_written_is_told_before_the_images_are_looked_at(run, tmp_path):
    with pytest.raises(SettingsError, match="there are csv, jsonl, parquet"):
        eyas.evaluate(run, str(tmp_path / "nowhere"), answers=tmp_path / "a.txt")


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_no_rows_are_a_table_too(tmp_path, form):
    if form == "parquet":
        pytest.importorskip("pyarrow")
    write_table(tmp_path / f"a.{form}", KINDS, [])
    assert read(tmp_path / f"a.{form}") == []


def test_no_cell_of_a_csv_is_run_by_a_spreadsheet(tmp_path):
    rows = [("=cmd()/1.png", "+1", 0.25, True), ("-2.png", "@sum", None, False), ("ok.png", "'=x", 1.0, True)]
    write_table(tmp_path / "a.csv", KINDS, rows)
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        cells = list(csv.reader(file))
    assert cells == [
        ["path", "label", "probability", "right"],
        ["./=cmd()/1.png", "'+1", "0.250000", "true"],
        ["./-2.png", "'@sum", "", "false"],
        ["ok.png", "''=x", "1.000000", "true"],
    ]
    write_table(tmp_path / "a.jsonl", KINDS, rows)
    first = json.loads((tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first == {"path": "=cmd()/1.png", "label": "+1", "probability": 0.25, "right": True}
