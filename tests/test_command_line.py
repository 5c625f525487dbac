"""Command lines: every flag takes what its help says; what is wrong is told in one line that names the flag and a remedy."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from eyas.config.command_line import Flag, flags_of, read_arguments
from eyas.config.flags import COMMANDS, parse_config
from eyas.config.run_config import RunConfig, make_config, sections
from eyas.config.synonyms import MEANINGS, OTHERWISE, flags_in, known_as
from eyas.errors import SettingsError

COMMAND_FLAGS = [(command, flag) for command in COMMANDS for flag in flags_of(COMMANDS[command]).values()]
FLAGS = [(command, flag) for command, flag in COMMAND_FLAGS if not flag.by_place]
ids = [f"{command} {flag.written}" for command, flag in FLAGS]
NONSENSE = "noughts"


def refused(command: str, *arguments: str) -> str:
    """Return what is said of a command line that is refused, which is one plain line."""
    with pytest.raises(SettingsError) as error:
        if command == "train":
            parse_config(list(arguments))
        else:
            places = [flag.field for flag in flags_of(COMMANDS[command]).values() if flag.by_place]
            (section,) = COMMANDS[command]
            section(**{place: ["x"] if place in ("paths", "runs") else "x" for place in places},
                    **read_arguments(command, COMMANDS, list(arguments)))  # fmt: skip
    said = str(error.value)
    assert "\n" not in said
    assert not re.search(r"\[/?bold|<class|NoneType|Traceback|typing\.|Annotated|pydantic", said), said
    return said


def values(flag: Flag) -> int:
    return 1 if flag.count is None else flag.count


@pytest.mark.parametrize(("command", "flag"), FLAGS, ids=ids)
def test_a_flag_without_its_value_or_with_a_value_that_it_does_not_take_is_named(command, flag):
    if flag.count == 0:
        assert refused(command, f"{flag.written}=yes").startswith(f"{flag.written}=yes: {flag.written} takes no value.")
        return
    if not (flag.count is None and flag.optional):
        said = refused(command, flag.written)
        assert said.startswith(f"{flag.written}: takes {flag.takes}, and no value stands behind it.")
        assert flag.written in refused(command, flag.written, "--nothing-like-it")
    if "a text" not in flag.takes and "one text" not in flag.takes:
        for given in ([NONSENSE] * values(flag), [""] * values(flag)):
            said = refused(command, flag.written, *given)
            assert said.startswith(f"{flag.written} {' '.join(word or repr('') for word in given)}: ")
            assert f"takes {flag.takes}." in said or ": must be '" in said
    if values(flag) > 1:
        example = " ".join(["1"] * values(flag))
        for count in set(range(1, values(flag))):
            said = refused(command, flag.written, *["1"] * count)
            assert f"takes {flag.takes} with spaces between them, not {count}, such as {flag.written} {example}." in said


@pytest.mark.parametrize(
    ("given", "example"),
    [("0.5", "--mean 0.5 0.5 0.5"), ("0.1,0.2,0.3", "--mean 0.1 0.2 0.3"), ("[0.5,", "--mean"), ("0.5;0.5", "--mean 0.5 0.5 0.5"),
     ("[0.1, 0.2, 0.3]", "--mean 0.1 0.2 0.3"), ("0.1 0.2 0.3", "--mean 0.1 0.2 0.3.")],
)
def test_a_mean_of_one_word_is_told_how_three_are_written(given, example):
    said = refused("train", "digits", "--mean", given)
    assert said.startswith(f"--mean {given}: takes 3 numbers with spaces between them, not 1, such as {example}")


@pytest.mark.parametrize("name", [name for name in sections() if name != "train"])
def test_a_keyword_takes_what_its_flag_takes_and_no_python_object_is_shown(name):
    for value in (object(), {}, [], [NONSENSE], ("1", "2", "3", "4"), b"\xff", None, "x\ny" * 99):
        try:
            config = make_config({name: value})
        except SettingsError as error:
            said = str(error)
            assert said.startswith(f"--{name.replace('_', '-')} ")
            assert not re.search(r"<class|NoneType|object at|Traceback|\[type=|\n", said), said
            assert len(said) < 400
        else:
            assert isinstance(config, RunConfig)


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (["--mean", "-0.5", "0", "1e-3"], {"mean": (-0.5, 0.0, 1e-3)}),
        (["--no-nesterov", "--trivial_augment"], {"nesterov": False, "trivial_augment": True}),
        (["--mean", "None", "--val", "None"], {"mean": None, "val": "None"}),
        (["--lr=0.5", "--lr", "0.25"], {"lr": 0.25}),
        (["--batch_size", "8", "--val=0.1", "--compile", "on"], {"batch_size": 8, "val": "0.1", "compile": "on"}),
        (["--out=-x", "--columns", "-1"], {"out": "-x", "columns": "-1"}),
    ],
)
def test_what_is_given_becomes_the_settings(arguments, given):
    assert parse_config(["digits", *arguments]) == make_config({"train": "digits", **given})
    assert parse_config([*arguments, "--seed", "0", "digits"]) == make_config({"train": "digits", **given})


def test_a_flag_of_several_values_and_a_place_of_several_take_them_all():
    assert read_arguments("serve", COMMANDS, ["run", "--allow-host", "a", "b", "--port", "1"]) == {
        "run": "run", "allow_host": ["a", "b"], "port": "1",
    }  # fmt: skip
    assert read_arguments("predict", COMMANDS, ["run", "a.png", "--top", "2", "b.png"])["paths"] == ["a.png", "b.png"]


def test_two_hyphens_alone_end_the_flags():
    assert read_arguments("predict", COMMANDS, ["run", "--keep-columns", "id", "--", "-x.jpg", "--top"]) == {
        "run": "run", "keep_columns": ["id"], "paths": ["-x.jpg", "--top"],
    }  # fmt: skip


def test_a_file_that_is_called_like_a_flag_is_told_how_it_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("-x.jpg").touch()
    assert refused("predict", "run", "-x.jpg").endswith("The file of this name is written ./-x.jpg.")


@pytest.mark.parametrize(
    ("command", "arguments"),
    [("train", [""]), ("train", ["digits", "--weights", ""]), ("train", ["digits", "--out="]), ("predict", ["run", ""]),
     ("predict", ["run", "a.png", "--copy-to", ""]), ("evaluate", ["", "digits"])],
)  # fmt: skip
def test_an_empty_text_is_no_path(command, arguments):
    with pytest.raises(SettingsError, match="'': is an empty text"):
        read_arguments(command, COMMANDS, arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nesterov", "true"], "true: is one too many: eyas train takes TRAIN (digits). --nesterov takes no value."),
        (["--val", "0.1", "0.2"], "0.2: is one too many: eyas train takes TRAIN (digits). --val takes a text."),
        (["epochs=3"], "epochs=3: a flag is written with two hyphens: --epochs 3"),
        (["imgsz=224"], "imgsz=224: eyas calls it --size."),
        (["--top", "3"], "--top: eyas train has no such flag. It is one of eyas predict."),
        (["--nothing-like-it"], "--nothing-like-it: eyas train has no such flag. See eyas train --help."),
        (["\u2014lr", "0.1"], "\u2014lr: is written with a dash; a flag begins with two hyphens: --lr"),
        (["--", "--lr"], "--lr: is one too many: eyas train takes TRAIN (digits)."),
        ([" "], "' ': is one too many: a word of nothing. A \\ that goes on in the next line is the last sign of its own."),
        (["--strategy", "x"], "--strategy: eyas train has no such flag. See eyas train --help."),
    ],
)
def test_a_word_that_has_no_place_is_told_what_is_meant(arguments, said):
    assert refused("train", "digits", *arguments) == said


# --- what other trainers call it


@pytest.mark.parametrize("command", COMMANDS)
def test_every_name_that_is_offered_is_one_of_the_command(command):
    """A synonym is offered only where the command has what it stands for."""
    flags = flags_of(COMMANDS[command])
    for name in " ".join((*MEANINGS.values(), *OTHERWISE)).split():
        if name in flags:
            continue
        said = known_as(name, flags, lambda ours: f"<{ours}>")
        assert set(re.findall(r"<(\w+)>", said)) <= set(flags), said
        assert not flags_in(said), said


def test_every_name_in_the_tables_means_something_in_a_training_or_another_command():
    everywhere = {command: flags_of(found) for command, found in COMMANDS.items()}
    known = {name for flags in everywhere.values() for name in flags}
    assert set(" ".join(MEANINGS).split()) <= known
    for said in OTHERWISE.values():
        assert any(set(flags_in(said)) <= set(flags) for flags in everywhere.values()), said
        assert set(re.findall(r"`eyas (\w+)", said)) <= set(COMMANDS)
    words = " ".join((*MEANINGS.values(), *OTHERWISE)).split()
    assert [word for word in words if re.search(r"[^a-z0-9]", word)] == []


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("--learning-rate", "--lr"), ("--lr0", "--lr"), ("--imgsz", "--size"), ("--img-size", "--size"), ("--image_size", "--size"),
        ("--batch", "--batch-size"), ("--bs", "--batch-size"), ("-b", "--batch-size"), ("--num-epochs", "--epochs"),
        ("--num_train_epochs", "--epochs"), ("--num-workers", "--workers"), ("-j", "--workers"), ("--wd", "--weight-decay"), ("--opt", "--optimizer"),
        ("--sched", "--schedule"), ("--early-stopping", "--patience"), ("--checkpoint", "--weights"), ("--data", "TRAIN"),
        ("--project", "--out"), ("--name", "--out"), ("--gpu", "--device"), ("--gpus", "--device"), ("--save-dir", "--out"),
        ("--output_dir", "--out"), ("--arch", "--model"), ("--learnign-rate", "--lr"), ("--smoothing", "--label-smoothing"),
        ("--validation-split", "--val"), ("--reprob", "--erasing"), ("--clip-grad", "--clip-norm"), ("--print-freq", "--log-every"),
    ],
)  # fmt: skip
def test_a_flag_of_another_trainer_is_answered_with_ours(word, ours):
    assert f" eyas calls it {ours}" in refused("train", "digits", word, "3")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("--amp", "--precision: fp16, bf16"), ("--fp16", "--precision: fp16, bf16"), ("--freeze", "--backbone-lr 0.01"),
        ("--num-classes", "counted from the data"), ("--no-cuda", "--device cpu"), ("--resume", "`eyas resume RUN`"),
        ("--test-size", "--val 0.1"), ("--rotation", "--transform"), ("--kfold", "as TRAIN and as --val"), ("--gray", "read as RGB"),
        ("--auto-augment", "--trivial-augment"), ("--cos-lr", "--schedule cosine"), ("--max_steps", "--epochs"),
    ],
)  # fmt: skip
def test_what_we_have_in_another_way_is_said_in_words(word, said):
    assert said in refused("train", "digits", word)


@pytest.mark.parametrize(
    ("command", "word", "said"),
    [
        ("evaluate", "--weights", " eyas calls it RUN, which has no flag before it."),
        ("predict", "--source", " eyas calls it PATH..., which has no flag before it."),
        ("predict", "--conf", " eyas calls it --unknown-below."),
        ("predict", "--topk", " eyas calls it --top."),
        ("export", "--batch-size", " eyas calls it --batch."),
        ("predict", "--format", " eyas calls it --form."),
        ("inspect", "--test", " eyas calls it --against."),
        ("evaluate", "--imgsz", " eyas evaluate has no such flag. eyas train calls it --size."),
        ("evaluate", "--amp", " eyas evaluate has no such flag. The arithmetic is chosen by --precision"),
        ("predict", "--amp", " eyas predict has no such flag. See eyas predict --help."),
        ("resume", "--lr", " eyas resume has no such flag. It is one of eyas train."),
    ],
)
def test_each_command_offers_what_it_has_itself(command, word, said):
    assert said in refused(command, "r", word)


def test_keys_and_keywords_are_answered_alike(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"^learning_rate: there is no such setting\. eyas calls it 'lr'\.$"):
        make_config({"learning_rate": 0.1})
    with pytest.raises(SettingsError, match=r"^amp: there is no such setting\. The arithmetic is chosen by 'precision': fp16"):
        make_config({"amp": True})
    file = tmp_path / "run.toml"
    file.write_text("[training]\nlearning_rate = 0.1\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"\[training\] has no setting 'learning_rate'\. eyas calls it 'lr' in \[optim\]"):
        make_config(file=file)


# --- flags in messages

SOURCE = Path(__file__).parent.parent / "src" / "eyas"
READ = ("train", "evaluate", "calibrate", "inspect", "export")  # a resume reads what the run's config.toml names
REACHED = {  # a part of the source -> the commands whose users read its messages: each has every flag that they name
    "answers": ("predict",), "auditing.py": ("inspect",), "data/classes.py": READ, "data/lists/columns.py": READ, "data/lists/labels.py": READ,
    "data/lists/listing.py": READ, "data/lists/paths.py": (*READ, "predict"), "data/named/download.py": (*READ, "datasets"),
    "data/named/table.py": (*READ, "datasets"), "data/named/torchvision_sets.py": (*READ, "datasets"), "exporting.py": ("export",), "predict.py": ("predict",), "plan.py": ("train",),
    "serve": ("serve",), "shipping": ("export",), "audit/view.py": ("inspect",), "render/audit_page.py": ("inspect",),
    "sinks/remote.py": ("train",), "model/failures.py": ("train",), "model/pretrained.py": ("train",), "model/shapes.py": ("train",),
}  # fmt: skip
_FLAG = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]*)(?=[\s.,;:)=]|$)")


def messages(file: Path) -> Iterator[str]:
    """Yield the texts of a file but for its docstrings and styles, f-strings whole."""
    if file.suffix == ".toml":
        yield from (text for table in tomllib.loads(file.read_text(encoding="utf-8")).values() for text in table.values())
        return
    tree = ast.parse(file.read_text(encoding="utf-8"))
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node) if part is not node}
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in parts | said:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def of_another_command(text: str) -> set[str]:
    """Return the flags that a text gives to a command that it names: `eyas train --out`, a training's --resize."""
    found = re.findall(r"(?:`?eyas train[^`.]*|a training's) --([a-z][a-z-]*)", text)
    return {*found, *re.findall(r"train without them: --([a-z-]+)", text)}


@pytest.mark.parametrize("file", sorted([*SOURCE.rglob("*.py"), *SOURCE.rglob("words/*.toml")]), ids=lambda file: str(file.relative_to(SOURCE)))
def test_every_flag_that_a_message_names_is_one_of_the_commands_that_say_it(file):
    known = {flag.written[2:] for command, flag in FLAGS} | {"help", "version", "logdir"}  # the last: of tensorboard
    name = file.relative_to(SOURCE).as_posix()
    saying = next((commands for part, commands in REACHED.items() if name == part or name.startswith(f"{part}/")), ())
    for text in messages(file):
        if " " not in text or "style=" in text or "color-scheme" in text:
            continue  # no message
        named = set(_FLAG.findall(text))
        assert named <= known, f"{file}: {text}"
        for command in saying:
            here = {flag.written[2:] for other, flag in FLAGS if other == command}
            assert named - of_another_command(text) <= here, f"{file}: eyas {command} has no such flag: {text}"
