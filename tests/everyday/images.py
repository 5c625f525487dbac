"""Pictures as scanners, cameras and phones give them: more than 8 bits, very many pixels, HEIC, DICOM."""

from __future__ import annotations

import csv
import re
import runpy
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eyas import Classifier, Preprocess, export
from eyas.model.zoo import build
from tests.everyday.case import Case, picture, pictures, train
from tests.hostile import saved
from tests.kinds import colour16, grey16

TITLE = "Pictures"
_NAMES = ("normal", "lesion")


def _scans(most: int, kind: str = "PNG", folder: str = "scans", count: int = 4) -> None:
    """Write grey pictures of 16 bits whose largest value is `most`, in two classes that differ by a bright spot."""
    rng = np.random.default_rng(0)
    for name in _NAMES:
        for number in range(count):
            values = rng.normal(0.4 * most, 0.02 * most, (20, 16)).clip(0, most)
            values[8:12, 6:10] += 0.05 * most * (name == "lesion")
            values[0, :2] = 0, most
            big = kind == "TIFF, big-endian"
            data = saved(Image.fromarray(values.astype(">u2")), "TIFF") if big else grey16(values, kind)
            _put(f"{folder}/{name}/{number}.{'png' if kind == 'PNG' else 'tif'}", data)


def _hot_pixel() -> None:
    _scans(4095)
    values = np.arange(320).reshape(20, 16) * 12
    values[3, 5] = 65_535
    _put("scans/lesion/hot.png", grey16(values))


def _put(path: str, data: bytes) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(data)


def _mixed() -> None:
    _scans(4095)
    for name in _NAMES:
        _put(f"scans/{name}/8bit.png", saved(Image.linear_gradient("L"), "PNG"))


def _two_depths() -> None:
    _scans(4095)
    _put("scans/normal/full.png", grey16(np.full((9, 9), 65_535)))


def _colour() -> None:
    for name in _NAMES:
        for number in range(4):
            _put(f"scans/{name}/{number}.png", colour16(np.random.default_rng(number).integers(0, 4096, (9, 9, 3))))


def _signed() -> None:
    for name in _NAMES:
        for number in range(4):
            values = np.random.default_rng(number).integers(-1024, 3072, (9, 9)).astype(np.int32)
            values[0, :2] = -1024, 3071
            _put(f"scans/{name}/{number}.tif", saved(Image.fromarray(values), "TIFF"))


def _model(grey_range: tuple[float, float] | None = None, classes: tuple[str, ...] = _NAMES) -> None:
    import torch

    torch.manual_seed(0)
    Classifier(build("compact", len(classes)).eval(), "compact", classes, Preprocess(16, grey_range=grey_range)).save(
        "model.safetensors"
    )


def _scans_and_model(most: int, grey_range: tuple[float, float] | None) -> Callable[[], None]:
    def make() -> None:
        _scans(most, count=1)
        _model(grey_range)

    return make


def _stored(low: float, high: float) -> Callable[[], None]:
    """Return a check: the model has the range, and answers the same for a picture that was scaled to 8 bits by hand."""

    def check() -> None:
        classifier = Classifier.load("run")
        assert classifier.preprocess.grey_range == (low, high)
        path = "scans/lesion/0.png" if Path("scans/lesion/0.png").exists() else "scans/lesion/0.tif"
        with Image.open(path) as image:
            values = np.asarray(image).astype(np.float64)
        by_hand = np.floor((values - low) / (high - low) * 255 + 0.5).astype(np.uint8)
        assert classifier.predict(path) == classifier.predict(np.stack([by_hand] * 3, axis=2))

    return check


def _logos() -> None:
    rng = np.random.default_rng(1)
    for name, side in (("small", 10), ("large", 26)):
        for number in range(3):
            pixels, start = np.zeros((40, 40, 4), np.uint8), rng.integers(0, 40 - side)
            pixels[start : start + side, start : start + side] = (30, 30, 30, 255)
            _put(f"logos/{name}/{number}.png", saved(Image.fromarray(pixels), "PNG"))
    _model(classes=("large", "small"))
    pytest.importorskip("onnxruntime", exc_type=ImportError)
    export("model.safetensors", "m.onnx", check="logos")
    Path("use.py").write_text(re.search(r"```python\n(.*?)```", Path("m.onnx.md").read_text(), re.DOTALL)[1])


def _same_as_the_example() -> None:
    with Path("answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    before = sys.argv
    for row in rows:
        sys.argv = ["use.py", row["path"]]
        try:
            with redirect_stdout(StringIO()) as printed:
                runpy.run_path("use.py")
        finally:
            sys.argv = before
        share, label = printed.getvalue().splitlines()[0].split(" ", 1)
        assert (label, float(share)) == (row["label"], pytest.approx(float(row["probability"]), abs=2e-6))


def _photos_of_50_megapixels() -> None:
    pictures("photos", ("cat", "dog"), 1)
    photo = saved(Image.new("RGB", (8192, 6144), (90, 120, 30)), "JPEG", quality=30)
    for name in ("cat", "dog"):  # two at the same time: they share what memory there is
        _put(f"photos/{name}/1.jpg", photo)


def _heic(*, installed: bool) -> Callable[[], None]:
    """Return what makes photos of a phone, for a case of those who have the extra, or of those who do not."""

    def make() -> None:
        if installed != (find_spec("pillow_heif") is not None):
            pytest.skip("with the extra heic" if installed else "without the extra heic")
        pictures("photos", ("cat", "dog"))
        for name in ("cat", "dog"):
            data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)
            if installed:
                import pillow_heif

                pillow_heif.register_heif_opener()
                data = saved(Image.new("RGB", (64, 64), "red"), "HEIF")
            _put(f"photos/{name}/IMG_1.HEIC", data)
        _model(classes=("cat", "dog"))

    return make


def _dicom(path: str) -> Callable[[], None]:
    def make() -> None:
        picture("scans/0.png")
        _put(path, bytes(128) + b"DICM" + bytes(60))
        _model()

    return make


CASES = (
    Case(
        "12-bit X-rays in 16-bit PNG",
        lambda: _scans(4095),
        train("scans", "--val 0.25"),
        (
            "scans: 6 pictures of 16 bits use at most 4095 of 65535, which leaves 17 of 256 grey levels: "
            "train --grey-range 0 4095 (or auto) keeps more",
        ),
    ),
    Case(
        "12-bit X-rays with their range",
        lambda: _scans(4095),
        train("scans", "--val 0.25 --grey-range 0 4095"),
        ("preprocess grey values 0 to 4095 of 16 bits",),
        check=_stored(0, 4095),
    ),
    Case(
        "12-bit X-rays, looked at",
        lambda: _scans(4095),
        "inspect scans --cache-dir cache",
        ("note: scans: 8 pictures of 16 bits use at most 4095 of 65535", "--grey-range 0 4095 (or auto)"),
    ),
    Case(
        "10-bit data in 16-bit PNG, the range found",
        lambda: _scans(1000),
        train("scans", "--grey-range auto"),
        ("preprocess grey values 0 to 1023 of 16 bits",),
        check=_stored(0, 1023),
    ),
    Case(
        "14-bit data in 16-bit TIFF",
        lambda: _scans(16_383, "TIFF"),
        train("scans"),
        ("scans: 8 pictures of 16 bits use at most 16383 of 65535, which leaves 65 of 256 grey levels: "
         "train --grey-range 0 16383",),
    ),
    Case(
        "12-bit data in big-endian TIFF, the range found",
        lambda: _scans(4000, "TIFF, big-endian"),
        train("scans", "--grey-range auto"),
        ("preprocess grey values 0 to 4095 of 16 bits",),
        check=_stored(0, 4095),
    ),
    Case(
        "12-bit data with a hot pixel, the range found",
        _hot_pixel,
        train("scans", "--grey-range auto"),
        ("scans: 1 of 9 pictures of 16 bits have values outside the grey range 0 to 4095 (they go from 0 to 65535; 1 pixel "
         "is outside): those are clipped", "preprocess grey values 0 to 4095 of 16 bits"),
    ),
    Case(
        "pictures of 8 bits and of 12 in 16",
        _mixed,
        train("scans"),
        ("scans: 8 pictures of 16 bits use at most 4095 of 65535",),
    ),
    Case(
        "pictures of 12 and of 16 bits, both in 16",
        _two_depths,
        train("scans"),
        ("scans: 8 of 9 pictures of 16 bits use at most 4095 of 65535, others up to 65535: if they were made with fewer "
         "bits, bring all to one range before training",),
    ),
    Case(
        "12-bit data in colour PNG of 16 bits",
        _colour,
        train("scans"),
        ("scans: 8 pictures of 16 bits in colour or with transparency use at most 3855 of 65535: only the upper 8 bits of "
         "such are read, and --grey-range does not change them; convert them to 8 bits",),
    ),
    Case(
        "signed grey values, as of a CT",
        _signed,
        train("scans"),
        ("its grey values lie outside 0 to 65535: train --grey-range sets another range",),
        65,
    ),
    Case(
        "signed grey values, the range found",
        _signed,
        train("scans", "--grey-range auto"),
        ("preprocess grey values -1024 to 3071 of 16 bits",),
    ),
    Case(
        "values beyond the range that a model was trained with",
        _scans_and_model(16_383, (0, 4095)),
        "predict model.safetensors scans --device cpu",
        ("these images: 2 of 2 pictures of 16 bits have values outside the grey range 0 to 4095", "those are clipped"),
    ),
    Case(
        "12-bit pictures for a model that knows of no range",
        _scans_and_model(4095, None),
        "predict model.safetensors scans --device cpu",
        ("these images: 2 pictures of 16 bits use at most 4095 of 65535",),
    ),
    Case(
        "a range that is none",
        lambda: _scans(4095),
        train("scans", "--grey-range 4095 0"),
        ("must be two numbers, the smaller one first",),
        2,
    ),
    Case(
        "logos on a transparent ground: the program beside an export answers as predict does",
        _logos,
        "predict model.safetensors logos --device cpu --out answers.csv",
        (),
        check=_same_as_the_example,
    ),
    Case(
        "photos of a phone with 50 megapixels",
        _photos_of_50_megapixels,
        train("photos"),
        ("training photos: 4 images",),
    ),
    Case(
        "a photo above the limit that was set",
        lambda: pictures("photos", ("cat", "dog")),
        train("photos", "--max-megapixels 0.0003"),
        ("cannot be decoded: 320 pixels are more than 0.0003 million (--max-megapixels allows more)",),
        65,
    ),
    Case(
        "a photo above the limit, looked at",
        lambda: pictures("photos", ("cat", "dog")),
        "inspect photos --max-megapixels 0.0003 --cache-dir cache",
        ("320 pixels are more than 0.0003 million (--max-megapixels allows more)",),
    ),
    Case(
        "HEIC photos among others, without the extra",
        _heic(installed=False),
        train("photos", "--val 0.25"),
        ("photos: left out: 2 .heic; pip install 'eyas[heic]' to have .heic read",),
    ),
    Case(
        "an HEIC photo by name, without the extra",
        _heic(installed=False),
        "predict model.safetensors photos/cat/IMG_1.HEIC --device cpu",
        ("it is an HEIC photo: pip install 'eyas[heic]' to have it read, or convert it to JPEG",),
        65,
    ),
    Case(
        "HEIC photos among others, with the extra",
        _heic(installed=True),
        train("photos", "--val 0.2"),
        ("training photos: 8 images",),
    ),
    Case(
        "a DICOM file",
        _dicom("scans/1.dcm"),
        "predict model.safetensors scans/1.dcm --device cpu",
        ("scans/1.dcm: cannot be decoded: it is a DICOM file: convert it to PNG, which keeps its 16 bits, and see "
         "train --grey-range",),
        65,
    ),
    Case(
        "a DICOM file under another ending",
        _dicom("scans/1.png"),
        "predict model.safetensors scans --device cpu",
        ("scans/1.png: cannot be decoded: it is a DICOM file",),
    ),
)  # fmt: skip
