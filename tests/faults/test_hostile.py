"""Files under a checkpoint's name that somebody made to harm: nothing in them runs, none fills the memory, each is refused."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from eyas.cli import main
from eyas.data.images.preprocess import Preprocess
from eyas.errors import CheckpointError, EyasError
from eyas.files.tensors import read_tensors, write_tensors
from eyas.model.classifier import Classifier
from eyas.model.zoo import build
from eyas.training.checkpoint import STATE, newest_state

GOOD = {"model": "compact", "classes": ["a", "b"], "preprocess": Preprocess(16).to_dict(), "facts": {}}


class Gadget:
    """Writes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return Path.touch, (self.canary,)


def archive(canary: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", pickle.dumps(Gadget(canary)))
        file.writestr("archive/code/__torch__.py", "raise SystemExit")
        file.writestr("archive/data/0", bytes(50_000_000))  # 50 kB packed
    return buffer.getvalue()


def saved_by_torch(canary: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save({"weights": torch.zeros(3), "gadget": Gadget(canary)}, buffer)
    return buffer.getvalue()


def tensors(header: Any, content: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + content


def tensor(shape: list[int], start: int, end: int, kind: str = "F32") -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [start, end]}


def sealed(text: str) -> bytes:
    """A file of eyas without tensors, whose seal is right: who makes one can compute it."""
    seal = json.dumps({"header": text, "sha256": hashlib.sha256(text.encode()).hexdigest()})
    return tensors({"__metadata__": {"eyas": seal}})


HOSTILE: dict[str, Callable[[Path], bytes]] = {
    "a pickle that runs code": lambda canary: pickle.dumps(Gadget(canary)),
    "torch.save of an object that runs code": saved_by_torch,
    "an archive of TorchScript that unpacks to 50 MB": archive,
    "a header of 2^63 bytes": lambda _: tensors({}, length=2**63),
    "a header of 2^64-1 bytes": lambda _: tensors({}, length=2**64 - 1),
    "a header of 1 GB that is not there": lambda _: tensors({}, length=2**30),
    "a header that ends early": lambda _: tensors(b'{"a": {"dtype"'),
    "a header that is no object": lambda _: tensors([1, 2]),
    "a header nested 100,000 deep": lambda _: tensors(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "a tensor of 2^62 numbers": lambda _: tensors({"a": tensor([2**31, 2**31], 0, 4)}, bytes(4)),
    "a shape whose product overflows": lambda _: tensors({"a": tensor([2**32, 2**32, 2], 0, 4)}, bytes(4)),
    "offsets that overlap": lambda _: tensors({"a": tensor([2], 0, 8), "b": tensor([2], 4, 12)}, bytes(12)),
    "offsets beyond the end": lambda _: tensors({"a": tensor([2], 0, 8)}, bytes(4)),
    "offsets backwards": lambda _: tensors({"a": tensor([0], 8, 0)}, bytes(8)),
    "negative shapes": lambda _: tensors({"a": tensor([-1], 0, 4)}, bytes(4)),
    "a type that does not exist": lambda _: tensors({"a": tensor([1], 0, 4, "F99")}, bytes(4)),
    "a seal that is a list": lambda _: tensors({"__metadata__": {"eyas": "[]"}}),
    "a seal nested 100,000 deep": lambda _: tensors({"__metadata__": {"eyas": "[" * 100_000 + "]" * 100_000}}),
    "a sealed header that is no JSON": lambda _: sealed("no JSON"),
    "a sealed header nested 100,000 deep": lambda _: sealed("[" * 100_000 + "]" * 100_000),
    "a sealed header that is a list": lambda _: sealed("[]"),
    "a sealed header without a format": lambda _: sealed("{}"),
    "a sealed header without a kind": lambda _: sealed('{"format": 1}'),
    "a sealed model without anything": lambda _: sealed('{"format": 1, "kind": "model"}'),
    "a sealed state without anything": lambda _: sealed('{"format": 1, "kind": "state"}'),
    "a format of the future": lambda _: sealed('{"format": 99, "kind": "model"}'),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_under_a_models_name_is_refused_and_nothing_in_it_runs(tmp_path, capsys, what, tally):
    path, canary = tmp_path / "best.safetensors", tmp_path / "canary"
    path.write_bytes(HOSTILE[what](canary))
    with pytest.raises(EyasError):
        Classifier.load(path)
    assert main(["evaluate", str(path), "digits:test"]) == 65
    told = capsys.readouterr().err
    assert told.startswith(f"eyas: {path}: "), told
    assert not canary.exists()
    tally("hostile files in a model's place")


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_under_a_states_name_is_refused_and_nothing_in_it_runs(tmp_path, what, tally):
    canary = tmp_path / "canary"
    (tmp_path / STATE).write_bytes(HOSTILE[what](canary))
    with pytest.raises(CheckpointError, match="no saved state is whole"):
        newest_state(tmp_path)
    assert not canary.exists()
    tally("hostile files in a state's place")


@pytest.mark.parametrize(
    "header",
    [
        GOOD | {"model": "no-such-network"}, GOOD | {"model": 7}, GOOD | {"model": "../../etc/passwd"},
        GOOD | {"classes": 7}, GOOD | {"classes": []}, GOOD | {"classes": ["a"] * 3}, GOOD | {"classes": [1, 2]},
        GOOD | {"preprocess": 7}, GOOD | {"preprocess": {}}, GOOD | {"preprocess": GOOD["preprocess"] | {"size": -1}},
        GOOD | {"preprocess": GOOD["preprocess"] | {"size": "x"}},
        GOOD | {"preprocess": GOOD["preprocess"] | {"mean": 1}},
        GOOD | {"preprocess": GOOD["preprocess"] | {"resize": "run"}},
        {name: GOOD[name] for name in ("model", "classes", "facts")},
    ],
    ids=str,
)  # fmt: skip
def test_a_model_whose_seal_is_right_and_whose_header_is_nonsense_is_refused(tmp_path, header, tally):
    path = tmp_path / "best.safetensors"
    write_tensors(path, "model", dict(build("compact", 2).state_dict()), header)
    with pytest.raises(EyasError) as error:
        Classifier.load(path)
    assert error.value.exit_code in (2, 65)
    assert "\n" not in str(error.value) or "Did you mean" in str(error.value)
    tally("sealed models whose header is nonsense")


def test_class_names_in_a_model_are_never_names_of_files(tmp_path, tally):
    names = ("../../x", "CON", "=cmd|'/C calc'!A0", "<script>alert(1)</script>", "\x1b[31mred", "x" * 300, "\N{PARROT}")
    path = tmp_path / "model" / "best.safetensors"
    path.parent.mkdir()
    Classifier(build("compact", len(names)), "compact", names, Preprocess(16)).save(path)
    assert Classifier.load(path).classes == names
    assert [found.name for found in tmp_path.rglob("*")] == ["model", "best.safetensors"]
    assert read_tensors(path, "model")[1]["classes"] == list(names)
    tally("hostile class names in a model", len(names))
