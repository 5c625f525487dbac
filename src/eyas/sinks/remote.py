"""Logs to a service in a thread of its own. A failing service never ends the training."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from queue import Full, Queue
from typing import TYPE_CHECKING

from eyas.errors import SettingsError
from eyas.files.atomic import atomic_path
from eyas.sinks.scalars import BestSoFar, best_scalars, epoch_scalars, evaluated_scalars, shown_settings
from eyas.sinks.service import Begun, Ended, Numbers, Service
from eyas.terminal.clean import clean
from eyas.training.events import EpochTrained, Evaluated, Event, Finished, Started, Trained

if TYPE_CHECKING:
    from eyas.config.training import OutputConfig
    from eyas.evaluation.scores import Scores

WAITING = 10_000  # points that may wait for a slow service; then it is given up
LAST = 30.0  # seconds that the end of a run waits for what is still to be sent
UNBEGUN = 5.0  # seconds that it waits where the service has not even answered once


class Remote:
    """A sink that hands points to a service. The remote run's id is kept in the run folder: a resume goes on in it.

    With `telling`, one line on stderr says which run it is and where it is seen.
    """

    def __init__(self, service: Service, directory: Path, *, log_model: bool = False, telling: bool = True) -> None:
        self._service, self._directory, self._log_model, self._telling = service, directory, log_model, telling
        self._file = directory / f"logged-{service.name}.json"
        self._waiting: Queue[Begun | Numbers | Ended | None] = Queue(WAITING)
        self._thread: threading.Thread | None = None
        self._begun = threading.Event()
        self._given_up = threading.Event()
        self._best = BestSoFar()
        self._measured: dict[str, Scores] = {}  # by split, in the best epoch so far

    def write(self, event: Event) -> None:
        """Hand on what the event says as numbers; never waits."""
        match event:
            case Started():
                settings = shown_settings(event.settings)
                self._put(Begun(self._directory, event.directory.absolute().name, settings))
                self._thread = threading.Thread(target=self._work, name=f"eyas-{self._service.name}", daemon=True)
                self._thread.start()
            case Trained():
                values = {"train/loss": event.loss, "train/learning_rate": event.lr}
                self._put(Numbers("step", event.step, values))
            case EpochTrained():
                self._put(Numbers("epoch", event.epoch, epoch_scalars(event)))
            case Evaluated():
                self._put(Numbers("epoch", event.epoch, evaluated_scalars(event)))
                for best in self._best.update(event):
                    self._measured[best.split] = best.scores
                    self._put(Numbers("epoch", best.epoch, best_scalars(best)))
            case Finished():
                split = "test" if "test" in self._measured else next(iter(self._measured), "")
                rows: tuple[tuple[str, float, float, float, int], ...] = ()
                if scores := self._measured.get(split):
                    columns = (scores.precision, scores.recall, scores.f1, scores.support)
                    rows = tuple(zip(scores.classes, *(column.tolist() for column in columns), strict=True))
                file = self._directory / "best.safetensors"
                wanted = self._log_model and event.reason != "interrupted" and file.exists()
                self._put(Ended(event.reason, split, rows, file if wanted else None))

    def close(self) -> None:
        """Wait a while for what is still to be sent; may be called twice."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._put(None)
        thread.join(UNBEGUN)
        if thread.is_alive() and self._begun.is_set():
            thread.join(LAST - UNBEGUN)
        if thread.is_alive():
            self._give_up("it did not answer in time")

    def _put(self, item: Begun | Numbers | Ended | None) -> None:
        if self._given_up.is_set():
            return
        try:
            self._waiting.put_nowait(item)
        except Full:
            self._give_up("it takes points more slowly than they come")

    def _work(self) -> None:
        """Send what comes until there is nothing more, or until something fails."""
        known: str | None = None  # the id of the remote run that this run was logged to before
        reason = ""
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self._file.read_text(encoding="utf-8"))
            known = found.get("id") if isinstance(found, dict) else None
        try:
            while not self._given_up.is_set():
                match self._waiting.get():
                    case Begun() as begun:
                        number = self._service.begin(begun, known)
                        with atomic_path(self._file, lasting=False) as path:
                            path.write_text(json.dumps({"id": number}), encoding="utf-8")
                        self._begun.set()
                        if self._telling:
                            _say(f"logging to {self._service.name}: {self._service.place()}")
                    case Numbers() as numbers:
                        finite = {tag: value for tag, value in numbers.values.items() if value == value}
                        self._service.log(Numbers(numbers.axis, numbers.at, finite))
                    case Ended() as ended:
                        self._service.end(ended)
                        reason = ended.reason
                    case None:
                        self._service.close(finished=bool(reason) and reason != "interrupted")
                        return
        except BaseException as error:  # whatever a service raises: the training has nothing to do with it
            self._give_up((str(error).strip().splitlines() or [type(error).__name__])[0])

    def _give_up(self, reason: str) -> None:
        """Say once that nothing more is sent."""
        if not self._given_up.is_set():
            self._given_up.set()
            said = f"logging to {self._service.name} has ended: {reason.rstrip('.')}. The run itself is not concerned."
            _say(said)


def _say(said: str) -> None:
    print(clean(f"eyas: {said}"), file=sys.stderr)


def check_loggers(output: OutputConfig) -> None:
    """Raise `SettingsError` where a service is asked for whose library is not installed."""
    for name, asked in (("wandb", output.wandb), ("mlflow", output.mlflow)):
        if asked is not None and not is_installed(name):
            raise SettingsError(f"--{name} needs the library {name}: pip install 'eyas[{name}]'")
    if output.log_model and output.wandb is None and output.mlflow is None:
        raise SettingsError("--log-model needs --wandb or --mlflow: it says that they get the model too.")


def is_installed(name: str) -> bool:
    """Return whether a library is there; a folder of its name, as W&B makes one, is none."""
    found = find_spec(name)
    return found is not None and found.origin is not None


def open_remotes(directory: Path, output: OutputConfig) -> list[Remote]:
    """Return the services that are asked for."""
    services: list[Service] = []
    if output.wandb is not None:
        from eyas.sinks.wandb import WeightsAndBiases

        services.append(WeightsAndBiases(output.wandb))
    if output.mlflow is not None:
        from eyas.sinks.mlflow import MLflow

        services.append(MLflow(output.mlflow))
    telling = output.view != "none"
    return [Remote(service, directory, log_model=output.log_model, telling=telling) for service in services]
