"""Class names and paths as others write them: kept exactly, never obeyed, never a file's name."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from eyas import Classifier
from eyas.cli import main
from eyas.config.data import DataConfig
from eyas.data.images.packed import Coded
from eyas.data.lists.labels import read_labels
from eyas.data.lists.listing import read_listing
from eyas.data.spec import open_images
from eyas.errors import DataError
from eyas.sinks.scalars import class_tags
from eyas.terminal.clean import clean, clean_lines
from eyas.terminal.wording import FORMULA
from tests.hostile import picture

NAMES = [
    "../../x", "CON", "=cmd|'/C calc'!A0", "'=1+1", "<script>alert(1)</script>", "\x1b[31mred\x1b]0;t\x07", "n" * 300, "🦅🐶",
    "\u202eabc\u202c", "caf\u00e9", "cafe\u0301", "$x_$", "$\\frac{$", "a%s{}\\n", "-1.5e", "[bold]x[/bold]", "\u9b3c|`*_",
]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of two epochs on these classes, its evaluation, and predictions."""
    folder = tmp_path_factory.mktemp("names")
    for number in range(len(NAMES)):
        picture(16, 16).save(folder / f"{number}.png")
    (folder / "classes.txt").write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    (folder / "list.csv").write_text("".join(f"{number}.png,{number}\n" for number in range(len(NAMES))))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert (
            main(
                [
                    "train",
                    "list.csv",
                    "--test",
                    "list.csv",
                    "--model",
                    "compact",
                    "--size",
                    "16",
                    "--epochs",
                    "2",
                    "--out",
                    "run",
                    "--device",
                    "cpu",
                ]
            )
            == 0
        )
        assert (
            main(["evaluate", "run", "list.csv", "--json", "scores.json", "--charts", "charts", "--device", "cpu"]) == 0
        )
        for form in ("csv", "jsonl"):
            assert main(f"predict run list.csv --top 99 --out out.{form} --device cpu".split()) == 0
    return folder


def test_the_model_and_all_json_keep_the_exact_names(made):
    assert list(Classifier.load(made / "run").classes) == NAMES
    assert json.loads((made / "scores.json").read_text(encoding="utf-8"))["classes"] == NAMES
    row = json.loads((made / "out.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert {name for name, _ in row["top"]} == set(NAMES)


def test_no_name_of_a_class_is_part_of_a_files_name(made):
    usual = re.compile(r"[\w.-]+$", re.ASCII)
    written = [path for folder in ("run", "charts") for path in (made / folder).rglob("*")]
    assert written
    assert all(usual.match(path.name) for path in written)
    assert not any(name in path.name for path in written for name in ("CON", "café", "nnn"))
    assert not (made.parent / "x").exists()


def test_a_spreadsheet_runs_no_cell_and_the_names_come_back(made):
    with (made / "out.csv").open(encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file))
    cells = [value for key, value in row.items() if key.startswith("label")]
    assert not any(cell.startswith(FORMULA) for cell in cells)
    back = [cell[1:] if cell[:1] == "'" and cell.lstrip("' ").startswith(FORMULA) else cell for cell in cells]
    assert set(back) == set(NAMES)


def test_charts_are_drawn_of_every_name(made):
    for chart in ("per-class.svg", "confusion.svg"):
        text = (made / "charts" / chart).read_text(encoding="utf-8")
        assert "</svg>" in text
        assert "<script" not in text


def test_tensorboard_tags_are_plain_and_unique(made):
    tags = class_tags(tuple(NAMES))
    assert len({tag.casefold() for tag in tags}) == len(NAMES)
    assert all(re.fullmatch(r"[\w.-]+", tag) for tag in tags)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(made / "run" / "tensorboard"))
    events.Reload()
    scalars = [tag for tag in events.Tags()["scalars"] if tag.startswith("test_f1/")]
    assert 0 < len(scalars) <= len(NAMES)  # a class without a score has no curve
    assert all(tag.count("/") == 1 for tag in scalars)


def test_nothing_that_steers_a_terminal_is_printed(made, capfd, monkeypatch):
    monkeypatch.chdir(made)
    assert main(["evaluate", "run", "list.csv", "--device", "cpu"]) == 0
    (made / "bad.txt").write_text("\x1b[2J.png 0\n\u202egnp.exe 1\n")
    assert main(["train", "bad.txt"]) == 65
    (made / "\x1b]0;x\x07.png").write_bytes(b"x")
    assert main(["predict", "run", "\x1b]0;x\x07.png", "--device", "cpu", "--out", "o.csv"]) == 65
    assert main(["predict", "\x9b31m", "0.png"]) == 65
    assert main(["train", "\x1b[31mdigits"]) == 2
    said = "".join(capfd.readouterr())
    assert "\\x1b" in said
    assert all(letter.isprintable() or letter == "\n" for letter in said)


def test_text_for_a_terminal_keeps_what_is_harmless():
    assert clean("猫 é\u0301 🦅 a\\b") == "猫 é\u0301 🦅 a\\b"
    assert clean("a\x1b\x9b\u202e\ud800\u2028\n") == "a\\x1b\\x9b\\u202e\\ud800\\u2028\\n"
    assert clean_lines("a\nb\r") == "a\nb\\r"


def test_two_names_that_look_alike_are_told():
    import numpy as np

    labels = Coded(np.array([0, 1], np.int32), ["caf\u00e9", "cafe\u0301"])
    found = read_labels(labels, np.array([1, 2], np.int32), None, "auto", [])
    assert len(found.classes) == 2
    assert found.notes == ("two classes look alike and are kept apart: 'cafe\\u0301' and 'caf\\xe9'",)


def test_a_folder_whose_name_is_no_text_can_be_no_class(tmp_path):
    for name in (b"cat", b"d\xf6g"):
        folder = os.fsencode(tmp_path) + b"/" + name
        Path(os.fsdecode(folder)).mkdir()
        picture().save(os.fsdecode(folder + b"/1.png"))
    with pytest.raises(DataError, match="the folder's name is not UTF-8 text"):
        open_images(str(tmp_path), DataConfig(), split="train")


def test_a_file_whose_name_is_no_text_is_predicted_and_written(made, tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/d\xf6g.png")
    shutil.copy(made / "0.png", name)
    for form in ("csv", "jsonl"):
        assert (
            main(["predict", str(made / "run"), str(tmp_path), "--out", str(tmp_path / f"o.{form}"), "--device", "cpu"])
            == 0
        )
    assert json.loads((tmp_path / "o.jsonl").read_text(encoding="utf-8"))["path"] == name
    assert "d\\udcf6g.png" in (tmp_path / "o.csv").read_text(encoding="utf-8")


# What a list may reach.


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Images in store/, and a folder lists/ beside it with links into it."""
    (tmp_path / "store").mkdir()
    (tmp_path / "lists" / "own").mkdir(parents=True)
    for name in ("a.png", "b.png"):
        picture().save(tmp_path / "store" / name)
        shutil.copy(tmp_path / "store" / name, tmp_path / "lists" / "own" / name)
    (tmp_path / "lists" / "file.png").symlink_to(tmp_path / "store" / "a.png")
    (tmp_path / "lists" / "deep").symlink_to(tmp_path / "store")
    (tmp_path / "lists" / "near.png").symlink_to("own/a.png")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../store/a.png", "lies outside"), ("STORE/a.png", "lies outside"), ("own/../../store/a.png", "lies outside"),
        ("LISTS/../store/a.png", "lies outside"), ("file.png", "is behind a link"), ("deep/a.png", "is behind a link"),
        ("deep/../own/a.png", ""), ("near.png", ""), ("own/a.png", ""), ("./own//a.png", ""), ("LISTS/own/a.png", ""),
    ],
)  # fmt: skip
def test_a_list_stays_in_its_root_unless_told(store, path, reason):
    text = path.replace("STORE", str(store / "store")).replace("LISTS", str(store / "lists"))
    (store / "lists" / "list.txt").write_text(f"{text} 0\nown/b.png 1\n")
    if not reason:
        assert len(read_listing(store / "lists" / "list.txt").paths) == 2
        return
    with pytest.raises(DataError, match=f"list.txt:1: .* {reason} .*--outside-root allows it"):
        read_listing(store / "lists" / "list.txt")
    allowed = read_listing(store / "lists" / "list.txt", outside_root=True)
    assert allowed.sizes.min() > 0
    assert sum("1 of 2 images lie outside" in note for note in allowed.notes) == (reason == "lies outside")


def test_a_list_of_absolute_paths_is_told_its_root(store):
    where = store / "store"
    (store / "lists" / "full.txt").write_text(f"{where}/a.png 0\n{where}/b.png 1\n")
    with pytest.raises(DataError, match=f"--root {where} would fit"):
        read_listing(store / "lists" / "full.txt")
    assert list(read_listing(store / "lists" / "full.txt", root=where).paths) == ["a.png", "b.png"]
    assert read_listing(store / "lists" / "full.txt", root="/").paths[0] == f"{where}/a.png"[1:]


def test_a_root_that_is_a_link_is_a_root(store):
    (store / "other").symlink_to(store / "store")
    for root, named in ((store / "other", store / "store"), (store / "store", store / "other")):
        (store / "list.txt").write_text(f"{named}/a.png 0\nb.png 1\n")
        assert list(read_listing(store / "list.txt", root=root).paths) == ["a.png", "b.png"]


def test_predict_keeps_lists_in_their_root_too(store, made):
    (store / "lists" / "plain.txt").write_text("own/a.png\n../store/b.png\n")
    command = [
        "predict",
        str(made / "run"),
        str(store / "lists" / "plain.txt"),
        "--device",
        "cpu",
        "--out",
        str(store / "o.csv"),
    ]
    assert main(command) == 65
    assert main([*command, "--outside-root"]) == 0


# Long ones.


def test_a_line_without_an_end_is_refused_at_once(tmp_path):
    for text in (
        b"a" * 20_000_000,
        b"a.jpg 0\n" + b"a.jpg " * 3_000_000,
        b"a.jpg,0\r" + b"," * 20_000_000 + b"\rb.jpg,1\r",
    ):
        (tmp_path / "list.txt").write_bytes(text)
        with pytest.raises(DataError, match=r"list.txt:\d: this line has 1?[28],000,000 bytes|has 20,000,000 bytes"):
            read_listing(tmp_path / "list.txt")


@pytest.mark.parametrize("length", [16_000, 16_384, 16_385, 40_000])
def test_how_long_a_line_may_be_depends_on_nothing_else(tmp_path, length):
    for before in (0, 1, 5000, 8191, 8192):
        (tmp_path / "list.txt").write_bytes(
            b"#" * max(0, before - 1) + b"\n" * (before > 0) + b"a" * (length - 6) + b".jpg 0\n"
        )
        with pytest.raises(DataError) as error:
            read_listing(tmp_path / "list.txt")
        assert ("this line has" in str(error.value)) == (length > 16_384)


def test_of_many_missing_files_all_are_counted_and_few_kept(tmp_path):
    (tmp_path / "list.txt").write_text("".join(f"{number}.jpg 0\n" for number in range(5000)))
    with pytest.raises(DataError, match="and 4990 more problems"):
        read_listing(tmp_path / "list.txt")


@pytest.mark.slow
def test_ten_million_lines_are_read_in_a_few_times_their_bytes(tmp_path):
    import subprocess
    import sys

    (tmp_path / "a.jpg").write_bytes(b"x")
    with (tmp_path / "list.txt").open("wb") as file:
        for _ in range(100):
            file.write(b"a.jpg 0\n" * 100_000)
    code = f"""
import resource
from eyas.data.lists.listing import read_listing
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert len(read_listing({str(tmp_path / "list.txt")!r}).paths) == 10_000_000
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 2000
