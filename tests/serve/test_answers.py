"""What the server answers is what `eyas predict` says (law 6)."""

from __future__ import annotations

import base64
import io
import json

import pytest
import torch
from PIL import Image
from tests.scenes import scene
from tests.serve.servers import CLASSES, classifier_of, file_of, serving

from eyas import Classifier
from eyas.serve.batching import Batcher, Job
from eyas.verbs.predict import predict_files


def pictures() -> dict[str, bytes]:
    """Return a picture of every kind that is easily treated differently in two places."""
    turned = Image.Exif()
    turned[0x0112] = 6
    return {
        "portrait.jpg": file_of(scene(1, (60, 91)), "JPEG"),
        "landscape.png": file_of(scene(2, (120, 47))),
        "grey.png": file_of(scene(3, (50, 50)).convert("L")),
        "turned.jpg": file_of(scene(4, (80, 40)), "JPEG", exif=turned),
        "cmyk.jpg": file_of(scene(5, (70, 66)).convert("CMYK"), "JPEG"),
    }


@pytest.mark.parametrize(
    ("resize", "views"), [("stretch", "one"), ("crop", "shift"), ("pad", "flip")], ids=["stretch", "crop", "pad"]
)
def test_the_server_answers_as_predict_and_the_library_do(tmp_path, resize, views):
    classifier = classifier_of(resize=resize, views=views)
    classifier.save(tmp_path / "model.safetensors")
    files = pictures()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    paths = [str(tmp_path / name) for name in files]
    expected = [answer.prediction for answer in predict_files(classifier, paths)]
    with serving(Classifier.load(tmp_path / "model.safetensors")) as running:
        many = [("files", (name, data)) for name, data in files.items()]
        together = running.client.post("/predict", files=many, params={"top": 4}).json()["answers"]
        alone = [
            running.client.post("/predict", files={"file": (name, data)}, params={"top": 4}).json()["answers"][0]
            for name, data in files.items()
        ]
    assert [answer["name"] for answer in together] == list(files)
    for path, one, other, prediction in zip(paths, together, alone, expected, strict=True):
        single = classifier.predict(path)
        assert one["label"] == other["label"] == prediction.label == single.label
        for answer in (one, other):
            assert [guess["label"] for guess in answer["top"]] == list(prediction.probabilities)
            shares = [guess["probability"] for guess in answer["top"]]
            assert shares == pytest.approx(list(prediction.probabilities.values()), abs=1e-6)
        # a picture that is alone in its batch goes the very same way
        assert other["probability"] == single.probability


def test_the_temperature_of_a_calibrated_model_is_in_the_answers(picture):
    classifier = classifier_of()
    object.__setattr__(classifier, "temperature", 0.25)
    with serving(classifier) as running:
        answer = running.ask(picture).json()["answers"][0]
    assert answer["probability"] == classifier.predict(Image.open(io.BytesIO(picture))).probability
    assert answer["probability"] > classifier_of().predict(Image.open(io.BytesIO(picture))).probability + 0.01


def test_a_form_and_a_bare_body_give_the_same_answer(running, picture):
    by_form = running.client.post("/predict", files={"file": ("a.png", picture)}).json()["answers"][0]
    bare = running.ask(picture).json()["answers"][0]
    untyped = running.client.post(
        "/predict", content=picture, headers={"Content-Type": "application/octet-stream"}
    ).json()["answers"][0]
    assert by_form.pop("name") == "a.png"
    assert bare.pop("name") == untyped.pop("name") == "picture 1"
    assert by_form == bare == untyped


def test_top_says_how_many_classes_are_told(running, picture):
    for count in (1, 2, 4):
        answer = running.ask(picture, top=count).json()["answers"][0]
        assert len(answer["top"]) == count
        assert answer["top"][0] == {"label": answer["label"], "probability": answer["probability"]}
    assert sum(guess["probability"] for guess in answer["top"]) == pytest.approx(1)


def test_class_names_come_whole_whatever_they_are(running, picture):
    answer = running.ask(picture, top=4).json()["answers"][0]
    assert {guess["label"] for guess in answer["top"]} == set(CLASSES)
    assert running.client.get("/about").json()["classes"] == list(CLASSES)


def test_a_class_name_that_is_no_utf8_is_answered(picture):
    classifier = classifier_of()
    object.__setattr__(classifier, "classes", ("\udcff", "b", "c", "d"))
    with serving(classifier) as running:
        labels = {guess["label"] for guess in json.loads(running.ask(picture, top=4).text)["answers"][0]["top"]}
        assert labels == {"\udcff", "b", "c", "d"}
        assert json.loads(running.client.get("/about").text)["classes"][0] == "\udcff"


def test_a_file_is_called_by_its_last_name(running, picture):
    answer = running.client.post("/predict", files={"file": ("C:\\here\\../there/a.png", picture)}).json()
    assert answer["answers"][0]["name"] == "a.png"


@pytest.mark.parametrize(
    ("resize", "shape"),
    [("stretch", (96, 48)), ("crop", (384, 384)), ("pad", (384, 384))],
    ids=lambda value: str(value),
)
def test_the_map_is_a_picture_of_what_the_network_sees(resize, shape):
    data = file_of(scene(2, (96, 48)))
    with serving(classifier_of(resize=resize)) as running:
        plain, mapped = (running.ask(data, heatmap=said).json()["answers"][0] for said in ("false", "true"))
    assert plain.pop("heatmap") is None
    kind, _, content = mapped.pop("heatmap").partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        assert (image.format, image.size) == ("PNG", shape)
    assert plain == mapped


def test_pictures_that_wait_meet_in_a_batch_that_says_what_each_says_alone():
    classifier = classifier_of()
    images = [classifier.preprocess.resized(torch.randint(0, 256, (3, 40, 40), dtype=torch.uint8)) for _ in range(9)]
    sizes: list[int] = []
    batcher = Batcher(classifier, batch_size=4, max_wait=5, coming=lambda: len(sizes) == 0, batched=sizes.append)
    futures = [batcher.submit(Job(image)) for image in images]
    results = [future.result(20).prediction for future in futures]
    assert batcher.close()
    assert sizes[0] == 4
    assert sum(sizes) == 9
    for image, result in zip(images, results, strict=True):
        alone = classifier.predictions(classifier.logits_of_resized(image[None]))[0]
        assert result.probabilities == pytest.approx(alone.probabilities, abs=1e-6)
        assert result.label == alone.label
