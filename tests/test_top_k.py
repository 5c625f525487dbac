"""--top-k: how often the right class is among the K most probable ones; measured exactly, shown everywhere."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eyas import evaluate, train
from eyas.config.data import DataConfig
from eyas.errors import SettingsError
from eyas.evaluation.measures import ALWAYS, counted, in_top, measure_named, measured, numbers_of, said_accuracy
from eyas.evaluation.scores import Scores, wilson
from eyas.run_folder.record import read_record, read_table
from eyas.sinks.jsonl import read_events
from eyas.sinks.table import COLUMNS, MetricsTable
from eyas.training.events import Evaluated
from eyas.verbs.compare import compare, print_comparison, write_page
from eyas.verbs.evaluate import print_scores
from eyas.verbs.report import report
from eyas.verbs.train import Run
from tests.sinks.sample_run import scores as sample_scores
from tests.sinks.sample_run import steps

QUICK = {"model": "compact", "size": 16, "epochs": 2, "batch_size": 16, "device": "cpu", "lr": 0.05}


def hits_of(logits: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Return which labels are among the first k of a stable sort: of equal logits the lower number first."""
    order = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    return (order == labels[:, None]).any(axis=1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Training and test images of twelve classes."""
    top, rng = tmp_path_factory.mktemp("twelve"), np.random.default_rng(0)
    for part, count in (("train", 6), ("test", 3)):
        for number in range(12):
            (top / part / f"class{number:02}").mkdir(parents=True)
            for place in range(count):
                noise = (rng.integers(0, 255, (16, 16, 3)) + 20 * number) % 256
                Image.fromarray(noise.astype(np.uint8)).save(top / part / f"class{number:02}" / f"{place}.png")
    return {part: top / part for part in ("train", "test")}


@pytest.fixture(scope="module")
def run(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "run"
    return train(folders["train"], test=folders["test"], val=0.25, out=out, view="none", **QUICK)


@pytest.mark.parametrize("digits", [0, 1, 6])
@pytest.mark.parametrize("k", [1, 2, 5, 11])
def test_it_equals_a_plain_computation_also_where_logits_are_equal(k, digits):
    rng = np.random.default_rng(k)
    logits = rng.normal(0, 1.5, (500, 12)).round(digits).astype(np.float32)
    labels = rng.integers(0, 12, 500)
    found = in_top(torch.from_numpy(logits), torch.from_numpy(labels), k).numpy()
    np.testing.assert_array_equal(found, hits_of(logits, labels, k))
    if k == 1:
        np.testing.assert_array_equal(found, logits.argmax(axis=1) == labels)


def test_of_equal_logits_the_lower_class_comes_first_and_what_is_no_number_is_no_hit():
    equal = torch.ones(4, 4)
    assert in_top(equal, torch.arange(4), 2).tolist() == [True, True, False, False]
    broken = torch.tensor([[torch.nan, 1.0, 2.0]]).expand(3, 3)
    assert in_top(broken, torch.arange(3), 2).tolist() == [False, False, True]


@pytest.mark.parametrize(("asked", "classes", "names"), [
    (None, 10, []), (None, 11, ["top5_accuracy"]), (None, 1000, ["top5_accuracy"]), (2, 3, ["top2_accuracy"]), (3, 100, ["top3_accuracy"]),
])  # fmt: skip
def test_five_is_measured_of_more_than_ten_classes_and_any_number_where_it_is_asked_for(asked, classes, names):
    assert list(counted(DataConfig(top_k=asked), classes)) == names


def test_a_number_that_says_nothing_is_refused(pictures, tmp_path):
    with pytest.raises(SettingsError, match="--top-k 1"):
        DataConfig(top_k=1)
    with pytest.raises(SettingsError, match="--top-k 3: there are 3 classes"):
        train(pictures["train"], test=pictures["test"], top_k=3, out=tmp_path / "run", view="none", **QUICK)
    assert not (tmp_path / "run").exists()


def test_each_sample_is_counted_once_whatever_the_batch(run, folders):
    for batch_size in (1, 7, 100):
        scores, _ = evaluate(run.directory, folders["test"], batch_size=batch_size)
        expected = int(hits_of(scores.logits, scores.targets, 5).sum())
        assert scores.hits == {"top5_accuracy": expected}
        assert scores.measure("top5_accuracy") == expected / 36
        assert scores.interval_of("top5_accuracy") == wilson(expected, 36)
        assert scores.interval == wilson(scores.correct, 36)
    own, _ = evaluate(run.directory)
    assert own.hits == {"top5_accuracy": expected}
    other, _ = evaluate(run.directory, folders["test"], settings=DataConfig(top_k=11))
    assert other.hits == {"top11_accuracy": int(hits_of(other.logits, other.targets, 11).sum())}


def test_a_run_shows_it_in_its_files(run):
    rows = run.history
    assert list(rows[0])[: len(COLUMNS)] == list(COLUMNS)
    assert [name for name in rows[0] if name not in COLUMNS] == [
        f"{split}_top5_accuracy{end}" for split in ("val", "test") for end in ("", "_low", "_high")
    ]
    events = [one for one in read_events(run.directory / "events.jsonl") if one["event"] == "evaluated" and one["split"] == "test"]
    for row, event in zip(rows, events, strict=True):
        value, (low, high) = event["top5_accuracy"], event["top5_accuracy_interval"]
        assert value == event["hits"]["top5_accuracy"] / event["count"]
        assert [float(row[f"test_top5_accuracy{end}"]) for end in ("", "_low", "_high")] == [value, low, high]
    record = read_record(run.directory)
    kept = record.scores["test"]
    assert kept.hits == {"top5_accuracy": int(hits_of(kept.logits, kept.targets, 5).sum())}
    assert record.rows == tuple(rows)


def test_tensorboard_shows_it(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(run.directory / "tensorboard"))
    board.Reload()
    for split in ("val", "test"):
        assert [point.step for point in board.Scalars(f"{split}/top5_accuracy")] == [1, 2]
        assert board.Scalars(f"best/{split}_top5_accuracy")
    row = run.history[-1]
    assert board.Scalars("test/top5_accuracy")[-1].value == pytest.approx(float(row["test_top5_accuracy"]))


def test_the_terminal_pages_and_cards_show_it(run, folders, capsys, tmp_path):
    scores, images = evaluate(run.directory, folders["test"])
    said = measure_named("top5_accuracy").said_of(numbers_of(scores))
    print_scores(scores, images)
    assert f"top-5 accuracy  {said} (95 % interval)" in capsys.readouterr().out
    train(folders["train"], test=folders["test"], out=tmp_path / "run", view="plain", report="none", **QUICK)
    told = capsys.readouterr().out
    assert "top-5 accuracy " in next(line for line in told.splitlines() if line.startswith("epoch 1 of 2: "))
    assert "\ntest top-5 accuracy" in told
    for language, heading in (("en", "Top-5 accuracy"), ("zh", "前 5 准确率")):
        page = report(run.directory, out=tmp_path / f"{language}.html", language=language).read_text(encoding="utf-8")
        assert heading in page and said.partition(" of ")[0] in page
    assert "top-5 accuracy" in run.best._repr_html_()


def test_comparing_shows_it_beside_a_run_that_does_not_have_it(run, pictures, tmp_path, capsys):
    other = train(pictures["train"], test=pictures["test"], out=tmp_path / "three", view="none", report="none", **QUICK)
    comparison = compare(run.directory, other.directory)
    print_comparison(comparison)
    told = capsys.readouterr().out
    assert "top-5 accuracy" in told.splitlines()[0]
    assert next(line for line in told.splitlines() if line.startswith("three")).rstrip().endswith(" -")
    write_page(comparison, str(tmp_path / "page.html"), "en")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<th class=left><bdi>Top-5 accuracy</bdi></th>" in page
    assert "<h3>Top-5 accuracy (test)</h3>" in page and "<h3>Top-5 accuracy (validation)</h3>" in page
    alone = compare(other.directory, other.directory)
    print_comparison(alone)
    assert "top-" not in capsys.readouterr().out
    assert json.loads((other.directory / "events.jsonl").read_text(encoding="utf-8").splitlines()[-1])["event"] == "finished"


def test_a_table_of_before_goes_on_with_it_and_reads_as_before(tmp_path):
    path = tmp_path / "metrics.csv"
    sink = MetricsTable(path)
    for event in steps(1, 10):
        sink.write(event)
    assert path.read_text(encoding="utf-8").splitlines()[0] == ",".join(COLUMNS)
    plain = sample_scores(60)
    more = Scores(plain.classes, plain.confusion, plain.loss_sum, hits={"top2_accuracy": 240})
    sink = MetricsTable(path, resumed_step=10)
    sink.write(Evaluated(20, 2, "test", more, True, True, 1.0))
    first, second = read_table(path)
    assert (first["test_top2_accuracy"], second["test_top2_accuracy"]) == ("", "0.8")
    with path.open(encoding="utf-8", newline="") as file:
        assert next(csv.reader(file))[-3:] == ["test_top2_accuracy", "test_top2_accuracy_low", "test_top2_accuracy_high"]


def test_words_for_it_are_those_of_an_accuracy():
    plain = sample_scores(60)
    numbers = numbers_of(Scores(plain.classes, plain.confusion, plain.loss_sum, hits={"top2_accuracy": 240}))
    one = measured(numbers, ALWAYS)[-1]
    assert (one.label, one.said_of(numbers)) == ("top-2 accuracy", "80.00 % [75.11, 84.13] of 300")
    assert said_accuracy(plain) == "60.00 % [54.36, 65.38] of 300"
    assert measure_named("top_accuracy") is None and measure_named("top0_accuracy") is None
