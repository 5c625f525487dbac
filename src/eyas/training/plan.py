"""What will run, made of what was asked: units become steps, lists are read, everything is checked. Frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from eyas.config.run_config import RunConfig
from eyas.data.augment.augment import Augment, mixing
from eyas.data.first_look import first_look
from eyas.data.images.imageset import ImageSet
from eyas.data.images.preprocess import Preprocess, resolve_preprocess
from eyas.data.order import Order
from eyas.data.pipeline import Change, Prepared, decoding_remedy, own_change, prepare
from eyas.data.run_sets import Sets, open_sets
from eyas.device.choice import choose_device, settled_precision
from eyas.errors import DataError, SettingsError
from eyas.files.tensors import read_tensors, written_by_eyas
from eyas.model.zoo import build, expected_preprocess
from eyas.seeds import Indices, key, permuted
from eyas.training.fingerprint import fingerprint_of, newest_files
from eyas.training.optim import LearningRate
from eyas.training.step import Loss

if TYPE_CHECKING:
    from eyas.device.runtime import Runtime


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
    change: Change | None  # the user's own of every image
    augment: Augment
    mix: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    loss: Loss
    learning_rate: LearningRate
    fingerprint: dict[str, Any]  # what the results depend on, as plain data
    newest: dict[str, int]  # when the newest file of each set was changed: a resume notices later ones
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

    def placed(self, runtime: Runtime) -> Plan:
        """Return the plan with the loss on the device, and on a GPU the sets' pixels as far as there is room.

        `runtime.keeps_pixels` says afterwards whether any are there.
        """
        placed = replace(self, loss=self.loss.placed(runtime.device))
        if not runtime.keeps_pixels:
            return placed
        # the user's own function is given pictures in the machine's memory, perhaps in other processes
        train = self.train.placed(runtime.device) if self.change is None else self.train
        others = {split: prepared.placed(runtime.device) for split, prepared in self.evaluations.items()}
        runtime.keeps_pixels = any(part.targets.is_cuda for part in (train, *others.values()))
        return replace(placed, train=train, evaluations=others)

    def size(self, epoch: int) -> int:
        """Return the side in pixels of the training images of an epoch (from 0).

        With --progressive-size it grows evenly, in steps of an eighth, and is whole in the last third of the run.
        """
        full, epochs, start = self.preprocess.size, self.config.training.epochs, self.config.training.progressive_size
        share = start + (1 - start) * min(1.0, epoch / max(1.0, min(2 * epochs / 3, epochs - 1)))
        grain = max(1, full // 8)
        return full if share >= 1 else max(1, int(share * full / grain + 1e-9)) * grain

    def fitted(self, pixels: Tensor, samples: Indices, epoch: int) -> Tensor:
        """Return training pictures as they were read, now flipped and fitted: uint8 `[B, 3, stored, stored]`."""
        fit, size = self.train.fit if self.change is None else self.train.rescale, self.augment_at(epoch).stored_size
        drawn: dict[str, Any] = {"seed": self.seed, "epoch": epoch, "samples": samples}
        # small pictures are flipped sooner than large ones; a stretch commutes with it bit by bit, a cut need not
        if (self.preprocess.resize, self.preprocess.interpolation) == ("stretch", "bilinear"):
            return fit(self.augment.flipped(pixels, **drawn), size)
        return self.augment.flipped(fit(pixels, size), **drawn)

    def augmented(self, fitted: Tensor, samples: Indices, epoch: int) -> Tensor:
        """Return what `fitted` gave with an epoch's changes: uint8 `[B, 3, S, S]`."""
        return self.augment_at(epoch)(fitted, seed=self.seed, epoch=epoch, samples=samples)

    def varied(self, pixels: Tensor, samples: Indices, epoch: int) -> Tensor:
        """Return training pictures as they were read on the whole way to the network: uint8 `[B, 3, S, S]`."""
        changed = pixels if self.change is None else self.change(pixels, samples, epoch)
        return self.augmented(self.fitted(changed, samples, epoch), samples, epoch)

    def augment_at(self, epoch: int) -> Augment:
        """Return the augmentation to the size of an epoch."""
        return replace(self.augment, size=self.size(epoch))

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
        if self.change is not None and not self.config.data.workers:
            reasons.append("--transform goes image by image (--workers does it beside the training)")
        unclear = len(reasons) != 1 and not self.config.output.profile
        return "; ".join([*reasons, *(["--profile shows the parts"] if unclear else [])])

    def part(self, images: int, processes: int) -> int:
        """Return the least of a batch of `images` that the network sees at once: a process's share, in parts."""
        share = images // processes
        return share // min(self.config.training.accumulate, share)

    def smallest_part(self, processes: int) -> int:
        """Return the least images that the network sees at once."""
        return min(self.part(size, processes) for size in (self.order.size(0), self.shortest_batch))

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
        elif hasattr(model, "prime"):
            model.prime(self.preprocess.normalize(self.first_images()))  # type: ignore[operator]
        return model

    def first_images(self) -> Tensor:
        """Return the run's first training images, unchanged, for a network that looks at them before it is trained.

        uint8 `[n, 3, S, S]` on the CPU, at most 5 million pixels.
        """
        count = min(len(self.train), max(16, 5_000_000 // self.preprocess.size**2))
        samples = permuted(np.arange(count), len(self.train), key(self.seed, "order", 0))
        return self.train.fit(self.train.read(samples)).cpu()


def make_plan(
    config: RunConfig,
    directory: str | Path,
    *,
    sets: Sets | None = None,
    resuming: bool = False,
    allowed_changes: frozenset[str] = frozenset(),
    precision: str | None = None,
) -> Plan:
    """Read and check everything that `config` names; `sets` are its data sets where they are open already, `precision`
    is what its own means on this process's device where that is known.

    Decodes every image once (unless `resuming` from a run that did). Raises `DataError`, `SettingsError` or
    `CheckpointError`, each naming the place and the remedy; writes nothing but downloads.
    """
    precision = precision or settled_precision(config.device.precision, choose_device(config.device.device))
    config = config.model_copy(update={"device": config.device.model_copy(update={"precision": precision})})
    train, others = sets or open_sets(config)
    selects_on = next((split for split in ("val", "test") if split in others), None)
    limits = config.training
    given = config.model.pretrained or config.model.weights is not None
    expected = stored_preprocess(config.model.weights) or expected_preprocess(config.model.model, weights=given)
    preprocess = resolve_preprocess(config.preprocess, expected, train)
    weights, told = (None, "those saved") if resuming else starting_weights(config, train.classes)
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
        directory=Path(directory),
        classes=train.classes,
        train=ready,
        evaluations=evaluations,
        selects_on=selects_on,
        order=order,
        preprocess=preprocess,
        change=own_change(config.augment.transform, ready, limits.seed),
        augment=augment,
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
    from eyas.seeds import key

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
