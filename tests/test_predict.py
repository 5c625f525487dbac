"""Predictions of files, folders and lists: rows in the input's order."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch

from eyas import Classifier, evaluate
from eyas.data.datasets import open_images
from eyas.data.preprocess import Preprocess
from eyas.data.settings import DataConfig
from eyas.errors import CheckpointError, DataError, FileError, SettingsError
from eyas.model.zoo import build
from eyas.predict import files_in, predict_files, predict_to
from tests.conftest import write_pictures

NAMES = ("=1+1", "green", "猫")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an untrained model of three classes."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    torch.manual_seed(0)
    Classifier(build("compact", 3), "compact", NAMES, Preprocess(16, "crop")).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of five pictures, their list.txt, and a text file."""
    write_pictures(tmp_path / "photos", {"red": 3, "blue": 2})
    return tmp_path / "photos"


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# Which files.


def test_a_folder_means_all_images_below_it_sorted(photos):
    (photos / "deep" / "er").mkdir(parents=True)
    shutil.copy(photos / "red" / "000.png", photos / "deep" / "er" / "X.PNG")
    found = [str(Path(path).relative_to(photos)) for path in files_in([photos])]
    assert found == ["blue/000.png", "blue/001.png", "deep/er/X.PNG", "red/000.png", "red/001.png", "red/002.png"]


def test_files_come_in_the_order_given_and_as_often(photos):
    given = [photos / "red" / "002.png", photos / "blue" / "000.png", photos / "red" / "002.png"]
    assert files_in(given) == [str(path) for path in given]


def test_a_list_of_paths_and_a_list_with_labels_are_both_read(photos, tmp_path):
    (photos / "plain.txt").write_text("# mine\nred/001.png\n\nblue/000.png\n", encoding="utf-8-sig")
    assert files_in([photos / "plain.txt"]) == [str(photos / "red/001.png"), str(photos / "blue/000.png")]
    assert files_in([photos / "list.txt"])[0] == str(photos / "red/000.png")
    assert len(files_in([photos / "list.txt"])) == 5
    shutil.move(photos / "plain.txt", tmp_path / "elsewhere.txt")
    assert files_in([tmp_path / "elsewhere.txt"], root=str(photos)) == files_in(
        [photos / "red/001.png", photos / "blue/000.png"]
    )


def test_files_folders_and_lists_may_be_mixed(photos):
    found = files_in([photos / "red" / "000.png", photos / "blue", photos / "list.txt"])
    assert len(found) == 1 + 2 + 5


def test_what_is_not_there_is_named(photos, tmp_path):
    with pytest.raises(DataError, match=r"none\.png: does not exist"):
        files_in([photos, tmp_path / "none.png"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: holds no images"):
        files_in([tmp_path / "empty"])


def test_a_missing_file_in_a_list_is_named_with_its_line(photos):
    (photos / "bad.txt").write_text("red/000.png red\nred/999.png red\n")
    with pytest.raises(DataError, match=r"bad\.txt:2: "):
        files_in([photos / "bad.txt"])


# The answers.


def test_answers_are_those_of_the_classifier_whatever_the_batch_size(model, photos):
    classifier = Classifier.load(model)
    paths = files_in([photos])
    expected = [classifier.predict(path) for path in paths]
    for batch_size in (1, 2, 64):
        answers = list(predict_files(classifier, paths, batch_size=batch_size))
        assert [answer.path for answer in answers] == paths
        for answer, single in zip(answers, expected, strict=True):
            assert answer.prediction.label == single.label
            assert answer.prediction.probability == pytest.approx(single.probability, abs=1e-6)


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_predict_and_evaluate_prepare_images_alike(pictures, tmp_path, resize):
    torch.manual_seed(1)
    classes = ("blue", "green", "red")
    Classifier(build("compact", 3), "compact", classes, Preprocess(24, resize)).save(tmp_path / "m.safetensors")
    images = open_images(pictures["test"], DataConfig(), split="test")
    classifier = Classifier.load(tmp_path / "m.safetensors")
    answers = [answer.prediction for answer in predict_files(classifier, files_in([pictures["test"]]))]
    loss = -sum(
        torch.tensor(answer.probabilities[images.classes[label]]).log().item()
        for answer, label in zip(answers, images.labels, strict=True)
    )
    assert evaluate(tmp_path / "m.safetensors", pictures["test"])[0].loss_sum == pytest.approx(loss, rel=1e-5)


def test_a_file_that_cannot_be_decoded_gets_its_reason_and_the_others_their_answers(model, photos):
    (photos / "red" / "001.png").write_bytes(b"<html>")
    answers = list(predict_files(Classifier.load(model), files_in([photos])))
    reasons = [answer.error for answer in answers]
    assert [bool(reason) for reason in reasons] == [False, False, False, True, False]
    assert "red/001.png: cannot be decoded" in reasons[3]
    assert answers[3].prediction is None


def test_a_batch_of_unreadable_files_only_has_no_answers(model, photos):
    for path in (photos / "red").iterdir():
        path.write_bytes(b"")
    answers = list(predict_files(Classifier.load(model), files_in([photos / "red"]), batch_size=2))
    assert [answer.prediction for answer in answers] == [None] * 3


# The files.


def test_a_csv_file_has_a_row_a_file_with_the_likeliest_classes(model, photos, tmp_path):
    (photos / "red" / "000.png").write_bytes(b"x")
    assert predict_to(tmp_path / "out.csv", model, [photos], form="csv", top=2, device="cpu") == (5, 1)
    rows = csv_rows(tmp_path / "out.csv")
    assert list(rows[0]) == ["path", "label", "probability", "label_2", "probability_2", "error"]
    assert [row["path"] for row in rows] == files_in([photos])
    answer = Classifier.load(model).predict(rows[0]["path"])
    assert float(rows[0]["probability_2"]) == pytest.approx(answer.top(2)[1][1], abs=1e-5)
    assert rows[0]["error"] == ""
    assert (rows[2]["label"], rows[2]["probability"], rows[2]["label_2"]) == ("", "", "")
    assert "cannot be decoded" in rows[2]["error"]


def test_a_json_file_has_an_object_a_line(model, photos, tmp_path):
    (photos / "red" / "000.png").write_bytes(b"x")
    predict_to(tmp_path / "out.jsonl", model, [photos], form="jsonl", top=3, device="cpu")
    text = (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    answer = Classifier.load(model).predict(rows[0]["path"])
    assert rows[0]["label"] == answer.label
    assert rows[0]["probability"] == pytest.approx(answer.probability)
    assert [name for name, _ in rows[0]["top"]] == [name for name, _ in answer.top(3)]
    assert rows[2].keys() == {"path", "error"}
    assert "猫" in text


def test_more_classes_than_there_are_cannot_be_shown(model, photos, tmp_path):
    predict_to(tmp_path / "out.csv", model, [photos], form="csv", top=99, device="cpu")
    assert list(csv_rows(tmp_path / "out.csv")[0])[-2:] == ["probability_3", "error"]


def test_a_class_name_is_no_formula_in_a_spreadsheet_and_itself_in_json(model, photos, tmp_path):
    for form in ("csv", "jsonl"):
        predict_to(tmp_path / f"out.{form}", model, [photos], form=form, top=3, device="cpu")
    row = csv_rows(tmp_path / "out.csv")[0]
    assert {row["label"], row["label_2"], row["label_3"]} == {"'=1+1", "green", "猫"}
    top = json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()[0])["top"]
    assert {name for name, _ in top} == set(NAMES)


@pytest.mark.parametrize("name", ["=cmd|'/C calc'!A0.png", "+1.png", "-1.png", "@x.png"])
def test_a_path_is_no_formula_in_a_spreadsheet_and_still_names_its_file(model, photos, tmp_path, monkeypatch, name):
    folder = tmp_path / "here"
    (folder / name).parent.mkdir(parents=True)
    shutil.copy(photos / "red" / "000.png", folder / name)
    monkeypatch.chdir(folder)
    predict_to(tmp_path / "out.csv", model, [name], form="csv", device="cpu")
    row = csv_rows(tmp_path / "out.csv")[0]
    assert row["path"] == f"./{name}"  # the same file
    (folder / name).write_bytes(b"x")
    predict_to(tmp_path / "out.csv", model, [name], form="csv", device="cpu")
    assert csv_rows(tmp_path / "out.csv")[0]["error"].startswith(f"'{name}: cannot be decoded")


def test_without_a_file_the_rows_are_printed(model, photos, capsys):
    predict_to(None, model, [photos / "red"], form="csv", device="cpu")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "path,label,probability,error"
    assert len(lines) == 4


def test_an_unknown_form_is_answered_with_those_there_are(model, photos, tmp_path):
    with pytest.raises(SettingsError, match=r"xlsx: unknown form of predictions; there are csv, jsonl"):
        predict_to(tmp_path / "out.xlsx", model, [photos], form="xlsx")
    assert not (tmp_path / "out.xlsx").exists()


def test_no_paths_are_an_error(model):
    with pytest.raises(SettingsError, match="Which images"):
        predict_to(None, model, [], form="csv")


def test_a_file_is_written_whole_or_not_at_all(model, photos, tmp_path):
    out = tmp_path / "out.csv"
    out.write_text("of yesterday")
    (photos / "bad.txt").write_text("red/000.png red\nred/999.png red\n")
    with pytest.raises(DataError):
        predict_to(out, model, [photos / "bad.txt"], form="csv", device="cpu")
    with pytest.raises(CheckpointError):
        predict_to(out, photos / "red" / "000.png", [photos], form="csv", device="cpu")
    with pytest.raises(FileError, match=r"none/out\.csv: cannot be written"):
        predict_to(tmp_path / "none" / "out.csv", model, [photos], form="csv", device="cpu")
    assert out.read_text() == "of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "photos"]
    predict_to(out, model, [photos], form="csv", device="cpu")
    assert len(csv_rows(out)) == 5
