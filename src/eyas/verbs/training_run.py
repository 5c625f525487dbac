"""Runs a training, new or resumed: events go to the sinks; some faults are retried."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eyas.config.run_config import RunConfig, to_toml
from eyas.device.trace import TRACE
from eyas.errors import INTERRUPTED, FileError, SettingsError, TrainingError
from eyas.files.atomic import CONFIG, folder_lock, write_text
from eyas.run_folder.record import Record
from eyas.sinks import Sinks, open_sinks
from eyas.training.events import Event, Finished

if TYPE_CHECKING:
    from eyas.device.runtime import Runtime
    from eyas.model.classifier import Classifier
    from eyas.training.plan import Plan


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: its folder, and `finished`, the last event of the training."""

    directory: Path
    finished: Finished

    @property
    def best(self) -> Classifier:
        """The classifier of the best epoch, loaded onto the CPU."""
        from eyas.model.classifier import Classifier

        return Classifier.load(self.directory / "best.safetensors")

    @property
    def last(self) -> Classifier:
        """The classifier of the last epoch, loaded onto the CPU."""
        from eyas.model.classifier import Classifier

        return Classifier.load(self.directory / "last.safetensors")

    @property
    def history(self) -> list[dict[str, str]]:
        """The rows of metrics.csv, one dict of strings per epoch."""
        return list(Record(self.directory).rows)

    def _repr_html_(self) -> str:
        """Show the run's result and curves in a notebook."""
        from eyas.render.charts import curves_chart
        from eyas.sinks.summary import result
        from eyas.terminal.cards import run_card

        curves = io.BytesIO()
        if (self.directory / "metrics.csv").exists() and (rows := self.history):
            curves_chart(rows).savefig(curves, format="svg")
        return run_card([("run", str(self.directory)), *result(self.finished)], curves.getvalue())


def trained(plan: Plan, runtime: Runtime, config: RunConfig | None, *, fresh: bool = False) -> Run:
    """Train to the end of the plan, from an earlier state again where a fault may not come a second time.

    `config` is what to write down once one batch went all the way: what can be known to fail has failed by then.
    """
    from eyas.device.runtime import stoppable
    from eyas.training.fingerprint import keep_samples
    from eyas.training.loop import fit
    from eyas.training.rollback import go_back, memory_in_words

    while True:
        try:
            with contextlib.closing(fit(plan, runtime)) as events, memory_in_words(plan.directory):
                event: Event = next(events)
                with stoppable(runtime):  # from here on there is a run that a signal leaves to a resume
                    if runtime.is_main:
                        keep_samples(plan)
                        if config is not None:
                            write_text(plan.directory / CONFIG, to_toml(config))
                    with _recorded(plan, runtime, resumed_step=None if fresh else event.step) as sinks:
                        sinks.write(event)
                        for event in events:  # every process drains its generator, one writes
                            sinks.write(event)
            assert isinstance(event, Finished)
            return Run(plan.directory, event)
        except TrainingError as error:
            fault = error
        go_back(plan, runtime, fault)  # outside the handler, which would keep the training that failed alive
        del fault
        fresh = False


@contextlib.contextmanager
def _recorded(plan: Plan, runtime: Runtime, *, resumed_step: int | None) -> Iterator[Sinks]:
    """Yield what the events are written to; a file that cannot be written says how to go on."""
    from eyas.verbs.report import AtTheEnd

    directory, config = plan.directory, plan.config
    sinks = Sinks(())
    try:
        if runtime.is_main:
            sets = {split: prepared.images for split, prepared in plan.evaluations.items()}
            page = AtTheEnd(directory, config.output.report, sets, config.device.device)
            sinks = open_sinks(
                directory, config.output, resumed_step=resumed_step, profile=runtime.profile, before_the_end=page
            )
        with sinks, runtime.profile.traced(directory / TRACE):
            yield sinks
    except FileError as error:
        hint = f"What was saved before is whole. Once that is mended: eyas resume {directory}"
        raise FileError(f"{error}\n{hint}") from error


def refuse_in_a_loader() -> None:
    """Raise `SettingsError` in a process that was spawned and runs the user's script before it does its own work."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as Python asks before it starts a process
        raise SettingsError(
            "A process that is spawned runs the script again that started it: "
            'put what trains under `if __name__ == "__main__":`.'
        )


@contextlib.contextmanager
def locked(directory: Path, runtime: Runtime) -> Iterator[None]:
    """Hold the run folder, in the process that writes."""
    with folder_lock(directory) if runtime.is_main else contextlib.nullcontext():
        yield


def exit_code(run: Run) -> int:
    """Return the exit code of a command that trained."""
    return INTERRUPTED if run.finished.reason == "interrupted" else 0
