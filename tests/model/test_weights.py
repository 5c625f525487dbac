"""Weights from files and from the libraries' hosts: taken whole, or refused in one sentence with nothing changed."""

from __future__ import annotations

import hashlib
import http.server
import pickle
import threading
from collections import OrderedDict
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import VisionTransformer

from eyas.errors import CheckpointError, FileError
from eyas.model.compact import compact
from eyas.model.fitting import load_weights
from eyas.model.pretrained import download_state, load_pretrained
from eyas.model.zoo import build


def _same(one: nn.Module, other: nn.Module, *, but: str = "-") -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return all(torch.equal(mine[key], theirs[key]) for key in mine if not key.startswith(but))


@pytest.fixture
def donor() -> nn.Module:
    torch.manual_seed(1)
    return compact(4)


@pytest.fixture
def receiver() -> nn.Module:
    torch.manual_seed(2)
    return compact(4)


def test_a_safetensors_file_is_loaded_with_a_head_that_fits(
    donor: nn.Module, receiver: nn.Module, tmp_path: Path
) -> None:
    save_file(donor.state_dict(), tmp_path / "w.safetensors", metadata={"format": "pt"})

    loaded = load_weights(receiver, tmp_path / "w.safetensors")

    assert _same(receiver, donor)
    assert loaded.head_loaded
    assert "the head too" in loaded.sentence


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin"])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "model_state"])
def test_pickled_weights_are_loaded_in_any_usual_wrapping(
    donor: nn.Module, receiver: nn.Module, tmp_path: Path, suffix: str, wrapper: str | None
) -> None:
    state = donor.state_dict()
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, tmp_path / f"w{suffix}")

    load_weights(receiver, tmp_path / f"w{suffix}")

    assert _same(receiver, donor)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "model."])
def test_prefixes_of_wrappers_are_taken_off(donor: nn.Module, receiver: nn.Module, tmp_path: Path, prefix: str) -> None:
    torch.save({f"{prefix}{key}": tensor for key, tensor in donor.state_dict().items()}, tmp_path / "w.pth")

    load_weights(receiver, tmp_path / "w.pth")

    assert _same(receiver, donor)


def test_a_head_of_other_classes_is_left_fresh(receiver: nn.Module, tmp_path: Path) -> None:
    other = compact(9)
    torch.save(other.state_dict(), tmp_path / "w.pth")
    fresh = receiver.get_parameter("fc.weight").clone()

    loaded = load_weights(receiver, tmp_path / "w.pth")

    assert _same(receiver, other, but="fc.")
    assert torch.equal(receiver.get_parameter("fc.weight"), fresh)
    assert not loaded.head_loaded
    assert "starts fresh" in loaded.sentence


def test_a_backbone_without_any_head_is_enough(donor: nn.Module, receiver: nn.Module, tmp_path: Path) -> None:
    torch.save(
        {key: tensor for key, tensor in donor.state_dict().items() if not key.startswith("fc.")},
        tmp_path / "w.pth",
    )

    assert not load_weights(receiver, tmp_path / "w.pth").head_loaded
    assert _same(receiver, donor, but="fc.")


def test_half_precision_weights_become_the_networks_own_precision(
    donor: nn.Module, receiver: nn.Module, tmp_path: Path
) -> None:
    torch.save(donor.half().state_dict(), tmp_path / "w.pth")

    load_weights(receiver, tmp_path / "w.pth")

    assert receiver.get_parameter("fc.weight").dtype == torch.float32
    assert _same(receiver, donor.float())


def test_weights_of_another_network_are_refused_with_the_first_differences_and_change_nothing(
    receiver: nn.Module, tmp_path: Path
) -> None:
    torch.save(build("squeezenet1_1", 4).state_dict(), tmp_path / "w.pth")
    before = {key: tensor.clone() for key, tensor in receiver.state_dict().items()}

    with pytest.raises(
        CheckpointError,
        match=r"another network.*missing \(stem.0.weight.*unexpected \(features.0.weight.*--model",
    ):
        load_weights(receiver, tmp_path / "w.pth")

    assert all(torch.equal(before[key], tensor) for key, tensor in receiver.state_dict().items())


def test_a_tensor_of_another_shape_is_named_with_both_shapes(
    donor: nn.Module, receiver: nn.Module, tmp_path: Path
) -> None:
    state = donor.state_dict()
    state["stem.0.weight"] = torch.zeros(16, 3, 4, 4)
    torch.save(state, tmp_path / "w.pth")

    with pytest.raises(CheckpointError, match=r"stem.0.weight \(\[16, 3, 4, 4\] for \[32, 3, 4, 4\]\)"):
        load_weights(receiver, tmp_path / "w.pth")


def test_values_that_are_not_finite_are_refused(donor: nn.Module, receiver: nn.Module, tmp_path: Path) -> None:
    donor.get_parameter("fc.bias").data[0] = float("nan")
    torch.save(donor.state_dict(), tmp_path / "w.pth")

    with pytest.raises(CheckpointError, match=r"'fc.bias' holds values that are not finite"):
        load_weights(receiver, tmp_path / "w.pth")


class Hostile:
    """Unpickled carelessly, it makes a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.trace,))


def test_a_pickle_with_code_is_refused_and_not_run(receiver: nn.Module, tmp_path: Path) -> None:
    torch.save({"state_dict": Hostile(tmp_path / "trace")}, tmp_path / "zip.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Hostile(tmp_path / "trace")))

    for name in ("zip.pth", "plain.pth"):
        with pytest.raises(CheckpointError, match=r"Nothing was run") as refusal:
            load_weights(receiver, tmp_path / name)
        assert "\n" not in str(refusal.value)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_files_are_refused_in_one_line(
    donor: nn.Module, receiver: nn.Module, tmp_path: Path, suffix: str
) -> None:
    whole = tmp_path / f"whole{suffix}"
    save_file(donor.state_dict(), whole) if suffix == ".safetensors" else torch.save(donor.state_dict(), whole)
    content = whole.read_bytes()
    damaged = [
        b"",
        b"\x00" * 64,
        b"no weights at all",
        content[: len(content) // 2],
        content[:100],
        content[::-1],
    ]
    for number, wrong in enumerate(damaged):
        path = tmp_path / f"{number}{suffix}"
        path.write_bytes(wrong)
        with pytest.raises(CheckpointError, match=path.name) as refusal:
            load_weights(receiver, path)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", [[1, 2], {}, {"epoch": 3}, {"state_dict": {"a": 1}}, torch.zeros(3)])
def test_a_file_without_weights_by_name_is_refused(receiver: nn.Module, tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")

    with pytest.raises(CheckpointError, match=r"state_dict"):
        load_weights(receiver, tmp_path / "w.pth")


def test_a_missing_file_and_a_foreign_ending_are_told_apart(receiver: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"there is no such file"):
        load_weights(receiver, tmp_path / "none.pth")
    with pytest.raises(FileError, match=r"none.safetensors"):
        load_weights(receiver, tmp_path / "none.safetensors")
    (tmp_path / "w.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(CheckpointError, match=r"is no weights file"):
        load_weights(receiver, tmp_path / "w.h5")


def test_auxiliary_heads_and_old_names_in_published_files_are_understood(tmp_path: Path) -> None:
    torch.manual_seed(0)
    google, dense = build("googlenet", 3), build("densenet121", 3)
    transformer = VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=3
    )
    torch.save({**google.state_dict(), "aux1.fc2.weight": torch.zeros(3, 4)}, tmp_path / "google.pth")
    renamed = {
        key.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."): t for key, t in dense.state_dict().items()
    }
    torch.save(renamed, tmp_path / "dense.pth")
    legacy = {
        key.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): t
        for key, t in transformer.state_dict().items()
    }
    legacy_file = OrderedDict(legacy)
    legacy_file._metadata = {"": {"version": 1}}  # type: ignore[attr-defined]
    torch.save(legacy_file, tmp_path / "vit.pth")

    for model, file in (
        (google, "google"),
        (dense, "dense"),
        (transformer, "vit"),
    ):
        receiver = deepcopy(model)
        for tensor in receiver.state_dict().values():
            tensor.zero_()
        assert load_weights(receiver, tmp_path / f"{file}.pth").head_loaded
        assert _same(receiver, model)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Give the address of a real HTTP server and the folder that it serves."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()
        thread.join()


def test_a_download_is_checked_against_the_hash_in_its_name(
    host: tuple[str, Path], donor: nn.Module, tmp_path: Path
) -> None:
    address, folder = host
    torch.save(donor.state_dict(), folder / "w.pth")
    digest = hashlib.sha256((folder / "w.pth").read_bytes()).hexdigest()[:8]
    (folder / "w.pth").rename(folder / f"w-{digest}.pth")
    torch.save(donor.state_dict(), folder / "w-00000000.pth")

    state = download_state(f"{address}/w-{digest}.pth", folder=tmp_path)
    assert all(torch.equal(state[key], tensor) for key, tensor in donor.state_dict().items())
    with pytest.raises(CheckpointError, match=r"invalid hash value"):
        download_state(f"{address}/w-00000000.pth", folder=tmp_path)
    with pytest.raises(FileError, match=r"404.*--weights FILE"):
        download_state(f"{address}/w-11111111.pth", folder=tmp_path)


def test_a_host_that_cannot_be_reached_is_an_answer_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"cannot be downloaded .* --weights FILE"):
        download_state("http://127.0.0.1:9/w-11111111.pth", folder=tmp_path)


def test_our_own_network_has_no_published_weights(receiver: nn.Module) -> None:
    with pytest.raises(CheckpointError, match="no published weights of compact"):
        load_pretrained(receiver, "compact")
