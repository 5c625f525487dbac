"""What an error of a network's first forward, backward or loss means in words, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from eyas.errors import SettingsError


def explain_failure(
    error: BaseException, model_name: str, input_shape: Sequence[int], num_classes: int
) -> SettingsError:
    """Return what an error of a first forward, backward or loss means in words, and what to do.

    `input_shape` is that of the images, (B, 3, H, W). An error that is not known keeps its own first line.
    """
    text = f"{type(error).__name__}: {error}"
    shape = tuple(input_shape)
    for pattern, explain in EXPLANATIONS:
        if match := re.search(pattern, text, re.DOTALL):
            return SettingsError(f"{model_name} " + explain(match, shape, num_classes))
    first = (text.strip().splitlines() or [""])[0]
    return SettingsError(f"{model_name} fails on images {'x'.join(map(str, shape))}: {first}")


def _said_too_small(match: re.Match[str], shape: tuple[int, ...], num_classes: int) -> str:
    return (
        f"shrinks images of {shape[-2]}x{shape[-1]} pixels to nothing before its last layer. "
        "Use a larger --size, or a network for small images such as --model compact."
    )


def _said_channels(match: re.Match[str], shape: tuple[int, ...], num_classes: int) -> str:
    seen = tuple(int(number) for number in match["seen"].split(","))
    wanted, got = int(match["wanted"]), int(match["got"])
    if seen != shape:
        return (
            f"has layers that do not fit together: one expects {wanted} channels and is given {got}. "
            "Make its in_channels equal to the out_channels of the layer before."
        )
    kind = "one-channel (grey) images" if wanted == 1 else f"images of {wanted} channels"
    return f"expects {kind}; eyas feeds RGB images of {got} channels. Give its first layer in_channels={got}."


def _said_linear(match: re.Match[str], shape: tuple[int, ...], num_classes: int) -> str:
    got, wanted = match["got"], match["wanted"]
    return (
        f"makes {got} features of images of {shape[-2]}x{shape[-1]} pixels, where its linear layer "
        f"expects {wanted}: it is built for another size. Use that --size, give the layer "
        f"in_features={got}, or pool before it (nn.AdaptiveAvgPool2d)."
    )


def _said_fixed(match: re.Match[str], shape: tuple[int, ...], num_classes: int) -> str:
    wanted = match["wanted"] or match["other"]
    given = f"{shape[-2]}x{shape[-1]}"
    return f"needs images of exactly {wanted}x{wanted} pixels and is given {given}. Use --size {wanted}."


def _said_one_value(match: re.Match[str], shape: tuple[int, ...], num_classes: int) -> str:
    if shape[0] > 1:
        return "normalises over one value (batch normalisation), which has no variance. Use a larger --size."
    return (
        "cannot train on a batch of 1 image: batch normalisation needs several values per channel, "
        "and a part of a batch (--accumulate) or the last batch has 1 image. Use another --batch-size, or --drop-last."
    )


def _said_memory(match: re.Match[str], shape: tuple[int, ...], num_classes: int) -> str:
    return (
        f"needs more memory than there is for {shape[0]} images of {shape[-2]}x{shape[-1]} pixels at once. "
        "Use a smaller --batch-size, --accumulate to take the batch in parts, or a smaller --size."
    )


def _said_undetermined(match: re.Match[str], shape: tuple[int, ...], num_classes: int) -> str:
    return (
        f"has a layer that a GPU cannot compute with the same bits every time ({match['kernel']}). Leave out "
        "--deterministic, or use a network without it, such as --model resnet18."
    )


def _said_outputs(match: re.Match[str], shape: tuple[int, ...], num_classes: int) -> str:
    wanted = f"[{shape[0]}, {num_classes}]"
    return f"must return one tensor of logits {wanted}. Return the logits alone, with {num_classes} outputs."


def _said_label(match: re.Match[str], shape: tuple[int, ...], num_classes: int) -> str:
    return (
        f"has too few outputs: label {match['label']} needs at least {int(match['label']) + 1}, "
        f"and the data has {num_classes} classes. Give its last layer {num_classes} outputs."
    )


Explain = Callable[[re.Match[str], tuple[int, ...], int], str]
EXPLANATIONS: tuple[tuple[str, Explain], ...] = (
    (r"(?P<kernel>\w+) does not have a deterministic implementation", _said_undetermined),
    (r"out of memory|can't allocate memory|not enough memory|^MemoryError", _said_memory),
    (
        r"expected input\[(?P<seen>[\d, ]+)\] to have (?P<wanted>\d+) channels, but got (?P<got>\d+)",
        _said_channels,
    ),
    (r"shapes cannot be multiplied \(\d+x(?P<got>\d+) and (?P<wanted>\d+)x\d+\)", _said_linear),
    (r"Expected (?P<wanted>\d+) but got \d+|doesn't match model \((?P<other>\d+)", _said_fixed),
    (r"Expected more than 1 value per channel", _said_one_value),
    (r"Output size is too small|greater than actual input size|non-zero (?:size|dim)", _said_too_small),
    (r"Target (?P<label>\d+) is out of bounds", _said_label),
    (
        r"must be Tensor, not|has no attribute|Expected target size|to match target batch_size|multi-target",
        _said_outputs,
    ),
)
