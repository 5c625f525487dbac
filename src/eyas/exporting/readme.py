"""The text beside an exported file: what it takes and gives, what was checked, and a program that uses it."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

from eyas.data.images import rgb
from eyas.data.images.decode import FORMATS, MAX_RATIO, USUAL
from eyas.exporting.checking import Checked
from eyas.exporting.quantise import Quantised
from eyas.terminal.clean import clean

_PROGRAM = """\
import json, sys
import numpy as np, {library}
from PIL import ExifTags, Image, ImageCms

GREY_RANGE = {grey_range}  # of files of more than 8 bits: what becomes 0 and 255
Image.MAX_IMAGE_PIXELS = {most}  # Pillow refuses more than twice as many
{opened}

{decoding}

def pixels(path: str) -> np.ndarray:
    with Image.open(path, formats={formats}) as image:
        if max(image.size) > {ratio} * min(image.size):
            raise ValueError(f"{{path}}: one side is more than {ratio:,} times the other")
        return np.array(upright(image, GREY_RANGE)).transpose(2, 0, 1)[None]  # uint8 [1, 3, H, W]


images = pixels(sys.argv[1])
{filled}{answered}
for place in probabilities.argsort()[::-1][:5]:
    print(f"{{probabilities[place]:.6f}} {{classes[place]}}")
"""
_OPENED = {
    "onnx": """\
session = onnxruntime.InferenceSession({name})
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
""",
    "pt2": """\
program = torch.export.load({name}, extra_files=(texts := {{"classes.json": ""}})).module()
classes = json.loads(texts["classes.json"])
""",
}
_ANSWERED = {
    "onnx": 'probabilities = session.run(None, {"images": images})[0][0]',
    "pt2": "probabilities = program(torch.from_numpy(images))[0].numpy()",
}
_DESCRIBED = """\
- Input: `images`, uint8 `[N, 3, H, W]`: RGB, 0 to 255, upright. Any height and width; \
one call takes {batch} of one size.
- Output: `probabilities`, float32 `[N, {classes}]`, in the order of the classes in the file.
- In the file: {done}. Do not resize or normalise before.
- Decoding is outside of it. The example has the lines by which eyas makes every kind of picture RGB of 8 bits, \
upright: grey of 16 bits, palettes, CMYK, transparency laid over white, EXIF. It does not look whether a JPEG was \
cut off and closed with an end mark, which eyas refuses, and reads no HEIC.
- {about}"""
_ABOUT = {
    "onnx": "ONNX opset {opset}; the file's metadata has `eyas` (all of this as JSON) and `classes`.",
    "pt2": "The file's extra files are `eyas.json` (all of this) and `classes.json`. PyTorch reads a `.pt2` file by "
    "means of pickle, which can run code: load only files that you trust. It needs a PyTorch of about the version that "
    "wrote it, and computes on the CPU.",
}


def readme_path(target: Path) -> Path:
    """Return where the text beside an exported file lies: `model.onnx.md`."""
    return target.with_name(f"{target.name}.md")


def readme(name: str, facts: dict[str, Any], checked: Checked, quantised: Quantised | None) -> str:
    """Return the text, Markdown. No path of this machine is in it."""
    form, classes, batch = facts["form"], len(facts["classes"]), facts["batch"]
    many = batch if isinstance(batch, int) and batch > 1 else None
    filled = "" if many is None else f"images = np.repeat(images, {many}, 0)  # this file takes {many} at a time\n"
    grey_range = facts["preprocess"].get("grey_range")
    program = _PROGRAM.format(
        library="onnxruntime" if form == "onnx" else "torch",
        grey_range=None if grey_range is None else tuple(grey_range),
        most=USUAL.max_pixels // 2,
        opened=_OPENED[form].format(name=json.dumps(name, ensure_ascii=False)),
        decoding=inspect.getsource(rgb).partition("ImageCms\n\n")[2].strip() + "\n",
        formats=FORMATS,
        ratio=MAX_RATIO,
        filled=filled,
        answered=_ANSWERED[form],
    )
    described = _DESCRIBED.format(
        batch="any number of images" if batch == "dynamic" else f"exactly {batch} image(s)",
        classes=classes,
        done=f"{facts['preprocess_in_words']}; softmax at temperature {facts['temperature']:g}",
        about=_ABOUT[form].format(opset=facts.get("opset")),
    )
    head = [
        f"# {clean(name)}",
        f"An image classifier ({facts['model']}, {classes} classes) as one file, written by eyas {facts['eyas']}. "
        f"Using it needs pillow, numpy and {'onnxruntime' if form == 'onnx' else 'torch'}; eyas is not needed.",
        f"```python\n{program}```",
        "Save it as `use.py` beside the file; then `python use.py photo.jpg` prints the most likely classes.",
        described,
        "## Checked",
        ("" if quantised is None else "Before it was quantised: ")
        + f"{without_path(checked.in_words(), checked.source)}.",
    ]
    if quantised is not None:
        sources = (quantised.source, quantised.calibration)
        rows = (f"- {what}: {without_path(said, *sources)}" for what, said in quantised.in_words())
        head += ["The network is in int8:", "\n".join(rows)]
    return "\n\n".join(head) + "\n"


def without_path(said: str, *sources: str) -> str:
    """Return a text in which data sets are called by the last part of their path."""
    for source in sorted(sources, key=len, reverse=True):  # one may be the begin of another
        said = said.replace(source, Path(source).name)
    return clean(said)
