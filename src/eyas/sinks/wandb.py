"""Logs a run to Weights & Biases; with `WANDB_MODE=offline` to files in the run folder."""

from __future__ import annotations

from typing import Any

from eyas.files.pathnames import quoted
from eyas.sinks.service import CLASSES, Begun, Ended, Numbers


class WeightsAndBiases:
    """A run in a project. Asks nothing and prints nothing: without a login it fails."""

    name = "wandb"

    def __init__(self, project: str) -> None:
        entity, _, self._project = project.rpartition("/")
        self._entity = entity or None
        self._run: Any = None

    def begin(self, begun: Begun, known: str | None) -> str:
        """Open the run, the one of this id where it is known; return its id."""
        import wandb

        wandb.setup(settings=wandb.Settings(silent=True))  # before `init`, which would ask for a login on a terminal
        self._run = wandb.init(
            project=self._project,
            entity=self._entity,
            name=begun.name,
            id=known,
            resume="allow" if known else None,
            dir=str(begun.directory),
            config=begun.settings,
            settings=wandb.Settings(silent=True, console="off", save_code=False, disable_git=True),
        )
        for axis in ("step", "epoch"):
            self._run.define_metric(axis, hidden=True)
        self._run.define_metric("*", step_metric="epoch")
        for tag in ("train/loss", "train/learning_rate"):
            self._run.define_metric(tag, step_metric="step")
        return str(self._run.id)

    def place(self) -> str:
        """Return which run it is and where it is seen: its address; offline its folder, and what sends it later."""
        if self._run.offline:
            return f"run {self._run.name}, offline; to send it: wandb sync {quoted(self._run.sync_dir)}"
        return f"run {self._run.name}, {self._run.url}"

    def log(self, numbers: Numbers) -> None:
        """Add points; their axis is a curve of its own, since W&B's counts every call."""
        self._run.log({**numbers.values, numbers.axis: numbers.at})

    def end(self, ended: Ended) -> None:
        """Add the table of classes, and the model as an artifact."""
        import wandb

        if ended.classes:
            rows = [[cell if cell == cell else None for cell in row] for row in ended.classes]
            self._run.log({f"{ended.split}/classes": wandb.Table(columns=list(CLASSES), data=rows)})
        if ended.model is not None:
            artifact = wandb.Artifact(f"model-{self._run.id}", type="model")
            artifact.add_file(str(ended.model))
            self._run.log_artifact(artifact)

    def close(self, *, finished: bool) -> None:
        """Close the run."""
        self._run.finish(exit_code=0 if finished else 1)
