"""The command: exit codes, and one message with the place and the remedy for every mistake."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from eyas import Classifier
from eyas.cli import COMMANDS, main
from eyas.data.images.preprocess import Preprocess
from eyas.model.zoo import build

QUICK = ["--model", "compact", "--size", "16", "--epochs", "1", "--device", "cpu", "--view", "none"]


class Told:
    """What a command returned and wrote to stderr."""

    def __init__(self, code: int, text: str) -> None:
        self.code, self.text = code, text


@pytest.fixture
def told(capsys, tmp_path, monkeypatch):
    """Run a command in an empty folder; its message is checked to be one of ours, without a traceback."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Told:
        code = main([str(argument) for argument in arguments])
        text = capsys.readouterr().err
        assert "Traceback" not in text
        assert text.startswith("eyas: "), text
        return Told(code, text.removeprefix("eyas: "))

    return run


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """The file of an untrained model of three classes."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    Classifier(build("compact", 3), "compact", ("blue", "green", "red"), Preprocess(16)).save(path)
    return path


def copy_of(pictures: dict[str, str], folder: Path) -> Path:
    """A training list of its own, to spoil."""
    shutil.copytree(Path(pictures["train"]).parent, folder)
    return folder / "list.txt"


# Words of the command itself.


def test_without_a_command_all_are_listed(capsys):
    assert main([]) == 2
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {command} " in printed for command in COMMANDS)


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("eyas 0.")


def test_a_mistyped_command_is_answered_with_the_nearest(told):
    answer = told("trian", "list.txt")
    assert answer.code == 2
    assert answer.text == "There is no command 'trian'. Did you mean 'train'? See `eyas --help`.\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    usage = capsys.readouterr().out.splitlines()[0]
    assert f"usage: eyas {command}" in usage
    assert "STR" not in re.sub(r"\[--\S+ [^]]*\]", "", usage), "what a command is given has a name of its own"


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [(["train", "x.txt", "--epoch", "3"], "--epochs"), (["evaluate", "r", "d", "--bach-size", "3"], "--batch-size")],
)
def test_a_mistyped_flag_is_answered_with_the_nearest(arguments, nearest, capsys):
    assert main(arguments) == 2
    assert nearest in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--epochs", "many"], ["--optimizer", "sdg"], ["--lr"]])
def test_a_value_of_another_type_is_refused_with_its_flag(arguments, capsys):
    assert main(["train", "x.txt", *arguments]) == 2
    assert f"eyas: {arguments[0]}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        ("--batch-size", "0", "must be greater than or equal to 1."),
        ("--lr", "-1", "must be greater than 0."),
        ("--lr", "nan", "finite number"),
        ("--flip", "2", "must be less than or equal to 1."),
        ("--epochs", "0", "must be greater than or equal to 1."),
    ],
)
def test_a_value_out_of_range_is_told_in_one_line(told, flag, value, words):
    answer = told("train", "x.txt", flag, value)
    assert answer.code == 2
    assert answer.text.startswith(f"{flag} ")
    assert words in answer.text
    assert answer.text.count("\n") == 1


def test_nesterov_without_momentum_is_told_what_it_needs(told):
    answer = told("train", "x.txt", "--nesterov")
    assert answer.code == 2
    assert "--momentum" in answer.text


# What to train on.


def test_nothing_to_train_on_is_told(told):
    answer = told("train", *QUICK)
    assert (answer.code, answer.text[:24]) == (2, "What to train on is miss")


def test_a_data_file_that_is_missing_is_named(told, pictures):
    for answer in (told("train", "none.txt", *QUICK), told("train", pictures["train"], "--test", "none.txt", *QUICK)):
        assert answer.code == 65
        assert "none.txt" in answer.text
        assert answer.text.count("\n") == 1


def test_a_mistyped_set_is_answered_with_the_nearest(told):
    answer = told("train", "cifar11", *QUICK)
    assert answer.code == 2
    assert "cifar10" in answer.text


def test_an_empty_list_is_named(told, tmp_path):
    (tmp_path / "empty.txt").write_text("")
    answer = told("train", "empty.txt", *QUICK)
    assert answer.code == 65
    assert "empty.txt: the list is empty. It needs a line per image" in answer.text


def test_a_list_of_one_class_cannot_be_learned(told, pictures, tmp_path):
    listed = copy_of(pictures, tmp_path / "data")
    listed.write_text("red/000.png red\nred/001.png red\n")
    answer = told("train", listed, *QUICK)
    assert answer.code == 65
    assert "one class only ('red')" in answer.text


def test_a_missing_file_in_a_list_is_named_by_its_line(told, pictures, tmp_path):
    listed = copy_of(pictures, tmp_path / "data")
    (listed.parent / "red" / "003.png").unlink()
    answer = told("train", listed, *QUICK)
    assert answer.code == 65
    assert answer.text.startswith(f"{listed}:4: ")
    assert "red/003.png" in answer.text


def test_a_wrong_label_in_a_list_is_named_by_its_line(told, pictures, tmp_path):
    listed = copy_of(pictures, tmp_path / "data")
    (listed.parent / "classes.txt").write_text("red\ngreen\nblue\n")
    listed.write_text(listed.read_text().replace("green/002.png green", "green/002.png gren"))
    answer = told("train", listed, *QUICK)
    assert answer.code == 65
    assert answer.text.startswith(f"{listed}:25: ")
    assert "'gren'" in answer.text
    assert "'green'" in answer.text


def test_a_label_number_out_of_range_is_named_by_its_line(told, pictures, tmp_path):
    listed = copy_of(pictures, tmp_path / "data")
    (listed.parent / "classes.txt").write_text("red\ngreen\n")
    listed.write_text("red/000.png 0\ngreen/000.png 1\nblue/000.png 2\n")
    answer = told("train", listed, *QUICK)
    assert answer.code == 65
    assert answer.text.startswith(f"{listed}:3: ")


def test_a_class_that_the_training_set_does_not_have_is_named(told, pictures, tmp_path):
    listed = copy_of(pictures, tmp_path / "data")
    listed.write_text(listed.read_text().replace(" green", " grene"))
    answer = told("train", pictures["train"], "--test", listed, *QUICK)
    assert answer.code == 65
    assert "'grene'. Did you mean 'green'?" in answer.text


def test_unreadable_images_are_listed_and_may_be_left_out(told, pictures, tmp_path, capsys):
    listed = copy_of(pictures, tmp_path / "data")
    (listed.parent / "red" / "003.png").write_bytes(b"<html>")
    answer = told("train", listed, *QUICK)
    assert answer.code == 65
    assert f"{listed}:4: red/003.png" in answer.text
    assert "--skip-unreadable" in answer.text
    flags = [*QUICK[:-1], "plain", "--skip-unreadable", "--out", "run"]
    assert main(["train", str(listed), *flags]) == 0
    assert "55 images (1 unreadable left out)" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("share", ["1.5", "0", "-0.1", "1"])
def test_a_share_that_is_none_is_explained(told, pictures, share):
    answer = told("train", pictures["train"], f"--val={share}", *QUICK)
    assert answer.code == 2
    assert f"--val {share}: a share of the training set must lie between 0 and 1" in answer.text


# How to train.


def test_an_image_too_small_for_the_network_is_explained(told, pictures):
    answer = told("train", pictures["train"], "--size", "20", "--device", "cpu", "--view", "none", "--out", "run")
    assert answer.code == 2
    assert "needs images of at least 63x63 pixels; --size is 20" in answer.text
    assert "--model compact" in answer.text
    assert not Path("run").exists()


def test_a_mistyped_model_is_answered_with_the_nearest(told, pictures):
    answer = told("train", pictures["train"], "--model", "resnet81", "--view", "none")
    assert answer.code == 2
    assert "resnet18" in answer.text


@pytest.mark.parametrize(("device", "words"), [("gpu", "Use cpu, cuda"), ("cuda:99", "--device cuda:99: this machine")])
def test_a_device_that_is_not_there_is_named_with_those_that_are(told, pictures, device, words):
    answer = told("train", pictures["train"], "--device", device, "--view", "none")
    assert answer.code == 2
    assert words in answer.text


def test_weights_of_another_network_are_refused(told, pictures, tmp_path):
    safetensors.torch.save_file(build("compact", 3).state_dict(), tmp_path / "w.safetensors")
    answer = told(
        "train", pictures["train"], "--model", "squeezenet1_1", "--weights", "w.safetensors", "--view", "none"
    )
    assert answer.code == 65
    assert "w.safetensors" in answer.text
    assert not Path("runs").exists()


def test_weights_that_are_not_there_are_named(told, pictures):
    answer = told("train", pictures["train"], "--weights", "none.pth", *QUICK)
    assert answer.code in (65, 74)
    assert "none.pth" in answer.text


def test_a_settings_file_that_is_damaged_is_named(told, tmp_path):
    (tmp_path / "run.toml").write_text("[optim]\nlr = = 3\n")
    answer = told("train", "--config", "run.toml")
    assert answer.code == 2
    assert answer.text.startswith("run.toml: is no valid TOML")


def test_an_unknown_recipe_is_answered_with_the_nearest(told):
    answer = told("train", "x.txt", "--recipe", "finetun")
    assert answer.code == 2
    assert "'finetune'" in answer.text


# compact keeps 2x2 maps of 16x16 images, which normalise alone; at 8x8 one value is left
SINGLE = ["--model", "compact", "--size", "8", "--epochs", "1", "--device", "cpu", "--view", "none", "--out", "run"]


@pytest.mark.parametrize("batch_size", [1, 11])
def test_a_last_batch_of_one_image_that_cannot_be_normalised_is_told_before_the_first_step(told, pictures, batch_size):
    answer = told("train", pictures["train"], *SINGLE, "--batch-size", batch_size)  # 56 images
    assert answer.code == 2
    assert "--batch-size" in answer.text
    assert not Path("run").exists()


def test_a_last_batch_of_one_image_may_be_left_out(pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", pictures["train"], *SINGLE, "--batch-size", "11", "--drop-last"]) == 0


def test_one_image_a_step_trains_networks_that_can(pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", pictures["test"], *QUICK, "--batch-size", "1", "--out", "run"]) == 0


def test_a_part_of_one_image_that_cannot_be_normalised_is_told(told, pictures):
    answer = told("train", pictures["train"], *SINGLE, "--batch-size", "16", "--accumulate", "16")
    assert answer.code == 2
    assert "--accumulate" in answer.text
    assert not Path("run").exists()


def test_a_learning_rate_that_runs_away_is_told_with_the_step(told, pictures):
    answer = told(
        "train", pictures["train"], *QUICK, "--batch-size", "8", "--lr", "1e25", "--epochs", "3", "--out", "run"
    )
    assert answer.code == 70
    assert answer.text.startswith("step ")
    assert "lower --lr" in answer.text


# What to do with a run.


def test_a_folder_without_a_run_is_named(told, tmp_path):
    for command in (["resume", "."], ["evaluate", ".", "list.txt"], ["predict", ".", "."]):
        answer = told(*command)
        assert answer.code in (2, 65)
        assert answer.text.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_model_is_named(told, model, pictures, tmp_path):
    content = bytearray(model.read_bytes())
    content[-5] ^= 1
    (tmp_path / "m.safetensors").write_bytes(content)
    for command in (
        ["evaluate", "m.safetensors", pictures["test"]],
        ["predict", "m.safetensors", Path(pictures["test"]).parent],
    ):
        answer = told(*command, "--device", "cpu")
        assert answer.code == 65
        assert answer.text.startswith("m.safetensors: is damaged")


def test_an_evaluation_prints_its_numbers_and_writes_them(model, pictures, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [str(model), pictures["test"], "--device", "cpu", "--json", "scores.json", "--charts", "charts"]
    assert main(["evaluate", *arguments]) == 0
    printed = " ".join(capsys.readouterr().out.split())  # lines are broken where a path is long
    assert "(95 % interval)" in printed
    assert "21 images" in printed
    numbers = json.loads(Path("scores.json").read_text())
    assert np.sum(numbers["confusion"]) == 21
    assert list(Path("charts").iterdir())


def test_an_evaluation_on_classes_the_model_does_not_have_is_refused(told, model, pictures, tmp_path):
    listed = copy_of(pictures, tmp_path / "data")
    listed.write_text(listed.read_text().replace(" green", " yellow"))
    answer = told("evaluate", model, listed, "--device", "cpu")
    assert answer.code == 65
    assert "'yellow'" in answer.text


def test_predictions_of_which_some_fail_are_done_and_of_which_all_fail_are_an_error(model, tmp_path, capsys):
    (tmp_path / "bad.png").write_bytes(b"x")
    Image.new("RGB", (20, 20)).save(tmp_path / "good.png")
    assert main(["predict", str(model), str(tmp_path), "--device", "cpu"]) == 0
    captured = capsys.readouterr()
    assert "1 of 2 files could not be read" in captured.err
    assert len(captured.out.splitlines()) == 3
    assert main(["predict", str(model), str(tmp_path / "bad.png"), "--device", "cpu"]) == 65


def test_predictions_go_to_the_form_of_the_files_name(told, model, tmp_path):
    Image.new("RGB", (20, 20)).save(tmp_path / "good.png")
    assert main(["predict", str(model), "good.png", "--device", "cpu", "--out", "out.jsonl"]) == 0
    assert json.loads(Path("out.jsonl").read_text())["path"] == "good.png"
    for name in ("out.xlsx", "out"):
        answer = told("predict", model, "good.png", "--out", name)
        assert answer.code == 2
        assert "csv, jsonl" in answer.text


def test_a_class_name_cannot_steer_the_terminal(pictures, tmp_path, capsys):
    names = ("blue", "gr\x1b[2Jeen", "red")
    Classifier(build("compact", 3), "compact", names, Preprocess(16)).save(tmp_path / "m.safetensors")
    (tmp_path / "data").mkdir()
    torch.manual_seed(0)
    for number in range(3):
        Image.new("RGB", (20, 20), (80 * number, 0, 0)).save(tmp_path / "data" / f"{number}.png")
    (tmp_path / "data" / "list.txt").write_text("0.png 0\n1.png 1\n2.png 2\n")
    main(["evaluate", str(tmp_path / "m.safetensors"), str(tmp_path / "data" / "list.txt"), "--device", "cpu"])
    captured = capsys.readouterr()
    assert "\x1b[2J" not in captured.out + captured.err


def test_models_and_sets_are_listed_by_name(told, capsys):
    assert main(["models", "resnet18"]) == 0
    assert "resnet18 " in capsys.readouterr().out
    assert main(["datasets", "cifar"]) == 0
    assert "cifar10" in capsys.readouterr().out
    for command in (["models", "resnett"], ["datasets", "cfar10"]):
        assert told(*command).code == 2
