"""Which run a model belongs to is the same answer for every verb, however the model is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import eyas
from eyas.config.export import ExportConfig
from eyas.errors import DataError, SettingsError
from eyas.exporting.pictures import open_sources
from eyas.run_folder.origin import origin_of, run_of
from eyas.serve.examples import find_examples
from tests.everyday.case import picture, pictures

SETTINGS = {"model": "compact", "size": 16, "epochs": 2, "batch_size": 8, "device": "cpu", "view": "none", "report": "none"}
NAMES = ("run", "run/best.safetensors", "run/last.safetensors", "run/epochs/epoch-001.safetensors", "link.safetensors")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pictures("photos", ("cat", "dog"), 6)
    eyas.train("photos", val=0.3, out="run", **SETTINGS)
    Path("link.safetensors").symlink_to("run/epochs/epoch-002.safetensors")
    shutil.copy("run/best.safetensors", "alone.safetensors")
    return tmp_path


def test_every_name_of_a_model_leads_to_its_run_and_its_sets(place):
    wanted = origin_of("run").sets()[1]["val"].fingerprint()
    for name in NAMES:
        assert run_of(name).samefile("run")
        assert origin_of(name).measured()[1].fingerprint() == wanted
        assert eyas.evaluate(name)[1].fingerprint() == wanted
        if name != "run":
            assert open_sources(Path(name), ExportConfig()).check.fingerprint() == wanted
            assert [one.label for one in find_examples("auto", Path(name), "localhost")[0]] == ["cat", "dog"]


def test_a_copied_model_is_of_no_run_and_says_what_it_was_trained_on(place):
    assert run_of("alone.safetensors") is None
    assert find_examples("auto", Path("alone.safetensors"), "localhost")[0] == []
    assert "lies in no run folder (it was trained on photos, 8 images)" in open_sources(
        Path("alone.safetensors"), ExportConfig()
    ).notes[0]
    with pytest.raises(SettingsError, match=r"Which set\? alone\.safetensors lies in no run folder"):
        eyas.evaluate("alone.safetensors")


def test_a_model_beside_those_of_another_run_is_not_taken_for_one_of_them(place):
    eyas.train("photos", val=0.3, out="other", seed=7, **SETTINGS)
    shutil.copy("alone.safetensors", "other/copy.safetensors")
    with pytest.raises(DataError, match="is no model of the run in whose folder it lies"):
        origin_of("other/copy.safetensors")


def test_a_page_and_a_comparison_are_of_the_best_model_and_of_no_other(place):
    best = eyas.Classifier.load("run").facts["epoch"]
    other = f"run/epochs/epoch-00{3 - best}.safetensors"
    for ask in (lambda: eyas.report(other, out="page.html"), lambda: eyas.compare("run", other)):
        with pytest.raises(DataError, match=rf"is of epoch {3 - best}, .* here of epoch {best}\. Give the run folder: run"):
            ask()
    eyas.report(f"run/epochs/epoch-00{best}.safetensors", out="page.html")


def test_a_changed_test_set_is_said_and_a_changed_share_stops(place):
    shutil.copytree("photos", "test")
    eyas.train("photos", test="test", out="tested", **SETTINGS)
    picture("test/cat/new.png")
    scores, images = eyas.evaluate("tested")
    assert scores.count == 13 and "its images or labels changed since the run measured it" in images.notes
    picture("photos/cat/new.png")
    with pytest.raises(DataError, match=r"the share of them that it was not trained on.*eyas evaluate run DATA"):
        eyas.evaluate("run")


def test_a_resume_takes_the_places_of_lists_classes_and_roots(place):
    for name in ("train", "test"):
        lines = [f"{kind}/{n}.png {number}" for number, kind in enumerate(("cat", "dog")) for n in range(6)]
        Path(f"{name}.txt").write_text("\n".join(lines) + "\n")
    Path("names.txt").write_text("cat\ndog\n")
    given = {"train": "train.txt", "test": "test.txt", "root": "photos", "classes": "names.txt"}
    eyas.train(**given, out="listed", **SETTINGS)
    Path("moved").mkdir()
    for name in given.values():
        Path(name).rename(f"moved/{name}")
    with pytest.raises(DataError, match=r"train\.txt: there is no such list or folder.*eyas resume listed --train PATH"):
        eyas.resume("listed", epochs=3)
    assert eyas.resume("listed", epochs=3, **{name: f"moved/{path}" for name, path in given.items()}).finished.epoch == 3
    assert eyas.evaluate("listed")[0].count == 12
    with pytest.raises(SettingsError, match="epoch: there is no such setting"):
        eyas.resume("listed", epoch=3)
