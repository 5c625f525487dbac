"""The classifier's file and its answers."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from eyas import Classifier, EyasError
from eyas.data.images.preprocess import Preprocess
from eyas.errors import CheckpointError, DataError
from eyas.files.tensors import write_tensors
from eyas.model.zoo import build

NAMES = ("猫", "🐕 狗", "école", "=1+1", "a/b\\c", "x" * 300)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    torch.manual_seed(0)
    return Classifier(build("compact", 6).eval(), "compact", NAMES, Preprocess(16, "crop"), {"epoch": 3, "scores": {}})


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Five pictures of several sizes."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(5):
        pixels = rng.integers(0, 256, (20 + number, 50 - 7 * number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return [folder / f"{number}.png" for number in range(5)]


def tensor_of(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)


def test_what_is_saved_comes_back_whole(classifier, photos, tmp_path):
    classifier.save(tmp_path / "模型.safetensors")
    again = Classifier.load(tmp_path / "模型.safetensors")
    assert (again.model, again.classes, again.preprocess, again.facts) == (
        classifier.model, classifier.classes, classifier.preprocess, classifier.facts,
    )  # fmt: skip
    assert again.predict(photos) == classifier.predict(photos)
    assert not again.network.training


def test_a_network_that_asks_for_the_version_of_its_weights_comes_back(tmp_path):
    saved = Classifier(build("mnasnet0_5", 3).eval(), "mnasnet0_5", ("a", "b", "c"), Preprocess(size=32))
    saved.save(tmp_path / "model.safetensors")
    loaded = Classifier.load(tmp_path / "model.safetensors")
    weights = saved.network.state_dict()
    assert all(torch.equal(weights[name], tensor) for name, tensor in loaded.network.state_dict().items())


def test_the_same_classifier_gives_the_same_file(classifier, tmp_path):
    for name in ("one", "two"):
        classifier.save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_a_path_a_pil_image_and_a_tensor_get_the_same_answer(classifier, photos):
    path = photos[0]
    answer = classifier.predict(path)
    assert classifier.predict(str(path)) == answer
    assert classifier.predict(tensor_of(path)) == answer
    with Image.open(path) as image:
        assert classifier.predict(image) == answer


def test_a_list_of_anything_is_answered_in_its_order(classifier, photos):
    singles = [classifier.predict(path) for path in photos]
    mixed = [photos[3], str(photos[0]), tensor_of(photos[4]), photos[3]]
    answers = classifier.predict(mixed)
    for answer, number in zip(answers, [3, 0, 4, 3], strict=True):
        assert answer.label == singles[number].label
        assert answer.probability == pytest.approx(singles[number].probability, abs=1e-6)
    assert classifier.predict([]) == []


def test_more_images_than_a_batch_are_answered_in_their_order(classifier, photos):
    many = [tensor_of(photos[number % 5]) for number in range(150)]
    answers = classifier.predict(many)
    assert len(answers) == 150
    assert answers[137].probability == pytest.approx(classifier.predict(photos[2]).probability, abs=1e-6)


def test_an_answer_has_every_class_with_the_likeliest_first(classifier, photos):
    answer = classifier.predict(photos[0])
    shares = list(answer.probabilities.values())
    assert set(answer.probabilities) == set(NAMES)
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)
    assert (answer.label, answer.probability) == answer.top(1)[0] == next(iter(answer.probabilities.items()))
    assert len(answer.top(2)) == 2
    assert len(answer.top(100)) == 6


def test_probabilities_are_the_softmax_of_the_logits(classifier, photos):
    logits = classifier.logits(tensor_of(photos[0])[None])
    assert logits.dtype == torch.float32
    expected = dict(zip(NAMES, logits.softmax(1)[0].tolist(), strict=True))
    assert classifier.predict(photos[0]).probabilities == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_an_image_is_fitted_once(classifier, photos, resize):
    # a crop of an image that was cropped before would be a crop of its middle
    way = Preprocess(16, resize)
    single = Classifier(classifier.network, "compact", NAMES, way)
    with torch.inference_mode():
        expected = classifier.network(way(tensor_of(photos[0]))[None]).softmax(1)[0].tolist()
    answer = single.predict(photos[0]).probabilities
    assert [answer[name] for name in NAMES] == pytest.approx(expected, abs=1e-6)


def test_predicting_changes_nothing_in_a_network_in_training_mode(photos):
    network = build("compact", 2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    Classifier(network.train(), "compact", ("a", "b"), Preprocess(16)).predict(photos)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (torch.zeros(1, 20, 20, dtype=torch.uint8), "uint8 [1x20x20]"),
        (torch.zeros(20, 20, 3, dtype=torch.uint8), "uint8 [20x20x3]"),
        (torch.rand(3, 20, 20), "float32 [3x20x20]"),
    ],
)
def test_a_tensor_of_another_form_is_explained(classifier, image, words):
    for given in (image, [image]):
        with pytest.raises(DataError, match=r"must be uint8 \[3, H, W\]") as error:
            classifier.predict(given)
        assert words in str(error.value)


def test_a_tensor_of_too_few_or_too_many_dimensions_is_explained(classifier):
    with pytest.raises(DataError, match="must be uint8"):
        classifier.predict(torch.zeros(20, 20, dtype=torch.uint8))
    batch = torch.zeros(2, 3, 20, 20, dtype=torch.uint8)
    assert len(classifier.predict(batch)) == 2  # a batch is a sequence of images


def test_an_image_that_cannot_be_decoded_is_named(classifier, photos, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"bad\.jpg: cannot be decoded"):
        classifier.predict([photos[0], tmp_path / "bad.jpg"])
    with pytest.raises(DataError, match=r"none\.jpg: cannot be read"):
        classifier.predict(tmp_path / "none.jpg")


# Files that are not what they should be.


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model file's bytes, short enough that its header is a large part."""
    path = tmp_path_factory.mktemp("small") / "model.safetensors"
    Classifier(build("compact", 2), "compact", ("a", "b"), Preprocess(16)).save(path)
    return path.read_bytes()


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        Classifier.load(path)
    message = str(error.value)
    assert message.startswith(f"{path}: "), message
    assert "\n" not in message
    return message


def test_one_flipped_bit_anywhere_is_noticed(small, tmp_path):
    header = 8 + int.from_bytes(small[:8], "little")
    draw = random.Random(0)
    places = [*range(12), *draw.sample(range(header), 90), *draw.sample(range(header, len(small)), 30), len(small) - 1]
    for place in places:
        damaged = bytearray(small)
        damaged[place] ^= 1 << draw.randrange(8)
        refused(tmp_path / "m.safetensors", bytes(damaged))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.5, 0.99])
def test_a_file_that_was_cut_is_noticed(small, tmp_path, share):
    refused(tmp_path / "m.safetensors", small[: int(share * len(small))])


def test_more_bytes_and_bytes_of_zero_are_noticed(small, tmp_path):
    refused(tmp_path / "m.safetensors", small[:-1])
    refused(tmp_path / "m.safetensors", small + b"\0")
    refused(tmp_path / "m.safetensors", bytes(len(small)))


def test_a_foreign_safetensors_file_is_told_apart(tmp_path):
    foreign = safetensors.torch.save(build("compact", 2).state_dict())
    assert "was not written by eyas" in refused(tmp_path / "m.safetensors", foreign)
    with_metadata = safetensors.torch.save({"a": torch.zeros(2)}, {"format": "pt"})
    assert "--weights" in refused(tmp_path / "m.safetensors", with_metadata)


@pytest.mark.parametrize("sealed", ["", "[]", "3", "null", '{"header": 3, "sha256": ""}', '{"header": "{}"}'])
def test_a_forged_seal_is_damage_and_no_crash(tmp_path, sealed):
    content = safetensors.torch.save({"a": torch.zeros(2)}, {"eyas": sealed})
    assert "is damaged" in refused(tmp_path / "m.safetensors", content)


@pytest.mark.parametrize("header", [b"null", b"[]", b'{"__metadata__":null}', b'{"__metadata__":[]}', b"[" * 100_000])
def test_a_header_of_another_form_is_no_crash(tmp_path, header):
    refused(tmp_path / "m.safetensors", len(header).to_bytes(8, "little") + header)


def test_a_pickle_is_refused_and_not_run(tmp_path):
    canary = tmp_path / "canary"

    class Gadget:
        def __reduce__(self):
            return (Path.touch, (canary,))

    torch.save({"model": Gadget()}, tmp_path / "m.pt")
    refused(tmp_path / "m.pt", (tmp_path / "m.pt").read_bytes())
    assert not canary.exists()


def test_a_state_file_is_not_a_model(tmp_path):
    write_tensors(tmp_path / "state.safetensors", "state", {"a": torch.zeros(2)}, {})
    with pytest.raises(CheckpointError, match=r"is a state file; a model file is needed"):
        Classifier.load(tmp_path / "state.safetensors")


def test_a_file_of_a_later_format_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("eyas.files.tensors.FORMAT", 2)
    write_tensors(tmp_path / "m.safetensors", "model", {"a": torch.zeros(2)}, {})
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="has format 2; this eyas reads format 1"):
        Classifier.load(tmp_path / "m.safetensors")


def test_weights_that_do_not_fit_the_named_network_are_explained(tmp_path):
    wrong = Classifier(build("compact", 3), "compact", ("a", "b"), Preprocess(16))
    wrong.save(tmp_path / "m.safetensors")
    with pytest.raises(CheckpointError, match=r"m\.safetensors: its weights do not fit compact") as error:
        Classifier.load(tmp_path / "m.safetensors")
    assert "\n" not in str(error.value)


def test_a_network_that_the_installed_libraries_do_not_have_is_named(tmp_path):
    Classifier(build("compact", 2), "compcat", ("a", "b"), Preprocess(16)).save(tmp_path / "m.safetensors")
    with pytest.raises(EyasError, match="compcat"):
        Classifier.load(tmp_path / "m.safetensors")


def test_a_run_folder_means_its_best_model_and_else_its_last(classifier, tmp_path):
    classifier.save(tmp_path / "last.safetensors")
    assert Classifier.load(tmp_path).facts["epoch"] == 3
    Classifier(classifier.network, "compact", NAMES, Preprocess(16), {"epoch": 1}).save(tmp_path / "best.safetensors")
    assert Classifier.load(tmp_path).facts["epoch"] == 1


def test_a_run_folder_without_a_model_and_no_folder_at_all_are_told_apart(tmp_path):
    with pytest.raises(DataError, match="holds no model yet"):
        Classifier.load(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        Classifier.load(tmp_path / "none")


def test_a_device_that_is_not_there_is_named(classifier, tmp_path):
    classifier.save(tmp_path / "m.safetensors")
    with pytest.raises(EyasError, match="--device quantum: unknown"):
        Classifier.load(tmp_path / "m.safetensors", "quantum")


def test_probabilities_are_the_softmax_at_the_stored_temperature(classifier, photos, tmp_path):
    cooler = replace(classifier, temperature=2.5)
    cooler.save(tmp_path / "cooler.safetensors")
    loaded = Classifier.load(tmp_path / "cooler.safetensors")
    assert loaded.temperature == 2.5
    logits = loaded.logits(tensor_of(photos[0])[None])
    expected = (logits[0].double() / 2.5).softmax(0)
    assert list(loaded.predict(photos[0]).probabilities.values()) == sorted(expected.tolist(), reverse=True)
    assert loaded.predict(photos[0]).label == classifier.predict(photos[0]).label


def test_a_file_without_a_temperature_has_that_of_one(classifier, tmp_path):
    header = {"model": "compact", "classes": list(NAMES), "preprocess": classifier.preprocess.to_dict(), "facts": {}}
    write_tensors(tmp_path / "old.safetensors", "model", dict(classifier.network.state_dict()), header)
    assert Classifier.load(tmp_path / "old.safetensors").temperature == 1.0


@pytest.mark.parametrize("temperature", [0.0, -1.0, "1", None, float("inf"), float("nan")])
def test_a_temperature_that_is_none_is_refused(classifier, tmp_path, temperature):
    header = {"model": "compact", "classes": list(NAMES), "preprocess": classifier.preprocess.to_dict(), "facts": {}}
    header["temperature"] = temperature
    write_tensors(tmp_path / "odd.safetensors", "model", dict(classifier.network.state_dict()), header)
    with pytest.raises(CheckpointError, match="no number above zero"):
        Classifier.load(tmp_path / "odd.safetensors")


def test_an_array_is_an_image_too(classifier, photos):
    pixels = np.array(Image.open(photos[1]).convert("RGB"))
    assert classifier.predict(pixels) == classifier.predict(photos[1])
    both = classifier.predict([pixels, pixels[..., 0]])
    assert both[0].probability == pytest.approx(classifier.predict(photos[1]).probability, abs=1e-6)
    assert both[1].label in NAMES
    with pytest.raises(DataError, match="An image array must be uint8"):
        classifier.predict(pixels.astype(np.float32))


def test_a_classifier_says_what_it_is_in_a_line(classifier):
    assert repr(classifier).startswith("Classifier(compact, 6 classes, 16x16 by crop")
    assert "\n" not in repr(classifier)


def test_an_opened_picture_of_any_mode_is_answered_as_its_file_is(classifier, photos, tmp_path):
    picture = Image.open(photos[1]).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.png", exif=exif)
    for mode in ("L", "RGBA", "CMYK", "P"):
        picture.convert(mode).save(tmp_path / f"{mode}.tif")
    for name in ("turned.png", "L.tif", "RGBA.tif", "CMYK.tif", "P.tif"):
        with Image.open(tmp_path / name) as opened:
            assert classifier.predict(opened) == classifier.predict(tmp_path / name), name
    with pytest.raises(DataError, match="floating-point"):
        classifier.predict(Image.new("F", (20, 20)))
