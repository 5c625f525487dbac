"""TrainState: everything that must survive a crash, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from eyas.device.choice import sums_type
from eyas.device.runtime import Runtime
from eyas.model.weights import put_back
from eyas.model.zoo import head_of
from eyas.seeds import key
from eyas.training.ema import Average, Ema, NoEma
from eyas.training.optim import make_optimizer
from eyas.training.selection import Plateau, Selection

if TYPE_CHECKING:
    from eyas.training.plan import Plan


RETRIES = 5  # times that a run goes back for a loss that is not finite


@dataclass(slots=True)
class Sums:
    """Loss, correct answers and samples, summed on the device: float64 [4] (float32 where there is no float64)."""

    values: Tensor  # loss, correct answers, samples, and steps until the sum of losses was not finite

    @staticmethod
    def zeros(device: torch.device) -> Sums:
        """Return sums of nothing."""
        return Sums(torch.zeros(4, dtype=sums_type(device), device=device))

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count a batch: `loss` is its sum, `logits` [B, C], `labels` int64 [B]. No host sync."""
        correct = (logits.argmax(1) == labels).sum()
        count = torch.full_like(correct, len(labels))
        self.values[:3] += torch.stack([loss.to(self.values), correct.to(self.values), count.to(self.values)])

    def merge(self, step: Sums) -> None:
        """Add the sums of a step."""
        self.values += step.values
        self.values[3] += self.values[0].isfinite()  # once it is not, no step is counted any more

    def means(self) -> tuple[float, float, int]:
        """Return (mean loss, accuracy, samples) on the host; nan of nothing."""
        loss, correct, count, _ = self.values.tolist()
        return (loss / count, correct / count, int(count)) if count else (float("nan"), float("nan"), 0)


@dataclass(slots=True)
class TrainState:
    """The training after `step` steps. It holds the bare model, never a compiled or distributed wrapper of it.

    No generator and no loader is in it: what a step sees and draws is a function of the seed and the step.
    """

    step: int
    model: nn.Module
    optimizer: Optimizer
    scaler: torch.amp.GradScaler
    average: Average
    selection: Selection
    plateau: Plateau
    window: Sums  # since the last record
    epoch: Sums  # since the epoch began
    epochs_done: int = 0  # epochs evaluated and saved: one less than trained between an epoch's last step and that
    seconds: float = 0.0  # of training in this epoch, over interruptions
    waited: float = 0.0  # seconds of them spent waiting for data
    stopped: str = ""  # why the run ended early: "stalled", "overfitting"
    diverged: list[dict[str, Any]] = field(default_factory=list)  # per return: `to` which step, what was `said`
    short_of_memory: list[str] = field(default_factory=list)  # what was said each time that memory ran out

    @staticmethod
    def fresh(plan: Plan, runtime: Runtime) -> TrainState:
        """Return the state before the first step: weights are a function of the seed, or those given."""
        torch.default_generator.manual_seed(key(plan.seed, "weights"))
        model = runtime.place(plan.new_model())
        optimizer = make_optimizer(model, head_of(model), plan.config.optim)
        decay = plan.config.training.ema
        return TrainState(
            step=0,
            model=model,
            optimizer=optimizer,
            scaler=runtime.scaler(),
            average=Ema(model, decay) if decay else NoEma(model),
            selection=Selection(plan.config.training.select),
            plateau=Plateau(plan.config.training.select),
            window=Sums.zeros(runtime.device),
            epoch=Sums.zeros(runtime.device),
        )

    @property
    def factor(self) -> float:
        """What the schedule's learning rate is multiplied by: a plateau's drops, a half per divergence."""
        return float(self.plateau.factor * 0.5 ** len(self.diverged))

    def count_step(self, sums: Sums) -> None:
        """Count a step that was taken."""
        self.window.merge(sums)
        self.epoch.merge(sums)
        self.step += 1

    def parts(self, plan: Plan) -> int:
        """Return in how many parts a batch is computed: those asked for, doubled each time that memory ran out."""
        asked = plan.config.training.accumulate
        return int(asked * 2 ** len(self.short_of_memory))

    def saved(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return all of it as tensors, named "FIELD/...", and plain data, one entry per field."""
        tensors: dict[str, Tensor] = {}
        plain: dict[str, Any] = {}
        for entry in fields(self):
            parts, plain[entry.name] = _saved(getattr(self, entry.name), self.model)
            tensors |= {f"{entry.name}/{name}": tensor for name, tensor in parts.items()}
        return tensors, plain

    def load(self, tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
        """Become what `saved` was called on. The tensors are copied to this state's device."""
        for entry in fields(self):
            prefix = f"{entry.name}/"
            parts = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
            value = getattr(self, entry.name)
            setattr(self, entry.name, _loaded(value, parts, plain[entry.name], self.model))


def measured_model(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights and buffers of the model that is measured, by its own names, from what `saved` gave.

    They are those of the average, or where there is none the trained ones.
    """
    for prefix in ("average/", "model/"):
        parts = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        if parts:
            return parts
    raise AssertionError("a state without a model")


def _saved(value: Any, model: nn.Module) -> tuple[dict[str, Tensor], Any]:
    """Return a field's value as (tensors, plain data)."""
    match value:
        case nn.Module():
            return dict(value.state_dict()), {}
        case Optimizer():
            return _saved_optimizer(value, model)
        case torch.amp.GradScaler():
            return {}, value.state_dict()
        case Ema() | NoEma():
            return value.tensors(), value.plain()
        case Sums():
            return {"values": value.values}, {}
        case Selection() | Plateau():
            return {}, asdict(value)
    return {}, value


def _loaded(value: Any, tensors: dict[str, Tensor], plain: Any, model: nn.Module) -> Any:
    """Return what a field's value becomes: changed in place where it is an object with tensors."""
    match value:
        case nn.Module():
            put_back(value, tensors)
        case Optimizer():
            _load_optimizer(value, tensors, plain, model)
        case torch.amp.GradScaler():
            value.load_state_dict(plain)
        case Ema() | NoEma():
            value.load(tensors, plain)
        case Sums():
            value.values.copy_(tensors["values"])
        case Selection() | Plateau():
            return type(value)(**plain)
        case _:
            return plain
    return value


def _saved_optimizer(optimizer: Optimizer, model: nn.Module) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the state by the parameters' names: their order would not survive another grouping."""
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    for name, parameter in model.named_parameters():
        for item, value in optimizer.state.get(parameter, {}).items():
            target = tensors if isinstance(value, Tensor) else plain
            target[f"{name}/{item}"] = value
    return tensors, plain


def _load_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor], plain: dict[str, Any], model: nn.Module) -> None:
    names = {parameter: name for name, parameter in model.named_parameters()}
    ordered = [names[parameter] for group in optimizer.param_groups for parameter in group["params"]]
    items: dict[str, dict[str, Any]] = {}
    for place, value in (tensors | plain).items():
        name, item = place.rsplit("/", 1)
        items.setdefault(name, {})[item] = value
    state = {number: items[name] for number, name in enumerate(ordered) if name in items}
    # torch's own loading knows which entries belong on the device and which stay on the host
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


class Snapshot:
    """Takes copies quickly: its memory is set aside once, since fresh pages cost ten times the copy into them."""

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def make_room(self, tensors: Mapping[str, Tensor]) -> None:
        """Set memory aside for tensors of these names, shapes and types, and touch every page of it.

        Page-locked where a tensor is on a CUDA device, so that it is copied without a detour. Safe in any thread.
        """
        for name, tensor in tensors.items():
            kept = self._kept.get(name)
            if kept is None or (kept.dtype, kept.shape) != (tensor.dtype, tensor.shape):
                pinned = tensor.device.type == "cuda"
                room = torch.empty_like(tensor, device="cpu", pin_memory=pinned, requires_grad=False)
                _memory(room).fill(0)  # by numpy, which computes in this thread only
                self._kept[name] = room

    def take(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what the tensors hold now, on the host; the next `take` overwrites it.

        The copies have the strides of their originals (channels last stays so).
        """
        self.make_room(tensors)
        for name, tensor in tensors.items():
            room = self._kept[name]
            if tensor.device.type == "cpu" and tensor.stride() == room.stride():
                np.copyto(_memory(room), _memory(tensor))  # a quarter of the time that torch's own copy takes
            else:
                room.copy_(tensor, non_blocking=True)
        for device in {tensor.device for tensor in tensors.values() if tensor.device.type != "cpu"}:
            torch.accelerator.synchronize(device)  # once for all copies
        return {name: self._kept[name] for name in tensors}


def _memory(tensor: Tensor) -> np.ndarray:
    """Return the bytes of a dense tensor as they lie in memory, whatever the order of its dimensions."""
    return tensor.detach().as_strided((tensor.numel(),), (1,)).view(torch.uint8).numpy()
