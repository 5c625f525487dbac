"""eyas calibrate: a temperature in the model's file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import eyas
from eyas.cli import main
from eyas.config.data import DataConfig
from eyas.errors import DataError, RunInUseError, SettingsError
from eyas.evaluation.confidence import log_loss, reliability, softmax
from eyas.files.atomic import folder_lock
from eyas.run_folder.record import read_record
from eyas.verbs.calibrate import Calibrated, Effect, print_calibrated
from tests.runs import QUICK


def doubtful(source: str, target: Path) -> str:
    """Write a list in which every fourth label is another one: no model is always right on it."""
    lines = Path(source).read_text().splitlines()
    names = [line.split()[1] for line in lines]
    wrong = [
        line.split()[0] + " " + names[number - 9] if number % 4 == 0 else line for number, line in enumerate(lines)
    ]
    target.write_text("\n".join(wrong) + "\n")
    return str(target)


@pytest.fixture(scope="module")
def hard(pictures, tmp_path_factory) -> dict[str, str]:
    """Lists of pictures some of whose labels are wrong, beside the pictures."""
    return {split: doubtful(path, Path(path).with_name("doubtful.txt")) for split, path in pictures.items()}


@pytest.fixture(scope="module")
def trained(hard, tmp_path_factory) -> Path:
    """A run that chose on a validation share and was measured on a test set."""
    out = tmp_path_factory.mktemp("calibrate") / "run"
    eyas.train(hard["train"], test=hard["test"], val=0.4, out=out, view="none", **{**QUICK, "epochs": 2})
    return out


@pytest.fixture
def run(trained, tmp_path) -> Path:
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


def test_the_temperature_found_on_the_validation_set_is_stored_and_changes_no_answer(run, pictures):
    before = eyas.Classifier.load(run)
    found = eyas.calibrate(run)
    after = eyas.Classifier.load(run)
    assert after.temperature == found.temperature != 1.0
    assert [fit.source for fit in found.effects] == ["val", "test"]
    assert [fit.fitted for fit in found.effects] == [True, False]
    assert found.effects[0].loss[1] < found.effects[0].loss[0]
    picture = Path(pictures["test"]).parent / "red" / "000.png"
    assert after.predict(picture).label == before.predict(picture).label
    assert after.predict(picture).probability != before.predict(picture).probability
    assert after.facts["calibrated_on"] == {"source": "val", "count": found.effects[0].count}


def test_what_it_says_is_what_the_answers_give(run):
    scores = read_record(run).scores["test"]
    found = eyas.calibrate(run)
    fit = found.effects[1]
    assert fit.count == scores.count
    assert fit.loss[0] == pytest.approx(scores.loss, rel=1e-5)
    assert fit.loss[1] == log_loss(scores.logits, scores.targets, found.temperature)
    assert fit.error[1] == reliability(softmax(scores.logits, found.temperature), scores.targets).error


def test_evaluate_measures_the_loss_of_the_probabilities_that_predict_gives(run, hard):
    found = eyas.calibrate(run)
    scores, _ = eyas.evaluate(run, hard["test"])
    assert scores.loss == pytest.approx(found.effects[1].loss[1], rel=1e-5)
    assert read_record(run).scores["test"].loss == pytest.approx(scores.loss, rel=1e-5)
    assert eyas.Classifier.load(run).facts["scores"]["test"]["loss"] == found.effects[1].loss[1]


def test_calibrating_twice_gives_the_same_and_reset_takes_it_away(run):
    assert eyas.calibrate(run).temperature == eyas.calibrate(run).temperature
    assert eyas.calibrate(run, reset=True).temperature == 1.0
    assert eyas.Classifier.load(run).temperature == 1.0


def test_a_named_set_serves_where_there_is_no_validation_set(run, hard, tmp_path):
    shutil.copy(run / "best.safetensors", tmp_path / "alone.safetensors")
    with pytest.raises(SettingsError, match="Name a set that the model was not trained on"):
        eyas.calibrate(tmp_path / "alone.safetensors")
    found = eyas.calibrate(tmp_path / "alone.safetensors", hard["test"])
    assert eyas.Classifier.load(tmp_path / "alone.safetensors").temperature == found.temperature
    assert [fit.fitted for fit in found.effects] == [True]


def test_a_run_can_go_on_after_it(run):
    eyas.calibrate(run)
    eyas.resume(run, epochs=3)
    assert len(read_record(run).rows) == 3


def test_a_folder_that_is_being_written_to_is_left_alone(run):
    before = (run / "best.safetensors").read_bytes()
    with folder_lock(run), pytest.raises(RunInUseError):
        eyas.calibrate(run)
    assert (run / "best.safetensors").read_bytes() == before


def test_the_command_says_what_it_did(run, capsys):
    assert main(["calibrate", str(run)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("temperature ")
    assert "val (22 images, fitted on these): loss" in said
    assert "test (21 images): loss" in said
    sure = softmax(read_record(run).scores["val"].logits, eyas.Classifier.load(run).temperature).max(axis=1)
    assert "What --unknown-below would do, on val (22 images):" in said
    for bound in (0, 0.5, 0.9):
        count = int((sure >= bound).sum())
        assert f"{bound:>5g}  " + f"{100 * count / 22:.2f} % ({count} of 22)".rjust(24) in said


def test_a_model_that_is_always_right_is_not_calibrated(run, pictures, tmp_path):
    red = [line for line in Path(pictures["test"]).read_text().splitlines() if line.endswith(" red")]
    classifier = eyas.Classifier.load(run)
    folder = Path(pictures["test"]).parent
    right = [line for line in red if classifier.predict(folder / line.split()[0]).label == "red"]
    (tmp_path / "right.txt").write_text("\n".join(right) + "\n")
    before = (run / "best.safetensors").read_bytes()
    with pytest.raises(DataError, match="no temperature is best: the model answers all"):
        eyas.calibrate(run, str(tmp_path / "right.txt"), settings=DataConfig(root=str(folder)))
    assert (run / "best.safetensors").read_bytes() == before


def test_the_training_set_is_refused(run, hard):
    eyas.train(hard["train"], out=run.parent / "all", view="none", **{**QUICK, "epochs": 1, "test": hard["test"]})
    with pytest.raises(SettingsError, match="is what the model was trained on"):
        eyas.calibrate(run.parent / "all", hard["train"])
    assert eyas.Classifier.load(run.parent / "all").temperature == 1.0


def test_a_link_to_a_run_s_model_is_that_model(run, tmp_path):
    (tmp_path / "link.safetensors").symlink_to(run / "best.safetensors")
    found = eyas.calibrate(tmp_path / "link.safetensors")
    assert (tmp_path / "link.safetensors").is_symlink()
    assert eyas.Classifier.load(run).temperature == found.temperature != 1.0


def test_what_becomes_worse_is_told(capsys):
    fits = (Effect("val", 20, (0.5, 0.4), (0.1, 0.05), True), Effect("test", 30, (0.4, 0.5), (0.05, 0.1), False))
    print_calibrated(Calibrated(Path("best.safetensors"), 2.0, fits))
    assert "On test it became worse." in capsys.readouterr().out
