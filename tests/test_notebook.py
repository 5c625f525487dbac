"""In a notebook: a run shows itself as it goes, classifiers and predictions show what they are; the examples run."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import eyas
from eyas import Classifier, Prediction
from eyas.data.images.preprocess import Preprocess
from eyas.model.zoo import build
from eyas.sinks.notebook import NotebookView, in_notebook
from eyas.sinks.story import Story
from eyas.terminal.cards import run_card
from eyas.training.events import Event, Noted, Weighed
from eyas.verbs.training_run import Run
from tests.runs import QUICK
from tests.sinks.sample_run import finished, started, steps, whole

ROOT = Path(__file__).parent.parent
EXECUTE = """
import json, sys, warnings
warnings.simplefilter("ignore")
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": sys.argv[2]}}).execute()
print(json.dumps([[output for output in cell.outputs] for cell in notebook.cells if cell.cell_type == "code"]))
"""


def test_the_example_runs_in_a_kernel_and_shows_what_it_says(tmp_path):
    for name in ("nbclient", "ipykernel"):
        pytest.importorskip(name)
    written = json.loads((ROOT / "examples" / "notebook.ipynb").read_text(encoding="utf-8"))
    assert not [cell for cell in written["cells"] if cell.get("outputs")], "examples are committed without outputs"
    command = [sys.executable, "-c", EXECUTE, str(ROOT / "examples" / "notebook.ipynb"), str(tmp_path)]
    (tmp_path / "home").mkdir()  # kernels keep files in the user's, where one may not be able to write
    home = {**os.environ, "HOME": str(tmp_path / "home")}
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=home, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    cells = json.loads(done.stdout)
    trained, card, answer, measured, stepwise, listed = cells
    words, curves, run = (output["data"]["text/html"] for output in trained)  # redrawn in place: three, not thirty
    assert "epoch 2 of 2" in words and "complete after 2 epochs" in words
    assert png_of(curves) and "data:image/svg+xml" in run
    assert "464,842 on cpu" in card[0]["data"]["text/html"]
    assert answer[0]["data"]["text/html"].count("<tr") == 6
    assert measured[0]["text"].startswith("accuracy ")
    assert ["text/html" in output["data"] for output in stepwise] == [True, True, False]
    assert "'notebook', 'test'" in listed[0]["data"]["text/plain"]


def png_of(html: str) -> bool:
    found = re.search(r"data:image/png;base64,([\w+/=]+)", html)
    return found is not None and base64.b64decode(found[1]).startswith(b"\x89PNG")


def shown(events: list[Event], monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    view = NotebookView()
    monkeypatch.setattr(NotebookView, "_show", lambda self, place, html: found.append((place, html)))
    for event in events:
        view.write(event)
    view.close()
    return found


def test_words_come_with_every_epoch_and_curves_at_the_end(tmp_path, monkeypatch):
    found = shown(whole(tmp_path), monkeypatch)
    assert found[-1][0] == "curves" and png_of(found[-1][1])
    words = [html for place, html in found if place == "words"]
    assert (
        "ended complete after 3 epochs, 47 s; best epoch 2, selected on test by accuracy; test accuracy 72.00 %"
        in words[-1]
    )
    for epoch in (1, 2, 3):
        assert f"epoch {epoch} of 3: train loss" in words[-1]
    assert sum(place == "curves" for place, _ in found) < 4


def test_what_stands_in_a_note_or_a_path_is_shown_and_not_run(tmp_path, monkeypatch):
    events = [started(Path("<script>x</script>")), Noted(1, "<img src=x>\x1b[2J"), *steps(1, 10), finished(step=10)]
    words = [html for place, html in shown(events, monkeypatch) if place == "words"][-1]
    assert "<script" not in words and "<img" not in words and "\x1b" not in words
    assert "&lt;script&gt;" in words and "&lt;img" in words


def test_histograms_do_not_part_an_epoch_from_its_evaluation():
    story, rows = Story(), []
    for event in [started(Path()), *steps(1, 10), finished(step=10)]:
        rows += story.hear(event)
        if type(event).__name__ == "EpochTrained":
            rows += story.hear(Weighed(10, 1, ()))
    (row,) = rows
    assert row.trained is not None and row.evaluated


def test_outside_of_a_kernel_a_run_is_told_in_plain_lines_and_events_pass_through(tmp_path, capsys):
    assert not in_notebook()
    events = whole(tmp_path)
    assert list(eyas.live(iter(events))) == events
    said = capsys.readouterr().out
    assert "HTML" not in said
    assert "epoch 2 of 3: train loss" in said and "Done: 3 of 3 epochs." in said


# Cards.


def test_a_prediction_shows_its_likeliest_classes_as_bars():
    names = [f"class {number}" for number in range(8)]
    html = Prediction(
        "class 0", 0.5, dict(zip(names, [0.5, 0.2, 0.1, 0.1, 0.04, 0.03, 0.02, 0.01], strict=True))
    )._repr_html_()
    assert html.count("<tr") == 6
    assert "50.0 %" in html and "width:5.00em" in html and "3 other classes" in html and "6.0 %" in html


def test_a_class_name_is_shown_and_not_run():
    torch.manual_seed(0)
    classes = ("<script>alert(1)</script>", "a&b", "\u202eevil")
    classifier = Classifier(build("compact", 3), "compact", classes, Preprocess(16))
    for html in (classifier._repr_html_(), Prediction(classes[0], 1.0, dict.fromkeys(classes, 1 / 3))._repr_html_()):
        assert "<script" not in html and "\u202e" not in html
        assert "&lt;script&gt;" in html and "a&amp;b" in html


def test_a_classifier_shows_what_it_is_and_how_it_was_measured(pictures, tmp_path):
    run = eyas.train(
        pictures["train"], **QUICK, test=pictures["test"], view="none", report="none", out=tmp_path / "run"
    )
    html, facts = run.best._repr_html_(), run.best.facts
    for words in (
        "compact",
        "blue, green, red",
        "16x16 by stretch",
        f"epoch {facts['epoch']}, test chose it",
        "of 21 images (list.txt)",
    ):
        assert words in html
    many = Classifier(build("compact", 50), "compact", tuple(f"c{number}" for number in range(50)), Preprocess(16))
    assert "c29 and 20 more" in many._repr_html_()
    shown = run._repr_html_()
    assert "selected on test by accuracy" in shown and "data:image/svg+xml" in shown
    (tmp_path / "run" / "metrics.csv").unlink()
    assert "<img" not in Run(run.directory, run.finished)._repr_html_()
    assert "<img" not in run_card([("a", "b")], b"")


# The recipes.


@pytest.mark.parametrize("name", ["finetune", "small-images", "standard"])
def test_each_recipe_trains(pictures, tmp_path, name):
    quick = {
        "model": "compact",
        "size": 24,
        "epochs": 1,
        "view": "none",
        "report": "none",
        "device": "cpu",
        "cache_dir": str(tmp_path),
    }
    run = eyas.train(
        pictures["train"], config=ROOT / "examples" / f"{name}.toml", val=0.3, **quick, out=tmp_path / name
    )
    assert run.finished.reason == "complete"
