"""A folder of runs at a glance: what is comparable together and best first, what is no run named."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import eyas
from eyas.cli import main
from eyas.errors import CheckpointError, DataError, SettingsError
from eyas.files.atomic import folder_lock
from eyas.files.headers import read_header
from eyas.files.tensors import read_tensors
from eyas.training.events import Evaluated
from eyas.verbs.runs import ListedRun, groups, print_overview
from eyas.verbs.runs import runs as runs_in
from tests.runs import QUICK, config_of, run_fit


@pytest.fixture(scope="module")
def folder(pictures, tmp_path_factory) -> Path:
    """Two runs on one test set, one on a validation share, one cut off after its first epoch, and what is no run."""
    place = tmp_path_factory.mktemp("runs")
    given = {**QUICK, "test": pictures["test"], "view": "none", "report": "none"}
    for name, changes in (
        ("good", {"epochs": 3}),
        ("poor", {"lr": 1e-9, "epochs": 1}),
        ("elsewhere", {"test": None, "val": 0.3, "epochs": 1}),
    ):
        eyas.train(pictures["train"], **{**given, **changes}, out=place / name)
    cut = place / "cut"
    run_fit(config_of(pictures), cut, stop_at=lambda event: isinstance(event, Evaluated))
    shutil.copy(place / "good" / "config.toml", cut / "config.toml")
    (place / "notes").mkdir()
    (place / "readme.txt").write_text("mine")
    return place


def by_name(folder: Path) -> dict[str, ListedRun]:
    return {run.name: run for run in runs_in(folder).runs}


def test_a_run_is_listed_as_its_model_says(folder, pictures):
    run, best = by_name(folder)["good"], eyas.Classifier.load(folder / "good")
    scores = best.facts["scores"]["test"]
    assert (run.model, run.state, run.epochs_done, run.epochs_asked) == ("compact", "complete", 3, 3)
    assert (run.best_epoch, run.split, run.count, run.source) == (best.facts["epoch"], "test", 21, "list.txt")
    assert (run.accuracy, run.loss) == (scores["accuracy"], scores["loss"])
    assert list(run.interval) == list(scores["interval"])
    assert run.selects_on == "test"
    assert run.data == "train/list.txt"
    newest = max(path.stat().st_mtime for path in (folder / "good").rglob("*") if path.is_file())
    assert run.changed == newest


def test_a_file_of_several_names_is_counted_once(folder):
    files = [path for path in (folder / "good").rglob("*") if path.is_file()]
    each = {path.stat().st_ino: path.stat().st_size for path in files}
    assert len(each) < len(files)
    assert by_name(folder)["good"].bytes == sum(each.values())


def test_the_best_stands_first_among_those_on_the_same_samples(folder):
    found = runs_in(folder).runs
    assert {run.name for run in found[:3]} == {"good", "poor", "cut"}
    assert [run.accuracy for run in found[:3]] == sorted((run.accuracy for run in found[:3]), reverse=True)
    assert found[3].name == "elsewhere"  # however good: its number is of other images
    assert len(groups(found)) == 2
    losses = [run.loss for run in runs_in(folder, sort="loss").runs[:3]]
    assert losses == sorted(losses)
    assert [run.name for run in runs_in(folder, sort="name").runs] == ["cut", "elsewhere", "good", "poor"]
    times = [run.changed for run in runs_in(folder, sort="time").runs]
    assert times == sorted(times, reverse=True)


def test_sets_of_one_name_and_size_with_other_images_are_told_apart(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "runs")
    one, other = by_name(folder)["good"], by_name(folder)["poor"]
    assert one.samples == other.samples
    path = tmp_path / "runs" / "poor" / "predictions.safetensors"
    path.write_bytes(path.read_bytes().replace(one.samples.encode(), b"0" * len(one.samples)))
    assert len(groups(runs_in(tmp_path / "runs").runs)) == 3


def test_a_run_that_was_cut_off_or_goes_on_or_stopped_by_itself_says_so(folder, pictures, tmp_path):
    assert (by_name(folder)["cut"].state, by_name(folder)["cut"].epochs_done) == ("interrupted", 1)
    with folder_lock(folder / "cut"):
        assert by_name(folder)["cut"].state == "running"
    assert by_name(folder)["cut"].state == "interrupted"
    eyas.train(
        pictures["train"],
        **{**QUICK, "lr": 1e-9, "patience": 1, "report": "none"},
        test=pictures["test"],
        out=tmp_path / "stop",
    )
    assert runs_in(tmp_path / "stop").runs[0].state == "stopped"


def test_looking_at_a_lock_does_not_keep_a_training_from_it(tmp_path):
    import threading

    from eyas.files.atomic import is_locked

    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            is_locked(tmp_path)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        for _ in range(200):
            with folder_lock(tmp_path):
                pass
    finally:
        done.set()
        looker.join()


def test_a_run_without_a_model_yet_has_no_numbers(folder, tmp_path):
    (tmp_path / "young").mkdir()
    shutil.copy(folder / "good" / "config.toml", tmp_path / "young" / "config.toml")
    (run,) = runs_in(tmp_path).runs
    assert (run.state, run.epochs_done, run.accuracy, run.best_epoch, run.model) == (
        "interrupted",
        0,
        None,
        None,
        "compact",
    )


def test_what_is_no_run_or_damaged_is_named_and_the_others_are_listed(folder, tmp_path, capsys):
    shutil.copytree(folder, tmp_path / "runs")
    (tmp_path / "runs" / "poor" / "best.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0garbage!")
    (tmp_path / "runs" / "elsewhere" / "config.toml").write_text("[data\n")
    found = runs_in(tmp_path / "runs")
    assert {run.name for run in found.runs} == {"good", "cut"}
    said = "\n".join(found.others)
    assert "notes: holds no run" in said
    assert "best.safetensors: is damaged, or no model file" in said
    assert "config.toml: is no valid TOML" in said
    print_overview(found, "runs")
    assert "notes: holds no run" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text",
    ["[]", "{}", '{"__metadata__": {"eyas": "[1]"}}', '{"__metadata__": {"eyas": "{\\"header\\": \\"[]\\"}"}}', "["],
)
def test_a_header_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "x").write_bytes(len(text).to_bytes(8, "little") + text.encode())
    with pytest.raises(CheckpointError, match="is damaged, or no model file"):
        read_header(tmp_path / "x", "model")


def test_the_header_read_alone_is_the_one_read_with_the_tensors(folder):
    for name, kind in (("best", "model"), ("state", "state"), ("predictions", "predictions")):
        path = folder / "good" / f"{name}.safetensors"
        assert read_header(path, kind) == read_tensors(path, kind)[1]


def test_the_command_prints_a_table_and_writes_json(folder, tmp_path, capsys):
    assert main(["runs", str(folder), "--json", str(tmp_path / "runs.json")]) == 0
    shown = capsys.readouterr().out
    rows = [line for line in shown.splitlines() if line.startswith(("good", "poor", "cut", "elsewhere"))]
    assert len(rows) == 4
    assert all("selected on test" in row and "A test" in row for row in rows if not row.startswith("elsewhere"))
    assert "B val" in rows[3] and "selected on val" in rows[3]
    assert "A  test set of list.txt: 21 images" in shown
    written = json.loads((tmp_path / "runs.json").read_text())
    assert [run["name"] for run in written["runs"]] == [row.split()[0] for row in rows]
    assert len(written["others"]) == 1


@pytest.mark.parametrize(("width", "heads"), [
    (200, "run model data epochs state best on accuracy loss size changed"),
    (100, "run model epochs state on accuracy loss"),
    (60, "run state on accuracy"),
])  # fmt: skip
def test_a_narrow_terminal_shows_what_tells_most(folder, width, heads):
    from eyas.verbs.runs import _table

    shown = _table(runs_in(folder).runs, width).columns
    assert " ".join(str(column.header) for column in shown) == heads


def test_a_folder_that_is_a_run_is_listed_alone_and_none_is_an_error(folder, tmp_path):
    assert [run.name for run in runs_in(folder / "good").runs] == ["good"]
    with pytest.raises(DataError, match="there is no such folder"):
        runs_in(tmp_path / "none")
    with pytest.raises(SettingsError, match="unknown; there are accuracy, loss, name, time"):
        runs_in(folder, sort="size")
    assert runs_in(tmp_path).runs == ()


def test_a_look_at_runs_does_not_load_torch(folder):
    code = f"import sys, eyas; print(len(eyas.runs({str(folder)!r}).runs), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["4", "False"]


def test_each_run_says_its_settings_that_not_all_share(folder, tmp_path, capsys):
    found = by_name(folder)
    assert found["poor"].differs == {"test": found["good"].differs["test"], "val": None, "lr": 1e-9, "epochs": 1}
    assert found["elsewhere"].differs == {"test": None, "val": "0.3", "lr": 0.05, "epochs": 1}
    assert main(["runs", str(folder), "--json", str(tmp_path / "runs.json")]) == 0
    said = capsys.readouterr().out
    assert "poor       differs: test=test/list.txt, val=-, lr=1e-09, epochs=1" in said
    listed = json.loads((tmp_path / "runs.json").read_text(encoding="utf-8"))["runs"]
    assert {run["name"]: run["differs"] for run in listed} == {run.name: run.differs for run in found.values()}


def test_a_single_run_differs_from_none(folder, capsys):
    assert runs_in(folder / "good").runs[0].differs == {}
    assert main(["runs", str(folder / "good")]) == 0
    assert "differs" not in capsys.readouterr().out


def test_paths_that_end_alike_are_said_whole(folder, pictures, tmp_path, capsys):
    for name in ("one", "other"):
        shutil.copytree(folder / "poor", tmp_path / "runs" / name)
    config = tmp_path / "runs" / "other" / "config.toml"
    train = pictures["train"]
    elsewhere = f"/elsewhere/{Path(train).parent.name}/{Path(train).name}"
    config.write_text(config.read_text(encoding="utf-8").replace(f'train = "{train}"', f'train = "{elsewhere}"'), "utf-8")
    assert main(["runs", str(tmp_path / "runs")]) == 0
    said = capsys.readouterr().out
    assert f"differs: train={elsewhere}" in said
    assert f"differs: train={train}" in said
