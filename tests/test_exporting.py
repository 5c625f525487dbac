"""The verb `export`: a file that works without eyas and answers as the model does, or none."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eyas import Classifier, export
from eyas.cli import main
from eyas.config.data import DataConfig
from eyas.config.export import ExportConfig
from eyas.config.run_config import make_config, to_toml
from eyas.data.run_sets import open_sets
from eyas.data.spec import open_images
from eyas.errors import CheckpointError, DataError, ExportError, SettingsError
from eyas.exporting.checking import check
from eyas.exporting.facts import read_facts
from eyas.exporting.graph import WholeClassifier, traced
from eyas.exporting.onnx_file import open_onnx, refuse_large, to_onnx
from eyas.exporting.pictures import open_sources
from eyas.exporting.quantise import Quantised
from eyas.exporting.readme import readme
from eyas.verbs.export import print_export
from eyas.verbs.predict import predict_files
from eyas.verbs.train import train
from tests import kinds
from tests.runs import QUICK
from tests.scenes import scene

onnxruntime = pytest.importorskip("onnxruntime")
onnx_library = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def run(pictures, tmp_path_factory):
    """A run folder with its settings, so that an export finds the run's own pictures."""
    folder = tmp_path_factory.mktemp("exported") / "run"
    train(pictures["train"], test=pictures["test"], out=folder, view="none", **{**QUICK, "epochs": 2})
    return folder


@pytest.fixture(scope="module")
def onnx(run):
    return export(run)


@pytest.fixture(scope="module")
def pt2(run):
    return export(run, run / "model.pt2")


def test_it_is_checked_on_the_runs_own_test_pictures_in_many_sizes_alone_and_together(onnx, run, pictures):
    assert onnx.path == run / "best.onnx"
    assert onnx.checked.source == pictures["test"]
    assert onnx.checked.pictures == 21 + 6 * 4
    assert onnx.checked.batches == (1, 8)
    assert onnx.checked.smallest == (10, 6)
    assert onnx.checked.difference < 1e-6
    session = onnxruntime.InferenceSession(str(onnx.path))
    assert session.get_inputs()[0].type == "tensor(uint8)"
    assert session.get_inputs()[0].shape[1] == 3


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_products_in_float64_stand_in_their_plain_form_which_every_onnxruntime_computes(run, resize):
    """A Transpose before one is fused with it by onnxruntime 1.22 to 1.25, which then have no kernel for it."""
    classifier = Classifier.load(run)
    whole = WholeClassifier(classifier.network, replace(classifier.preprocess, resize=resize), 1.0).eval()
    proto, _ = to_onnx(traced(whole, "compact", "dynamic"), "compact", 20, {})
    graph = onnx_library.shape_inference.infer_shapes(proto).graph
    doubles = {
        value.name for value in graph.value_info if value.type.tensor_type.elem_type == onnx_library.TensorProto.DOUBLE
    }
    products = [node for node in graph.node if doubles & set(node.output) and re.search("MatMul|Gemm", node.op_type)]
    assert [(node.domain, node.op_type) for node in products] == [("", "MatMul")] * 2
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    assert "Transpose" not in {made_by[name] for node in products for name in node.input}


def test_the_file_says_what_it_is_to_whoever_reads_it(onnx, pt2, run):
    classifier = Classifier.load(run)
    for exported, form in ((onnx, "onnx"), (pt2, "pt2")):
        facts = read_facts(exported.path)
        assert (facts["form"], facts["model"], facts["batch"]) == (form, "compact", "dynamic")
        assert tuple(facts["classes"]) == classifier.classes
        assert facts["preprocess"] == json.loads(json.dumps(classifier.preprocess.to_dict()))
    assert read_facts(onnx.path)["opset"] == 20
    assert re.search(r"ONNX opset 20", onnx.readme.read_text())
    known = onnxruntime.InferenceSession(str(onnx.path)).get_modelmeta()
    assert json.loads(known.custom_metadata_map["classes"]) == list(classifier.classes)
    assert known.producer_name == "eyas"


def test_what_is_no_export_says_so(tmp_path, run):
    (tmp_path / "noise.onnx").write_bytes(b"noise" * 100)
    for path in (tmp_path / "noise.onnx", run / "best.safetensors"):
        with pytest.raises(CheckpointError, match="is no file of `eyas export`"):
            read_facts(path)
    with pytest.raises(DataError, match="does not exist"):
        read_facts(tmp_path / "none.onnx")


@pytest.mark.parametrize("form", ["onnx", "pt2"])
def test_the_example_beside_it_answers_as_predict_does(form, request, run, tmp_path, monkeypatch, capsys):
    exported = request.getfixturevalue(form)
    program = re.search(r"```python\n(.*?)```", exported.readme.read_text(), re.DOTALL)[1]
    assert len([line for line in program.splitlines() if line.strip()]) <= 70
    assert "eyas" not in program
    (exported.path.parent / "use.py").write_text(program)
    picture = tmp_path / "photo.jpg"
    scene(3, (70, 41)).save(picture, quality=90)
    if form == "onnx":  # a Python of its own, where nothing of eyas is loaded
        command = [sys.executable, "-I", "use.py", str(picture)]
        done = subprocess.run(command, cwd=exported.path.parent, capture_output=True, text=True, check=True)
        lines = done.stdout.splitlines()
    else:  # torch takes seconds to load once more
        monkeypatch.chdir(exported.path.parent)
        monkeypatch.setattr(sys, "argv", ["use.py", str(picture)])
        runpy.run_path("use.py")
        lines = capsys.readouterr().out.splitlines()
    said = [line.split(" ", 1) for line in lines]
    answer = next(predict_files(Classifier.load(run), [str(picture)])).prediction
    assert [label for _, label in said] == list(answer.probabilities)
    assert [float(share) for share, _ in said] == pytest.approx(list(answer.probabilities.values()), abs=2e-6)


@pytest.mark.parametrize("grey_range", [None, (0, 4095), (-5, 30_000.5)])
def test_the_example_decodes_every_kind_of_picture_as_predict_does_and_refuses_what_it_refuses(
    grey_range, onnx, run, tmp_path, monkeypatch, capsys
):
    classifier = Classifier.load(run)
    classifier = replace(classifier, preprocess=replace(classifier.preprocess, grey_range=grey_range))
    facts = json.loads(json.dumps(onnx.facts | {"preprocess": classifier.preprocess.to_dict()}))
    program = re.search(r"```python\n(.*?)```", readme(onnx.path.name, facts, onnx.checked, None), re.DOTALL)[1]
    for name, data in (kinds.read() | kinds.refused()).items():
        (tmp_path / name).write_bytes(data)
    (onnx.path.parent / "use.py").write_text(program)
    monkeypatch.chdir(onnx.path.parent)
    monkeypatch.setattr(sys, "argv", ["use.py", str(tmp_path / "alpha.png")])
    example = runpy.run_path("use.py")  # what it defined answers for the other pictures
    names = sorted(path.name for path in tmp_path.iterdir())
    for name, answer in zip(names, predict_files(classifier, [str(tmp_path / name) for name in names]), strict=True):
        if answer.prediction is None:
            assert name in kinds.refused()
            with pytest.raises((OSError, ValueError, SyntaxError, Image.DecompressionBombError)):
                example["pixels"](str(tmp_path / name))
            continue
        found = example["session"].run(None, {"images": example["pixels"](str(tmp_path / name))})[0][0]
        expected = [answer.prediction.probabilities[label] for label in example["classes"]]
        assert found.tolist() == pytest.approx(expected, abs=2e-6), name
        assert grey_range or name in kinds.read()


def test_the_same_model_gives_the_same_bytes_with_nothing_of_this_machine_in_them(onnx, pt2, run, tmp_path):
    program = "import sys, eyas; [eyas.export(sys.argv[1], out) for out in sys.argv[2:]]"
    outs = [tmp_path / exported.path.name for exported in (onnx, pt2)]
    command = [sys.executable, "-W", "error", "-c", program, str(run), *map(str, outs)]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout + done.stderr == ""  # the libraries say nothing
    for exported, again in zip((onnx, pt2), outs, strict=True):
        content = again.read_bytes()
        assert content == exported.path.read_bytes()
        assert str(Path(__file__).parent.parent).encode() not in content
        assert b"site-packages" not in content
        assert str(run.parent) not in exported.readme.read_text()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--batch 0", "--batch 0"),
        ("--opset 9", "--opset 9"),
        ("--out model.onxx", "Did you mean 'onnx'"),
        ("--out none/model.onnx", "there is no folder"),
        ("--out .", "name the file to write"),
        ("--out model.onnx --format pt2", "--format is pt2"),
        ("--int8 --format pt2", "--int8 writes ONNX"),
        ("--int8 --out model.pt2", "--int8 writes ONNX"),
    ],
)
def test_what_does_not_go_together_is_told(run, capsys, flags, message):
    assert main(["export", str(run), *flags.split()]) == 2
    assert message in capsys.readouterr().err


def test_a_missing_library_is_told_with_the_command_that_installs_it(run, monkeypatch, capsys):
    monkeypatch.setattr("eyas.verbs.export.NEEDED", ("onnx", "no_such_library"))
    assert main(["export", str(run)]) == 2
    assert "no_such_library must be installed: pip install 'eyas[export]'" in capsys.readouterr().err


def test_the_command_says_what_was_written_and_what_was_checked(run, tmp_path, capsys):
    assert main(["export", str(run), "--out", str(tmp_path / "model.pt2"), "--batch", "2"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "torch.export's pt2; fp32" in said
    assert "batch 2 in a call" in said
    assert "45 images of" in said
    assert "all labels equal, probabilities differ by" in said


def test_a_file_that_answers_otherwise_is_refused_and_not_left_behind(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("eyas.exporting.checking.TOLERANCE", 0.0)
    code = main(["export", str(run), "--out", str(tmp_path / "model.pt2")])
    assert (code, list(tmp_path.iterdir())) == (70, [])
    assert "does not answer as the model does, and was not kept" in capsys.readouterr().err


def test_the_check_tells_another_model_from_this_one(onnx, run, pictures):
    classifier, answers = Classifier.load(run), open_onnx(onnx.path)
    images = open_images(pictures["test"], DataConfig(), split="test")
    assert check(answers, classifier, images, "dynamic").difference < 1e-6
    with pytest.raises(ExportError, match="a probability differs by"):
        check(answers, replace(classifier, temperature=1.01), images, "dynamic")
    with pytest.raises(ExportError, match="labels differ"):
        check(lambda pixels: np.roll(answers(pixels), 1, axis=1), classifier, images, "dynamic")
    with pytest.raises(ExportError, match="differs by nan"):
        check(lambda pixels: answers(pixels) * np.float32("nan"), classifier, images, "dynamic")
    with pytest.raises(ExportError, match="cannot take images"):
        check(lambda pixels: answers(pixels[:, :1]), classifier, images, "dynamic")


def test_where_the_model_itself_holds_classes_for_equal_either_answer_is_right_and_counted(run, pictures):
    classifier = Classifier.load(run)
    for parameter in classifier.network.parameters():
        parameter.requires_grad_(False).zero_()
    images = open_images(pictures["test"], DataConfig(), split="test")
    last = np.array([[1 / 3, 1 / 3, 1 / 3 + 1e-7]], np.float32)
    checked = check(lambda pixels: np.repeat(last, len(pixels), 0), classifier, images, "dynamic")
    assert checked.ties == 45 + 5 * 8
    assert "but for 85 exact ties" in checked.in_words()


def test_int8_says_what_it_costs_on_pictures_it_was_not_calibrated_on(run, tmp_path, pictures):
    exported = export(run, tmp_path / "small.onnx", int8=True, batch=2, opset=18)
    cost = exported.quantised
    assert (cost.source, cost.count) == (pictures["test"], 21)
    assert (cost.calibration, cost.calibrated) == (pictures["train"], 56)
    classifier = Classifier.load(run)
    images = open_images(pictures["test"], DataConfig(), split="test")
    answered = classifier.predict([images.images.picture(index) for index in range(21)])
    right = [one.label == images.classes[label] for one, label in zip(answered, images.labels, strict=True)]
    assert cost.right_before == sum(right)
    assert cost.right_after == cost.right_before - cost.only_before + cost.only_after
    assert cost.bytes_after < cost.bytes_before / 3
    assert 0 < cost.difference < 0.2
    assert cost.same_labels >= 18
    assert read_facts(exported.path)["precision"] == "int8"
    assert onnxruntime.InferenceSession(str(exported.path)).get_inputs()[0].shape[0] == 2
    assert "The network is in int8" in exported.readme.read_text()


def test_a_loss_by_int8_that_is_more_than_chance_is_printed_as_a_warning_and_is_in_the_text(onnx, capsys):
    cost = Quantised("photos", 340, 305, 270, 47, 12, 276, 0.92)
    print_export(replace(onnx, quantised=cost))
    said = "int8 loses 10.29 points of accuracy here, more than chance would take (p = 5.1e-06)"
    assert f"warning {said}" in " ".join(capsys.readouterr().out.split())
    assert f"- warning: {said}" in readme("small.onnx", onnx.facts, onnx.checked, cost)


def test_a_model_file_alone_is_checked_on_the_embedded_digits(run, tmp_path):
    (tmp_path / "model.safetensors").write_bytes((run / "best.safetensors").read_bytes())
    exported = export(tmp_path / "model.safetensors", format="pt2", batch=1)
    assert exported.path == tmp_path / "model.pt2"
    assert exported.checked.batches == (1,)
    assert "embedded digits" in exported.notes[0]


def test_pictures_that_are_gone_are_told(run, tmp_path):
    (tmp_path / "best.safetensors").write_bytes((run / "best.safetensors").read_bytes())
    moved = re.sub(r'"[^"]*list\.txt"', f'"{tmp_path / "moved.txt"}"', (run / "config.toml").read_text())
    (tmp_path / "config.toml").write_text(moved)
    exported = export(tmp_path, format="pt2")
    assert "moved.txt: there is no such list" in exported.notes[0]
    assert exported.checked.source == "digits:test"
    with pytest.raises(SettingsError, match=r"--int8 needs labelled images.*moved.txt"):
        export(tmp_path, int8=True)


def test_without_a_test_set_the_pictures_are_the_runs_validation_share_and_int8_is_calibrated_on_the_rest(
    pictures, tmp_path
):
    config = make_config({**QUICK, "train": pictures["train"], "val": "0.2"})
    (tmp_path / "epochs").mkdir()
    (tmp_path / "config.toml").write_text(to_toml(config))
    sources = open_sources(tmp_path / "epochs" / "epoch-001.safetensors", ExportConfig(int8=True))
    val = open_sets(config)[1]["val"]
    assert sources.check.fingerprint() == val.fingerprint()
    assert len(sources.calibration) == 56 - len(val) == 45


def test_int8_measures_on_nothing_that_it_was_calibrated_on_where_there_is_one_set_only(pictures, tmp_path):
    sources = open_sources(tmp_path / "model.safetensors", ExportConfig(int8=True, check=pictures["test"]))
    both = [{images.place(index) for index in range(len(images))} for images in (sources.check, sources.calibration)]
    assert (len(both[0]), len(both[1])) == (11, 10)
    assert not both[0] & both[1]


def test_weights_that_one_onnx_file_cannot_hold_are_refused_in_words():
    with torch.device("meta"):
        large = torch.nn.Linear(2**15, 2**14)
    with pytest.raises(SettingsError, match=r"2\.0 GiB of weights.*--format pt2"):
        refuse_large(large, "large")


def test_an_unknown_setting_is_refused_with_its_name(run):
    with pytest.raises(SettingsError, match=r"opsett: there is no such setting\. Did you mean 'opset'\?"):
        export(run, opsett=20)
