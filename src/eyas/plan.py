"""What will run, made of what was asked: units become steps, lists are read, everything is checked. Frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from eyas.config import RunConfig
from eyas.data.augment import Augment, mixing
from eyas.data.batches import Prepared, decoding_remedy, prepare
from eyas.data.classes import match_classes
from eyas.data.datasets import default_test, default_val, open_images
from eyas.data.imageset import ImageSet, split_off
from eyas.data.order import Order
from eyas.data.preprocess import Preprocess, resolve_preprocess
from eyas.errors import DataError, SettingsError
from eyas.model.zoo import build, expected_preprocess
from eyas.tensorfile import read_tensors, written_by_eyas
from eyas.training.optim import HORIZON, LearningRate
from eyas.training.step import Loss


class Due(NamedTuple):
    """What the calendar says after a step."""

    log: bool
    epoch_end: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that `fit` needs to know: read, checked, in steps."""

    config: RunConfig
    directory: Path
    classes: tuple[str, ...]
    train: Prepared
    evaluations: dict[str, Prepared]  # "val", "test": what there is of them
    selects_on: str | None  # the split that chooses the best epoch
    order: Order
    preprocess: Preprocess
    augment: Augment
    mix: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    loss: Loss
    learning_rate: LearningRate
    fingerprint: dict[str, Any]  # what the results depend on, as plain data
    facts: tuple[tuple[str, str], ...]  # for people
    weights: dict[str, Tensor] | None  # the state that training starts from, None for random weights
    allowed_changes: frozenset[str] = frozenset()  # entries of the fingerprint that a resume need not compare

    @property
    def seed(self) -> int:
        """The number that everything random is a function of."""
        return self.config.training.seed

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.order.steps_per_epoch * self.config.training.epochs

    @property
    def eval_batch_size(self) -> int:
        """Images in an evaluation batch: without gradients there is room for more."""
        return max(self.config.training.batch_size, 128)

    @property
    def shortest_batch(self) -> int:
        """Images in an epoch's last batch."""
        return self.order.size(self.order.steps_per_epoch - 1)

    @property
    def waits_for(self) -> str:
        """What a step waits for until its batch is there, and what would shorten it, in words."""
        reasons = []
        if self.train.store is None:
            reasons.append(f"images are decoded anew for every batch ({decoding_remedy(self.config.data)})")
        if self.augment.per_sample() is not None:
            reasons.append("random crops, TrivialAugment, colour and erasing go image by image")
        unclear = len(reasons) != 1 and not self.config.output.profile
        return "; ".join([*reasons, *(["--profile shows the parts"] if unclear else [])])

    def smallest_part(self, processes: int) -> int:
        """Return the least images that the network sees at once: a process's share, computed in parts."""
        shares = (size // processes for size in (self.order.size(0), self.shortest_batch))
        return min(share // min(self.config.training.accumulate, share) for share in shares)

    def due(self, step: int) -> Due:
        """Return what is due after `step` steps: a pure calendar."""
        position = step % self.order.steps_per_epoch
        log = position in (0, 1) or step % self.config.output.log_every == 0
        return Due(log, position == 0)

    def new_model(self) -> nn.Module:
        """Return the network on the CPU before the first step."""
        model = build(self.config.model.model, len(self.classes))
        if self.weights is not None:
            model.load_state_dict(self.weights)
        return model


def make_plan(
    config: RunConfig, directory: Path, *, resuming: bool = False, allowed_changes: frozenset[str] = frozenset()
) -> Plan:
    """Read and check everything that `config` names.

    Decodes every image once (unless `resuming` from a run that did). Raises `DataError`, `SettingsError` or
    `CheckpointError`, each naming the place and the remedy; writes nothing but downloads.
    """
    train, others = open_sets(config)
    selects_on = next((split for split in ("val", "test") if split in others), None)
    limits = config.training
    if selects_on is None and (limits.patience or limits.overfit_patience or config.schedule.plateau):
        raise SettingsError("--patience, --overfit-patience and --plateau need --test or --val: they watch its result.")
    given = config.model.pretrained or config.model.weights is not None
    expected = stored_preprocess(config.model.weights) or expected_preprocess(config.model.model, weights=given)
    preprocess = resolve_preprocess(config.preprocess, expected)
    weights, told = (None, "those saved") if resuming else starting_weights(config, len(train.classes))
    fill = tuple(round(255 * value) for value in preprocess.mean)
    augment = Augment(config.augment, preprocess.size, fill)  # type: ignore[arg-type]
    wider = augment.stored_size > preprocess.size
    fitting = preprocess.enlarged(augment.stored_size) if wider else preprocess
    ready = prepare(train, fitting, config.data, checked=resuming)
    evaluations = {
        split: prepare(images, preprocess, config.data, checked=resuming) for split, images in others.items()
    }
    order = Order(len(ready), limits.batch_size, limits.seed, drop_last=limits.drop_last)
    if order.steps_per_epoch == 0:
        raise SettingsError(
            f"--batch-size {limits.batch_size} with --drop-last leaves nothing of {len(ready)} training images."
        )
    plan = Plan(
        config=config,
        directory=directory,
        classes=train.classes,
        train=ready,
        evaluations=evaluations,
        selects_on=selects_on,
        order=order,
        preprocess=preprocess,
        augment=augment,
        mix=mixing(config.augment, len(train.classes)),
        loss=Loss(limits.label_smoothing, _class_weights(ready.images, config)),
        learning_rate=LearningRate(
            config.optim.lr, config.schedule, order.steps_per_epoch, order.steps_per_epoch * limits.epochs
        ),
        fingerprint={},
        facts=(),
        weights=weights,
        allowed_changes=allowed_changes,
    )
    return replace(plan, fingerprint=_fingerprint(plan), facts=_facts(plan, told))


def open_sets(config: RunConfig) -> tuple[ImageSet, dict[str, ImageSet]]:
    """Return the training set and the sets to measure on, with classes matched by name."""
    data = config.data
    if not data.train:
        raise SettingsError("What to train on is missing: eyas train LIST_OR_FOLDER_OR_NAME (see `eyas datasets`).")
    train = open_images(data.train, data, split="train")
    others: dict[str, ImageSet] = {}
    val = data.val or default_val(data.train, data)
    test = data.test or default_test(data.train, data)
    if val is not None and (share := _as_share(val)) is None:
        others["val"] = open_images(val, data, split="val")
    if test is not None:
        others["test"] = open_images(test, data, split="test")
    for split in list(others):
        train, others[split] = match_classes(train, others[split])
    # a set that came first may have been matched before a later one named the numbers
    others = {split: match_classes(train, images)[1] for split, images in others.items()}
    if val is not None and share is not None:
        train, others["val"] = split_off(train, share, config.training.seed)
        others = {split: others[split] for split in ("val", "test") if split in others}
    if len(train.classes) < 2:
        raise DataError(f"{train.source}: has one class only ({train.classes[0]!r}); a classifier needs two or more.")
    return train, others


def starting_weights(config: RunConfig, classes: int) -> tuple[dict[str, Tensor] | None, str]:
    """Return the state dict that training starts from (None: random) and a sentence about it."""
    model = config.model
    if model.weights is not None and model.pretrained:
        raise SettingsError("--pretrained and --weights both name the weights to start from. Give one of them.")
    if model.weights is None and not model.pretrained:
        return None, "random, a function of the seed"
    from eyas.data.order import key
    from eyas.model.pretrained import load_pretrained
    from eyas.model.weights import load_weights

    torch.default_generator.manual_seed(key(config.training.seed, "weights"))  # for a fresh head
    network = build(model.model, classes)
    path = model.weights
    told = load_pretrained(network, model.model) if path is None else load_weights(network, path).sentence
    return dict(network.state_dict()), told


def stored_preprocess(weights: str | None) -> dict[str, Any] | None:
    """Return the preprocessing in a model file of eyas, None for foreign weights and where the file is gone."""
    if weights is None or not written_by_eyas(Path(weights)):
        return None
    return Preprocess.from_dict(read_tensors(Path(weights), "model")[1]["preprocess"]).to_dict()


def _as_share(text: str) -> float | None:
    """Return a validation share such as "0.1", None where the text names a set."""
    try:
        share = float(text)
    except ValueError:
        return None
    if not 0 < share < 1:
        raise SettingsError(f"--val {text}: a share of the training set must lie between 0 and 1, such as 0.1.")
    return share


def _class_weights(images: ImageSet, config: RunConfig) -> Tensor | None:
    """Return N / (C N_c) for every class, so that every class weighs the same and a sample 1 on average."""
    if config.training.class_weights == "none":
        return None
    counts = np.bincount(images.labels, minlength=len(images.classes))
    if (counts == 0).any():
        empty = ", ".join(images.classes[number] for number in np.flatnonzero(counts == 0)[:5])
        raise DataError(f"--class-weights balanced: these classes have no training image: {empty}.")
    return torch.tensor(len(images) / (len(counts) * counts), dtype=torch.float32)


def _fingerprint(plan: Plan) -> dict[str, Any]:
    """Return what the results depend on: a resume compares it. Lengths, places and speeds are not in it."""
    config = plan.config
    training = config.training.model_dump(exclude={"epochs", "patience", "overfit_patience"})
    horizon = {"epochs": config.training.epochs} if config.schedule.schedule in HORIZON else {}
    return {
        "training data": plan.train.images.fingerprint(),
        **{f"{split} data": prepared.images.fingerprint() for split, prepared in plan.evaluations.items()},
        "classes": list(plan.classes),
        "selects on": plan.selects_on,
        "model": config.model.model,
        "precision": config.device.precision,
        **{f"preprocess {name}": _plain(value) for name, value in plan.preprocess.to_dict().items()},
        **config.augment.model_dump(),
        **config.optim.model_dump(),
        **config.schedule.model_dump(),
        **training,
        **horizon,
    }


def _plain(value: Any) -> Any:
    """Return the value as JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value


def _facts(plan: Plan, told: str) -> tuple[tuple[str, str], ...]:
    config, images = plan.config, plan.train.images
    facts = [("training", f"{images.source}: {_counted(images)}, {len(plan.classes)} classes; {plan.train.in_words()}")]
    for split, prepared in plan.evaluations.items():
        chosen = "; chooses the best epoch" if split == plan.selects_on else ""
        facts.append((split, f"{prepared.images.source}: {_counted(prepared.images)}{chosen}"))
    if not plan.evaluations:
        facts.append(("test", "none given: accuracy is not measured (--test, --val)"))
    facts += [
        ("note", note) for part in (images, *(p.images for p in plan.evaluations.values())) for note in part.notes
    ]
    schedule = config.schedule.schedule + (f", plateau {config.schedule.plateau}" if config.schedule.plateau else "")
    return (
        *dict.fromkeys(facts),
        ("preprocess", plan.preprocess.in_words()),
        ("model", f"{config.model.model}; weights: {told}"),
        ("optimiser", f"{config.optim.optimizer}, learning rate {config.optim.lr:g}, {schedule}"),
        ("length", f"{config.training.epochs} epochs of {plan.order.steps_per_epoch} steps, "
                   f"batches of {config.training.batch_size}"),
    )  # fmt: skip


def _counted(images: ImageSet) -> str:
    left_out = f" ({images.skipped:,} unreadable left out)" if images.skipped else ""
    return f"{len(images):,} images{left_out}"
