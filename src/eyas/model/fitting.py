"""Loads weights into a network: strips wrappers' prefixes, and maps the head's rows by class name."""

from __future__ import annotations

import re
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from eyas.errors import CheckpointError, few
from eyas.model.weights import State, Weights, read_weights
from eyas.model.zoo import head_of, in_head

# Heads of GoogLeNet and Inception that serve training only; our networks are built without them.
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
# Names inside torchvision's published DenseNets date from before dots were forbidden in module names.
OLD_DENSENET = re.compile(
    r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.(?:weight|bias|running_mean|running_var|num_batches_tracked))$"
)
NUMBERED = re.compile(r"(?:module\.)?\d+\.")
RUNNING = ("running_mean", "running_var", "num_batches_tracked")
AVERAGED = re.compile(r"(^|[^a-z])ema([^a-z]|$)")  # in the name of an entry: a running average of the weights


@dataclass(frozen=True)
class LoadedWeights:
    """What was loaded: from where, how many tensors, and what became of the head, in words."""

    source: str
    tensors: int
    head_loaded: bool  # rows of it, or all
    head: str
    left_out: tuple[str, ...] = ()  # tensors of the file that belong to no part of the network

    @property
    def sentence(self) -> str:
        """The same in words, for the console and the report."""
        beside = f"; left out: {few(self.left_out)}" if self.left_out else ""
        return f"from {self.source}: {self.tensors} tensors, {self.head}{beside}."


def load_weights(model: nn.Module, path: str | Path, classes: Sequence[str] = ()) -> LoadedWeights:
    """Put the weights of a local file, or of a run folder's model, into `model`, in place; return what was loaded.

    Reads .safetensors (an eyas model file too) and .pth, .pt, .bin, .ckpt without running code from them. All but the
    head must fit in name and shape. The head's rows go by name where the file names its classes and `classes` names the
    network's, else by position where their number is the same. Raises `FileError` where the file cannot be read and
    `CheckpointError` where it is damaged, foreign, unsafe, not finite or of another network; `model` is then as it was.
    """
    return fill(model, read_weights(path), classes)


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A mapping of a file as weights of a network: `given` by the network's names, with what does not fit."""

    place: str  # the entry of the file, and the prefix that was taken off
    given: State
    outside: tuple[str, ...]  # names without the prefix
    covered: int  # tensors of the network that it has

    def __str__(self) -> str:
        return self.place or "the file itself"


def fill(model: nn.Module, weights: Weights, classes: Sequence[str] = ()) -> LoadedWeights:
    """Copy what fits of `weights` into `model` (`load_weights`), or raise `CheckpointError` and change nothing."""
    heads, current = head_of(model), model.state_dict()
    chosen = _chosen(model, weights, heads)
    for key, tensor in chosen.given.items():
        try:
            finite = not tensor.is_floating_point() or bool(torch.isfinite(tensor.float()).all())
        except RuntimeError:  # a type of four bits and the like: nothing is computed with it
            finite = False
        if not finite:
            raise CheckpointError(
                f"{weights.source}: '{key}' holds values that are not finite. That training had failed: use another."
            )
    filled, _ = _loaded(model, chosen.given, heads)
    body = {key: tensor for key, tensor in filled.items() if not in_head(key, heads)}
    head, said = _head(model, heads, chosen.given, weights.classes, tuple(classes))
    with torch.no_grad():
        for key, tensor in (body | head).items():
            current[key].copy_(tensor)
    source = f"{weights.source} ({chosen})" if chosen.place else weights.source
    return LoadedWeights(source, len(body | head), bool(head), said, chosen.outside)


def _chosen(model: nn.Module, weights: Weights, heads: tuple[str, ...]) -> _Candidate:
    """Return the mapping that fits the network; of several the running average. Raises `CheckpointError`."""
    found = [one for place, state in weights.states.items() for one in _candidates(place, state, model, heads)]
    found.sort(key=lambda one: -one.covered)
    near = [one for one in found if 2 * one.covered >= found[0].covered]
    misfits = [_loaded(model, one.given, heads)[1] for one in near]
    fitting = [one for one, misfit in zip(near, misfits, strict=True) if not any(misfit.values())]
    if not fitting:
        rest = {kind: keys for kind, keys in misfits[0].items() if keys}
        if rest.keys() == {"missing"} and all(key.rpartition(".")[2] in RUNNING for key in rest["missing"]):
            raise CheckpointError(
                f"{weights.source}: lacks what batch norm keeps beside its weights ({few(rest['missing'], most=3)}), "
                "as model.parameters() does. Save model.state_dict() and give that."
            )
        if rest.keys() == {"of another shape"} and (stem := _stem(near[0].given, model.state_dict(), *rest.values())):
            raise CheckpointError(f"{weights.source}: {stem}")
        advice = "Give the --model that they were trained with."
        if weights.model:
            advice = f"It is a model of {weights.model}: --model {weights.model}"
        if all(NUMBERED.match(key) for state in weights.states.values() for key in state):
            advice = "Its names are numbers, as nn.Sequential and fastai give them: rename them to the network's."
        parts = "; ".join(f"{len(keys)} {kind} ({few(keys, most=3)})" for kind, keys in rest.items())
        raise CheckpointError(
            f"{weights.source}{f' ({near[0]})' if near[0].place else ''}: these are weights of another network: of "
            f"{len(model.state_dict())} tensors of this one {parts}. {advice}"
        )
    different: list[_Candidate] = []
    for one in fitting:
        same = (other.given for other in different if other.given.keys() == one.given.keys())
        if not any(
            all(t.dtype == given[key].dtype and torch.equal(t, given[key]) for key, t in one.given.items())
            for given in same
        ):
            different.append(one)
    averaged = [one for one in different if AVERAGED.search(one.place.lower())]
    if len(different) == 1:
        return different[0]
    if len(averaged) == 1:  # what such trainings measure, and what timm takes
        return replace(averaged[0], place=f"{averaged[0]}, the running average, of {len(different)} sets that fit")
    raise CheckpointError(
        f"{weights.source}: holds {len(different)} sets of weights that fit: {few(list(map(str, different)))}. "
        "Save the one that is meant alone, with torch.save, and give that."
    )


def _stem(given: State, current: State, others: list[str]) -> str:
    """Return what is so, and what to do, where the first layer alone does not fit: it was made for other pictures."""
    name = next((key for key, tensor in current.items() if tensor.ndim == 4), "")
    if [other.partition(" ")[0] for other in others] != [name] or given[name].ndim != 4:
        return ""
    theirs, ours = given[name].shape, current[name].shape
    grey, sides = theirs[1] == 1, theirs[2:] != ours[2:]
    small = ", as for images of 32 pixels," * (theirs[2] < ours[2])
    facts = ["takes 1 channel, as for grey images, not 3"] * grey
    facts += [f"has filters of {theirs[2]}x{theirs[3]}{small} not {ours[2]}x{ours[3]}"] * sides
    remedy = "Give weights whose first layer fits, or begin without them (--model compact is made for small images)."
    if grey and not sides:
        remedy = "In the script that wrote it, make it three: .repeat(1, 3, 1, 1) / 3; save and give that."
    return f"its first layer ({name}) {' and '.join(facts)}; all else fits. {remedy}" if facts else ""


def _candidates(place: str, state: State, model: nn.Module, heads: tuple[str, ...]) -> Iterator[_Candidate]:
    """Yield a mapping as weights of the network, without each prefix under which it may have the network's names."""
    current = model.state_dict()
    names = {key: OLD_DENSENET.sub(r"\1\2", key.replace("_orig_mod.", "")) for key in state}
    body = [key for key in current if not in_head(key, heads)] or list(current)
    ends = (body[0], next(key for key in reversed(body) if not key.endswith("num_batches_tracked")))
    prefixes = dict.fromkeys(
        name.removesuffix(end) for end in ends for name in names.values() if name == end or name.endswith(f".{end}")
    )
    own = {key for key in current if key.startswith(AUXILIARY)}
    for prefix in prefixes or [""]:
        inside = {key: name.removeprefix(prefix) for key, name in names.items() if name.startswith(prefix)}
        given = OrderedDict(
            (name, state[key]) for key, name in inside.items() if name in own or not name.startswith(AUXILIARY)
        )
        # the names of modules in `_metadata` have the prefix too; without a version MNASNet refuses the file
        versions = None if prefix else getattr(state, "_metadata", None)
        given._metadata = versions or getattr(current, "_metadata", None)  # type: ignore[attr-defined]
        where = " ".join(part for part in (place, prefix and f"without {prefix!r}") if part)
        outside = tuple(key for key in names if key not in inside)
        yield _Candidate(where, given, outside, sum(key in current for key in given))


def _loaded(model: nn.Module, state: State, heads: tuple[str, ...]) -> tuple[State, dict[str, list[str]]]:
    """Return the network's tensors that `state` gives, and by kind what does not fit beside the head."""
    current = model.state_dict()
    wrong = {key for key in state if key in current and not _alike(state[key], current[key])}
    given = OrderedDict((key, tensor) for key, tensor in state.items() if key not in wrong)
    given._metadata = getattr(state, "_metadata", None)  # type: ignore[attr-defined]
    # a twin without weights takes the tensors first: the modules' own hooks for old files work, nothing is harmed
    twin = deepcopy(model).to("meta")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns where a tensor on the meta device is not assigned
        outcome = twin.load_state_dict(given, strict=False, assign=True)
    missing = [key for key in outcome.missing_keys if key not in wrong and not key.endswith("num_batches_tracked")]
    misfit = {
        "missing": [key for key in missing if not in_head(key, heads)],
        "unexpected": [key for key in outcome.unexpected_keys if not in_head(key, heads)],
        "of another shape": [
            f"{key} ({list(state[key].shape)} for {list(current[key].shape)})"
            for key in sorted(wrong) if not in_head(key, heads)
        ],
    }
    return {key: tensor for key, tensor in twin.state_dict().items() if not tensor.is_meta}, misfit


FRESH = "all but the head, which starts fresh for these classes"
BY_PLACE = "the head too, whose rows are taken in the order of your classes, since the file names none"


def _head(
    model: nn.Module, heads: tuple[str, ...], given: State, old: tuple[str, ...] | None, new: tuple[str, ...]
) -> tuple[dict[str, Tensor], str]:
    """Return the head's tensors, each class's row from the class of its name, and what became of it in words.

    `old` are the names of the file's outputs, None where it has none; `new` those of the network's.
    """
    current = {key: tensor for key, tensor in model.state_dict().items() if in_head(key, heads)}
    theirs = {key for key in given if in_head(key, heads)}
    needed = {key for key in current if not key.endswith("num_batches_tracked")}
    if not needed or not needed <= theirs <= current.keys():
        other = sorted(theirs - current.keys())
        return {}, f"{FRESH}: the file's head is of another make ({few(other, most=3)})" if needed and other else FRESH
    whole = {key: given[key] for key in theirs}
    if old is None or not new:
        fits = all(_alike(given[key], current[key]) for key in theirs)
        return (whole, BY_PLACE) if fits else ({}, FRESH)
    rows = _rows(model, heads) & theirs
    widths = {given[key].shape[:1] for key in rows}  # of all others the shape is the same, of these but for it
    if len(widths) != 1 or any(given[key].shape[key in rows :] != current[key].shape[key in rows :] for key in theirs):
        return {}, FRESH
    if widths != {(len(old),)}:
        return {}, f"{FRESH}: the class names in the file do not fit its {widths.pop()[0]} outputs"
    # bare numbers mean something only where all of them are the same
    numbers = all(name.isdigit() for name in old) or all(name.isdigit() for name in new)
    kept = [] if numbers and set(old) != set(new) else [name for name in new if name in old]
    if not kept:
        return {}, f"{FRESH}: none of the file's {len(old)} classes is known to be one of them"
    for key in rows:
        whole[key] = current[key].clone()
        trained = given[key][[old.index(name) for name in kept]]
        whole[key][[new.index(name) for name in kept]] = trained.to(whole[key].dtype)
    if len(kept) < len(new):
        fresh = [name for name in new if name not in kept]
        return whole, f"head: {len(kept)} of {len(new)} classes taken over by name ({few(kept)}); new: {few(fresh)}"
    if all(name.isdigit() for name in new):
        return whole, f"the head too, its {len(new)} rows by the classes' numbers: both sets must mean the same by them"
    order = "" if old == new else ", in another order"
    return whole, f"the head too, its {len(new)} rows by the classes' names{order}"


def _rows(model: nn.Module, heads: tuple[str, ...]) -> set[str]:
    """Return the names of the head's tensors that have a row for every class; none where that is a guess.

    They are those of the last layer, and of every other that is as wide: some heads are two, whose mean is the answer.
    """
    layers = {name: module for name, module in model.named_modules()
              if in_head(name, heads) and isinstance(module, nn.Linear | nn.Conv2d)}  # fmt: skip
    width = {name: len(module.weight) for name, module in layers.items()}
    last = width[next(reversed(width))] if width else 0
    if len(layers) > 1 and any(module.weight.shape[1] == last for module in layers.values()):
        return set()  # a layer between may be as wide, and its rows are no classes
    return {f"{name}.{part}" for name in layers if width[name] == last for part in ("weight", "bias")}


def _alike(given: Tensor, wanted: Tensor) -> bool:
    return given.shape == wanted.shape and given.is_floating_point() == wanted.is_floating_point()
