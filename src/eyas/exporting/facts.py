"""What an exported file says of itself: classes, preprocessing, versions; and how to read it without any framework."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eyas.errors import CheckpointError, DataError

if TYPE_CHECKING:
    from eyas.model.classifier import Classifier

FORMAT = 1  # raised when a reader of the one before would misunderstand
KEY, CLASSES = "eyas", "classes"  # in ONNX: two entries of metadata_props; in pt2: two extra files, with .json


def facts_of(classifier: Classifier, form: str, batch: int | str, opset: int) -> dict[str, Any]:
    """Return what a file shall say of itself, as plain data."""
    from importlib.metadata import version

    facts = {
        "format": FORMAT,
        "eyas": version("eyas"),
        "form": form,
        "model": classifier.model,
        "classes": list(classifier.classes),
        "preprocess": classifier.preprocess.to_dict(),
        "preprocess_in_words": classifier.preprocess.in_words(),
        "temperature": classifier.temperature,
        "input": "images: uint8 [N, 3, H, W], RGB, upright, any height and width",
        "output": f"probabilities: float32 [N, {len(classifier.classes)}], in the order of the classes",
        "batch": batch,
        "precision": "fp32",
        "epoch": classifier.facts.get("epoch"),
    }
    return facts | ({"opset": opset} if form == "onnx" else {})


def as_texts(facts: dict[str, Any]) -> dict[str, str]:
    """Return the texts that are stored: all facts, and the classes once more by themselves, for short programs."""
    return {KEY: json.dumps(facts, ensure_ascii=False), CLASSES: json.dumps(facts["classes"], ensure_ascii=False)}


def read_facts(path: str | Path) -> dict[str, Any]:
    """Return what an exported file (.onnx or .pt2) says of itself; runs nothing that is in it.

    Keys: format, eyas (version), form, model, classes, preprocess, temperature, input, output, batch, precision, epoch,
    opset (ONNX). Raises `DataError` where there is no such file, `CheckpointError` where eyas did not write it.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: does not exist.")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                name = next((name for name in archive.namelist() if name.endswith(f"extra/{KEY}.json")), "")
                text = archive.read(name).decode()
        else:
            import onnx
            from google.protobuf.message import DecodeError

            try:
                entries = onnx.load(str(path), load_external_data=False).metadata_props
            except DecodeError as error:
                raise ValueError from error
            text = next((entry.value for entry in entries if entry.key == KEY), "")
        found: dict[str, Any] = json.loads(text)
        version = found["format"]
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile):
        raise CheckpointError(f"{path}: is no file of `eyas export`, or is damaged.") from None
    if version != FORMAT:
        raise CheckpointError(f"{path}: was written by another version of eyas ({found.get('eyas')}).")
    return found
