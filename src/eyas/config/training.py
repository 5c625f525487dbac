"""Settings of the training: optimiser, schedule, length, numerics, what is written."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from eyas.config.section import Section

Count = Annotated[int, Field(ge=1)]
CountOrOff = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Switch = Literal["auto", "on", "off"]


class OptimConfig(Section):
    """The optimiser."""

    optimizer: Literal["sgd", "adam", "adamw", "nadam", "radam", "rmsprop", "adagrad", "muon"] = "sgd"
    """Optimiser: those of torch.optim, or Muon for filters and matrices with Adam for the head and for vectors."""
    lr: Annotated[float, Field(gt=0)] = 0.01
    """Learning rate (the peak, where a schedule changes it)."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Momentum of SGD, RMSprop and Muon."""
    nesterov: bool = False
    """Nesterov's form of SGD's momentum."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Weight decay; applied to matrices and filters, never to biases and norms."""
    backbone_lr: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor on the learning rate of everything but the head (below 1 when starting from trained weights)."""
    head_lr: Annotated[float, Field(gt=0)] = 1.0
    """Factor on the learning rate of the head."""
    vector_lr: Annotated[float, Field(gt=0)] = 1.0
    """Factor on the learning rate of vectors: biases and the scales of norms."""

    @field_validator("nesterov")
    @classmethod
    def _has_momentum(cls, value: bool, others: ValidationInfo) -> bool:
        if value and not others.data.get("momentum"):
            raise ValueError("needs momentum, such as --momentum 0.9")
        return value


class ScheduleConfig(Section):
    """How the learning rate moves."""

    schedule: Literal["constant", "linear", "cosine", "onecycle", "step"] = "constant"
    """Course of the learning rate over the run."""
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    """Epochs over which the learning rate rises from zero."""
    step_epochs: Count = 30
    """With --schedule step: epochs between two drops."""
    step_factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    """With --schedule step: factor of a drop."""
    plateau: CountOrOff = 0
    """Epochs without improvement after which the learning rate drops (0: never)."""
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Factor of a drop on a plateau."""


class TrainConfig(Section):
    """Length of the training and how a step is computed."""

    epochs: Count = 10
    """Times that every training image is seen."""
    batch_size: Count = 64
    """Images per optimiser step, over all processes together."""
    drop_last: bool = False
    """Leave out the last batch of an epoch if it is not full."""
    progressive_size: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Train on smaller images first: from this share of --size, growing to all of it in the last third of the run."""
    accumulate: Count = 1
    """Compute a step in this many parts to save memory; the result is the same."""
    clip_norm: Annotated[float, Field(ge=0)] = 0.0
    """Largest norm of the gradient (0: not limited)."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the target spread evenly over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: weigh every class by the inverse of its frequency in training."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay per step of a running average of the weights, which is then what is measured and saved (0: off)."""
    patience: CountOrOff = 0
    """Stop after this many epochs without improvement (0: never)."""
    overfit_patience: CountOrOff = 0
    """Stop when the validation loss rose and the training loss fell for this many epochs running (0: never)."""
    on_nan: Literal["stop", "rollback"] = "stop"
    """Where the loss is not a finite number: stop, or go back to the last saved state and on with half the learning
    rate, at most five times."""
    select: Literal["accuracy", "loss", "macro_f1"] = "accuracy"
    """Measure by which the best epoch is chosen, the learning rate drops and the run stops."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Everything random is a function of this number."""


class DeviceConfig(Section):
    """Where and how the arithmetic runs."""

    device: str = "auto"
    """cpu, cuda, cuda:1, mps; auto picks the best there is and says which."""
    precision: Literal["fp32", "tf32", "bf16", "fp16", "auto"] = "fp32"
    """Precision of the arithmetic. bf16 and fp16 compute in 16 bits and keep the weights in 32; tf32 (NVIDIA GPUs)
    rounds what is multiplied to 10 bits of mantissa; fp32 does so in convolutions only, as PyTorch. auto: bf16 where
    the device has it, else fp32."""
    compile: Switch = "auto"
    """Compile the network with torch.compile; on a GPU its kernels are replayed as CUDA graphs. auto: on a GPU, in a
    run of more than ten minutes, if a few steps measured both ways say that the run ends sooner."""
    channels_last: Switch = "auto"
    """Keep images and filters in channels-last order. auto: in a run of a thousand steps or more, if a few steps
    measured both ways are faster by it. With --deterministic auto means off: two measurements may differ."""
    deterministic: bool = False
    """On a GPU, use only kernels that give the same bits every time. A CPU run always does."""
    threads: CountOrOff = 0
    """Threads of the arithmetic on a CPU (0: PyTorch's choice)."""

    @field_validator("compile", "channels_last", mode="before")
    @classmethod
    def _yes_or_no(cls, value: object) -> object:
        return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value


class OutputConfig(Section):
    """What is written, where and how often."""

    out: str | None = None
    """Run folder; must not hold another run. Default: a new one under runs/."""
    log_every: Count = 500
    """Training loss is logged every this many steps, and at the first and last step of every epoch."""
    keep: CountOrOff = 0
    """Keep the newest N epoch files (0: all); best.safetensors and last.safetensors always stay."""
    save_minutes: Annotated[float, Field(ge=0)] = 10.0
    """Save the exact state within an epoch too, at most this many minutes apart (0: only after each epoch)."""
    view: Literal["auto", "live", "plain", "notebook", "none"] = "auto"
    """Output: auto shows a live view on a terminal, curves in a notebook, and plain lines elsewhere."""
    histograms: bool = False
    """Show every parameter and its gradient as histograms in TensorBoard, at each epoch's end."""
    wandb: str | None = None
    """Also log to this project of Weights & Biases (entity/project, or project)."""
    mlflow: str | None = None
    """Also log to this experiment of MLflow, at the tracking server that MLflow is set to."""
    log_model: bool = False
    """Hand the best model to those loggers too, when the run ends."""
    report: Literal["en", "zh", "none"] = "en"
    """Language of report.html, which is written when the run ends; none leaves it out."""
    profile: bool = False
    """Measure where the time goes: a table after every epoch, every span in profile.json.gz (for ui.perfetto.dev)."""
