"""Runs side by side: the same samples, paired; a difference is called one only where chance does not explain it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import eyas
from eyas.cli import main
from eyas.config.run_config import make_config
from eyas.errors import CheckpointError, SettingsError
from eyas.evaluation.significance import mcnemar, paired_interval
from eyas.files.atomic import PREDICTIONS
from eyas.files.tensors import read_tensors, write_tensors
from eyas.verbs.compare import Difference, compare, difference_text
from tests.pages import Seen
from tests.runs import QUICK
from tests.test_calibrate import doubtful


@pytest.fixture(scope="module")
def runs(pictures, tmp_path_factory) -> dict[str, Path]:
    """Two like runs but for the seed, one that has learnt nothing, one on another test set."""
    folder = tmp_path_factory.mktemp("compared")
    given = {**QUICK, "test": pictures["test"]}
    for name, changes in (
        ("good", {"epochs": 4}),
        ("again", {"epochs": 4, "seed": 1}),
        ("poor", {"lr": 1e-9, "epochs": 1}),
        ("elsewhere", {"test": None, "val": 0.3}),
    ):
        eyas.train(pictures["train"], **{**given, **changes}, out=folder / name)
    return {path.name: path for path in folder.iterdir()}


def test_the_saved_answers_are_those_of_the_best_model(runs, pictures):
    for name in ("good", "poor"):
        tensors, header = read_tensors(runs[name] / PREDICTIONS, "predictions")
        best = eyas.Classifier.load(runs[name] / "best.safetensors")
        assert header["epoch"] == best.facts["epoch"]
        lines = Path(pictures["test"]).read_text().splitlines()
        expected = [best.predict(Path(pictures["test"]).parent / line.split()[0]).label for line in lines]
        assert [header["classes"][number] for number in tensors["test/predicted"].tolist()] == expected
        assert [header["classes"][number] for number in tensors["test/labels"].tolist()] == [
            line.split()[1] for line in lines
        ]


def test_runs_on_the_same_samples_are_compared_in_pairs(runs):
    found = compare(runs["good"], runs["poor"])
    (row,) = found.differences
    accuracies = [run.scores["test"]["accuracy"] for run in found.runs]
    assert row.difference == pytest.approx(accuracies[1] - accuracies[0])
    assert row.count == 21
    assert row.is_larger_than_chance == (row.p < 0.05)
    assert row.interval[0] < row.difference < row.interval[1]
    assert dict(found.settings)["lr"] == ("0.05", "1e-09")
    assert "out" not in dict(found.settings)


def test_a_run_against_itself_differs_by_nothing(runs, tmp_path):
    (row,) = compare(runs["good"], runs["good"]).differences
    assert (row.only_first, row.only_second, row.p) == (0, 0, 1.0)
    assert not row.is_larger_than_chance


def test_runs_on_other_samples_are_not_compared_and_it_is_said(runs):
    found = compare(runs["good"], runs["elsewhere"])
    assert found.differences == ()
    assert "not" not in found.notes[0] or "cannot be compared" in found.notes[0]


@pytest.mark.parametrize(("lost", "won", "p"), [(0, 0, 1.0), (5, 5, 1.0), (1, 9, 22 / 1024), (0, 6, 2 / 64)])
def test_mcnemar_is_the_exact_two_sided_binomial(lost, won, p):
    assert mcnemar(lost, won) == pytest.approx(p)
    assert mcnemar(won, lost) == pytest.approx(p)


def test_chance_is_called_a_difference_in_about_one_case_of_twenty():
    """A law of the test itself: two models that are equally good, measured 400 times on 500 samples."""
    rng = np.random.default_rng(0)
    called = covered = 0
    for _ in range(400):
        right, also = rng.random(500) < 0.8, rng.random(500) < 0.8
        lost, won = int((right & ~also).sum()), int((~right & also).sum())
        called += mcnemar(lost, won) < 0.05
        low, high = paired_interval(lost, won, 500)
        covered += low <= 0 <= high
    assert called <= 30  # 20 expected at most; the exact test is cautious
    assert 365 <= covered <= 395


def test_several_comparisons_ask_for_more_of_each(runs):
    two = compare(runs["good"], runs["poor"]).differences[0]
    three = compare(runs["good"], runs["again"], runs["poor"]).differences
    assert len(three) == 3
    same = next(row for row in three if (row.first, row.second) == ("good", "poor"))
    assert same.p >= two.p


def test_answers_of_another_epoch_than_the_best_models_are_refused(runs, tmp_path):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(runs["good"], broken)
    tensors, header = read_tensors(broken / PREDICTIONS, "predictions")
    about = {name: header[name] for name in ("classes", "samples")}
    write_tensors(broken / PREDICTIONS, "predictions", tensors, {**about, "epoch": 99})
    with pytest.raises(CheckpointError, match="is of epoch 99"):
        compare(broken, runs["poor"])
    (broken / PREDICTIONS).unlink()
    assert "has no predictions.safetensors" in compare(broken, runs["poor"]).notes[0]
    with pytest.raises(SettingsError, match="two runs or more"):
        compare(broken)


def test_a_difference_is_said_with_its_interval_and_samples():
    said = difference_text(Difference("a", "b", "test", 10_000, 120, 180, 0.006, (0.002, 0.0095), 0.0006))
    assert said == (
        "b against a on test: +0.60 points [+0.20, +0.95] of 10,000 images; 180 only it has right, 120 only the other: "
        "larger than chance (McNemar, p = 0.0006)"
    )


def test_the_command_shows_runs_differences_and_settings(runs, tmp_path, capsys):
    assert main(["compare", str(runs["good"]), str(runs["again"]), "--json", str(tmp_path / "c.json")]) == 0
    shown = capsys.readouterr().out
    for words in ("good", "again", "of 21; selected on", "again against good on test", "seed"):
        assert words in shown
    written = json.loads((tmp_path / "c.json").read_text())
    assert written["differences"][0]["count"] == 21


def test_the_page_lays_the_curves_over_each_other_and_says_what_the_terminal_says(runs, tmp_path):
    page = tmp_path / "page.html"
    assert (
        main(
            [
                "compare",
                str(runs["good"]),
                str(runs["again"]),
                "--html",
                str(page),
                "--json",
                str(tmp_path / "all.json"),
            ]
        )
        == 0
    )
    seen = Seen(page.read_text(encoding="utf-8"))
    comparison = compare(runs["good"], runs["again"])
    for run in comparison.runs:
        assert run.name in seen.text
    for row in comparison.differences:
        assert difference_text(row) in seen.text
    assert main(["compare", str(runs["good"]), str(runs["again"]), "--html", str(page), "--language", "zh"]) == 0
    in_chinese = Seen(page.read_text(encoding="utf-8")).text
    assert "again 与 good 在测试集上相比" in in_chinese
    assert "only it has right" not in in_chinese
    assert seen.counts["polyline.run0"] == seen.counts["polyline.run1"] > 3
    assert seen.loads == []
    assert len(json.loads((tmp_path / "all.json").read_text())["epochs"]) == 2


def test_a_run_that_was_measured_on_nothing_is_named(runs, pictures, tmp_path):
    eyas.train(pictures["train"], out=tmp_path / "blind", **{**QUICK, "epochs": 1})
    found = compare(runs["good"], runs["again"], tmp_path / "blind")
    assert any(note.startswith("blind: was measured on no set") for note in found.notes)


def test_a_temperature_is_a_difference_and_changes_the_loss_that_is_told(runs, tmp_path):
    shutil.copytree(runs["good"], tmp_path / "cooled")
    trained = compare(runs["good"], tmp_path / "cooled").runs[0].scores["test"]
    classifier = eyas.Classifier.load(tmp_path / "cooled")
    list_file = Path(make_config(file=tmp_path / "cooled" / "config.toml").data.test)
    eyas.calibrate(tmp_path / "cooled", doubtful(str(list_file), list_file.with_name("compared.txt")))
    found = compare(runs["good"], tmp_path / "cooled")
    assert ("temperature (eyas calibrate)", ("1", f"{found.runs[1].temperature:.4g}")) in found.settings
    assert found.runs[1].scores["test"]["loss"] != trained["loss"]
    assert found.runs[1].scores["test"]["loss_uncalibrated"] == trained["loss"]
    eyas.calibrate(tmp_path / "cooled", reset=True)
    assert eyas.Classifier.load(tmp_path / "cooled").facts == classifier.facts
