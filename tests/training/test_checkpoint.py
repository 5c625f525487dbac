"""Saved states: what is found, what is refused, what is said; and files that are whole or not there."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.runs import assert_same_run, config_of, run_fit

from eyas.errors import CheckpointError, EyasError, FileError, SettingsError, TrainingError
from eyas.files.atomic import write_bytes
from eyas.files.tensors import read_tensors, write_tensors
from eyas.training.checkpoint import EARLIER, STATE, newest_state
from eyas.training.events import Event, Finished, Noted, Saved, Trained
from eyas.training.fingerprint import changes


@pytest.fixture(scope="module")
def stopped(pictures, tmp_path_factory) -> Path:
    """A run that was stopped at step 6 of 12, in its second epoch, after two saves."""
    directory = tmp_path_factory.mktemp("stopped") / "run"
    events = run_fit(config_of(pictures), directory, stop_at=lambda e: isinstance(e, Trained) and e.step == 6)
    assert events[-1].reason == "interrupted"
    return directory


@pytest.fixture
def cut(stopped, tmp_path) -> Path:
    """A copy of it, to damage."""
    return Path(shutil.copytree(stopped, tmp_path / "cut"))


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def test_the_newest_state_is_used_and_the_one_before_is_kept(cut):
    _, header, notes = newest_state(cut)
    assert header["state"]["step"] == 6
    assert notes == ()
    assert read_tensors(cut / EARLIER, "state")[1]["state"]["step"] == 4


def test_where_nothing_was_saved_there_is_no_state(tmp_path):
    assert newest_state(tmp_path) is None


@pytest.mark.parametrize("how", ["flipped", "cut", "empty", "gone"])
def test_a_damaged_newest_state_is_named_and_the_one_before_is_used(pictures, stopped, cut, how, tmp_path):
    newest = cut / STATE
    if how == "flipped":
        damage(newest)
    elif how == "gone":
        newest.unlink()
    else:
        newest.write_bytes(b"" if how == "empty" else newest.read_bytes()[:1000])
    events = run_fit(config_of(pictures), cut, resuming=True)
    warnings = [event.message for event in events if isinstance(event, Noted) and event.warning]
    if how != "gone":
        assert len(warnings) == 1
        assert str(newest) in warnings[0]
        assert "The state saved before it is used." in warnings[0]
    assert events[0].step == 4
    whole = Path(shutil.copytree(stopped, tmp_path / "whole"))
    run_fit(config_of(pictures), whole, resuming=True)
    assert_same_run(cut, whole)


def test_where_no_state_is_whole_the_run_does_not_silently_begin_anew(pictures, cut):
    damage(cut / STATE)
    damage(cut / EARLIER)
    before = {path.name: path.stat().st_mtime_ns for path in cut.iterdir()}
    with pytest.raises(CheckpointError, match="no saved state is whole") as error:
        run_fit(config_of(pictures), cut, resuming=True)
    assert STATE in str(error.value)
    assert {path.name: path.stat().st_mtime_ns for path in cut.iterdir()} == before


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"lr": 0.04}, "lr: was 0.05, is 0.04"),
        ({"batch_size": 8}, "batch_size: was 16, is 8"),
        ({"seed": 1}, "seed: was 0, is 1"),
        ({"model": "resnet18", "size": 32}, "model: was 'compact', is 'resnet18'"),
        ({"size": 24}, "preprocess size: was 16, is 24"),
        ({"mean": (0.5, 0.5, 0.5)}, "preprocess mean: was [0.485, 0.456, 0.406], is [0.5, 0.5, 0.5]"),
        ({"flip": 0.0}, "flip: was 0.5, is 0.0"),
        ({"precision": "bf16"}, "precision: was 'fp32', is 'bf16'"),
        ({"optimizer": "adam"}, "optimizer: was 'sgd', is 'adam'"),
        ({"schedule": "cosine"}, "schedule: was 'constant', is 'cosine'"),
        ({"test": None}, "selects on: was 'test', is None"),
        ({"val": "0.2"}, "selects on: was 'test', is 'val'"),
        ({"ema": 0.9}, "ema: was 0.0, is 0.9"),
        ({"label_smoothing": 0.1}, "label_smoothing: was 0.0, is 0.1"),
    ],
)
def test_changed_settings_are_refused_with_what_changed(pictures, stopped, given, words):
    with pytest.raises(SettingsError, match="cannot go on") as error:
        run_fit(config_of(pictures, **given), stopped, resuming=True)
    assert words in str(error.value)


def test_changed_data_is_refused_with_what_changed(pictures, cut, tmp_path):
    lines = Path(pictures["train"]).read_text().splitlines()
    shutil.copytree(Path(pictures["train"]).parent, tmp_path / "train")
    listed = tmp_path / "train" / "list.txt"
    for changed in (lines[:-1], [*lines[1:], lines[0]], [*lines[:-1], lines[-1].replace("blue\n", "red")[:-4] + "red"]):
        listed.write_text("\n".join(changed) + "\n")
        with pytest.raises(SettingsError, match="training data: its images or labels"):
            run_fit(config_of(pictures, train=str(listed)), cut, resuming=True)


def test_another_order_of_the_classes_is_refused(pictures, cut, tmp_path):
    (tmp_path / "classes.txt").write_text("red\ngreen\nblue\n")
    with pytest.raises(SettingsError, match=r"classes: was \['blue', 'green', 'red'\], is \['red', 'green', 'blue'\]"):
        run_fit(config_of(pictures, classes=str(tmp_path / "classes.txt")), cut, resuming=True)


def test_the_same_data_in_another_folder_goes_on(pictures, cut, tmp_path):
    for split in ("train", "test"):
        shutil.copytree(Path(pictures[split]).parent, tmp_path / split)
    moved = {split: str(tmp_path / split / "list.txt") for split in ("train", "test")}
    assert run_fit(config_of(pictures, **moved), cut, resuming=True)[-1].reason == "complete"


@pytest.mark.parametrize("given", [{"log_every": 3}, {"workers": 2, "cache": "none"}, {"keep": 1}, {"epochs": 2}])
def test_what_changes_no_result_may_be_changed(pictures, cut, given):
    events = run_fit(config_of(pictures, **given), cut, resuming=True)
    assert events[-1].reason == "complete"
    assert not [event for event in events if isinstance(event, Noted)]


def test_another_environment_is_noted(pictures, cut):
    tensors, header = read_tensors(cut / STATE, "state")
    threads = header["environment"]["threads"]
    header["environment"] |= {"torch": "2.10.0", "device": "cuda"}
    write_tensors(cut / STATE, "state", tensors, {key: header[key] for key in ("state", "fingerprint", "environment")})
    events = run_fit(config_of(pictures), cut, resuming=True)
    notes = [event.message for event in events if isinstance(event, Noted)]
    assert sorted(notes) == [
        "Resumed with device cpu instead of cuda: right, but not to the last bit.",
        f"Resumed with torch {torch.__version__} instead of 2.10.0: right, but not to the last bit.",
    ]
    assert threads == str(torch.get_num_threads())


def test_a_run_that_diverges_stops_and_saves_nothing_that_is_not_finite(pictures, tmp_path):
    with pytest.raises(TrainingError, match=r"step \d+: .*(loss|finite)") as error:
        run_fit(config_of(pictures, lr=1e20), tmp_path / "run")
    assert "lower --lr" in str(error.value)
    for path in (tmp_path / "run").rglob("*.safetensors"):
        kind = "state" if path.name.startswith("state") else "model"
        assert all(tensor.isfinite().all() for tensor in read_tensors(path, kind)[0].values())


def test_states_are_saved_within_an_epoch_where_asked(pictures, tmp_path):
    events = run_fit(config_of(pictures, epochs=1, save_minutes=1e-6), tmp_path / "run")
    assert [event.step for event in events if isinstance(event, Saved) and event.kind == "state"] == [1, 2, 3, 4]
    events = run_fit(config_of(pictures, epochs=1, save_minutes=0), tmp_path / "never")
    assert [event.step for event in events if isinstance(event, Saved) and event.kind == "state"] == [4]


@pytest.mark.parametrize(("keep", "left"), [(0, [1, 2, 3]), (1, [3]), (2, [2, 3]), (9, [1, 2, 3])])
def test_the_newest_epochs_are_kept_and_best_and_last_stay(pictures, tmp_path, keep, left):
    events = run_fit(config_of(pictures, keep=keep), tmp_path / "run")
    assert isinstance(events[-1], Finished)
    names = sorted(path.name for path in (tmp_path / "run" / "epochs").iterdir())
    assert names == [f"epoch-{number:03d}.safetensors" for number in left]
    for name, epoch in (("best", events[-1].best_epoch), ("last", 3)):
        _, header = read_tensors(tmp_path / "run" / f"{name}.safetensors", "model")
        assert header["facts"]["epoch"] == epoch


# Files are whole or not there.


def write_model(path: Path) -> None:
    write_tensors(path, "model", {"a": torch.zeros(100_000)}, {})


def write_plain(path: Path) -> None:
    write_bytes(path, bytes(400_000))


WRITES: list[Any] = [write_model, write_plain]


@pytest.mark.parametrize("write", WRITES)
def test_a_place_that_cannot_be_written_is_named_and_left_as_it_was(write, tmp_path):
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside").touch()
    for target in (tmp_path / "file" / "new", tmp_path / "folder", tmp_path / "none" / "new"):
        with pytest.raises(FileError) as error:
            write(target)
        assert str(error.value).startswith(f"{target}: cannot be written: ")
        assert "\n" not in str(error.value)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "file",
        "folder",
        "folder/inside",
    ]


@contextmanager
def full_disk(size: int = 100_000) -> Iterator[None]:
    """No file of this process may grow larger than `size` inside: the kernel refuses as on a full disk."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


@pytest.mark.parametrize("write", WRITES)
def test_a_disk_that_is_full_leaves_the_old_file_and_nothing_half_written(write, tmp_path):
    target = tmp_path / "file"
    target.write_text("what was there before")
    with full_disk(), pytest.raises(FileError, match=r"file: cannot be written: "):
        write(target)
    assert target.read_text() == "what was there before"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_run_whose_disk_fills_up_names_the_file_and_goes_on_once_there_is_room(pictures, tmp_path):
    run = tmp_path / "run"
    with ExitStack() as stack:

        def fill(event: Event) -> bool:
            if isinstance(event, Saved) and event.kind == "state" and event.step == 4:
                stack.enter_context(full_disk())
            return False

        with pytest.raises(FileError, match=r"epoch-002\.safetensors: cannot be written: "):
            run_fit(config_of(pictures), run, stop_at=fill)
    assert newest_state(run)[1]["state"]["step"] == 4
    assert not list(run.rglob(".tmp-*"))
    run_fit(config_of(pictures), run, resuming=True)
    run_fit(config_of(pictures), tmp_path / "uncut")
    assert_same_run(run, tmp_path / "uncut")


def test_every_error_of_a_file_is_one_of_ours():
    assert issubclass(FileError, EyasError)
    assert FileError.exit_code == 74


def test_a_run_in_fp16_goes_on_with_its_scale(pictures, tmp_path):
    config = config_of(pictures, precision="fp16", epochs=2)
    run_fit(config, tmp_path / "uncut")
    run_fit(config, tmp_path / "cut", stop_at=lambda event: isinstance(event, Trained) and event.step == 3)
    run_fit(config, tmp_path / "cut", resuming=True)
    assert_same_run(tmp_path / "cut", tmp_path / "uncut")
    scale = read_tensors(tmp_path / "cut" / STATE, "state")[1]["state"]["scaler"]
    assert scale["_growth_tracker"] == 8  # steps of both parts


def test_a_network_whose_layers_ask_for_their_version_is_resumed_with_its_average(pictures, tmp_path):
    """MNASNet refuses a state dict without versions, and a file of tensors holds none."""
    config = config_of(pictures, model="mnasnet0_5", size=32, epochs=1, ema=0.9, lr=1e-4)
    run_fit(config, tmp_path / "run")
    longer = config_of(pictures, model="mnasnet0_5", size=32, epochs=2, ema=0.9, lr=1e-4)
    assert run_fit(longer, tmp_path / "run", resuming=True)[-1].epoch == 2


def test_a_setting_that_an_earlier_version_did_not_have_stood_at_its_default():
    now = {"lr": 0.1, "label_smoothing": 0.0, "test data": "a"}
    assert changes({"lr": 0.1, "test data": "a"}, now) == []
    assert changes({"lr": 0.1, "test data": "a"}, {**now, "label_smoothing": 0.1}) == ["  label_smoothing: was 0.0, is 0.1"]
    assert changes({"lr": 0.1}, now) == ["  test data: there was none, there is one now"]
    assert changes(now, {"lr": 0.1, "label_smoothing": 0.0}) == ["  test data: there was one, there is none now"]
