"""Checkpoints of other scripts are taken as what they are; the rows of a head go to the classes of the same names."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from eyas.data.images.preprocess import Preprocess
from eyas.errors import CheckpointError
from eyas.files.tensors import write_tensors
from eyas.model.classifier import Classifier, model_header
from eyas.model.compact import compact
from eyas.model.fitting import fill, load_weights
from eyas.model.weights import Weights, read_weights, weights_in
from eyas.model.zoo import build

State = dict[str, torch.Tensor]


def drawn(classes: int, seed: int = 1, make: Callable[[int], nn.Module] = compact) -> nn.Module:
    torch.manual_seed(seed)
    return make(classes).eval()


def same(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return all(torch.equal(mine[key], theirs[key]) for key in mine)


def under(prefix: str, state: State) -> State:
    return {f"{prefix}{key}": tensor for key, tensor in state.items()}


WRITTEN = {  # as other scripts write them
    "the PyTorch tutorial": lambda s: {"epoch": 5, "model_state_dict": s, "optimizer_state_dict": {"state": {0: {"momentum_buffer": s["fc.weight"]}}, "param_groups": [{"lr": 0.1}]}, "loss": 0.4},
    "net": lambda s: {"net": s, "acc": 91.2, "epoch": 3},
    "Lightning": lambda s: {"state_dict": under("net.", s), "hyper_parameters": {"lr": 0.1}, "callbacks": {}, "loops": {}},
    "a backbone": lambda s: {"state_dict": under("backbone.", s)},
    "DataParallel": lambda s: {"model": under("module.", s)},
    "compiled, distributed": lambda s: under("_orig_mod.module.", s),
    "a prefix of two parts": lambda s: {"state_dict": under("model.encoder.", s)},
    "arguments beside them": lambda s: {"state_dict": s, "args": argparse.Namespace(lr=0.1), "arch": "compact"},
    "nested twice": lambda s: {"checkpoint": {"model": {"weights": s}}, "epoch": 3},
    "numbers in the mapping": lambda s: {**s, "epoch": 3},
    "stochastic averaging": lambda s: {"swa": {**under("module.", s), "n_averaged": torch.tensor(4)}},
    "a loss with weights": lambda s: {"state_dict": {**under("net.", s), "criterion.weight": torch.ones(4)}},
    "the same twice": lambda s: {"state_dict": s, "model": dict(s)},
    "timm's average": lambda s: {"state_dict": {key: tensor + 1 for key, tensor in s.items()}, "state_dict_ema": s},
    "torchvision's average": lambda s: {"model": {key: tensor + 1 for key, tensor in s.items()}, "model_ema": under("module.", s)},
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".pth", ".ckpt", ".pth.tar"])
@pytest.mark.parametrize("write", WRITTEN.values(), ids=WRITTEN)
def test_a_checkpoint_of_another_script_is_read(tmp_path, write, suffix):
    donor, receiver = drawn(4), drawn(4, seed=2)
    torch.save(write(donor.state_dict()), tmp_path / f"w{suffix}")
    loaded = load_weights(receiver, tmp_path / f"w{suffix}")
    assert same(receiver, donor)
    assert "in the order of your classes, since the file names none" in loaded.sentence


def test_what_is_taken_and_what_is_left_out_is_said(tmp_path):
    donor = drawn(4).state_dict()
    torch.save({"state_dict": {**under("net.", donor), "criterion.weight": torch.ones(4)}}, tmp_path / "w.pth")
    said = load_weights(drawn(4), tmp_path / "w.pth").sentence
    assert "w.pth (state_dict without 'net.')" in said
    assert "left out: criterion.weight" in said
    torch.save({"model": under("", donor), "ema": {key: 2 * value for key, value in donor.items()}}, tmp_path / "e.pth")
    assert "(ema, the running average, of 2 sets that fit)" in load_weights(drawn(4), tmp_path / "e.pth").sentence


def test_a_backbone_beside_a_head_of_its_own_leaves_the_head_fresh(tmp_path):
    donor, receiver = drawn(4), drawn(4, seed=2)
    body = {key: tensor for key, tensor in donor.state_dict().items() if not key.startswith("fc.")}
    torch.save({**under("backbone.", body), "head.weight": torch.zeros(4, 9)}, tmp_path / "w.pth")
    fresh = receiver.get_parameter("fc.weight").clone()
    loaded = load_weights(receiver, tmp_path / "w.pth")
    assert torch.equal(receiver.get_parameter("fc.weight"), fresh)
    assert "starts fresh" in loaded.sentence and "left out: head.weight" in loaded.sentence


def test_two_sets_that_fit_are_told_apart_by_nobody_and_refused(tmp_path):
    one, other = drawn(4).state_dict(), drawn(4, seed=2).state_dict()
    torch.save({"student": under("module.", one), "teacher": other}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"2 sets of weights that fit: .*student.*teacher"):
        load_weights(drawn(4), tmp_path / "w.pth")
    torch.save({**under("encoder_q.", one), **under("encoder_k.", other)}, tmp_path / "moco.pth")
    with pytest.raises(CheckpointError, match=r"2 sets of weights that fit: .*encoder_q.*encoder_k"):
        load_weights(drawn(4), tmp_path / "moco.pth")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda: drawn(4), r"holds an object of the type eyas\.model\.compact\.\w+.*Nothing was run.*torch\.save\("),
        (lambda: {"model": drawn(4).state_dict(), "acc": np.float64(0.9)}, r"of the type numpy\S+scalar.*torch\.save\("),
        (lambda: {"epoch": 3, "lr": 0.1}, r"holds no weights by name \(a state_dict\), only epoch, lr\. Save"),
        (lambda: {"optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}}, r"are weights of another network"),
    ],
    ids=["a whole model", "a number of numpy", "no tensors", "an optimiser alone"],
)
def test_what_is_no_set_of_weights_is_named_as_what_it_is(tmp_path, content, said):
    torch.save(content(), tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=said) as refused:
        load_weights(drawn(4), tmp_path / "w.pth")
    assert "\n" not in str(refused.value)


def test_a_checkpoint_that_holds_itself_is_read_to_its_end():
    content: dict[str, object] = {"state_dict": drawn(3).state_dict(), "classes": {"a": 0, "b": 10**18}}
    content["again"] = content
    found = weights_in(content, "w.pth")
    assert list(found.states) == ["state_dict"] and found.classes == ()


NAMED = {
    "a list": lambda names: {"classes": list(names)},
    "names to numbers": lambda names: {"class_to_idx": {name: n for n, name in reversed(list(enumerate(names)))}},
    "numbers to names": lambda names: {"names": dict(enumerate(names))},
    "numbers as text": lambda names: {"id2label": {str(n): name for n, name in enumerate(names)}},
    "below the settings": lambda names: {"hyper_parameters": {"class_names": names}},
}


@pytest.mark.parametrize("write", NAMED.values(), ids=NAMED)
def test_the_class_names_of_another_script_are_found(tmp_path, write):
    donor, receiver = drawn(3), drawn(3, seed=2)
    torch.save({"state_dict": donor.state_dict(), **write(("cat", "dog", "emu"))}, tmp_path / "w.pth")
    said = load_weights(receiver, tmp_path / "w.pth", ("emu", "cat", "dog")).sentence
    assert torch.equal(receiver.get_parameter("fc.weight"), donor.get_parameter("fc.weight")[[2, 0, 1]])
    assert "by the classes' names, in another order" in said


@pytest.mark.parametrize("names", [["cat", "dog"], ["cat", "cat", "dog"], {"cat": 0, "dog": 1, "emu": 7}])
def test_names_that_do_not_fit_the_head_leave_it_fresh(tmp_path, names):
    receiver = drawn(3, seed=2)
    fresh = receiver.get_parameter("fc.weight").clone()
    torch.save({"state_dict": drawn(3).state_dict(), "classes": names}, tmp_path / "w.pth")
    said = load_weights(receiver, tmp_path / "w.pth", ("cat", "dog", "emu")).sentence
    assert torch.equal(receiver.get_parameter("fc.weight"), fresh)
    assert "starts fresh for these classes: the class names in the file do not fit its 3 outputs" in said


CLASSES = st.lists(st.sampled_from(["cat", "dog", "emu", "yak", "0", "1", "2", "01", "é", "Cat"]), min_size=2, max_size=6, unique=True)  # fmt: skip
HEADS = {"compact": compact, "squeezenet1_1": lambda n: build("squeezenet1_1", n)}


def bare(names: list[str]) -> bool:
    return all(name.isdigit() for name in names)


@pytest.mark.parametrize("model", ["compact", "squeezenet1_1"])
@given(old=CLASSES, new=CLASSES, seed=st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_each_class_that_is_kept_answers_as_it_did_and_no_other_has_its_row(model, old, new, seed):
    donor, receiver = drawn(len(old), 7, HEADS[model]), drawn(len(new), seed, HEADS[model])
    fresh = {key: tensor.clone() for key, tensor in receiver.state_dict().items()}
    loaded = fill(receiver, Weights("w", {"": donor.state_dict()}, tuple(old)), new)
    pictures = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        before, after = donor.eval()(pictures), receiver.eval()(pictures)
    kept = [] if (bare(old) or bare(new)) and set(old) != set(new) else [name for name in new if name in old]
    rows = next(key for key in ("fc.weight", "classifier.1.weight") if key in fresh)
    for number, name in enumerate(new):
        if name in kept:
            torch.testing.assert_close(after[:, number], before[:, old.index(name)])
        else:
            assert torch.equal(receiver.state_dict()[rows][number], fresh[rows][number])
    assert (f"{len(kept)} of {len(new)} classes taken over by name" in loaded.sentence) == (0 < len(kept) < len(new))
    assert ("starts fresh" in loaded.sentence) == (not kept)


def test_a_model_file_and_the_run_folder_of_it_are_the_same_weights(tmp_path):
    donor = drawn(3)
    header = model_header("compact", ("a", "b", "c"), Preprocess(16), {})
    write_tensors(tmp_path / "best.safetensors", "model", dict(donor.state_dict()), header)
    found = read_weights(tmp_path)
    assert found.classes == ("a", "b", "c") == Classifier.load(tmp_path).classes
    for place in (tmp_path, tmp_path / "best.safetensors"):
        receiver = drawn(3, seed=2)
        load_weights(receiver, place, ("a", "b", "c"))
        assert same(receiver, donor)
    with pytest.raises(CheckpointError, match=r"another network.*It is a model of compact: --model compact"):
        load_weights(build("squeezenet1_1", 3), tmp_path, ("a", "b", "c"))


def test_a_damaged_model_file_is_no_weights(tmp_path: Path):
    header = model_header("compact", ("a", "b", "c"), Preprocess(16), {})
    write_tensors(tmp_path / "m.safetensors", "model", dict(drawn(3).state_dict()), header)
    content = bytearray((tmp_path / "m.safetensors").read_bytes())
    content[-3] ^= 1
    (tmp_path / "m.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged"):
        load_weights(drawn(3), tmp_path / "m.safetensors", ("a", "b", "c"))


class TwoHeads(nn.Module):
    """The answer is the mean of two heads, that of timm's networks which were distilled."""

    def __init__(self, classes: int, between: int = 5) -> None:
        super().__init__()
        self.body = nn.Linear(4, 6)
        self.head = nn.ModuleDict({"one": nn.Linear(6, classes), "two": nn.Linear(6, classes)})
        self.between = nn.Linear(6, between)

    def get_classifier(self) -> nn.Module:
        return self.head


def test_every_head_of_a_network_gets_its_rows_by_name():
    donor, receiver = drawn(3, 1, TwoHeads), drawn(3, 2, TwoHeads)
    fill(receiver, Weights("w", {"": donor.state_dict()}, ("a", "b", "c")), ("c", "a", "b"))
    for head in ("one", "two"):
        for part in ("weight", "bias"):
            key = f"head.{head}.{part}"
            assert torch.equal(receiver.get_parameter(key), donor.get_parameter(key)[[2, 0, 1]])


@pytest.mark.parametrize(("between", "taken"), [(5, True), (3, False)])
def test_a_layer_within_the_head_that_is_as_wide_as_the_classes_are_many_leaves_it_fresh(between, taken):
    class Deep(TwoHeads):
        def __init__(self, classes: int) -> None:
            super().__init__(classes)
            self.head = nn.Sequential(nn.Linear(6, between), nn.Linear(between, classes))

    donor, receiver = drawn(3, 1, Deep), drawn(3, 2, Deep)
    said = fill(receiver, Weights("w", {"": donor.state_dict()}, ("a", "b", "c")), ("c", "a", "b")).sentence
    assert ("starts fresh" in said) != taken
    assert torch.equal(receiver.head[1].weight, donor.head[1].weight[[2, 0, 1]]) == taken
