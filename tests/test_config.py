"""Settings: where they come from, which wins, and what a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from eyas.config.data import AugmentConfig, PreprocessConfig
from eyas.config.flags import parse_config
from eyas.config.recipes import RECIPES
from eyas.config.run_config import RunConfig, make_config, sections, to_toml
from eyas.config.training import OptimConfig, TrainConfig
from eyas.errors import SettingsError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def refused(*args: object, **settings: object) -> str:
    with pytest.raises(SettingsError) as error:
        make_config(*args, **settings)
    return str(error.value)


def test_the_defaults_are_the_standard_recipe():
    config = make_config()
    assert (config.model.model, config.optim.optimizer, config.optim.lr) == ("alexnet", "sgd", 0.01)
    assert (config.training.epochs, config.training.batch_size, config.output.log_every) == (10, 64, 500)
    assert (config.augment.flip, config.schedule.schedule, config.device.precision) == (0.5, "constant", "fp32")
    assert not config.training.drop_last


def test_a_recipe_is_changed_by_a_file_and_the_file_by_what_is_given(tmp_path):
    file = write(tmp_path / "run.toml", "[optim]\nlr = 0.5\n[training]\nepochs = 3\n")
    config = make_config({"epochs": 2}, recipe="finetune", file=file)
    assert config.training.epochs == 2  # given
    assert config.optim.lr == 0.5  # the file's
    assert config.optim.optimizer == "adamw"  # the recipe's
    assert config.training.seed == 0  # the default


def test_flags_win_over_a_file_wherever_they_stand(tmp_path):
    file = write(tmp_path / "run.toml", "[optim]\nlr = 0.5\nmomentum = 0.9\n")
    for flags in (["--config", str(file), "--lr", "0.1"], ["--lr", "0.1", f"--config={file}"]):
        config = parse_config(["list.txt", *flags])
        assert (config.optim.lr, config.optim.momentum, config.data.train) == (0.1, 0.9, "list.txt")


def test_flags_and_keywords_give_the_same_settings():
    flags = parse_config(
        ["a.txt", "--test", "cifar10:test", "--mean", "0.1", "0.2", "0.3", "--erasing", "0.5", "--trivial-augment"]
    )
    given = {"train": "a.txt", "test": "cifar10:test", "mean": (0.1, 0.2, 0.3), "erasing": 0.5, "trivial_augment": True}
    assert flags == make_config(given)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_is_valid_and_names_no_data(recipe):
    config = make_config(recipe=recipe)
    assert config.data.train == ""
    assert isinstance(config, RunConfig)


@pytest.mark.parametrize("flag", ["--recipe", "--config"])
def test_a_flag_without_its_value_is_an_error(flag):
    with pytest.raises(SettingsError, match=rf"{flag}: takes a text, and no value stands behind it"):
        parse_config(["list.txt", flag])


def test_an_unknown_recipe_is_answered_with_the_nearest():
    assert "Did you mean 'finetune'?" in refused(recipe="fine-tune")


def test_an_unknown_setting_is_answered_with_the_nearest():
    message = refused({"batchsize": 8})
    assert message.startswith("batchsize: ")
    assert "'batch_size'" in message


def test_a_field_is_in_one_section_only():
    names = [name for info in RunConfig.model_fields.values() for name in info.annotation.model_fields]
    assert len(names) == len(set(names)) == len(sections())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[optm]\nlr = 1\n", ["no section [optm]", "'optim'"]),
        ("lr = 0.1\n", ["lr stands in no section", "[optim]"]),
        ("[optim]\nlearning_rate = 1\n", ["[optim] has no setting 'learning_rate'"]),
        ("[optim]\nmomentun = 1\n", ["[optim] has no setting 'momentun'", "'momentum'"]),
        ("[optim]\nepochs = 1\n", ["has no setting 'epochs'", "It belongs into [training]"]),
        ("[optim\n", ["is no valid TOML"]),
    ],
)
def test_a_files_unknown_parts_are_named_with_the_file(tmp_path, text, words):
    file = write(tmp_path / "my.toml", text)
    message = refused(file=file)
    assert message.startswith(f"{file}: ")
    assert all(word in message for word in words), message


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path):
    assert refused(file=tmp_path / "none.toml").startswith(f"{tmp_path / 'none.toml'}: cannot be read")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00\x80")
    assert "is no valid TOML" in refused(file=tmp_path / "binary.toml")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"batch_size": 0}, "--batch-size 0: must be greater than or equal to 1."),
        ({"lr": -1.0}, "--lr -1.0: must be greater than 0."),
        ({"lr": float("nan")}, "--lr nan: "),
        ({"lr": "fast"}, "--lr fast: takes a number above 0."),
        ({"epochs": 1.5}, "--epochs 1.5: "),
        ({"optimizer": "sdg"}, "--optimizer sdg: must be 'sgd'"),
        ({"std": (0.2, 0.0, 0.2)}, "--std 0.2 0.0 0.2: must be larger than 0, it is divided by."),
        ({"mean": (124.95, 0, 0)}, "--mean 124.95 0 0: pixels are 0 to 1 here, not 0 to 255: divide by 255 (0.49 0 0)."),
        ({"mean": (0.2, 0.1)}, "--mean 0.2 0.1: takes 3 numbers."),
        ({"flip": 1.1}, "--flip 1.1: must be less than or equal to 1."),
        ({"seed": -1}, "--seed -1: "),
        ({"size": 0}, "--size 0: "),
    ],
)
def test_a_wrong_value_is_one_line_in_the_flags_words(given, words):
    message = refused(given)
    assert message.startswith(words)
    assert "\n" not in message


def test_every_wrong_value_of_a_section_has_its_own_line():
    lines = refused({"epochs": 0, "batch_size": 0}).splitlines()
    assert [line.split(":")[0] for line in lines] == ["--epochs 0", "--batch-size 0"]


def test_settings_go_to_toml_and_back_unchanged(tmp_path):
    given = {
        "train": "数据/猫 \"x\".txt", "val": 0.1, "size": 32, "resize": "pad", "mean": (0.1, 0.2, 0.3), "std": (1.0, 0.5, 0.25),
        "optimizer": "adamw", "lr": 1e-5, "schedule": "onecycle", "mixup": 0.2, "seed": 2**63 - 1, "trivial_augment": True,
    }  # fmt: skip
    for config in (make_config(), make_config(given), make_config(given, recipe="finetune")):
        file = write(tmp_path / "config.toml", to_toml(config))
        assert make_config(file=file) == config
        assert make_config(file=file, recipe="finetune") == config  # it is whole: no recipe shines through


def test_a_setting_that_is_gone_is_passed_over_with_its_default_and_refused_otherwise(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(to_toml(RunConfig()) + "graph = false\n")  # [output] is the last section
    assert make_config(file=file) == RunConfig()
    file.write_text("[output]\ngraph = true\n")
    with pytest.raises(SettingsError, match=r"config\.toml: \[output\] has no setting 'graph'\. TensorBoard shows no"):
        make_config(file=file)
    with pytest.raises(SettingsError, match=r"graph: there is no such setting\. TensorBoard shows no"):
        make_config({"graph": False})


def test_mean_and_std_are_read_from_toml(tmp_path):
    file = write(tmp_path / "run.toml", "[preprocess]\nmean = [0.5, 0.5, 0.5]\nstd = [1, 0.5, 0.25]\n")
    config = make_config(file=file).preprocess
    assert (config.mean, config.std) == ((0.5, 0.5, 0.5), (1.0, 0.5, 0.25))


def test_settings_cannot_be_changed_afterwards():
    config = make_config()
    with pytest.raises(ValueError, match="frozen"):
        config.optim.lr = 1.0


@pytest.mark.parametrize("section", [AugmentConfig, OptimConfig, PreprocessConfig, TrainConfig])
def test_a_section_alone_refuses_what_it_does_not_know(section):
    with pytest.raises(SettingsError, match="no_such_thing: there is no such setting"):
        section(no_such_thing=1)
