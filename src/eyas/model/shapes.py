"""Which images a network takes, what shapes it makes of them, and what its errors mean in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from eyas.errors import SettingsError
from eyas.model.zoo import Builder, outline

# What a forward pass raises on images that it cannot take, as seen in torchvision's and timm's networks.
Refused = (RuntimeError, ValueError, AssertionError, IndexError, TypeError, ZeroDivisionError)
USUAL_SIZES = (224, 256, 299, 384, 448, 512, 64, 32, 28)  # where to look for one that works
ROWS = 12


def smallest_size(network: str | Builder, num_classes: int = 10) -> int:
    """Return the side in pixels of the smallest square image that a network (name or builder) can train on.

    AlexNet: 63. Found by bisection on the meta device, without computing. Raises `SettingsError` where the
    name is unknown, and where the network takes none of the usual sizes.
    """
    model = outline(network, num_classes)
    working = _working_size(model)
    if working is None:
        raise SettingsError(f"{_title(network)} takes RGB images of none of the usual sizes {sorted(USUAL_SIZES)}.")
    return _smallest(model, working)


def check_size(network: str | Builder, num_classes: int, size: int) -> None:
    """Raise `SettingsError` with sizes that work if a network (name or builder) cannot train on `size`.

    Says nothing where the network takes none of the usual sizes either: the first real step will tell, and
    why.
    """
    model = outline(network, num_classes)
    if _takes(model, size):
        return
    working = _working_size(model)
    if working is None:
        return
    smallest = _smallest(model, working)
    if size < smallest and _takes(model, smallest + 1) and _takes(model, 2 * working):
        raise SettingsError(_too_small(_title(network), smallest, size, _round_size(model, smallest)))
    sizes = _neighbours(model, size, working)
    if len(sizes) == 1:
        needs = f"{_title(network)} needs images of exactly {working}x{working} pixels; --size is {size}."
        raise SettingsError(f"{needs} Use --size {working}, or a network that takes any size such as --model resnet18.")
    near = " or ".join(f"--size {near}" for near in sizes)
    raise SettingsError(f"{_title(network)} cannot take images of {size}x{size} pixels. Use {near}.")


def shape_table(model: nn.Module, batch: torch.Tensor) -> list[tuple[str, str, str]]:
    """Return a row (stage, output's shape, note) per top-level child: ("features", "64x256x6x6", "...").

    `batch` is float32 [B, 3, H, W] on the network's device. At most 12 rows: the middle of a longer network
    is left out. Runs one forward pass in eval mode without gradients, and leaves modes and buffers as they
    were.
    """
    shapes: dict[str, str] = {}

    def record(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            shapes[name] = _shape(output)

        return hook

    handles = [child.register_forward_hook(record(name)) for name, child in model.named_children()]
    try:
        with _evaluating(model), torch.no_grad():
            output = model(batch)
    finally:
        for handle in handles:
            handle.remove()
    stages = [(name, shape, _note(model.get_submodule(name))) for name, shape in shapes.items()]
    room = ROWS - 2
    if len(stages) > room:
        hidden = ("...", "", f"{len(stages) - room + 1} more")
        stages = [*stages[: room // 2 - 1], hidden, *stages[-room // 2 :]]
    return [("images", _shape(batch), ""), *stages, ("logits", _shape(output), "")]


@contextmanager
def values_normalised(model: nn.Module) -> Iterator[dict[str, int]]:
    """Give, once the block is over, how many values of a channel every batch normalisation took its variance from.

    By the layer's name, of the layers in training mode; of one that is used more than once the least.
    """
    counts: dict[str, int] = {}

    def count(name: str) -> Callable[..., None]:
        def hook(layer: Any, inputs: Any) -> None:
            if layer.training:
                values = inputs[0].numel() // layer.num_features
                counts[name] = min(values, counts.get(name, values))

        return hook

    with ExitStack() as hooks:
        for name, layer in model.named_modules():
            if isinstance(layer, _BatchNorm):
                hooks.enter_context(layer.register_forward_pre_hook(count(name)))
        yield counts


def check_logits(logits: object, model_name: str, *, batch_size: int, num_classes: int) -> None:
    """Raise `SettingsError` unless `logits` is a float tensor [batch_size, num_classes], as losses need."""
    if not isinstance(logits, torch.Tensor):
        raise SettingsError(
            f"{model_name} returns {_shape(logits)} instead of one tensor of logits "
            f"[{batch_size}, {num_classes}]. Switch its auxiliary outputs off, or return the logits alone."
        )
    if tuple(logits.shape) != (batch_size, num_classes) or not logits.is_floating_point():
        raise SettingsError(
            f"{model_name} returns {str(logits.dtype).removeprefix('torch.')} {list(logits.shape)} for "
            f"{batch_size} images of {num_classes} classes; it must return logits "
            f"[{batch_size}, {num_classes}]. Give its last layer {num_classes} outputs."
        )


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
    return SettingsError(f"{model_name} fails on images {_shape_of(shape)}: {first}")


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


def _takes(model: nn.Module, size: int) -> bool:
    """Return whether `model` (on the meta device) gives something for training images of `size` x `size`."""
    try:
        model(torch.empty(2, 3, size, size, device="meta"))
    except Refused:
        return False
    return True


def _working_size(model: nn.Module) -> int | None:
    return next((size for size in USUAL_SIZES if _takes(model, size)), None)


def _smallest(model: nn.Module, working: int) -> int:
    """Return the smallest size that `model` takes, by bisection between 0, which fails, and `working`."""
    fails, works = 0, working
    while works - fails > 1:
        middle = (fails + works) // 2
        fails, works = (fails, middle) if _takes(model, middle) else (middle, works)
    return works


def _round_size(model: nn.Module, smallest: int) -> int:
    """Return `smallest` rounded up to a multiple of 32, where the network takes that too."""
    rounded = -(-smallest // 32) * 32
    return rounded if _takes(model, rounded) else smallest


def _neighbours(model: nn.Module, size: int, working: int) -> list[int]:
    """Return the nearest sizes below and above that work, of multiples of 8 and 14 (patches, windows)."""
    options = sorted({working, *range(8, 2 * max(size, working), 8), *range(14, 2 * max(size, working), 14)})
    below = next((option for option in reversed(options) if option < size and _takes(model, option)), None)
    above = next((option for option in options if option > size and _takes(model, option)), None)
    return [option for option in (below, above) if option is not None]


def _too_small(title: str, smallest: int, size: int, better: int) -> str:
    return (
        f"{title} needs images of at least {smallest}x{smallest} pixels; --size is {size}. "
        f"Use --size {better} or more, or a network for small images such as --model compact."
    )


def _title(network: str | Builder) -> str:
    return network if isinstance(network, str) else getattr(network, "__name__", "the network")


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module into eval mode (no running statistics, no random numbers) and back into its own."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _shape(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return _shape_of(value.shape)
    return (
        f"a {type(value).__name__} of {len(value)}"
        if isinstance(value, Sequence | dict)
        else f"a {type(value).__name__}"
    )


def _shape_of(sizes: Sequence[int]) -> str:
    return "x".join(str(side) for side in sizes)


def _note(module: nn.Module) -> str:
    count = sum(parameter.numel() for parameter in module.parameters())
    return f"{type(module).__name__}, {count:,} parameters" if count else type(module).__name__
