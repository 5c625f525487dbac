"""Explains what an error in a network's first forward or backward pass means, and what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence

from eyas.errors import SettingsError

FIXED = "needs images of exactly {wanted}x{wanted} pixels and is given {height}x{width}. Use --size {wanted}."
# In the text of an error -> what it means. Names in braces are the pattern's groups and what `explain_failure` adds.
EXPLANATIONS = (
    (r"(?P<kernel>\w+) does not have a deterministic implementation",
     "has a layer that a GPU cannot compute with the same bits every time ({kernel}). Leave out "
     "--deterministic, or use a network without it, such as --model resnet18."),
    (r"out of memory|can't allocate memory|not enough memory|^MemoryError",
     "needs more memory than there is for {images} images of {height}x{width} pixels at once. "
     "Use a smaller --batch-size, --accumulate to take the batch in parts, or a smaller --size."),
    (r"expected input\[(?P<seen>[\d, ]+)\] to have (?P<wanted>\d+) channels, but got (?P<got>\d+)", "{channels}"),
    (r"shapes cannot be multiplied \(\d+x(?P<got>\d+) and (?P<wanted>\d+)x\d+\)",
     "makes {got} features of images of {height}x{width} pixels, where its linear layer "
     "expects {wanted}: it is built for another size. Use that --size, give the layer "
     "in_features={got}, or pool before it (nn.AdaptiveAvgPool2d)."),
    (r"Expected (?P<wanted>\d+) but got \d+", FIXED),
    (r"doesn't match model \((?P<wanted>\d+)", FIXED),
    (r"Expected more than 1 value per channel", "{one_value}"),
    (r"Output size is too small|greater than actual input size|non-zero (?:size|dim)",
     "shrinks images of {height}x{width} pixels to nothing before its last layer. "
     "Use a larger --size, or a network for small images such as --model compact."),
    (r"Target (?P<label>\d+) is out of bounds",
     "has too few outputs: label {label} needs at least {outputs}, "
     "and the data has {classes} classes. Give its last layer {classes} outputs."),
    (r"must be Tensor, not|has no attribute|Expected target size|to match target batch_size|multi-target",
     "must return one tensor of logits [{images}, {classes}]. Return the logits alone, with {classes} outputs."),
)  # fmt: skip


def explain_failure(
    error: BaseException, model_name: str, input_shape: Sequence[int], num_classes: int
) -> SettingsError:
    """Return what an error of a first forward, backward or loss means in words, and what to do.

    `input_shape` is that of the images, (B, 3, H, W). An error that is not known keeps its own first line.
    """
    text = f"{type(error).__name__}: {error}"
    matches = ((re.search(pattern, text, re.DOTALL), meaning) for pattern, meaning in EXPLANATIONS)
    known = next(((match, meaning) for match, meaning in matches if match), None)
    if known is None:
        first = (text.strip().splitlines() or [""])[0]
        return SettingsError(f"{model_name} fails on images {'x'.join(map(str, input_shape))}: {first}")
    found, (images, _, height, width) = known[0].groupdict(), input_shape
    words = {"images": images, "height": height, "width": width, "classes": num_classes, **found}
    if "label" in found:
        words["outputs"] = int(found["label"]) + 1
    if "seen" in found and tuple(map(int, found["seen"].split(","))) != tuple(input_shape):
        words["channels"] = (
            "has layers that do not fit together: one expects {wanted} channels and is given {got}. "
            "Make its in_channels equal to the out_channels of the layer before."
        ).format(**found)
    elif "seen" in found:
        kind = "one-channel (grey) images" if found["wanted"] == "1" else f"images of {found['wanted']} channels"
        words["channels"] = (
            f"expects {kind}; eyas feeds RGB images of {found['got']} channels. "
            f"Give its first layer in_channels={found['got']}."
        )
    words["one_value"] = (
        "normalises over one value (batch normalisation), which has no variance. Use a larger --size."
        if images > 1 else
        "cannot train on a batch of 1 image: batch normalisation needs several values per channel, "
        "and a part of a batch (--accumulate) or the last batch has 1 image. Use another --batch-size, or --drop-last."
    )  # fmt: skip
    return SettingsError(f"{model_name} {known[1].format(**words)}")
