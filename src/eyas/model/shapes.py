"""Which image sizes a network accepts, the shapes of its stages, and what its batch normalisation sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
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

    AlexNet: 63. Found by bisection on the meta device, without computing. Raises `SettingsError` where the name is
    unknown, and where the network takes none of the usual sizes.
    """
    model = outline(network, num_classes)
    working = _working_size(model)
    if working is None:
        raise SettingsError(f"{_title(network)} takes RGB images of none of the usual sizes {sorted(USUAL_SIZES)}.")
    return _smallest(model, working)


def check_size(network: str | Builder, num_classes: int, size: int) -> None:
    """Raise `SettingsError` with sizes that work if a network (name or builder) cannot train on `size`.

    Says nothing where the network takes none of the usual sizes either: the first real step will tell, and why.
    """
    model = outline(network, num_classes)
    if _takes(model, size):
        return
    working = _working_size(model)
    if working is None:
        return
    title, smallest = _title(network), _smallest(model, working)
    if size < smallest and _takes(model, smallest + 1) and _takes(model, 2 * working):
        rounded = -(-smallest // 32) * 32  # most networks halve an image five times
        raise SettingsError(
            f"{title} needs images of at least {smallest}x{smallest} pixels; --size is {size}. Use --size "
            f"{rounded if _takes(model, rounded) else smallest} or more, or a network for small images such as "
            "--model compact."
        )
    # the nearest sizes below and above that work, of multiples of 8 and 14 (patches, windows)
    options = sorted({working, *range(8, 2 * max(size, working), 8), *range(14, 2 * max(size, working), 14)})
    below = (option for option in reversed(options) if option < size and _takes(model, option))
    above = (option for option in options if option > size and _takes(model, option))
    sizes = [option for option in (next(below, None), next(above, None)) if option is not None]
    if len(sizes) == 1:
        needs = f"{title} needs images of exactly {working}x{working} pixels; --size is {size}."
        raise SettingsError(f"{needs} Use --size {working}, or a network that takes any size such as --model resnet18.")
    near = " or ".join(f"--size {near}" for near in sizes)
    raise SettingsError(f"{title} cannot take images of {size}x{size} pixels. Use {near}.")


def shape_table(model: nn.Module, batch: torch.Tensor) -> list[tuple[str, str, str]]:
    """Return a row (stage, output's shape, note) per top-level child: ("features", "64x256x6x6", "...").

    `batch` is float32 [B, 3, H, W] on the network's device. At most 12 rows: the middle of a longer network is left
    out. Runs one forward pass in eval mode without gradients, and leaves modes and buffers as they were.
    """
    shapes: dict[str, str] = {}

    def record(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        shapes[name] = _shape(output)

    with evaluating(model), torch.no_grad(), ExitStack() as hooks:
        for name, child in model.named_children():
            hooks.enter_context(child.register_forward_hook(partial(record, name)))
        output = model(batch)
    stages = []
    for name, shape in shapes.items():
        module = model.get_submodule(name)
        count = sum(parameter.numel() for parameter in module.parameters())
        stages.append((name, shape, type(module).__name__ + (f", {count:,} parameters" if count else "")))
    room = ROWS - 2
    if len(stages) > room:
        hidden = ("...", "", f"{len(stages) - room + 1} more")
        stages = [*stages[: room // 2 - 1], hidden, *stages[-room // 2 :]]
    return [("images", _shape(batch), ""), *stages, ("logits", _shape(output), "")]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module into eval mode (no running statistics, no random numbers) and back into its own."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def values_normalised(model: nn.Module) -> Iterator[dict[str, int]]:
    """Give, once the block is over, how many values of a channel every batch normalisation took its variance from.

    By the layer's name, of the layers in training mode; of one that is used more than once the least.
    """
    counts: dict[str, int] = {}

    def count(name: str, layer: Any, inputs: Any) -> None:
        if layer.training:
            values = inputs[0].numel() // layer.num_features
            counts[name] = min(values, counts.get(name, values))

    with ExitStack() as hooks:
        for name, layer in model.named_modules():
            if isinstance(layer, _BatchNorm):
                hooks.enter_context(layer.register_forward_pre_hook(partial(count, name)))
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


def _title(network: str | Builder) -> str:
    return network if isinstance(network, str) else getattr(network, "__name__", "the network")


def _shape(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return "x".join(map(str, value.shape))
    return f"a {type(value).__name__}" + (f" of {len(value)}" if isinstance(value, Sequence | dict) else "")
