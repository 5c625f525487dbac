"""Predictions of files, folders and lists: rows in the input's order."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from eyas import Classifier, evaluate
from eyas.cli import main
from eyas.config.data import DataConfig
from eyas.config.predict import PredictConfig
from eyas.data.images.decode import read_image
from eyas.data.images.preprocess import Preprocess
from eyas.data.spec import open_images
from eyas.errors import CheckpointError, DataError, FileError, SettingsError
from eyas.model.zoo import build
from eyas.predicting import inputs
from eyas.predicting.rows import unknown_name
from eyas.predicting.sorting import Sorter, folder_names
from eyas.verbs.predict import predict_files, predict_to
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


def files_in(paths: Sequence[str | Path], **asked: Any) -> list[str]:
    return list(inputs.images_in(paths, PredictConfig(**asked)).paths)


def predict(out: Path | None, model: Path, paths: Sequence[str | Path], **asked: Any) -> tuple[int, int]:
    done = predict_to(out, model, paths, PredictConfig(device="cpu", **asked))
    return done.images, done.unreadable


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


def test_what_is_hidden_in_a_folder_is_left_out_and_counted_unless_it_is_named(model, photos, tmp_path, capsys):
    seen = files_in([photos])
    write_pictures(photos / ".git", {"red": 2})
    for name in ("red/._000.png", "blue/..twice.png"):
        shutil.copy(photos / "red" / "000.png", photos / name)
    (photos / "red" / ".DS_Store").touch()
    assert files_in([photos]) == seen
    assert len(files_in([photos / ".git", photos / "red" / "._000.png"])) == 3
    copies = ["--copy-to", str(tmp_path / "copies")]
    assert main(["predict", str(model), str(photos), "--device", "cpu", *copies]) == 0
    assert "left out: 1 .txt, 4 hidden (.git, blue/..twice.png, red/.DS_Store, ...)" in capsys.readouterr().err
    assert len([path for path in (tmp_path / "copies").rglob("*") if path.is_file()]) == len(seen)
    with pytest.raises(DataError, match=r"only.*holds no images.*but 1 hidden"):
        write_pictures(tmp_path / "only" / ".hidden", {"red": 1})
        files_in([tmp_path / "only"])


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
    assert predict(tmp_path / "out.csv", model, [photos], top=2) == (5, 1)
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
    predict(tmp_path / "out.jsonl", model, [photos], top=3)
    text = (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    answer = Classifier.load(model).predict(rows[0]["path"])
    assert rows[0]["label"] == answer.label
    assert rows[0]["probability"] == pytest.approx(answer.probability)
    assert [name for name, _ in rows[0]["top"]] == [name for name, _ in answer.top(3)]
    assert rows[2].keys() == {"path", "error"}
    assert "猫" in text


def test_more_classes_than_there_are_cannot_be_shown(model, photos, tmp_path):
    predict(tmp_path / "out.csv", model, [photos], top=99)
    assert list(csv_rows(tmp_path / "out.csv")[0])[-2:] == ["probability_3", "error"]


def test_a_class_name_is_no_formula_in_a_spreadsheet_and_itself_in_json(model, photos, tmp_path):
    for form in ("csv", "jsonl"):
        predict(tmp_path / f"out.{form}", model, [photos], top=3)
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
    predict(tmp_path / "out.csv", model, [name])
    row = csv_rows(tmp_path / "out.csv")[0]
    assert row["path"] == f"./{name}"  # the same file
    (folder / name).write_bytes(b"x")
    predict(tmp_path / "out.csv", model, [name])
    assert csv_rows(tmp_path / "out.csv")[0]["error"].startswith(f"'{name}: cannot be decoded")


def test_without_a_file_the_rows_are_printed(model, photos, capsys):
    predict(None, model, [photos / "red"], form="csv")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "path,label,probability,error"
    assert len(lines) == 4


def test_an_unknown_form_is_answered_with_those_there_are(model, photos, tmp_path):
    with pytest.raises(SettingsError, match=r"json: unknown form .*Did you mean 'jsonl'\?"):
        predict(tmp_path / "out.json", model, [photos])
    for ending, form in (("csv", "jsonl"), ("parquet", "csv")):
        with pytest.raises(SettingsError, match=rf"out\.{ending}: ends in \.{ending}, and --form is {form}"):
            predict(tmp_path / f"out.{ending}", model, [photos], form=form)
    with pytest.raises(SettingsError, match=r"--form parquet: .*--out FILE\.parquet"):
        predict(None, model, [photos], form="parquet")
    with pytest.raises(SettingsError, match=r"xlsx: unknown form of predictions; there are csv, jsonl, parquet"):
        predict(tmp_path / "out.xlsx", model, [photos])
    assert not (tmp_path / "out.xlsx").exists()


def test_no_paths_are_an_error(model):
    with pytest.raises(SettingsError, match="Which images"):
        predict(None, model, [])


def test_a_file_is_written_whole_or_not_at_all(model, photos, tmp_path):
    out = tmp_path / "out.csv"
    out.write_text("of yesterday")
    (photos / "bad.txt").write_text("red/000.png red\nred/999.png red\n")
    with pytest.raises(DataError):
        predict(out, model, [photos / "bad.txt"])
    with pytest.raises(CheckpointError):
        predict(out, photos / "red" / "000.png", [photos])
    with pytest.raises(FileError, match=r"none/out\.csv: cannot be written"):
        predict(tmp_path / "none" / "out.csv", model, [photos])
    assert out.read_text() == "of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "photos"]
    predict(out, model, [photos])
    assert len(csv_rows(out)) == 5


# What else can be asked for.


def test_a_parquet_file_has_the_columns_of_csv_with_types(model, photos, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")

    (photos / "red" / "000.png").write_bytes(b"x")
    predict(tmp_path / "out.parquet", model, [photos], top=2)
    predict(tmp_path / "out.csv", model, [photos], top=2)
    table = parquet.read_table(tmp_path / "out.parquet")
    rows, texts = table.to_pylist(), csv_rows(tmp_path / "out.csv")
    assert list(rows[0]) == list(texts[0])
    assert {str(field.type) for field in table.schema if field.name.startswith("probability")} == {"double"}
    for row, text in zip(rows, texts, strict=True):
        assert row["path"] == text["path"]
        assert (row["label"] or "") == text["label"].removeprefix("'")
        assert f"{row['probability']:.6f}" == text["probability"] if row["probability"] else not text["probability"]
    assert [bool(row["error"]) for row in rows] == [False, False, True, False, False]
    assert rows[2]["label"] is None and rows[0]["error"] is None


def test_a_long_parquet_file_is_written_in_parts(model, photos, tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")

    monkeypatch.setattr("eyas.predicting.table.GROUP", 2)
    predict(tmp_path / "out.parquet", model, [photos])
    file = parquet.ParquetFile(tmp_path / "out.parquet")
    assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == [2, 2, 1]
    assert file.read().column("path").to_pylist() == files_in([photos])


def test_a_parquet_file_that_broke_off_leaves_the_one_before(model, photos, tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "out.parquet").write_text("of yesterday")
    with pytest.raises(CheckpointError):
        predict(tmp_path / "out.parquet", photos / "red" / "000.png", [photos])
    assert (tmp_path / "out.parquet").read_text() == "of yesterday"


def test_an_image_that_no_class_fits_is_called_unknown_and_keeps_its_probability(model, photos, tmp_path):
    predict(tmp_path / "sure.jsonl", model, [photos], top=3)
    sure = [json.loads(line) for line in (tmp_path / "sure.jsonl").read_text(encoding="utf-8").splitlines()]
    bound = sorted(row["probability"] for row in sure)[2]
    done = predict_to(tmp_path / "out.jsonl", model, [photos], PredictConfig(device="cpu", top=3, unknown_below=bound))
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert done.unknown == sum(row["label"] == "unknown" for row in rows) == 2
    for row, before in zip(rows, sure, strict=True):
        assert row["label"] == ("unknown" if before["probability"] < bound else before["label"])
        assert (row["probability"], row["top"]) == (before["probability"], before["top"])


def test_unknown_is_no_class_of_the_model():
    assert unknown_name(("cat", "dog")) == "unknown"
    assert unknown_name(("Unknown", "dog")) == "_unknown"
    assert unknown_name(("unknown", "_unknown")) == "__unknown"


def test_other_views_give_the_mean_of_their_answers_and_are_told(model, photos, tmp_path, capsys):
    predict(tmp_path / "out.jsonl", model, [photos], views="flip", top=3)
    assert "mean over 2 view(s) (--views flip); the model was measured with 1 (one)" in capsys.readouterr().err
    classifier = Classifier.load(model)
    for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        image = read_image(Path(row["path"]))
        logits = (classifier.logits(image[None]) + classifier.logits(image.flip(-1)[None])) / 2
        assert dict(row["top"]) == pytest.approx(classifier.predictions(logits)[0].probabilities, abs=1e-6)
    predict(tmp_path / "out.csv", model, [photos], views="one")
    assert capsys.readouterr().err == ""


# Sorted into folders.


def sorted_into(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_images_are_copied_to_the_folder_of_their_class_and_unreadable_ones_are_not(model, photos, tmp_path):
    (photos / "red" / "000.png").write_bytes(b"x")
    before = sorted_into(photos)
    done = predict_to(
        tmp_path / "out.csv", model, [photos], PredictConfig(device="cpu", copy_to=str(tmp_path / "sorted"))
    )
    copies = sorted_into(tmp_path / "sorted")
    rows = [row for row in csv_rows(tmp_path / "out.csv") if row["label"]]
    assert (done.copied, done.there, len(copies), len(rows)) == (4, 0, 4, 4)
    for row in rows:
        folder = tmp_path / "sorted" / folder_names([row["label"].removeprefix("'")])[0]
        assert Path(row["path"]).read_bytes() in [path.read_bytes() for path in folder.iterdir()]
    assert sorted_into(photos) == before


def test_sorting_again_doubles_nothing_and_overwrites_nothing(model, photos, tmp_path):
    asked = PredictConfig(device="cpu", copy_to=str(tmp_path / "sorted"))
    predict_to(tmp_path / "out.csv", model, [photos], asked)
    copies = sorted_into(tmp_path / "sorted")
    assert predict_to(tmp_path / "out.csv", model, [photos], asked).there == 5
    assert sorted_into(tmp_path / "sorted") == copies
    mine = next((tmp_path / "sorted").rglob("000.png"))
    mine.write_bytes(b"a file of the user's")
    predict_to(tmp_path / "out.csv", model, [photos], asked)
    after = sorted_into(tmp_path / "sorted")
    assert after.pop(str(mine.relative_to(tmp_path / "sorted"))) == b"a file of the user's"
    assert sorted(after.values()) == sorted(copies.values())


def test_pictures_of_one_name_get_numbers(tmp_path):
    for number in range(4):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "x.png").write_bytes(b"%d" % (number % 3))
    for _ in range(2):
        sorter = Sorter(tmp_path / "sorted", ("cat",))
        for number in (2, 0, 1, 3):
            sorter.add(str(tmp_path / str(number) / "x.png"), "cat")
    assert sorted_into(tmp_path / "sorted") == {"cat/x.png": b"2", "cat/x-2.png": b"0", "cat/x-3.png": b"1"}
    assert (sorter.copied, sorter.there) == (0, 4)


@pytest.mark.parametrize(("labels", "folders"), [
    (["cat", "猫", "a b"], ["cat", "猫", "a b"]),
    (["a/b", "a_b", "a:b"], ["a_b-2", "a_b", "a_b-3"]),
    (["..", ".", "", ".hidden", "x.", "con"], ["_", "_-2", "_-3", "_.hidden", "x", "_con"]),
    (["Cat", "cat"], ["Cat", "cat-2"]),
    (["é", "e\u0301"], ["é", "e\u0301-2"]),
    (["\x1b[2J", "a\u202eb"], ["_[2J", "a_b"]),
])  # fmt: skip
def test_class_names_become_different_folders_on_any_system(labels, folders):
    assert folder_names(labels) == folders


def test_a_class_name_of_any_length_becomes_a_folder(tmp_path):
    found = folder_names(["猫" * 200, "猫" * 201])
    assert len(set(found)) == 2
    for name in found:
        (tmp_path / name).mkdir()


def test_copies_may_not_lie_where_images_are_read(model, photos, tmp_path):
    with pytest.raises(SettingsError, match=r"lies in .*, whose images are read"):
        predict(None, model, [photos], copy_to=str(photos / "sorted"))
    with pytest.raises(SettingsError, match="is a file"):
        predict(None, model, [photos], copy_to=str(model))


# Memory.


def test_the_names_of_many_files_take_little_more_than_their_letters(tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    (folder / "0000.png").write_bytes(b"")
    for number in range(1, 3000):
        os.link(folder / "0000.png", folder / f"{number:04}.png")
    found = inputs.images_in([folder], PredictConfig()).paths
    assert list(found) == sorted(str(path) for path in folder.iterdir())
    assert len(found.blob) + found.offsets.nbytes < 3000 * (len(str(folder)) + 20)
