"""Loggers: every point, over crashes and resumes in one remote run; what goes wrong with them never concerns the training."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sample_run import finished, started, steps, whole

from eyas.config.training import OutputConfig
from eyas.errors import SettingsError
from eyas.sinks import open_sinks, remote
from eyas.sinks.remote import Remote, check_loggers
from eyas.sinks.service import Begun, Ended, Numbers
from eyas.training.events import Event

SETTINGS = (("lr", 0.05), ("model", "compact"), ("train", "/data/photos/train.txt"), ("clip_norm", None))


class Notes:
    """A service that notes down what it is told; `fails_at` says at which call it breaks."""

    name = "notes"

    def __init__(self, told: list[object], *, fails_at: str = "", hangs: threading.Event | None = None) -> None:
        self.told, self.fails_at, self.hangs = told, fails_at, hangs

    def _hear(self, what: str, said: object) -> None:
        if what == self.fails_at:
            raise ConnectionError(f"no {what}.\nand more")
        if self.hangs is not None:
            self.hangs.wait()
        self.told.append(said)

    def begin(self, begun: Begun, known: str | None) -> str:
        self._hear("begin", (begun, known))
        return known or "one"

    def place(self) -> str:
        return "run one, https://notes.example/one"

    def log(self, numbers: Numbers) -> None:
        self._hear("log", numbers)

    def end(self, ended: Ended) -> None:
        self._hear("end", ended)

    def close(self, *, finished: bool) -> None:
        self._hear("close", finished)


def hand(service: Notes, folder: Path, events: list[Event], *, log_model: bool = False, telling: bool = False) -> None:
    sink = Remote(service, folder, log_model=log_model, telling=telling)
    for event in events:
        sink.write(event)
    sink.close()
    sink.close()


def points(told: list[object]) -> list[tuple[str, int, float]]:
    numbers = [item for item in told if isinstance(item, Numbers)]
    return [(tag, item.at, value) for item in numbers for tag, value in item.values.items()]


def test_a_service_is_told_settings_points_and_the_classes_of_the_best_epoch(tmp_path):
    told: list[object] = []
    (tmp_path / "best.safetensors").write_bytes(b"x")
    hand(Notes(told), tmp_path, [started(tmp_path, settings=SETTINGS), *whole(tmp_path)[1:]], log_model=True)
    begun, known = told[0]
    assert known is None
    assert begun.settings == {"lr": 0.05, "model": "compact", "train": "train.txt", "clip_norm": None}
    curves = points(told)
    assert [at for tag, at, _ in curves if tag == "train/loss"] == [5, 10, 15, 20, 25, 30]
    assert [(at, value) for tag, at, value in curves if tag == "test/accuracy"] == [(1, 0.71), (2, 0.72), (3, 0.73)]
    assert [at for tag, at, _ in curves if tag == "best/test_accuracy"] == [1, 2]
    ended = told[-2]
    assert (ended.reason, ended.split, ended.model) == ("complete", "test", tmp_path / "best.safetensors")
    assert ended.classes[0] == ("cat", pytest.approx(0.72), pytest.approx(0.72), pytest.approx(0.72), 100)
    assert told[-1] is True


def test_the_run_and_its_address_are_told_in_one_line_where_that_is_wanted(tmp_path, capsys):
    hand(Notes([]), tmp_path, whole(tmp_path), telling=True)
    assert capsys.readouterr().err == "eyas: logging to notes: run one, https://notes.example/one\n"
    hand(Notes([]), tmp_path, whole(tmp_path), telling=False)
    assert capsys.readouterr().err == ""


def test_a_resume_goes_on_in_the_same_run_and_loses_no_point(tmp_path):
    once: list[object] = []
    (tmp_path / "one").mkdir()
    hand(Notes(once), tmp_path / "one", whole(tmp_path))
    told: list[object] = []
    # broken off in epoch 3 while the last state is of step 17: epoch 2 and two records are taken again
    hand(Notes(told), tmp_path, [started(tmp_path), *steps(1, 26)])
    assert told[-1] is False
    hand(Notes(told), tmp_path, [started(tmp_path, 17), *steps(18, 22)])
    hand(Notes(told), tmp_path, [started(tmp_path, 17), *steps(18, 30), finished()])
    assert [known for item in told if isinstance(item, tuple) for known in item[1:]] == [None, "one", "one"]
    assert list(dict.fromkeys(points(told))) == points(once)  # what is sent again, from the state on, is the same
    assert json.loads((tmp_path / "logged-notes.json").read_text()) == {"id": "one"}


def test_the_file_of_an_older_run_with_more_in_it_is_gone_on_with(tmp_path):
    (tmp_path / "logged-notes.json").write_text('{"id": "two", "train": 25, "epoch": 2}')
    told: list[object] = []
    hand(Notes(told), tmp_path, [started(tmp_path, 17), *steps(18, 30), finished()])
    assert told[0][1] == "two"
    assert [at for tag, at, _ in points(told) if tag == "train/loss"] == [20, 25, 30]


def test_an_id_that_is_damaged_begins_a_new_run(tmp_path):
    (tmp_path / "logged-notes.json").write_text("{")
    told: list[object] = []
    hand(Notes(told), tmp_path, whole(tmp_path))
    assert told[0][1] is None
    assert json.loads((tmp_path / "logged-notes.json").read_text())["id"] == "one"


@pytest.mark.parametrize("call", ["begin", "log", "end", "close"])
def test_a_service_that_fails_is_given_up_with_one_line(tmp_path, capsys, call):
    hand(Notes([], fails_at=call), tmp_path, whole(tmp_path))
    said = capsys.readouterr().err
    assert said == f"eyas: logging to notes has ended: no {call}. The run itself is not concerned.\n"


def test_a_service_that_hangs_delays_no_step_and_the_end_only_for_a_while(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(remote, "UNBEGUN", 0.2)
    let_go = threading.Event()
    told: list[object] = []
    hand(Notes(told, hangs=let_go), tmp_path, whole(tmp_path))  # comes back though the service still hangs
    assert told == []
    assert "did not answer in time" in capsys.readouterr().err
    let_go.set()


def test_a_service_that_is_too_slow_is_given_up_before_points_fill_the_memory(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(remote, "WAITING", 3)
    monkeypatch.setattr(remote, "UNBEGUN", 0.2)
    let_go = threading.Event()
    hand(Notes([], hangs=let_go), tmp_path, whole(tmp_path))
    assert "more slowly than they come" in capsys.readouterr().err
    let_go.set()


def test_what_is_asked_for_in_vain_is_told_before_the_training(monkeypatch):
    monkeypatch.setattr(remote, "find_spec", lambda name: None)
    check_loggers(OutputConfig())
    with pytest.raises(SettingsError, match=r"--wandb needs the library wandb: pip install 'eyas\[wandb\]'"):
        check_loggers(OutputConfig(wandb="p"))
    with pytest.raises(SettingsError, match=r"pip install 'eyas\[mlflow\]'"):
        check_loggers(OutputConfig(mlflow="p"))
    with pytest.raises(SettingsError, match="--log-model needs --wandb or --mlflow"):
        check_loggers(OutputConfig(log_model=True))


def test_a_folder_of_a_librarys_name_is_not_the_library(tmp_path, monkeypatch):
    (tmp_path / "no_such_library").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert remote.find_spec("no_such_library") is not None
    assert not remote.is_installed("no_such_library")
    assert remote.is_installed("numpy")


# The services themselves, where they write to files.

MODULES = {"WeightsAndBiases": "wandb", "MLflow": "mlflow"}
STORY = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from sample_run import finished, started, steps
from eyas.sinks import remote
from eyas.sinks.remote import Remote
from eyas.sinks.{module} import {service}
remote.UNBEGUN = remote.LAST = 500.0  # a busy machine takes a while for the library's import
folder = Path({folder!r})
(folder / "best.safetensors").write_bytes(b"weights")
for step, events in ((None, steps(1, 26)), (17, [*steps(18, 30), finished()])):
    sink = Remote({service}({project!r}), folder, log_model=True)
    for event in [started(folder, step or 0, settings={settings!r}), *events]:
        sink.write(event)
    sink.close()
print("done", "torch" in sys.modules)
"""


def run_story(folder: Path, service: str, project: str, monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    """Log a run that breaks off and goes on, in a process of its own; return what it says on stderr."""
    folder.mkdir()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    here = str(Path(__file__).parent)
    code = STORY.format(here=here, module=MODULES[service], service=service, folder=str(folder), project=project, settings=SETTINGS)  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=900, check=True)
    assert done.stdout.startswith("done")
    return done.stderr


def test_offline_files_of_wandb_hold_every_point_in_one_run(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    said = run_story(
        tmp_path / "run", "WeightsAndBiases", "me/birds", monkeypatch, WANDB_MODE="offline", HOME=str(tmp_path)
    )
    folders = sorted(str(folder) for folder in (tmp_path / "run" / "wandb").glob("offline-run-*"))
    lines = [f"eyas: logging to wandb: run run, offline; to send it: wandb sync {folder}" for folder in folders]
    assert sorted(said.splitlines()) == lines and lines
    records = [
        record
        for file in sorted((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))
        for record in wandb_records(file)
    ]
    runs = [record.run for record in records if record.HasField("run")]
    assert {(run.run_id, run.project, run.entity, run.display_name) for run in runs} == {
        (runs[0].run_id, "birds", "me", "run")
    }
    config = {update.key: json.loads(update.value_json) for update in runs[0].config.update}
    assert (config["lr"], config["train"]) == (0.05, "train.txt")
    history = [
        {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.HasField("history")
    ]
    losses = [(row["step"], row["train/loss"]) for row in history if "train/loss" in row]
    assert [step for step, _ in losses] == [5, 10, 15, 20, 25, 20, 25, 30]  # it broke off, and went on from step 17
    assert sorted(set(losses)) == [(step, pytest.approx(2.0 - step / 100)) for step in (5, 10, 15, 20, 25, 30)]
    assert sorted({row["epoch"] for row in history if "test/accuracy" in row}) == [1, 2, 3]
    assert [row for row in history if "test/classes" in row]
    assert [record.artifact.type for record in records if record.HasField("artifact")][-1] == "model"


def wandb_records(file: Path):
    """Yield the records of a file of W&B: after a head of 7 bytes the log format of LevelDB, in blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, parts = file.read_bytes(), 7, b""
    while place + 7 <= len(content):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        parts += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield Record.FromString(parts)
            parts = b""


def test_a_local_store_of_mlflow_holds_every_point_in_one_run(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    address = f"file:{tmp_path / 'store'}"
    said = run_story(
        tmp_path / "run", "MLflow", "birds", monkeypatch, MLFLOW_TRACKING_URI=address, MLFLOW_ALLOW_FILE_STORE="true"
    )
    assert said.splitlines() == 2 * [f"eyas: logging to mlflow: run run of experiment birds, {address}"]
    code = """
import json
from mlflow import MlflowClient
client = MlflowClient()
(run,) = client.search_runs([client.get_experiment_by_name("birds").experiment_id])
number = run.info.run_id
tags = ("train/loss", "test/accuracy", "best/test_accuracy", "test_f1/鸟")
curves = {tag: sorted({(point.step, point.value) for point in client.get_metric_history(number, tag)}) for tag in tags}
files = [item.path for part in ("", "model") for item in client.list_artifacts(number, part)]
table = open(client.download_artifacts(number, "test-classes.csv")).read()
print(json.dumps([run.info.status, run.info.run_name, run.data.params, curves, files, table]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    status, name, params, curves, files, table = json.loads(done.stdout)
    assert (status, name) == ("FINISHED", "run")
    assert params == {"lr": "0.05", "model": "compact", "train": "train.txt"}
    assert curves["train/loss"] == [[step, pytest.approx(2.0 - step / 100)] for step in (5, 10, 15, 20, 25, 30)]
    assert [step for step, _ in curves["test/accuracy"]] == [step for step, _ in curves["test_f1/鸟"]] == [1, 2, 3]
    assert [step for step, _ in curves["best/test_accuracy"]] == [1, 2]
    assert set(files) == {"model", "test-classes.csv", "model/best.safetensors"}
    assert table.splitlines()[0] == "class,precision,recall,f1,samples"


def test_wandb_without_a_login_asks_nothing_and_the_run_goes_on(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    said = run_story(
        tmp_path / "run", "WeightsAndBiases", "birds", monkeypatch, HOME=str(tmp_path), NETRC=str(tmp_path / "none")
    )
    assert said.count("eyas: logging to wandb has ended") == 2  # of the run, and of its resume
    assert len(said.splitlines()) == 2


def test_only_what_is_asked_for_is_opened(tmp_path):
    with open_sinks(tmp_path, OutputConfig(view="none"), resumed_step=None) as sinks:
        assert not [sink for sink in sinks.sinks if isinstance(sink, Remote)]
