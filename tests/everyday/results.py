"""What is said of a result: whether it means anything, and what can be done with it."""

from __future__ import annotations

import csv
import functools
import json
import shutil
import tempfile
from pathlib import Path

import eyas
from tests.everyday.case import Case, picture, pictures, train, write

TITLE = "Results"
WRONG = ("cat/0.png", "dog/1.png", "cat/5.png")  # pictures of the test set whose labels are wrong on purpose


@functools.cache
def _trained() -> tempfile.TemporaryDirectory[str]:
    """Return a folder with two classes that are easily told apart, three test labels wrong, and a good run on them."""
    kept = tempfile.TemporaryDirectory()
    place = Path(kept.name)
    lines = []
    for name in ("cat", "dog"):
        for number in range(24):
            picture(place / "photos" / name / f"{number}.png")
        for number in range(14):
            picture(place / "new" / name / f"{number}.png")
            wrong = f"{name}/{number}.png" in WRONG
            lines.append(f"{name}/{number}.png,{'dog' if (name == 'cat') != wrong else 'cat'}")
    swapped = [line.replace(",dog", ",x").replace(",cat", ",dog").replace(",x", ",cat") for line in lines]
    (place / "new" / "list.csv").write_text("path,label\n" + "\n".join(swapped) + "\n", encoding="utf-8")
    eyas.train(
        place / "photos", test=str(place / "new" / "list.csv"), model="compact", size=16, epochs=4, batch_size=8,
        lr=0.05, device="cpu", view="none", out=place / "run",
    )  # fmt: skip
    return kept


def _good_run() -> None:
    """Put a good run, and the list that it was measured on, into the current folder."""
    place = Path(_trained().name)
    shutil.copytree(place / "run", "run")
    shutil.copytree(place / "new", "new")


def _two_sets(cats: int) -> None:
    pictures("photos", ("cat", "dog"))
    pictures("new", ("dog",), 5)
    pictures("new", ("cat",), cats)


def _report() -> str:
    return Path("run/report.html").read_text(encoding="utf-8")


def _no_judgement() -> None:
    assert "no better than guessing (<bdi>" not in _report()
    assert "guessing gives 50 %" in _report()
    assert "Possible label errors" not in _report()
    assert "Most confident mistakes" not in _report()
    assert "<img" not in _report()
    assert not Path("run/label-doubts.csv").exists()


def _wrong_ones_are_listed() -> None:
    with Path("run/label-doubts.csv").open(encoding="utf-8", newline="") as file:
        rows = {"/".join(Path(row["path"]).parts[-2:]): row for row in csv.DictReader(file)}
    for path in WRONG:
        assert rows[path]["suggested"] == path.partition("/")[0] != rows[path]["label"]
    assert "<code>label-doubts.csv</code>" in _report()


def _answers_are_the_confusion_matrix() -> None:
    rows = [json.loads(line) for line in Path("answers.jsonl").read_text(encoding="utf-8").splitlines()]
    numbers = json.loads(Path("all.json").read_text(encoding="utf-8"))
    assert len({row["path"] for row in rows}) == len(rows) == numbers["count"] == 28
    for true, counts in zip(numbers["classes"], numbers["confusion"], strict=True):
        for called, count in zip(numbers["classes"], counts, strict=True):
            found = [row for row in rows if (row["label"], row["answer"]) == (true, called)]
            assert len(found) == count
            assert all(row["right"] == (true == called) and 0.5 <= row["probability"] <= 1 for row in found)


def _two_runs() -> None:
    pictures("photos", ("cat", "dog"))
    for name, more in (("runs/one", {}), ("runs/other", {"lr": 0.05, "flip": 0.0})):
        given = {"model": "compact", "size": 16, "epochs": 1, "batch_size": 8, "device": "cpu", "report": "none"}
        eyas.train("photos", val=0.25, out=name, view="none", **{**given, **more})


def _in_chinese() -> None:
    assert "不比猜测好（" in _report()
    assert "10 张测试图片" in _report()


CASES = (
    Case(
        "a run that has learnt nothing",
        lambda: _two_sets(5),
        train("photos", "--test new --lr 1e-9").replace("--report none", "--report en"),
        ("of 10: no better than guessing (50 %)",),
        check=_no_judgement,
    ),
    Case(
        "a run that has learnt nothing, on a set that is mostly one class",
        lambda: _two_sets(15),
        train("photos", "--test new --lr 1e-9"),
        (": no better than guessing (always answering 'cat' gives 75 %)",),
    ),
    Case(
        "a run that has learnt nothing, with its report in Chinese",
        lambda: _two_sets(5),
        train("photos", "--test new --lr 1e-9").replace("--report none", "--report zh"),
        ("no better than guessing (50 %)",),
        check=_in_chinese,
    ),
    Case(
        "a run without a set to measure on",
        lambda: pictures("photos", ("cat", "dog")),
        train("photos"),
        ("not measured; to measure it: eyas evaluate run DATA; in a new run, add --val 0.1 or --test DATA",),
    ),
    Case(
        "a set of one class, answered rightly",
        lambda: (_good_run(), shutil.rmtree("new/dog"), [Path("new/cat", n).unlink() for n in ("0.png", "5.png")]),
        "evaluate run new",
        ("says nothing about how well it separates classes: all images are of one class, 'cat'",),
    ),
    Case(
        "two pictures, both answered rightly",
        lambda: (_good_run(), write("two.txt", "new/cat/2.png cat", "new/dog/2.png dog")),
        "evaluate run two.txt",
        ("100.00 % [34.24, 100.00] of 2", "no better than guessing (50 %), as far as 2 images can tell"),
    ),
    Case(
        "a row for each picture that is measured",
        _good_run,
        "evaluate run new/list.csv --answers answers.jsonl --json all.json",
        ("of 28 (95 % interval)",),
        check=_answers_are_the_confusion_matrix,
    ),
    Case(
        "answers to be written over the list that is measured",
        _good_run,
        "evaluate run new/list.csv --answers new/list.csv",
        ("--answers new/list.csv: is the list that is read, and would be lost. Name another file.",),
        2,
    ),
    Case(
        "answers to a kind of file that is not written",
        _good_run,
        "evaluate run new/list.csv --answers answers.xlsx",
        ("xlsx: unknown form of predictions; there are csv, jsonl, parquet.",),
        2,
    ),
    Case(
        "wrong labels in the set that a good model is measured on",
        _good_run,
        "report run",
        ("run/report.html",),
        check=_wrong_ones_are_listed,
    ),
    Case(
        "a bound for --unknown-below, to be chosen on other pictures",
        _good_run,
        "calibrate run new/list.csv",
        ("What --unknown-below would do, on new/list.csv (28 images):", "100.00 % (28 of 28)"),
    ),
    Case(
        "which settings the runs of a folder differ in",
        _two_runs,
        "runs runs --sort name",
        ("one differs: flip=0.5, lr=0.01", "other differs: flip=0.0, lr=0.05"),
    ),
)
