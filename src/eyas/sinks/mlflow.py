"""Logs a run to MLflow."""

from __future__ import annotations

import csv
import io
import time
from typing import Any

from eyas.sinks.service import CLASSES, Begun, Ended, Numbers

PARAMS = 100  # settings that MLflow takes at once
LONGEST = 500  # characters of a setting that every store of MLflow takes


class MLflow:
    """A run in an experiment, through `MlflowClient`: nothing global is set."""

    name = "mlflow"

    def __init__(self, experiment: str) -> None:
        self._experiment = experiment
        self._client: Any = None
        self._run = ""

    def begin(self, begun: Begun, known: str | None) -> str:
        """Open the run, the one of this id where it is known; return its id."""
        from mlflow import MlflowClient
        from mlflow.entities import Param

        self._client = MlflowClient()
        if known is not None:
            self._run = known
            self._client.update_run(known, status="RUNNING")
            return known
        found = self._client.get_experiment_by_name(self._experiment)
        number = found.experiment_id if found is not None else self._client.create_experiment(self._experiment)
        self._run = self._client.create_run(number, run_name=begun.name).info.run_id
        params = [Param(name, str(value)[:LONGEST]) for name, value in begun.settings.items() if value is not None]
        for start in range(0, len(params), PARAMS):
            self._client.log_batch(self._run, params=params[start : start + PARAMS])
        return self._run

    def place(self) -> str:
        """Return which run it is and where it is seen: its address on a server, else the store."""
        info, store = self._client.get_run(self._run).info, self._client.tracking_uri
        if store.startswith(("http://", "https://")):
            store = f"{store.rstrip('/')}/#/experiments/{info.experiment_id}/runs/{info.run_id}"
        return f"run {info.run_name} of experiment {self._experiment}, {store}"

    def log(self, numbers: Numbers) -> None:
        """Add points; MLflow's one axis is the step for the training loss, the epoch for all else."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        points = [Metric(tag, value, now, numbers.at) for tag, value in numbers.values.items()]
        self._client.log_batch(self._run, metrics=points)

    def end(self, ended: Ended) -> None:
        """Add the table of classes as a CSV file, and the model."""
        if ended.classes:
            text = io.StringIO()
            rows = csv.writer(text)
            rows.writerow(CLASSES)
            rows.writerows([cell if cell == cell else "" for cell in row] for row in ended.classes)
            self._client.log_text(self._run, text.getvalue(), f"{ended.split}-classes.csv")
        if ended.model is not None:
            self._client.log_artifact(self._run, str(ended.model), "model")

    def close(self, *, finished: bool) -> None:
        """Close the run."""
        self._client.set_terminated(self._run, "FINISHED" if finished else "KILLED")
