"""A run folder from first to last, in Python and as the command does it."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import eyas
from eyas.cli import main
from eyas.config.flags import parse_config
from eyas.config.run_config import make_config
from eyas.config.training import DeviceConfig
from eyas.device.runtime import open_runtime, stoppable
from eyas.errors import CheckpointError, DataError, RunInUseError, SettingsError
from eyas.files.atomic import folder_lock
from eyas.run_folder.record import read_answers
from eyas.training.events import Evaluated
from tests.runs import QUICK, assert_same_run, config_of, run_fit

SETTINGS = {**QUICK, "epochs": 2, "view": "none"}


def train(pictures: dict[str, str], out: Path, **given: Any) -> eyas.Run:
    return eyas.train(pictures["train"], **{**SETTINGS, "test": pictures["test"], "out": out, **given})


def flags(**given: Any) -> list[str]:
    return [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]


def seen(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


@pytest.fixture(scope="module")
def complete(pictures, tmp_path_factory) -> eyas.Run:
    """A run of two epochs."""
    return train(pictures, tmp_path_factory.mktemp("complete") / "run")


@pytest.fixture
def copied(complete, tmp_path) -> Path:
    """A copy of it, to go on with."""
    return Path(shutil.copytree(complete.directory, tmp_path / "run"))


# What a run gives.


def test_a_run_gives_its_best_and_last_classifier_and_its_history(complete, pictures):
    assert (complete.finished.reason, complete.finished.step, complete.finished.epoch) == ("complete", 8, 2)
    assert complete.best.facts["epoch"] == complete.finished.best_epoch
    assert complete.last.facts["epoch"] == 2
    assert complete.best.classes == ("blue", "green", "red")
    assert [row["epoch"] for row in complete.history] == ["1", "2"]
    scores, _ = eyas.evaluate(complete.directory, pictures["test"])
    assert float(complete.history[complete.finished.best_epoch - 1]["test_accuracy"]) == scores.accuracy
    assert complete.best.facts["scores"]["test"]["accuracy"] == scores.accuracy == complete.finished.best_value


def test_without_a_set_a_run_is_measured_on_its_own(complete, pictures, tmp_path, capsys):
    assert main(["evaluate", str(complete.directory), "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "the run's own test set" in said and f"{100 * complete.finished.best_value:.2f} %" in said
    shared = train(pictures, tmp_path / "shared", test=None, val=0.25, seed=3, epochs=1)
    for model in (shared.directory, shared.directory / "epochs" / "epoch-001.safetensors"):
        scores, images = eyas.evaluate(model)
        told = shared.best.facts["scores"]["val"]
        assert (scores.count, scores.correct, scores.loss) == (told["count"], told["correct"], told["loss"])
        assert images.notes[0] == "the run's own validation set"
        assert images.fingerprint() == read_answers(shared.directory, 1)["val"].samples
    shutil.copy(shared.directory / "best.safetensors", tmp_path / "alone.safetensors")
    with pytest.raises(SettingsError, match=r"Which set\? .*alone\.safetensors lies in no run folder"):
        eyas.evaluate(tmp_path / "alone.safetensors")
    bare = train(pictures, tmp_path / "bare", test=None, epochs=1)
    with pytest.raises(SettingsError, match=r"Which set\? The run had none"):
        eyas.evaluate(bare.directory)


def test_a_run_folder_holds_all_that_is_promised_and_nothing_temporary(complete):
    names = {path.name for path in complete.directory.iterdir()}
    assert names >= {
        "config.toml", "events.jsonl", "metrics.csv", "tensorboard", "epochs", "best.safetensors", "last.safetensors",
        "state.safetensors",
    }  # fmt: skip
    assert {path.name for path in (complete.directory / "epochs").iterdir()} == {
        "epoch-001.safetensors", "epoch-002.safetensors",
    }  # fmt: skip
    assert not list(complete.directory.rglob(".tmp-*"))


def test_the_settings_in_the_folder_repeat_the_run(complete, tmp_path):
    config = complete.directory / "config.toml"
    again = eyas.train(config=config, out=tmp_path / "again")
    assert_same_run(again.directory, complete.directory)
    assert parse_config(["--config", str(config)]) == make_config(file=config)


def test_the_command_makes_the_same_run(complete, pictures, tmp_path):
    assert main(["train", pictures["train"], *flags(**SETTINGS, test=pictures["test"], out=tmp_path / "run")]) == 0
    assert_same_run(tmp_path / "run", complete.directory)


def test_a_mistyped_keyword_is_answered_with_the_nearest(pictures):
    with pytest.raises(SettingsError, match=r"epoch: there is no such setting\. Did you mean 'epochs'"):
        eyas.train(pictures["train"], epoch=3)


def test_without_a_folder_a_new_one_is_made_under_runs_each_time(pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        run = train(pictures, None, epochs=1)
        assert run.directory == Path("runs") / f"compact-list-{number}"
        assert run.last.facts["epoch"] == 1


# Which set selects.


def test_without_a_test_set_the_last_epoch_is_the_best_and_it_is_said(pictures, tmp_path, capsys):
    run = train(pictures, tmp_path / "run", test=None, view="plain")
    assert run.best.facts["epoch"] == run.last.facts["epoch"] == 2
    assert run.finished.best_epoch is None
    printed = capsys.readouterr().out
    assert "none given: accuracy is not measured (--test, --val)" in printed
    assert "selected on" not in printed
    assert [row["test_accuracy"] for row in run.history] == ["", ""]


def test_a_number_that_was_selected_on_the_test_set_is_called_so(pictures, tmp_path, capsys):
    run = train(pictures, tmp_path / "run", view="plain")
    assert run.finished.selects_on == "test"
    assert run.best.facts["selects_on"] == "test"
    printed = capsys.readouterr().out
    assert "selected on test" in printed
    assert "--val 0.1" in printed


def test_a_share_of_the_training_set_selects_where_asked(pictures, tmp_path, capsys):
    run = train(pictures, tmp_path / "run", val=0.2, view="plain")
    assert run.finished.selects_on == "val"
    assert run.best.facts["train"]["count"] == 45
    assert run.best.facts["scores"]["val"]["count"] == 11
    assert run.best.facts["scores"]["test"]["count"] == 21
    assert run.finished.best_value == run.best.facts["scores"]["val"]["accuracy"]
    printed = capsys.readouterr().out
    assert "selected on val" in printed
    assert "selected on test" not in printed


def test_a_validation_set_of_its_own_selects(pictures, tmp_path):
    events = run_fit(config_of(pictures, val=pictures["test"], test=None, epochs=1), tmp_path / "run")
    assert events[-1].selects_on == "val"
    assert eyas.Classifier.load(tmp_path / "run").facts["scores"].keys() == {"val"}


@pytest.mark.parametrize("given", [{"patience": 1}, {"overfit_patience": 1}, {"plateau": 1}])
def test_what_watches_a_result_needs_a_set_to_measure_on(pictures, tmp_path, given):
    with pytest.raises(SettingsError, match=r"need --test or --val"):
        train(pictures, tmp_path / "run", test=None, **given)
    assert not (tmp_path / "run").exists()


def test_the_lowest_loss_selects_where_asked(pictures, tmp_path):
    events = run_fit(config_of(pictures, select="loss"), tmp_path / "run")
    losses = [event.scores.loss for event in events if isinstance(event, Evaluated)]
    assert events[-1].best_epoch == 1 + losses.index(min(losses))
    assert events[-1].best_value == min(losses)


# Folders that are in use, and runs that cannot begin.


def test_a_folder_that_holds_a_run_is_refused_and_untouched(copied, pictures, capsys):
    before = seen(copied)
    with pytest.raises(RunInUseError, match="holds a run already"):
        train(pictures, copied)
    assert main(["train", pictures["train"], *flags(out=copied)]) == 73
    assert f"eyas resume {copied}" in capsys.readouterr().err
    assert seen(copied) == before


@pytest.mark.parametrize("left", ["config.toml", "state.safetensors", "epochs/epoch-001.safetensors", "events.jsonl"])
def test_what_is_left_of_a_run_is_not_overwritten_either(complete, pictures, tmp_path, left):
    (tmp_path / "run" / left).parent.mkdir(parents=True)
    shutil.copy(complete.directory / left, tmp_path / "run" / left)
    with pytest.raises(RunInUseError):
        train(pictures, tmp_path / "run")


def test_a_file_in_the_folders_place_is_named(pictures, tmp_path):
    (tmp_path / "run").write_text("precious")
    with pytest.raises(SettingsError, match=r"run: is a file; a folder is needed"):
        train(pictures, tmp_path / "run")
    assert (tmp_path / "run").read_text() == "precious"


def test_other_files_in_the_folder_stay(pictures, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    train(pictures, tmp_path / "run", epochs=1)
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_two_runs_in_one_folder_at_once_are_refused_by_the_holders_name(copied, pictures, tmp_path):
    with (
        folder_lock(copied),
        pytest.raises(RunInUseError, match=rf"another eyas is writing .*process {os.getpid()} on"),
    ):
        eyas.resume(copied, epochs=5)
    (tmp_path / "new").mkdir()
    with folder_lock(tmp_path / "new"), pytest.raises(RunInUseError):
        train(pictures, tmp_path / "new")
    assert [path.name for path in (tmp_path / "new").iterdir()] == [".lock"]
    assert eyas.resume(copied, epochs=3).finished.epoch == 3  # the lock is free again by itself


@pytest.mark.parametrize(
    "given",
    [
        {"model": "alexnet", "size": 20},
        {"test": "no-such-list.txt"},
        {"val": "1.5"},
        {"batch_size": 57, "drop_last": True},
        {"device": "cuda:99"},
        {"weights": "none.safetensors"},
    ],
)
def test_a_run_that_cannot_begin_leaves_no_folder(pictures, tmp_path, given):
    with pytest.raises(eyas.EyasError):
        train(pictures, tmp_path / "deep" / "run", **given)
    assert not (tmp_path / "deep" / "run").exists()


def test_a_folder_that_was_there_stays_when_the_run_cannot_begin(pictures, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(SettingsError):
        train(pictures, tmp_path / "run", model="alexnet", size=20)
    assert {path.name for path in (tmp_path / "run").iterdir()} <= {"notes.txt", ".lock"}


# Going on.


def test_a_complete_run_is_left_as_it_is_and_said_to_be_complete(complete, capsys):
    before = seen(complete.directory)
    assert eyas.resume(complete.directory) is None
    assert eyas.resume(complete.directory / "last.safetensors") is None  # RUN may be a file in it
    assert main(["resume", str(complete.directory)]) == 0
    assert "is complete; nothing was changed" in capsys.readouterr().out
    assert seen(complete.directory) == before


def test_a_folder_without_a_run_is_no_silent_fresh_start(tmp_path, capsys):
    with pytest.raises(SettingsError, match="holds no run"):
        eyas.resume(tmp_path)
    assert main(["resume", str(tmp_path / "none")]) == 2
    assert "Begin one with `eyas train`" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_run_goes_on_to_more_epochs_as_if_they_had_been_asked_for_at_once(copied, pictures, tmp_path):
    longer = eyas.resume(copied, epochs=4)
    assert (longer.finished.reason, longer.finished.epoch) == ("complete", 4)
    assert [row["epoch"] for row in longer.history] == ["1", "2", "3", "4"]
    assert make_config(file=copied / "config.toml").training.epochs == 4
    run_fit(config_of(pictures, epochs=4), tmp_path / "long")
    assert_same_run(copied, tmp_path / "long")
    assert eyas.resume(copied) is None


def test_an_older_run_folder_with_what_is_gone_since_can_be_used_and_goes_on(copied, pictures):
    with (copied / "config.toml").open("a", encoding="utf-8") as settings:  # its last section is [output]
        settings.write("graph = false\n")
    (copied / "charts").mkdir()
    (copied / "charts" / "curves.svg").write_text("<svg/>")
    assert eyas.resume(copied, epochs=3).finished.epoch == 3
    assert "graph" not in (copied / "config.toml").read_text()
    assert (copied / "charts" / "curves.svg").read_text() == "<svg/>"
    with (copied / "config.toml").open("a", encoding="utf-8") as settings:
        settings.write("graph = false\n")
    assert main(["report", str(copied)]) == 0
    assert main(["evaluate", str(copied), "--device", "cpu"]) == 0
    assert main(["runs", str(copied)]) == 0


def test_fewer_epochs_than_are_trained_are_refused(copied):
    with pytest.raises(SettingsError, match=r"--epochs 1: 2 are trained already.*epoch-001\.safetensors"):
        eyas.resume(copied, epochs=1)


def test_a_moved_run_folder_goes_on(copied, tmp_path):
    moved = copied.rename(tmp_path / "renamed")
    assert eyas.resume(moved, epochs=3).directory == moved


def test_a_run_with_relative_paths_goes_on_from_anywhere(pictures, tmp_path, monkeypatch):
    data = tmp_path / "data"
    for split in ("train", "test"):
        shutil.copytree(Path(pictures[split]).parent, data / split)
    monkeypatch.chdir(data)
    eyas.train("train/list.txt", **{**SETTINGS, "test": "test/list.txt", "epochs": 1, "out": "../run"})
    monkeypatch.chdir("/")
    assert eyas.resume(tmp_path / "run", epochs=2).finished.epoch == 2


def test_data_that_is_gone_is_named(pictures, tmp_path):
    shutil.copytree(Path(pictures["train"]).parent, tmp_path / "data")
    train({"train": str(tmp_path / "data" / "list.txt"), "test": pictures["test"]}, tmp_path / "run", epochs=1)
    shutil.rmtree(tmp_path / "data")
    with pytest.raises(DataError, match=r"data/list\.txt"):
        eyas.resume(tmp_path / "run", epochs=2)


def test_a_cosine_is_stretched_only_where_that_is_said(pictures, tmp_path):
    run = train(pictures, tmp_path / "run", schedule="cosine")
    before = seen(run.directory)
    with pytest.raises(SettingsError, match=r"--epochs 4: .*cosine.*--stretch-schedule"):
        eyas.resume(run.directory, epochs=4)
    assert seen(run.directory) == before
    longer = eyas.resume(run.directory, epochs=4, stretch_schedule=True)
    rates = [float(row["lr"]) for row in longer.history]
    assert longer.finished.epoch == 4
    assert rates[1] < rates[2]  # the course of four epochs, from its middle
    assert 0 < rates[3] < rates[2]
    assert eyas.resume(run.directory) is None


def test_the_summary_after_a_resume_shows_the_best_models_scores_on_every_split(pictures, tmp_path, capsys):
    pytest.importorskip("timm", minversion="1.0.11")
    frozen = {"lr": 1e-12, "model": "timm/test_convnext", "size": 32, "view": "plain"}
    run = train(pictures, tmp_path / "run", epochs=1, val=pictures["train"], **frozen)
    eyas.resume(run.directory, epochs=2)
    said = capsys.readouterr().out.rpartition("Done: 2 of 2 epochs.")[2]
    best, _, last = said.partition("final epoch")
    assert last.split()[0] == "2", "the second epoch is no better than the first"
    assert "1, selected on val by accuracy; measured before the resume" in best
    for split, scores in run.best.facts["scores"].items():
        assert f"{split} accuracy {100 * scores['accuracy']:.2f} %" in " ".join(best.split())
    assert "Classes on test, epoch 1 (best)" in said


def test_a_run_that_stalled_stays_stopped_until_more_is_asked_for(pictures, tmp_path):
    pytest.importorskip("timm", minversion="1.0.11")
    run = train(pictures, tmp_path / "run", epochs=9, patience=2, lr=1e-12, model="timm/test_convnext", size=32)
    assert (run.finished.reason, run.finished.epoch) == ("stalled", 3)
    before = seen(run.directory)
    assert eyas.resume(run.directory) is None
    assert seen(run.directory) == before
    again = eyas.resume(run.directory, patience=3)
    assert (again.finished.reason, again.finished.epoch) == ("stalled", 4)
    whole = eyas.resume(run.directory, epochs=5, patience=0)
    assert (whole.finished.reason, whole.finished.epoch) == ("complete", 5)
    assert make_config(file=run.directory / "config.toml").training.patience == 0


def test_a_config_that_was_damaged_is_named(copied):
    (copied / "config.toml").write_text("[optim\n")
    with pytest.raises(SettingsError, match=r"config\.toml: is no valid TOML"):
        eyas.resume(copied, epochs=3)


def test_states_that_are_all_damaged_are_an_error_and_no_fresh_start(copied):
    for name in ("state.safetensors", "state-earlier.safetensors"):
        (copied / name).write_bytes(b"")
    before = seen(copied)
    with pytest.raises(CheckpointError, match="no saved state is whole"):
        eyas.resume(copied, epochs=3)
    assert seen(copied) == before


# Being stopped.


def when_training(folder: Path, number: int) -> threading.Thread:
    """Send this process a signal once a run in `folder` has written its first epoch."""

    def watch() -> None:
        while not (folder / "epochs" / "epoch-001.safetensors").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_exactly_prints_the_command_and_the_run_goes_on(pictures, tmp_path, capsys, number):
    run = tmp_path / "my run"
    given = {**SETTINGS, "epochs": 500, "channels_last": "off", "view": "plain", "test": pictures["test"], "out": run}
    watching = when_training(run, number)
    assert main(["train", pictures["train"], *flags(**given)]) == 75
    watching.join()
    assert f"go on with:  eyas resume '{run}'" in capsys.readouterr().out
    done = eyas.Classifier.load(run / "last.safetensors").facts["epoch"]
    finished = eyas.resume(run, epochs=done + 1).finished
    assert (finished.reason, finished.epoch) == ("complete", done + 1)
    run_fit(config_of(pictures, epochs=done + 1), tmp_path / "uncut")
    assert_same_run(run, tmp_path / "uncut")


def test_a_second_signal_is_answered_at_once():
    with open_runtime(DeviceConfig(device="cpu")) as runtime:
        with stoppable(runtime):
            signal.raise_signal(signal.SIGINT)  # in this very thread: a kill may meet another one
            assert runtime.stop_requested
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_run_in_another_thread_leaves_signals_to_their_owner(pictures, tmp_path):
    runs: list[eyas.Run] = []
    usual = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=lambda: runs.append(train(pictures, tmp_path / "run", epochs=1)))
    thread.start()
    thread.join()
    assert runs[0].finished.reason == "complete"
    assert signal.getsignal(signal.SIGINT) is usual


def test_an_early_run_can_be_used_while_it_is_not_complete(pictures, tmp_path):
    run = train(pictures, tmp_path / "run", epochs=1)
    answer = run.best.predict(torch.zeros(3, 20, 20, dtype=torch.uint8))
    assert answer.label in ("red", "green", "blue")


def test_a_named_set_stays_a_name_where_a_folder_is_called_like_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("digits", "0.1"):
        (tmp_path / name).mkdir()
    eyas.train("digits", val=0.1, model="compact", size=8, epochs=1, device="cpu", view="none", out="run")
    assert eyas.resume("run", epochs=2).finished.epoch == 2


def test_weights_of_an_eyas_model_bring_their_preprocessing(pictures, tmp_path):
    first = {"model": "compact", "size": 24, "resize": "pad", "mean": (0.5, 0.4, 0.3), "epochs": 1, "device": "cpu"}
    data = {"train": pictures["train"], "test": pictures["test"], "view": "none"}
    run = eyas.train(**data, **first, out=tmp_path / "first")
    weights = tmp_path / "first" / "best.safetensors"
    tuned = eyas.train(**data, model="compact", weights=weights, epochs=1, device="cpu", out=tmp_path / "tuned")
    assert tuned.best.preprocess == run.best.preprocess
    weights.unlink()  # the settings saved with the run carry the preprocessing: the file is needed no more
    assert eyas.resume(tmp_path / "tuned", epochs=2).finished.reason == "complete"
