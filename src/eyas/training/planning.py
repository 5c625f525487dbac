"""make_plan: settings -> Plan. Reads the data, converts units to steps, checks everything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eyas.config.run_config import RunConfig
from eyas.data.augment.augment import Augment, mixing
from eyas.data.first_look import first_look
from eyas.data.images.imageset import ImageSet
from eyas.data.images.preprocess import Preprocess, resolve_preprocess
from eyas.data.order import Order
from eyas.data.pipeline import Pipeline, own_change, sizes
from eyas.data.prepared import prepare
from eyas.data.run_sets import Sets, open_sets
from eyas.device.choice import choose_device, settled_precision
from eyas.errors import DataError, SettingsError
from eyas.evaluation.measures import counted
from eyas.files.tensors import read_tensors, written_by_eyas
from eyas.model.zoo import build, expected_preprocess
from eyas.seeds import key
from eyas.training.fingerprint import fingerprint_of, newest_files
from eyas.training.loss import Loss
from eyas.training.optim import LearningRate
from eyas.training.plan import Plan


def make_plan(
    config: RunConfig,
    directory: str | Path,
    *,
    sets: Sets | None = None,
    resuming: bool = False,
    allowed_changes: frozenset[str] = frozenset(),
    precision: str | None = None,
) -> Plan:
    """Read and check everything that `config` names, and return the plan that `fit` trains.

    Decodes every image once (unless `resuming` a run that did). `sets` are its data sets, if already open;
    `precision` is its precision on this device, if already known. Raises `DataError`, `SettingsError` or
    `CheckpointError`, which say where the problem is and how to fix it. Writes no files, except downloads.
    """
    precision = precision or settled_precision(config.device.precision, choose_device(config.device.device))
    config = config.model_copy(update={"device": config.device.model_copy(update={"precision": precision})})
    train, others = sets or open_sets(config)
    selects_on = next((split for split in ("val", "test") if split in others), None)
    counted(config.data, len(train.classes))  # refuses what these classes do not have
    limits = config.training
    given = config.model.pretrained or config.model.weights is not None
    expected = stored_preprocess(config.model.weights) or expected_preprocess(config.model.model, weights=given)
    preprocess = resolve_preprocess(config.preprocess, expected, train)
    weights, told = (None, "those saved") if resuming else starting_weights(config, train.classes)
    fill = tuple(round(255 * value) for value in preprocess.mean)
    augment = Augment(config.augment, preprocess.size, fill)  # type: ignore[arg-type]
    stored = preprocess.enlarged(augment.stored_size) if augment.stored_size > preprocess.size else preprocess
    ready = prepare(train, stored, config.data, checked=resuming)
    evaluations = {name: prepare(images, preprocess, config.data, checked=resuming) for name, images in others.items()}
    order = Order(len(ready), limits.batch_size, limits.seed, drop_last=limits.drop_last)
    if order.steps_per_epoch == 0:
        raise SettingsError(
            f"--batch-size {limits.batch_size} with --drop-last leaves nothing of {len(ready)} training images."
        )
    pipeline = Pipeline(
        ready, preprocess, augment, own_change(config.augment.transform, ready, limits.seed), limits.seed,
        sizes(preprocess.size, limits.epochs, limits.progressive_size),
    )  # fmt: skip
    plan = Plan(
        config=config,
        directory=Path(directory),
        classes=train.classes,
        pipeline=pipeline,
        evaluations=evaluations,
        selects_on=selects_on,
        order=order,
        preprocess=preprocess,
        mix=mixing(config.augment, len(train.classes)),
        loss=Loss(limits.label_smoothing, _class_weights(ready.images, config)),
        learning_rate=LearningRate(
            config.optim.lr, config.schedule, order.steps_per_epoch, order.steps_per_epoch * limits.epochs
        ),
        fingerprint={},
        newest=newest_files(ready.images, {split: prepared.images for split, prepared in evaluations.items()}),
        facts=(),
        weights=weights,
        allowed_changes=allowed_changes,
    )
    return replace(plan, fingerprint=fingerprint_of(plan), facts=_facts(plan, told))


def starting_weights(config: RunConfig, classes: tuple[str, ...]) -> tuple[dict[str, Tensor] | None, str]:
    """Return the state dict that training starts from (None: random) and a sentence about it."""
    model = config.model
    if model.weights is not None and model.pretrained:
        raise SettingsError("--pretrained and --weights both name the weights to start from. Give one of them.")
    if model.weights is None and not model.pretrained:
        return None, "random, a function of the seed"
    from eyas.model.fitting import load_weights
    from eyas.model.pretrained import load_pretrained

    torch.default_generator.manual_seed(key(config.training.seed, "weights"))  # for a fresh head
    network = build(model.model, len(classes))
    path = model.weights
    told = load_pretrained(network, model.model) if path is None else load_weights(network, path, classes).sentence
    return dict(network.state_dict()), told


def stored_preprocess(weights: str | None) -> dict[str, Any] | None:
    """Return the preprocessing in a model file of eyas, None for foreign weights and where the file is gone."""
    from eyas.model.weights import weights_file

    if weights is None or not written_by_eyas(file := weights_file(weights)):
        return None
    return Preprocess.from_dict(read_tensors(file, "model")[1].get("preprocess")).to_dict()


def _class_weights(images: ImageSet, config: RunConfig) -> Tensor | None:
    """Return N / (C N_c) for every class, so that every class weighs the same and a sample 1 on average."""
    if config.training.class_weights == "none":
        return None
    counts = np.bincount(images.labels, minlength=len(images.classes))
    if (counts == 0).any():
        empty = ", ".join(images.classes[number] for number in np.flatnonzero(counts == 0)[:5])
        raise DataError(f"--class-weights balanced: these classes have no training image: {empty}.")
    return torch.tensor(len(images) / (len(counts) * counts), dtype=torch.float32)


def _facts(plan: Plan, told: str) -> tuple[tuple[str, str], ...]:
    config, images = plan.config, plan.train.images
    others = {split: (part.images, part.marks) for split, part in plan.evaluations.items()}
    look = first_look((images, plan.train.marks), others)
    facts = [("training", f"{images.source}: {_counted(images)}, {len(plan.classes)} classes")]
    for split, prepared in plan.evaluations.items():
        chosen = "; chooses the best epoch" if split == plan.selects_on else ""
        leaked = f"; {look.leaks[split]:,} also in the training set" if split in look.leaks else ""
        facts.append((split, f"{prepared.images.source}: {_counted(prepared.images)}{chosen}{leaked}"))
    if not plan.evaluations:
        facts.append(("test", "none given: accuracy is not measured (--test, --val)"))
    facts += [
        ("note", note) for part in (images, *(p.images for p in plan.evaluations.values())) for note in part.notes
    ]
    facts += [("note", note) for note in look.notes]
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
