"""Training settings: optimiser, schedule, length, device, output."""

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
    """Optimiser from torch.optim; or muon: Muon for filters and matrices, Adam for the head, biases and norms."""
    lr: Annotated[float, Field(gt=0)] = 0.01
    """Learning rate; with a schedule, its peak."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Momentum of SGD, RMSprop and Muon."""
    nesterov: bool = False
    """Use Nesterov momentum (SGD)."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Weight decay, applied to matrices and filters but not to biases and norms."""
    backbone_lr: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Learning-rate factor for everything but the head; below 1 when fine-tuning."""
    head_lr: Annotated[float, Field(gt=0)] = 1.0
    """Learning-rate factor for the head."""
    vector_lr: Annotated[float, Field(gt=0)] = 1.0
    """Learning-rate factor for vectors: biases and the scales of norms."""

    @field_validator("nesterov")
    @classmethod
    def _has_momentum(cls, value: bool, others: ValidationInfo) -> bool:
        if value and not others.data.get("momentum"):
            raise ValueError("needs momentum, such as --momentum 0.9")
        return value


class ScheduleConfig(Section):
    """Learning-rate schedule."""

    schedule: Literal["constant", "linear", "cosine", "onecycle", "step"] = "constant"
    """How the learning rate changes over the run."""
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    """Epochs of linear warm-up from zero; fractions are allowed."""
    step_epochs: Count = 30
    """With --schedule step: epochs between drops of the learning rate."""
    step_factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    """With --schedule step: the factor applied at each drop."""
    plateau: CountOrOff = 0
    """Drop the learning rate after this many epochs without improvement (0: never)."""
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """With --plateau: the factor applied at each drop."""


class TrainConfig(Section):
    """Length of the training, batches and loss."""

    epochs: Count = 10
    """Number of passes over the training set."""
    batch_size: Count = 64
    """Images per optimiser step, summed over all processes."""
    drop_last: bool = False
    """Drop the last batch of an epoch if it is not full."""
    progressive_size: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Progressive resizing: start at this fraction of --size; the last third of the run has full size (1: off)."""
    accumulate: Count = 1
    """Gradient accumulation: compute each step in N parts to save memory. Results differ only through batch norm."""
    clip_norm: Annotated[float, Field(ge=0)] = 0.0
    """Clip the gradient to this norm (0: off)."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Label smoothing: the fraction of the target spread evenly over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """Class weights in the loss. balanced: inverse to the frequency of each class in the training set."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay per step of an exponential moving average of the weights, which is then evaluated and saved (0: off)."""
    patience: CountOrOff = 0
    """Early stopping: stop after this many epochs without improvement (0: never)."""
    overfit_patience: CountOrOff = 0
    """Stop when the validation loss has risen while the training loss fell for this many epochs in a row (0: never)."""
    on_nan: Literal["stop", "rollback"] = "stop"
    """What to do when the loss is not finite: stop, or roll back to the last saved state and continue with half the
    learning rate, at most five times."""
    select: Literal["accuracy", "loss", "macro_f1"] = "accuracy"
    """Metric that decides the best epoch, --plateau and --patience."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of everything random."""


class DeviceConfig(Section):
    """Device, precision and speed."""

    device: str = "auto"
    """cpu, cuda, cuda:1 or mps; auto picks the best one available and prints which."""
    precision: Literal["fp32", "tf32", "bf16", "fp16", "auto"] = "fp32"
    """bf16, fp16: mixed precision, weights in 32 bits. tf32 (NVIDIA GPUs): TF32 in matrix products and convolutions;
    fp32: TF32 in convolutions only, PyTorch's default. auto: bf16 if the device supports it, else fp32."""
    compile: Switch = "auto"
    """Use torch.compile (on a GPU with CUDA graphs). auto: on a GPU, in runs of more than ten minutes, if timing a few
    steps both ways shows that the run will finish sooner."""
    channels_last: Switch = "auto"
    """Use the channels-last memory format. auto: in runs of at least a thousand steps, if timing a few steps both ways
    shows that it is faster; off with --deterministic, because two timings may differ."""
    deterministic: bool = False
    """On a GPU, use only deterministic kernels. A CPU run is always deterministic."""
    threads: CountOrOff = 0
    """Number of CPU threads for computation (0: PyTorch's default)."""

    @field_validator("compile", "channels_last", mode="before")
    @classmethod
    def _yes_or_no(cls, value: object) -> object:
        return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value


class OutputConfig(Section):
    """Output, logging and saving."""

    out: str | None = None
    """Run folder; must not contain another run. Default: a new folder in runs/."""
    log_every: Count = 500
    """Log the training loss every N steps, and at the first and last step of each epoch."""
    keep: CountOrOff = 0
    """Keep only the newest N epoch files (0: all); best.safetensors and last.safetensors are always kept."""
    save_minutes: Annotated[float, Field(ge=0)] = 10.0
    """Also save the full training state within an epoch, every N minutes (0: only after each epoch)."""
    view: Literal["auto", "live", "plain", "notebook", "none"] = "auto"
    """Display: auto is a live view on a terminal, curves in a notebook, and plain lines elsewhere."""
    histograms: bool = False
    """Write histograms of all parameters and gradients to TensorBoard after each epoch."""
    wandb: str | None = None
    """Also log to this Weights & Biases project (project or entity/project)."""
    mlflow: str | None = None
    """Also log to this MLflow experiment, on the tracking server configured for MLflow."""
    log_model: bool = False
    """Also upload the best model to those loggers when the run ends."""
    report: Literal["en", "zh", "none"] = "en"
    """Language of report.html, written when the run ends; none: do not write it."""
    profile: bool = False
    """Profile the run: print a table after every epoch and write a trace, profile.json.gz (for ui.perfetto.dev)."""
