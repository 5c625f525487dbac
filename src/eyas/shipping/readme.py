"""The text beside an exported file: what it takes and gives, what was checked, and ten lines that use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eyas.shipping.checking import Checked
from eyas.shipping.quantise import Quantised
from eyas.terminal import clean

_ONNX = """\
import json, sys
import numpy, onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession({name})
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
picture = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("RGB")
images = numpy.asarray(picture).transpose(2, 0, 1)[None]  # uint8 [1, 3, H, W]
{filled}probabilities = session.run(None, {{"images": images}})[0][0]
for place in probabilities.argsort()[::-1][:5]:
    print(f"{{probabilities[place]:.6f}} {{classes[place]}}")
"""
_PT2 = """\
import json, sys
import numpy, torch
from PIL import Image, ImageOps

program = torch.export.load({name}, extra_files=(texts := {{"classes.json": ""}})).module()
classes = json.loads(texts["classes.json"])
picture = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("RGB")
images = numpy.array(picture).transpose(2, 0, 1)[None]  # uint8 [1, 3, H, W]
{filled}probabilities = program(torch.from_numpy(images))[0].numpy()
for place in probabilities.argsort()[::-1][:5]:
    print(f"{{probabilities[place]:.6f}} {{classes[place]}}")
"""
_TRUST = (
    "PyTorch reads a `.pt2` file by means of pickle, which can run code: load only files that you trust. "
    "It needs a PyTorch of about the version that wrote it, and computes on the CPU."
)


def readme_path(target: Path) -> Path:
    """Return where the text beside an exported file lies: `model.onnx.md`."""
    return target.with_name(f"{target.name}.md")


def readme(name: str, facts: dict[str, Any], checked: Checked, quantised: Quantised | None) -> str:
    """Return the text, Markdown. No path of this machine is in it."""
    form, classes = facts["form"], len(facts["classes"])
    head = [
        f"# {clean(name)}",
        f"An image classifier ({facts['model']}, {classes} classes) as one file, written by eyas {facts['eyas']}. "
        f"Using it needs pillow, numpy and {'onnxruntime' if form == 'onnx' else 'torch'}; eyas is not needed.",
        f"```python\n{example(name, form, facts['batch'])}```",
        "Save it as `use.py` beside the file; then `python use.py photo.jpg` prints the most likely classes.",
        "\n".join(f"- {said}" for said in _described(facts)),
        "## Checked",
        f"{_of_fp32(quantised)}{_without_path(checked.in_words(), checked.source)}.",
    ]
    if quantised is not None:
        rows = (
            f"- {what}: {_without_path(said, quantised.source, quantised.calibration)}"
            for what, said in quantised.in_words()
        )
        head += ["The network is in int8:", "\n".join(rows)]
    return "\n\n".join(head) + "\n"


def _described(facts: dict[str, Any]) -> list[str]:
    """Return what the file takes, gives and does, in sentences."""
    batch = "any number of images" if facts["batch"] == "dynamic" else f"exactly {facts['batch']} image(s)"
    return [
        "Input: `images`, uint8 `[N, 3, H, W]`: RGB, 0 to 255, upright. Any height and width; "
        f"one call takes {batch} of one size.",
        f"Output: `probabilities`, float32 `[N, {len(facts['classes'])}]`, in the order of the classes in the file.",
        f"In the file: {facts['preprocess_in_words']}; softmax at temperature {facts['temperature']:g}. "
        "Do not resize or normalise before.",
        "Decoding is outside of it. The example does it as eyas does: turned as EXIF says, converted to RGB (grey, "
        "palette and CMYK too). A transparent picture is laid over white first; grey of 16 bits is divided by 257.",
        f"ONNX opset {facts['opset']}; the file's metadata has `eyas` (all of this as JSON) and `classes`."
        if facts["form"] == "onnx"
        else f"The file's extra files are `eyas.json` (all of this) and `classes.json`. {_TRUST}",
    ]


def example(name: str, form: str, batch: int | str) -> str:
    """Return a program that prints the most likely classes of a picture."""
    many = batch if isinstance(batch, int) and batch > 1 else None
    filled = "" if many is None else f"images = numpy.repeat(images, {many}, 0)  # this file takes {many} at a time\n"
    return (_ONNX if form == "onnx" else _PT2).format(name=json.dumps(name, ensure_ascii=False), filled=filled)


def _of_fp32(quantised: Quantised | None) -> str:
    return "" if quantised is None else "Before it was quantised: "


def _without_path(said: str, *sources: str) -> str:
    for source in sorted(sources, key=len, reverse=True):  # one may be the begin of another
        said = said.replace(source, Path(source).name)
    return clean(said)
