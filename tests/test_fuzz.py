"""Whatever is read may be anything: it is read, or refused in words. The slow twins try many times as much."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from eyas.config.run_config import make_config, read_toml, to_toml
from eyas.data.images.decode import decode
from eyas.data.images.preprocess import Preprocess
from eyas.data.lists.class_names import read_class_names
from eyas.data.lists.listing import read_listing
from eyas.errors import CheckpointError, DataError, EyasError, SettingsError
from eyas.files.tensors import read_tensors, write_tensors
from eyas.model.classifier import Classifier, model_header
from eyas.model.zoo import build
from tests.hostile import picture, saved

TIMES = 30  # examples of a fast test
MANY = int(os.environ.get("EYAS_FUZZ", "3000"))  # and of its slow twin


def fuzzed(*given_: Any, times: int = TIMES) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test on examples, the same ones each time."""
    quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    chosen = settings(max_examples=times, deadline=None, derandomize=times == TIMES, database=None,
                      suppress_health_check=quiet)  # fmt: skip
    return lambda test: chosen(given(*given_)(test))


# Lists.

PATHS = st.sampled_from(
    ["a.png", "b c.png", "./a.png", "../a.png", "/etc/passwd", "/dev/zero", "猫.png", "x/../../y.png", "C:\\a.png", "~", "-",
     "\x1b[31m.png", '"a.png', "a.png\r", "", "nan", "a" * 300, "//a.png", "a\u2028.png", "\ufeffa.png", ".", "pipe.png"]
)  # fmt: skip
LABELS = st.sampled_from(
    [
        "0",
        "1",
        "-1",
        "1e9",
        "3.0",
        "9" * 30,
        "9" * 5000,
        "nan",
        "cat",
        "=1+1",
        "",
        "１",
        "²",
        "٣",
        "+1",
        "-0",
        "0x1",
        "c" * 2000,
    ]
)
GAPS = st.sampled_from([" ", "\t", ",", ";", "  ", ", ", "\t\t", '"', ",,"])
LINES = st.tuples(PATHS, GAPS, LABELS).map("".join) | st.tuples(LABELS, GAPS, PATHS).map("".join) | st.text(max_size=30)
ENDS = st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\n#"])
LISTS = st.lists(st.tuples(LINES, ENDS).map("".join), max_size=12).map("".join)
LIST_BYTES = st.binary(max_size=200) | LISTS.map(lambda text: text.encode("utf-8", "surrogatepass"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("fuzz")
    for name in ("a.png", "b c.png", "猫.png"):
        (found / name).write_bytes(b"x")
    os.mkfifo(found / "pipe.png")
    return found


def list_is_read_or_refused(folder: Path, data: bytes) -> None:
    (folder / "list.txt").write_bytes(data)
    try:
        listing = read_listing(folder / "list.txt")
    except DataError as error:
        assert str(error).startswith(str(folder)), "the message begins with the place"
        return
    assert len(listing.paths) == len(listing.labels) == len(listing.lines) == len(listing.sizes)
    for path, label in zip(listing.paths, listing.labels.tolist(), strict=True):
        assert (folder / path).resolve().is_relative_to(folder), "what is read lies in the root"
        assert (folder / path).is_file()
        assert 0 <= label < len(listing.classes)


@fuzzed(LIST_BYTES, times=3 * TIMES)
def test_a_list_is_read_or_refused(folder, data):
    list_is_read_or_refused(folder, data)


@pytest.mark.slow
@fuzzed(LIST_BYTES, times=2 * MANY)
def test_many_lists_are_read_or_refused(folder, data):
    list_is_read_or_refused(folder, data)


@fuzzed(LIST_BYTES)
def test_a_class_file_is_read_or_refused(folder, data):
    (folder / "names.txt").write_bytes(data)
    try:
        names = read_class_names(folder / "names.txt").names
    except DataError:
        return
    assert names
    assert len(set(names)) == len(names)


# Settings.

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["auto", "cuda", "1e9"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
FIELDS = sorted({name for section in make_config().model_dump().values() for name in section})
GIVEN = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=6), VALUES, max_size=3)
TOML = st.binary(max_size=100) | st.lists(
    st.sampled_from(["[data]\n", "[optim]\n", "lr = ", "1\n", "'x'\n", "[", "]", "{", "}", "=", "\n", "a", ".", '"', "'''",
                     "9" * 5000, "1979-05-27\n", "nan\n", "\0", "é", "#", "train", "[[optim]]\n"]), max_size=20,
).map(lambda parts: "".join(parts).encode())  # fmt: skip


def settings_are_taken_or_refused(given_: dict[str, Any]) -> None:
    try:
        config = make_config(given_)
    except SettingsError:
        return
    assert to_toml(config)


@fuzzed(GIVEN)
def test_settings_are_taken_or_refused(given_):
    settings_are_taken_or_refused(given_)


@pytest.mark.slow
@fuzzed(GIVEN, times=MANY)
def test_many_settings_are_taken_or_refused(given_):
    settings_are_taken_or_refused(given_)


def toml_is_read_or_refused(folder: Path, data: bytes) -> None:
    (folder / "run.toml").write_bytes(data)
    try:
        assert isinstance(read_toml(folder / "run.toml"), dict)
        make_config(file=folder / "run.toml")
    except SettingsError:
        pass


@fuzzed(TOML, times=3 * TIMES)
def test_a_settings_file_is_read_or_refused(folder, data):
    toml_is_read_or_refused(folder, data)


@pytest.mark.slow
@fuzzed(TOML, times=MANY)
def test_many_settings_files_are_read_or_refused(folder, data):
    toml_is_read_or_refused(folder, data)


# Images.

SEEDS = [
    saved(picture(), "JPEG"), saved(picture(), "JPEG", progressive=True), saved(picture().convert("CMYK"), "JPEG"),
    saved(picture(), "PNG"), saved(picture().convert("P"), "PNG", transparency=3), saved(picture(), "WEBP"),
    saved(picture(), "WEBP", lossless=True), saved(picture(), "GIF"), saved(picture(), "TIFF"),
    saved(picture(), "TIFF", compression="tiff_lzw"), saved(picture(), "TIFF", compression="jpeg"), saved(picture(), "BMP"),
    saved(picture(), "PPM"), saved(picture(), "AVIF"), saved(picture().convert("L"), "PPM"),
]  # fmt: skip


def mutated(data: bytes, seed: int) -> bytes:
    """Return `data` with some bytes changed, cut out, doubled, or its end cut off: mostly in its first bytes."""
    dice, changed = random.Random(seed), bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        place = min(int(dice.expovariate(4 / len(changed))), len(changed) - 1)
        match dice.randrange(5):
            case 0:
                changed[place] ^= 1 << dice.randrange(8)
            case 1:
                changed[place] = dice.choice((0, 1, 127, 128, 255))
            case 2:
                changed[place : place + 4] = dice.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\0\0\xff\xff"))
            case 3:
                del changed[place : place + dice.randrange(1, 9)]
            case _:
                changed[place:place] = changed[place : place + dice.randrange(1, 33)]
    return bytes(changed[: dice.randrange(len(changed) + 1)] if dice.random() < 0.1 else changed) or b"x"


def image_is_decoded_or_refused(data: bytes) -> None:
    try:
        image = decode(data, "x")
    except DataError as error:
        assert str(error).startswith("x: cannot be decoded: ")
        return
    assert image.mode == "RGB"
    assert 0 < image.width * image.height <= 50_000_000


@fuzzed(st.sampled_from(SEEDS), st.integers(0, 2**32), times=8 * TIMES)
def test_a_damaged_image_is_decoded_or_refused(data, seed):
    image_is_decoded_or_refused(mutated(data, seed))


@pytest.mark.slow
@fuzzed(st.sampled_from(SEEDS), st.integers(0, 2**32), times=10 * MANY)
def test_many_damaged_images_are_decoded_or_refused(data, seed):
    image_is_decoded_or_refused(mutated(data, seed))


# Files of weights.


@pytest.fixture(scope="module")
def model(folder: Path) -> bytes:
    """The bytes of a small model file."""
    torch.manual_seed(0)
    Classifier(build("compact", 2), "compact", ("cat", "dog"), Preprocess(16)).save(folder / "model.safetensors")
    return (folder / "model.safetensors").read_bytes()


def damaged_file_is_refused(folder: Path, data: bytes, whole: bytes) -> None:
    (folder / "damaged.safetensors").write_bytes(data)
    if data == whole:
        return
    with pytest.raises(CheckpointError) as error:
        read_tensors(folder / "damaged.safetensors", "model")
    assert "\n" not in str(error.value)


@fuzzed(st.integers(0, 2**32))
def test_a_damaged_model_file_is_refused(folder, model, seed):
    damaged_file_is_refused(folder, mutated(model, seed), model)


@fuzzed(st.binary(max_size=80))
def test_a_file_of_any_bytes_is_no_model(folder, data):
    damaged_file_is_refused(folder, data, b"-")


@pytest.mark.slow
@fuzzed(st.integers(0, 2**32), times=MANY)
def test_many_damaged_model_files_are_refused(folder, model, seed):
    damaged_file_is_refused(folder, mutated(model, seed), model)


HEADERS = st.fixed_dictionaries({}, optional={
    "model": VALUES | st.sampled_from(["compact", "alexnet", "vit_gigantic_patch14_224", "nope"]),
    "classes": VALUES | st.lists(st.text(max_size=3), max_size=4), "facts": VALUES,
    "preprocess": VALUES | st.dictionaries(
        st.sampled_from([*Preprocess().to_dict(), "other"]),
        VALUES | st.sampled_from([0, -1, 16, 10**9, 0.0, [0, 0, 0], [1e400] * 3, "crop"]), max_size=3,
    ).map(lambda changes: {**Preprocess(16).to_dict(), **changes}),
})  # fmt: skip


def header_is_understood_or_refused(folder: Path, header: dict[str, Any]) -> None:
    network = build("compact", 2)
    whole = model_header("compact", ("cat", "dog"), Preprocess(16), {}) | header
    try:
        json.dumps(whole).encode()
        write_tensors(folder / "header.safetensors", "model", dict(network.state_dict()), whole)
    except (ValueError, UnicodeEncodeError):  # what JSON cannot say
        return
    try:
        classifier = Classifier.load(folder / "header.safetensors")
    except EyasError as error:
        assert error.exit_code == 65
        return
    answer = classifier.predict(torch.zeros(3, 20, 20, dtype=torch.uint8))
    assert answer.probability == answer.probability


@fuzzed(HEADERS, times=2 * TIMES)
@example({"preprocess": {**Preprocess(16).to_dict(), "std": [1e-300] * 3}})
def test_a_header_is_understood_or_refused(folder, header):
    header_is_understood_or_refused(folder, header)


@pytest.mark.slow
@fuzzed(HEADERS, times=MANY)
def test_many_headers_are_understood_or_refused(folder, header):
    header_is_understood_or_refused(folder, header)
