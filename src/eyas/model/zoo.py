"""Networks by name: from eyas, torchvision and timm, with a head for any number of classes."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torchvision
from torch import nn
from torch.overrides import TorchFunctionMode

from eyas.errors import SettingsError, suggest
from eyas.model.compact import compact
from eyas.model.swift import swift

Library = Literal["eyas", "torchvision", "timm"]
Builder = Callable[[int], nn.Module]

OWN: dict[str, Builder] = {"compact": compact, "swift": swift}
ALIASES = {"alex": "alexnet"}
# torchvision's two networks with auxiliary heads return a tuple in training, and warn, unless they are told these
PLAIN_OUTPUT = {"aux_logits": False, "init_weights": True}
WITH_AUXILIARY_HEADS = ("googlenet", "inception_v3")


@dataclass(frozen=True, order=True)
class ModelName:
    """A name accepted by `--model`, and the library of its network."""

    name: str
    library: Library


def alex(num_classes: int = 10) -> nn.Module:
    """Return torchvision's AlexNet with random weights and `num_classes` outputs.

    Input: float32 [B, 3, H, W], at least 63x63 pixels; output: logits, float32 [B, num_classes]. Source: One
    weird trick for parallelizing convolutional neural networks, arXiv:1404.5997.
    """
    return build("alexnet", num_classes)


def model_names(text: str = "") -> tuple[ModelName, ...]:
    """Return the names accepted by `build` that contain `text`: those of eyas, then torchvision, then timm.

    If torchvision and timm share a name, the plain name means torchvision's, and timm's is listed as `timm/NAME`.
    """
    ours = [ModelName(name, "eyas") for name in OWN]
    vision = [ModelName(name, "torchvision") for name in _torchvision_names()]
    taken = {entry.name for entry in ours + vision}
    timms = [ModelName(f"timm/{name}" if name in taken else name, "timm") for name in _timm_names()]
    return tuple(entry for entry in ours + vision + timms if text.lower() in entry.name)


def find_model(name: str) -> ModelName:
    """Return the library and plain name of a network; eyas takes precedence over torchvision, torchvision over timm.

    `torchvision/NAME` and `timm/NAME` force a library; names of timm may have a tag (`resnet50.a1_in1k`). Case does
    not matter. Raises `SettingsError` with the closest names if there is no such network.
    """
    forced, _, plain = name.strip().lower().rpartition("/")
    plain = ALIASES.get(plain, plain)
    if forced not in ("", "torchvision", "timm"):
        raise SettingsError(
            f"--model {name}: '{forced}' is no library of networks. Write torchvision/NAME or timm/NAME."
        )
    if not forced and plain in OWN:
        return ModelName(plain, "eyas")
    if forced != "timm" and plain in _torchvision_names():
        return ModelName(plain, "torchvision")
    if forced != "torchvision" and plain and _has_timm():
        import timm

        if timm.is_model(plain):
            architecture, _, tag = plain.partition(".")
            tagged: list[str] = timm.list_pretrained(f"{architecture}.*") if tag else []
            if not tag or plain in tagged:
                return ModelName(plain, "timm")
            known = f"It has {', '.join(tagged[:5])}." if tagged else "It has no tags."
            raise SettingsError(f"--model {name}: timm's {architecture} has no weights of the tag '{tag}'. {known}")
    options = [*OWN, *ALIASES] if not forced else []
    options += _torchvision_names() if forced != "timm" else []
    options += _timm_names() if forced != "torchvision" else []
    hint = suggest(plain, options) or " `eyas models` lists all names."
    if forced != "torchvision" and not _has_timm():
        hint += " More than a thousand networks come with timm: pip install 'eyas[timm]'."
    raise SettingsError(f"--model {name}: there is no such network.{hint}")


def build(name: str, num_classes: int) -> nn.Module:
    """Return the network `name` with random weights and `num_classes` outputs, in train mode.

    Input: float32 [B, 3, H, W]; output: logits [B, num_classes], always a plain tensor. Uses torch's global random
    generator. Raises `SettingsError` if the name is unknown or `num_classes` is less than 1.
    """
    if num_classes < 1:
        raise SettingsError(f"A network needs at least 1 class to tell apart; {num_classes} were asked for.")
    found = find_model(name)
    if found.library == "eyas":
        return OWN[found.name](num_classes)
    if found.library == "timm":
        import timm

        network: nn.Module = timm.create_model(found.name, num_classes=num_classes)
        return network
    plain = PLAIN_OUTPUT if found.name in WITH_AUXILIARY_HEADS else {}
    made: nn.Module = torchvision.models.get_model(found.name, weights=None, num_classes=num_classes, **plain)
    return made


def outline(network: str | Builder, num_classes: int) -> nn.Module:
    """Return a network (name or builder) on the meta device: shapes without values, in milliseconds.

    Does not change torch's global random generator.
    """
    with torch.random.fork_rng(devices=[]), _Weightless():
        model = build(network, num_classes) if isinstance(network, str) else network(num_classes)
    return model.to("meta")


def head_of(model: nn.Module) -> tuple[str, ...]:
    """Return the parameter-name prefixes of the classification head, such as ("classifier.6",) or ("fc",).

    The head is what timm names as such, otherwise the last linear layer or convolution; () if there is neither.
    """
    names = {id(module): name for name, module in model.named_modules()}
    if hasattr(model, "get_classifier"):
        found: Any = model.get_classifier()  # type: ignore[operator]
        modules = found if isinstance(found, tuple | list) else (found,)
        heads = tuple(names[id(module)] for module in modules if id(module) in names)
        if heads and any(any(True for _ in module.parameters()) for module in modules):
            return heads
    layers = [name for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    return tuple(layers[-1:])


def in_head(key: str, heads: tuple[str, ...]) -> bool:
    """Return whether the parameter or buffer `key` belongs to one of the `heads` returned by `head_of`."""
    return any(key == head or key.startswith(f"{head}.") for head in heads)


def expected_preprocess(name: str, *, weights: bool) -> dict[str, Any] | None:
    """Return the preprocessing that the published weights of `name` expect, as fields of `PreprocessConfig`.

    Keys: size, resize, crop_ratio, interpolation, mean, std. None without `weights`, or if there are no published
    ones. Raises `SettingsError` if the name is unknown.
    """
    found = find_model(name)
    if not weights or found.library == "eyas":
        return None
    if found.library == "timm":
        import timm

        if (published := timm.models.get_pretrained_cfg(found.name)) is None:
            return None
        size, resize = published.input_size[-1], "stretch" if published.crop_mode == "squash" else "crop"
        ratio, filtered, mean, std = published.crop_pct, published.interpolation, published.mean, published.std
    else:
        preset = torchvision_weights(found.name).transforms()
        size, resize = int(preset.crop_size[0]), "crop"
        ratio, filtered, mean, std = size / preset.resize_size[0], preset.interpolation.value, preset.mean, preset.std
        if found.name in WITH_AUXILIARY_HEADS:
            # Their published weights want inputs from -1 to 1. torchvision converts inside the network
            # (transform_input), so that the same name would mean two networks; the preprocessing is the place for it,
            # and gives the same numbers.
            mean = std = (0.5, 0.5, 0.5)
    return {
        "size": size, "resize": resize, "crop_ratio": float(ratio), "mean": tuple(mean), "std": tuple(std),
        # the nearest that we have: lanczos and timm's others are as sharp as bicubic
        "interpolation": filtered if filtered in ("nearest", "bilinear") else "bicubic",
    }  # fmt: skip


def torchvision_weights(name: str) -> Any:
    """Return the entry of torchvision's weights enum that matches the network returned by `build`."""
    entries = torchvision.models.get_model_weights(name)
    if name.startswith("vit_"):
        # a transformer has one position per patch: vit_h_14's default weights are for 518 pixels, we build for 224
        return next(entry for entry in (entries.DEFAULT, *entries) if entry.transforms().crop_size == [224])
    return entries.DEFAULT


def _torchvision_names() -> list[str]:
    # segmentation, detection, video and quantised networks are in modules of their own
    return list(torchvision.models.list_models(module=torchvision.models))


def _timm_names() -> list[str]:
    if not _has_timm():
        return []
    import timm

    return list(timm.list_models())


def _has_timm() -> bool:
    return importlib.util.find_spec("timm") is not None


class _Weightless(TorchFunctionMode):
    """Makes what `torch.empty` allocates, that is the parameters of every layer, on the meta device.

    `torch.device("meta")` would do so for all tensors, and fails where a constructor computes with small ones (RegNet).
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        return func(*args, **({**given, "device": "meta"} if func is torch.empty else given))
