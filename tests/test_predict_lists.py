"""Lists for `predict`: it needs paths only, keeps the order, and takes the other columns along."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eyas import Classifier
from eyas.cli import main
from eyas.config.predict import PredictConfig
from eyas.data.images.preprocess import Preprocess
from eyas.errors import DataError, SettingsError
from eyas.model.zoo import build
from eyas.predicting.inputs import images_in
from eyas.predicting.rows import free_names
from eyas.verbs.predict import predict_to
from tests.conftest import write_pictures

GUIDE = Path(__file__).parent.parent / "docs" / "guide.md"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an untrained model of two classes."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    torch.manual_seed(0)
    Classifier(build("compact", 2), "compact", ("cat", "dog"), Preprocess(16)).save(path)
    return path


@pytest.fixture
def test_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder test/red of pictures 000.png on, in the current folder."""
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "test", {"red": 4})
    return Path("test/red")


def rows_of(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def predict(out: str, model: Path, *paths: str | Path, **asked: Any) -> Any:
    return predict_to(out, model, paths, PredictConfig(device="cpu", root="test/red", **asked))


# The columns that go along.


def test_kept_columns_are_text_in_every_form(model, test_folder):
    parquet = pytest.importorskip("pyarrow.parquet")
    Path("list.csv").write_text("id,path,lon\n001,000.png,-7.5\n=x,001.png,\n", encoding="utf-8")
    for form in ("csv", "jsonl", "parquet"):
        predict(f"out.{form}", model, "list.csv", keep_columns=(), columns="path=path")
    written = rows_of(Path("out.csv"))
    assert list(written[0]) == ["path", "label", "probability", "error", "id", "list_path", "lon"]
    assert [(row["id"], row["lon"]) for row in written] == [("001", "-7.5"), ("'=x", "")]
    lines = [json.loads(line) for line in Path("out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["id"], row["list_path"], row["lon"]) for row in lines] == [
        ("001", "000.png", "-7.5"), ("=x", "001.png", ""),
    ]  # fmt: skip
    table = parquet.read_table("out.parquet").to_pylist()
    assert [(row["id"], row["list_path"], row["lon"]) for row in table] == [
        ("001", "000.png", "-7.5"), ("=x", "001.png", None),
    ]  # fmt: skip


def test_a_row_without_an_answer_keeps_its_columns_too(model, test_folder):
    Path("test/red/001.png").write_bytes(b"x")
    Path("list.csv").write_text("id,file\nA,000.png\nB,001.png\n", encoding="utf-8")
    for form in ("csv", "jsonl"):
        assert predict(f"out.{form}", model, "list.csv", keep_columns=("id",)).unreadable == 1
    assert [(row["id"], row["label"] != "") for row in rows_of(Path("out.csv"))] == [("A", True), ("B", False)]
    last = json.loads(Path("out.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert (last["id"], "cannot be decoded" in last["error"]) == ("B", True)


def test_columns_of_several_lists_are_joined_by_name_and_empty_where_there_are_none(model, test_folder):
    Path("one.csv").write_text("id,file\nA,000.png\nB,001.png\n", encoding="utf-8")
    Path("two.csv").write_text("file;place\n002.png;here\n", encoding="utf-8")
    predict("out.csv", model, "one.csv", test_folder / "003.png", "two.csv", keep_columns=())
    written = rows_of(Path("out.csv"))
    assert [Path(row["path"]).name for row in written] == ["000.png", "001.png", "003.png", "002.png"]
    assert [row["id"] for row in written] == ["A", "B", "", ""]
    assert [row["place"] for row in written] == ["", "", "", "here"]
    assert [row["file"] for row in written] == ["000.png", "001.png", "", "002.png"]


@pytest.mark.parametrize(("titles", "names"), [
    (["id", "label", "Error", "top", "probability_2"], ["id", "list_label", "list_Error", "list_top", "list_probability_2"]),
    (["label", "list_label"], ["list_label", "list_list_label"]),
    (["a", "a", "A"], ["a", "list_a", "list_list_A"]),
    (["labels", "path_2"], ["labels", "path_2"]),
])  # fmt: skip
def test_a_kept_column_never_has_the_name_of_another(titles, names):
    assert free_names(titles) == names


def test_flags_of_lists_need_a_list(model, test_folder):
    with pytest.raises(SettingsError, match=r"--columns: only lists .* have columns, and none is given"):
        predict("out.csv", model, test_folder, columns="path=0")
    assert main(["predict", str(model), "--keep-columns", "list.csv"]) == 2


def test_names_after_keep_columns_are_not_taken_for_paths_in_silence(model, test_folder, capsys):
    main(["predict", str(model), "--keep-columns", "list.csv"])
    assert "It stands before --keep-columns, which takes all words behind it." in capsys.readouterr().err


# What is not certain.


def listed(text: str, **asked: Any) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return the names of the images of a list, and its kept cells."""
    Path("list.csv").write_text(text, encoding="utf-8")
    found = images_in(["list.csv"], PredictConfig(root="test/red", **asked))
    return [Path(path).name for path in found.paths], list(found.cells())


def test_a_line_that_ends_after_its_path_has_empty_cells(test_folder):
    names, cells = listed("id,label\n000.png,cat\n001.png\n002.png,dog\n", keep_columns=("label", "0"))
    assert names == ["000.png", "001.png", "002.png"]
    assert cells == [("cat", "000.png"), ("", "001.png"), ("dog", "002.png")]


@pytest.mark.parametrize(("text", "asked", "reason"), [
    ("x,id\n" + "a,000.png\n" * 20 + "a,001.png,002.png\n", {}, r"list.csv:22: 3 columns, where the other lines have 2"),
    ("id,label\n1,000,cat\n2,001,dog\n", {"columns": "path=id"}, r"list.csv:1: the header has 2 columns, where the other lines have 3.*--columns path=0"),
    ("file,x\n000.png,1\n,2\n001.png,3\n", {}, r"list.csv:3: there is no path on this line"),
    ("photo,mask\n000.png,001.png\n001.png,002.png\n", {}, r"list.csv: any of the columns photo .* may hold the paths.*--columns path=photo\."),
    ("file,label\n", {}, r"list.csv: has a header \(file,label\) and no line below it. It needs a line per image: its path\."),
    ("# nothing\n", {}, r"list.csv: the list is empty. It needs a line per image: its path\."),
    ("u\nhttps://example.org/a.png\n", {}, r"list.csv:2: .* is a web address: download the files"),
    ("000.png\n", {"keep_columns": ("id",)}, r"--keep-columns id: no such column; there are column_0 \(0\)\."),
])  # fmt: skip
def test_what_is_not_certain_is_refused_with_a_remedy_that_predict_has(test_folder, text, asked, reason):
    with pytest.raises(DataError, match=reason) as refused:
        listed(text, **asked)
    assert set(re.findall(r"--[a-z-]+", str(refused.value))) <= {"--columns", "--root", "--outside-root", "--keep-columns"}
    assert "label=" not in str(refused.value)


# Submissions.


def test_the_guides_way_to_a_submission_gives_the_ids_in_their_order(model, test_folder, monkeypatch):
    section = GUIDE.read_text(encoding="utf-8").partition("## Predict")[2].partition("\n## ")[0]
    command = re.search(r"^eyas (predict \S+ ids\.csv .*)$", section, re.MULTILINE)
    program = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert command and program
    Path("ids.csv").write_text("id,label\n002,\n000,\n002,\n", encoding="utf-8")
    Path("runs").mkdir()
    Path("runs/photos").mkdir()
    (Path("runs/photos") / "best.safetensors").write_bytes(model.read_bytes())
    Path("test/red").rename("images")
    Path("test/list.txt").unlink()
    Path("test").rmdir()
    Path("images").rename("test")
    assert main([*command[1].split(), "--device", "cpu"]) == 0
    subprocess.run([sys.executable, "-c", program[1]], check=True, timeout=60)
    submission = rows_of(Path("submission.csv"))
    assert [row["id"] for row in submission] == ["002", "000", "002"]
    assert list(submission[0]) == ["id", "label"]
    assert {row["label"] for row in submission} <= {"cat", "dog"}


# Any list.

WORDS = st.text("abz059 éß.-_'", max_size=6).map(str.strip)
CELLS = {
    "label": st.sampled_from(("cat", "dog", "", "1", "0", "nan")),
    "width": st.integers(0, 99).map(str),
    "split": st.sampled_from(("train", "test", "val")),
    "comment": st.one_of(WORDS, st.text('ab,;" ', max_size=6).map(str.strip)),
}
STEMS = st.text("abcXYZ0123456789_- é", min_size=1, max_size=8).map(str.strip).filter(lambda stem: stem not in ("", "."))


SPELLINGS = {
    "as it is": lambda name: name,
    "without its ending": lambda name: name.rpartition(".")[0],
    "after a dot": lambda name: f"./{name}",
    "as on Windows": lambda name: f".\\{name}",
    "absolute, elsewhere": lambda name: f"/data/of/another/{name}",
}


@dataclass(frozen=True)
class Made:
    """A list, the files that there are, and what must be read: `named` files row by row in the column `place`."""

    files: list[str]
    named: list[str]
    rows: list[list[str]]
    place: int
    titles: list[str]
    text: str


@st.composite
def lists(draw: st.DrawFn) -> Made:
    """Return a list: its columns in any order, with a header or none, as some program writes them."""
    ending = draw(st.sampled_from((".png", ".JPG", ".jpeg")))
    files = [stem + ending for stem in draw(st.lists(STEMS, min_size=1, max_size=6, unique_by=str.lower))]
    named = draw(st.lists(st.sampled_from(files), min_size=1, max_size=8))
    kinds = ["path", *draw(st.lists(st.sampled_from(("mask", *sorted(CELLS))), max_size=3, unique=True))]
    kinds = draw(st.permutations(kinds))
    spelt = SPELLINGS[draw(st.sampled_from(sorted(SPELLINGS)))]
    cells = {**CELLS, "mask": st.sampled_from([spelt(name) for name in files])}
    rows = [[spelt(name) if kind == "path" else draw(cells[kind]) for kind in kinds] for name in named]
    titles = [draw(st.sampled_from(("id", "filename", "picture", ""))) if kind == "path" else kind for kind in kinds]
    titles = titles if any(titles) and draw(st.booleans()) else []
    written = io.StringIO()
    quoting = draw(st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)))
    writer = csv.writer(written, delimiter=draw(st.sampled_from(",;\t")), quoting=quoting, lineterminator="\n")
    writer.writerows([titles, *rows] if titles else rows)
    return Made(files, named, rows, kinds.index("path"), titles, written.getvalue())


@settings(max_examples=100, deadline=None)
@given(lists(), st.sampled_from(("found", "by number", "by name")))
def test_a_list_gives_its_rows_in_order_or_is_refused_by_its_name(made, way):
    title = made.titles[made.place] if made.titles else ""
    columns = {"found": None, "by number": f"path={made.place}", "by name": f"path={title}" if title else None}[way]
    with tempfile.TemporaryDirectory() as folder:
        for name in made.files:
            (Path(folder) / name).touch()
        (Path(folder) / "list.csv").write_text(made.text, encoding="utf-8")
        try:
            found = images_in([Path(folder) / "list.csv"], PredictConfig(columns=columns, keep_columns=()))
        except DataError as error:
            assert "list.csv:" in str(error)
            return
        assert list(found.paths) == [str(Path(folder) / name) for name in made.named]
        titles = [name or f"column_{number}" for number, name in enumerate(made.titles or [""] * len(made.rows[0]))]
        assert list(found.kept) == free_names(titles)
        assert list(found.cells()) == [tuple(row) for row in made.rows]
