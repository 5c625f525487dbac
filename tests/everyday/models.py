"""Models, weights and runs as they come: checkpoints of other scripts, copied model files, data that moved or grew."""

from __future__ import annotations

import argparse
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from eyas.cli import main
from eyas.config.run_config import make_config
from eyas.files.headers import read_header
from eyas.model.classifier import Classifier
from eyas.model.zoo import build
from tests.everyday.case import Case, picture, pictures, train, write

TITLE = "Models, weights and runs"
BY_PLACE = "whose rows are taken in the order of your classes, since the file names none"
RESNET = "--model resnet18 --size 32 --batch-size 8"
START = "--weights w.pth"


def _pets() -> None:
    pictures("pets", ("cat", "dog"))


def _saved(content: Callable[[dict[str, torch.Tensor]], object], name: str = "w.pth", model: str = "compact") -> Callable[[], None]:
    """Return what writes pictures of pets and a checkpoint as another script does."""

    def make() -> None:
        _pets()
        torch.manual_seed(0)
        torch.save(content(build(model, 2).state_dict()), name)

    return make


def _under(prefix: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{prefix}{key}": tensor for key, tensor in state.items()}


def _run(classes: tuple[str, ...] = ("cat", "dog"), options: str = "", count: int = 6, out: str = "run") -> None:
    """Train a run named by `out` on photos of `classes`."""
    pictures("photos", classes, count)
    assert main(train("photos", options).replace("--out run", f"--out {out} --view plain").split()) == 0


def _old(*classes: str) -> Callable[[], None]:
    """Return what makes a run `old` of these classes, and photos of cats, dogs and emus."""

    def make() -> None:
        _run(classes, out="old")
        shutil.rmtree("photos")
        pictures("pets", ("cat", "dog", "emu"))

    return make


def _grown() -> None:
    _run(options="--val 0.25")
    picture("photos/cat/new.png")


def _moved() -> None:
    _run(options="--val 0.25")
    Path("photos").rename("moved")


def _lost() -> None:
    _run(options="--val 0.25")
    Path("photos/dog/0.png").unlink()
    Path("photos/dog/1.png").rename("photos/cat/1b.png")
    picture("photos/cat/2.png", (30, 30))


def _knows_the_place() -> None:
    assert make_config(file="run/config.toml").data.train == str(Path("moved").absolute())


def _copied() -> None:
    _run(options="--val 0.25")
    shutil.copy("run/best.safetensors", "model.safetensors")


def _without_val() -> None:
    for part in ("train", "val"):
        pictures(f"photos/{part}", ("cat", "dog"))
    assert main(f"{train('photos')} --view plain".split()) == 0
    shutil.rmtree("photos/val")


def _script(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that TorchScript is deprecated
        torch.jit.save(torch.jit.script(torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())), name)


def _zipped(archive: str, name: str) -> None:
    with zipfile.ZipFile(archive, "w") as file:
        file.write(name)


def _other_fold() -> None:
    _run(options="--val 0.25")
    Path("photos").rename("fold1")
    assert main(train("fold1", "--val 0.25").replace("--out run", "--out one --view plain").split()) == 0
    Path("fold1").rename("photos")
    shutil.copy("one/best.safetensors", "run/other.safetensors")


CASES = (
    Case(
        "a checkpoint as the PyTorch tutorial writes it",
        _saved(lambda s: {"epoch": 5, "model_state_dict": s, "optimizer_state_dict": {"state": {0: {"momentum_buffer": torch.ones(2)}}}, "loss": 0.4}, model="resnet18"),
        train("pets", f"{START}").replace("--model compact --size 16", "--model resnet18 --size 32"),
        ("weights: from w.pth (model_state_dict): 122 tensors, the head too,",),
    ),
    Case("a checkpoint with its weights under net", _saved(lambda s: {"net": s, "acc": 91.2, "epoch": 3}), train("pets", START), ("weights: from w.pth (net)", BY_PLACE)),
    Case("a checkpoint of Lightning, every name with net.", _saved(lambda s: {"state_dict": _under("net.", s), "hyper_parameters": {"lr": 0.1}}, "w.ckpt"), train("pets", "--weights w.ckpt"), ("weights: from w.ckpt (state_dict without 'net.')", BY_PLACE)),
    Case("a checkpoint whose names begin with backbone.", _saved(lambda s: {"state_dict": _under("backbone.", s)}), train("pets", START), ("weights: from w.pth (state_dict without 'backbone.')", BY_PLACE)),
    Case("a checkpoint of a compiled DataParallel", _saved(lambda s: {"model": _under("module._orig_mod.", s)}, "w.pth.tar"), train("pets", "--weights w.pth.tar"), ("weights: from w.pth.tar (model without 'module.')",)),
    Case("a checkpoint of timm, with an average and arguments", _saved(lambda s: {"state_dict": {k: t + 1 for k, t in s.items()}, "state_dict_ema": s, "args": argparse.Namespace(lr=0.1)}), train("pets", START), ("weights: from w.pth (state_dict_ema, the running average, of 2 sets that fit)",)),
    Case("a checkpoint with two sets of weights that fit", _saved(lambda s: {"student": s, "teacher": {k: t + 1 for k, t in s.items()}}), train("pets", START), ("w.pth: holds 2 sets of weights that fit: student, teacher. Save the one that is meant alone",), 65),
    Case("a checkpoint with a number of numpy in it", _saved(lambda s: {"state_dict": s, "acc": np.float64(0.9)}), train("pets", START), ("w.pth: holds an object of the type numpy", "not only weights, and such a file can run code when it is read. Nothing was run. In the script that wrote it, save its weights alone: torch.save(model.state_dict(), FILE)"), 65),
    Case("a checkpoint that names its classes", _saved(lambda s: {"state_dict": s, "class_to_idx": {"dog": 0, "cat": 1}}), train("pets", START), ("the head too, its 2 rows by the classes' names, in another order",)),
    Case("a checkpoint that names more classes than it has", _saved(lambda s: {"state_dict": s, "classes": ["cat", "dog", "emu"]}), train("pets", START), ("all but the head, which starts fresh for these classes: the class names in the file do not fit its 2 outputs",)),
    Case(
        "--weights of as many classes, in another order",
        _old("bear", "dog", "cat"),
        train("pets", "--weights old/best.safetensors"),
        ("head: 2 of 3 classes taken over by name (cat, dog); new: emu",),
        check=lambda: _same_rows("cat", "dog"),
    ),
    Case("--weights with one class less", _old("dog", "emu"), train("pets", "--weights old"), ("head: 2 of 3 classes taken over by name (dog, emu); new: cat",)),
    Case("--weights of other classes", _old("ash", "elm", "oak"), train("pets", "--weights old"), ("all but the head, which starts fresh for these classes: none of the file's 3 classes is known to be one of them",)),
    Case("--weights whose classes are bare numbers", _old("0", "1", "2"), train("pets", "--weights old"), ("none of the file's 3 classes is known to be one of them",)),
    Case("--weights of another network", _saved(lambda s: s, model="squeezenet1_1"), train("pets", START), ("w.pth: these are weights of another network", "Give the --model that they were trained with."), 65),
    Case("weights of a network for grey images", _saved(lambda s: s | {"stem.0.weight": s["stem.0.weight"][:, :1]}), train("pets", START), ("w.pth: its first layer (stem.0.weight) takes 1 channel, as for grey images, not 3; all else fits. In the script that wrote it, make it three: .repeat(1, 3, 1, 1) / 3; save and give that.",), 65),
    Case("weights of a ResNet for CIFAR", _saved(lambda s: s | {"conv1.weight": s["conv1.weight"][..., 2:5, 2:5]}, model="resnet18"), train("pets", START).replace("--model compact", "--model resnet18"), ("w.pth: its first layer (conv1.weight) has filters of 3x3, as for images of 32 pixels, not 7x7; all else fits. Give weights whose first layer fits, or begin without them (--model compact is made for small images).",), 65),
    Case("--weights by a folder of Hugging Face", lambda: (_pets(), write("hub/config.json", "{}"), write("hub/model.safetensors", "")), train("pets", "--weights hub"), ("hub: is no run folder of eyas. Name the file of weights in it: --weights hub/model.safetensors",), 65),
    Case("a checkpoint whose head is two layers", _saved(lambda s: {k: t for k, t in s.items() if not k.startswith("fc.")} | {"fc.1.weight": s["fc.weight"], "fc.1.bias": s["fc.bias"]}), train("pets", START), ("all but the head, which starts fresh for these classes: the file's head is of another make (fc.1.bias, fc.1.weight).",)),
    Case("a checkpoint of model.named_parameters()", _saved(lambda s: {k: t for k, t in s.items() if "running" not in k and "num_batches" not in k}), train("pets", START), ("w.pth: lacks what batch norm keeps beside its weights (stem.1.running_mean, ", "as model.parameters() does. Save model.state_dict() and give that."), 65),
    Case("a checkpoint of an nn.Sequential, as fastai saves", _saved(lambda s: {"model": {f"0.{n}.weight": t for n, t in enumerate(s.values())}}), train("pets", START), ("these are weights of another network", "Its names are numbers, as nn.Sequential and fastai give them: rename them to the network's."), 65),
    Case("--weights by the name of published ones", _pets, train("pets", "--weights IMAGENET1K_V1"), ("IMAGENET1K_V1: there is no such file or folder. Published weights of a network come by --pretrained.",), 74),
    Case("--weights by their address", _pets, train("pets", "--weights https://example.org/w.pth"), ("https://example.org/w.pth: is no file but an address; fetch it first.",), 74),
    Case("a state_dict saved as .pkl", _saved(lambda s: s, "w.pkl"), train("pets", "--weights w.pkl"), ("weights: from w.pkl: 44 tensors, the head too",)),
    Case("a state_dict of torch.save under the name of safetensors", _saved(lambda s: s, "w.safetensors"), train("pets", "--weights w.safetensors"), ("weights: from w.safetensors: 44 tensors, the head too",)),
    Case("that file to be measured", _saved(lambda s: s, "w.safetensors"), "evaluate w.safetensors pets", ("w.safetensors: is no safetensors file but a zip archive, as torch.save writes. Foreign weights are for eyas train --weights FILE",), 65),
    Case("a model file of eyas, renamed to .pth", lambda: (_copied(), Path("model.safetensors").rename("model.pth")), "train photos --weights model.pth --model compact --epochs 1 --device cpu --out again", ("weights: from model.pth: 44 tensors, the head too, its 2 rows by the classes' names",)),
    Case("a TorchScript program", lambda: (_pets(), _script("w.pt")), train("pets", "--weights w.pt"), ("w.pt: is a TorchScript program, which can run code. Nothing was run. After torch.jit.load, save its weights alone",), 65),
    Case("weights that are a pointer of Git LFS", lambda: (_pets(), write("w.pth", "version https://git-lfs.github.com/spec/v1", "oid sha256:0", "size 9")), train("pets", START), ("w.pth: is no weights file of PyTorch but a Git LFS pointer: the file itself was not fetched (git lfs pull).",), 65),
    Case("weights that are a web page", lambda: (_pets(), write("w.pth", "<!DOCTYPE html>", "<title>Virus scan warning</title>")), train("pets", START), ("w.pth: is no weights file of PyTorch but a web page: its download asked for something first.",), 65),
    Case("weights of Keras", lambda: (_pets(), Path("w.h5").write_bytes(b"\x89HDF\r\n\x1a\n")), train("pets", "--weights w.h5"), ("w.h5: is no weights file of PyTorch but an HDF5 file, as Keras writes.",), 65),
    Case("weights in a zip archive", lambda: (_saved(lambda s: s)(), _zipped("w.zip", "w.pth")), train("pets", "--weights w.zip"), ("w.zip: is a zip archive, but none of torch.save. If the weights lie in it: unpack it.",), 65),
    Case("weights of another form", lambda: (_pets(), write("w.onnx", "pytorch")), train("pets", "--weights w.onnx"), ("w.onnx: is no weights file of PyTorch; eyas reads what torch.save and safetensors write.",), 65),
    Case("a resume after an image was added", _grown, "resume run --epochs 2", ("run: cannot go on, since this changed after it was saved: training and validation data: of 12 images 1 added (cat/new.png)", "train a new run on those there are now, from this run's weights: eyas train --config run/config.toml --weights run"), 2),
    Case("that new training", _grown, "train --config run/config.toml --weights run --out again", ("the head too, its 2 rows by the classes' names",)),
    Case("a resume after images were lost, moved and edited", _lost, "resume run --epochs 2", ("of 12 images 1 added (cat/1b.png); 2 gone (dog/0.png, dog/1.png); 1 changed in size (cat/2.png)",), 2),
    Case("a resume after the validation folder was removed", _without_val, "resume run --epochs 2", ("run: cannot go on, since this changed after it was saved: selects on: was 'val', is None val data: there was one, there is none now Put the images back as they were",), 2),
    Case("a run's own set, told a part of where it is", _without_val, "evaluate run --train photos/train --device cpu", ("Which set? With this --train the run has none to measure on: eyas evaluate run/best.safetensors DATA",), 2),
    Case("a resume after the folder was moved", _moved, "resume run --epochs 2", ("photos: there is no such list or folder any more; the run has it as --train. If it was moved: eyas resume run --train PATH",), 65),
    Case("the same, told where it is", _moved, "resume run --epochs 2 --train moved", ("Done: 2 of 2 epochs.",), check=_knows_the_place),
    Case("a complete run told where its folder is", _moved, "resume run --train moved", ("run: is complete; its data is the same, and is looked for there from now on.",), check=_knows_the_place),
    Case("a run's own set after the folder was moved", _moved, "evaluate run --device cpu", ("If it was moved: eyas resume run --train PATH Or name another set: eyas evaluate run/best.safetensors DATA",), 65),
    Case("that set, told where it is", _moved, "evaluate run --train moved --device cpu", ("moved: 3 images", "the run's own validation set")),
    Case("a run's own share after an image was added", _grown, "evaluate run --device cpu", ("its images or labels changed since the run was trained, and so would the share of them that it was not trained on. Name a set that is new to it: eyas evaluate run DATA",), 65),
    Case("the model of an epoch, without a set", lambda: _run(options="--val 0.25"), "evaluate run/epochs/epoch-001.safetensors --device cpu", ("the run's own validation set",)),
    Case("a model measured on what it was partly trained on", lambda: _run(options="--val 0.25"), "evaluate run photos --device cpu", ("photos: 12 images", "the model was trained on 9 of these images, and is more often right on them than on others")),
    Case("a temperature from what the model was partly trained on", lambda: _run(options="--val 0.25"), "calibrate run photos --device cpu", ("photos: the model was trained on 9 of its 12 images, and is overconfident on those. Name a set without them.",), 2),
    Case("a temperature for a model that has learnt nothing", lambda: _run(options="--val 0.5", count=10), "calibrate run --device cpu", ("Its accuracy there is 50.00 % [23.66, 76.34] of 10: no better than guessing (50 %). A temperature does not improve such a model.",)),
    Case("a copied model, without a set", _copied, "evaluate model.safetensors --device cpu", ("Which set? model.safetensors lies in no run folder (it was trained on photos, 9 images): eyas evaluate model.safetensors DATA",), 2),
    Case("a copied model, exported", _copied, "export model.safetensors --format pt2", ("Checked on the embedded digits, enlarged: model.safetensors lies in no run folder (it was trained on photos, 9 images). --check SPEC names images of your own.",)),
    Case("the model of an epoch, exported", lambda: _run(options="--val 0.25"), "export run/epochs/epoch-001.safetensors --format pt2", ("checked 15 images of", "all labels equal")),
    Case("a model of another run, of the same network and seed, beside a run's own", _other_fold, "evaluate run/other.safetensors --device cpu", ("run/other.safetensors is no model of the run in whose folder it lies (it was trained on fold1, 9 images)",), 2),
    Case("a model copied into the folder of another run", lambda: (_copied(), _run(options="--seed 5", out="other"), shutil.copy("model.safetensors", "other/copy.safetensors")), "evaluate other/copy.safetensors --device cpu", ("other/copy.safetensors is no model of the run in whose folder it lies (it was trained on photos, 9 images)",), 2),
)  # fmt: skip


def _same_rows(*classes: str) -> None:
    """The head's rows of these classes are those of the old run, but for what one epoch of training changed."""
    old, new = Classifier.load("old"), Classifier.load("run")
    assert read_header(Path("run/best.safetensors"), "model")["classes"] == ["cat", "dog", "emu"]
    for name in classes:
        before = old.network.fc.weight[old.classes.index(name)]
        others = [row for row in old.network.fc.weight if row is not before]
        after = new.network.fc.weight[new.classes.index(name)]
        assert all((after - before).norm() <= (after - row).norm() for row in others)
