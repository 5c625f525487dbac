"""The verbs of training: a run folder from first to last. Torch is loaded once what was asked for can be done."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eyas.config.data import PreprocessConfig
from eyas.config.run_config import RunConfig, check_whole, make_config, to_toml
from eyas.data.named.table import names
from eyas.data.run_sets import open_sets, with_absolute_paths
from eyas.device.trace import TRACE
from eyas.errors import FileError, RunInUseError, SettingsError, TrainingError
from eyas.files.atomic import CONFIG, check_name, folder_lock, make_folder, remove_lock, write_text
from eyas.files.pathnames import safe_name
from eyas.run_folder.origin import Origin, placed, run_of
from eyas.sinks import Sinks, open_sinks
from eyas.sinks.remote import check_loggers
from eyas.training.events import Event, Finished

if TYPE_CHECKING:
    from eyas.device.runtime import Runtime
    from eyas.model.classifier import Classifier
    from eyas.training.plan import Plan


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder. `finished` is the last event of the training that made it."""

    directory: Path
    finished: Finished

    @property
    def best(self) -> Classifier:
        """The classifier of the best epoch, loaded on the CPU."""
        from eyas.model.classifier import Classifier

        return Classifier.load(self.directory / "best.safetensors")

    @property
    def last(self) -> Classifier:
        """The classifier of the last epoch, loaded on the CPU."""
        from eyas.model.classifier import Classifier

        return Classifier.load(self.directory / "last.safetensors")

    @property
    def history(self) -> list[dict[str, str]]:
        """The rows of metrics.csv, one per epoch."""
        from eyas.sinks.table import read_table

        return read_table(self.directory / "metrics.csv")

    def _repr_html_(self) -> str:
        """Show the run's result and curves in a notebook."""
        from eyas.render.charts import curves_chart
        from eyas.sinks.summary import result
        from eyas.terminal.cards import run_card

        curves = io.BytesIO()
        if (self.directory / "metrics.csv").exists() and (rows := self.history):
            curves_chart(rows).savefig(curves, format="svg")
        return run_card([("run", str(self.directory)), *result(self.finished)], curves.getvalue())


def train(
    train: str | Path | None = None, *, recipe: str = "standard", config: str | Path | None = None, **settings: Any
) -> Run:
    """Train and return the run; `settings` are the flags' names, such as `model="resnet18"`, `epochs=10`.

    `train` may be left out where the file `config` names it. The same as `eyas train`. Raises an `EyasError` where
    the command would end with a message.
    """
    given = settings if train is None else {"train": train, **settings}
    return train_config(make_config(given, recipe=recipe, file=config))


def train_config(config: RunConfig) -> Run:
    """Train as `config` says, in a new run folder. Raises `RunInUseError` if its folder holds a run already."""
    _refuse_in_a_loader()
    directory = new_directory(config)
    check_loggers(config.output)
    sets = open_sets(config)
    from eyas.device.runtime import open_runtime
    from eyas.training.planning import make_plan

    with open_runtime(config.device, profile=config.output.profile) as runtime:
        if runtime.world > 1 and config.output.out is None:
            raise SettingsError("--out is needed with several processes, so that all of them name the same run folder.")
        with runtime.profile.span("preparing"):
            plan = make_plan(config, directory, sets=sets, precision=runtime.config.precision)
        fresh = not directory.exists()
        make_folder(directory)
        with contextlib.ExitStack() as afterwards, _locked(directory, runtime):
            try:
                if runtime.is_main:
                    _check_holds_no_run(directory)  # another may have begun one here in the meantime
                plan = tuned(plan, runtime)
                return _trained(plan, runtime, _repeatable(plan), fresh=True)
            except BaseException:
                if fresh and runtime.is_main and not (directory / CONFIG).exists():
                    shutil.rmtree(directory, ignore_errors=True)  # nothing half-written stays behind
                    afterwards.callback(remove_lock, directory)
                raise


def tuned(plan: Plan, runtime: Runtime) -> Plan:
    """Settle what is chosen by measuring, in the runtime and in the plan that is written down."""
    from eyas.training.tuning import tune

    runtime.config, said = tune(plan, runtime)
    facts = (*plan.facts, ("measured", said)) if said else plan.facts
    return replace(plan, config=plan.config.model_copy(update={"device": runtime.config}), facts=facts)


def resume(
    run: str | Path,
    *,
    epochs: int | None = None,
    patience: int | None = None,
    on_nan: str | None = None,
    stretch_schedule: bool = False,
    changed_files: bool = False,
    **moved: str | Path | None,
) -> Run | None:
    """Go on with a run where its saved state stands; None if it is complete already: nothing is trained then.

    `epochs` may be more than first asked for; a schedule that ends with the run (cosine, onecycle) then takes another
    course, which `stretch_schedule` allows. `changed_files` goes on though image files changed. `moved` says where its
    data lies now (`train`, `test`, `val`, `root`, `classes`), and is written down once that is seen to be the same.
    Raises `SettingsError` if there is no run, or if what its results depend on has changed.
    """
    _refuse_in_a_loader()
    if (directory := run_of(run)) is None:
        raise SettingsError(f"{run}: holds no run ({CONFIG} is missing). Begin one with `eyas train`.")
    config = make_config(file=directory / CONFIG)
    check_whole(directory / CONFIG)
    check_loggers(config.output)
    asked = {"epochs": epochs, "patience": patience, "on_nan": on_nan}
    given = {name: value for name, value in asked.items() if value is not None}
    places = {name: place for name, place in moved.items() if place is not None}
    longer = placed(config.model_copy(update={"training": config.training.model_copy(update=given)}), places)
    from eyas.device.runtime import open_runtime
    from eyas.training.checkpoint import check_unchanged, saved_header
    from eyas.training.planning import make_plan

    saved = saved_header(directory)
    complete = saved is not None and not _unfinished(saved, longer, told_more=bool(given))
    if complete and not places:
        return None
    if saved is not None and longer.training.epochs != config.training.epochs and not stretch_schedule:
        from eyas.training.optim import HORIZON

        if config.schedule.schedule in HORIZON:
            raise SettingsError(
                f"--epochs {longer.training.epochs}: the learning rate's course ({config.schedule.schedule}) was laid "
                f"out for {config.training.epochs} epochs and would jump. Add --stretch-schedule to take the longer "
                "course."
            )
    with open_runtime(longer.device, profile=longer.output.profile) as runtime, _locked(directory, runtime):
        allowed = frozenset({"epochs"} if stretch_schedule else ()) | frozenset({"files"} if changed_files else ())
        with runtime.profile.span("preparing"):
            plan = make_plan(longer, directory, sets=Origin(directory, longer).sets(), resuming=saved is not None,
                             allowed_changes=allowed, precision=runtime.config.precision)  # fmt: skip
        if saved is None or not complete:
            return _trained(plan, runtime, longer if given or places else None)
        check_unchanged(saved, plan)
        if runtime.is_main:
            write_text(directory / CONFIG, to_toml(longer))
    return None


def _refuse_in_a_loader() -> None:
    """Raise `SettingsError` in a process that was spawned and runs the user's script before it does its own work."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as Python asks before it starts a process
        raise SettingsError(
            "A process that is spawned runs the script again that started it: "
            'put what trains under `if __name__ == "__main__":`.'
        )


def _trained(plan: Plan, runtime: Runtime, config: RunConfig | None, *, fresh: bool = False) -> Run:
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
                first = next(events)
                with stoppable(runtime):  # from here on there is a run that a signal leaves to a resume
                    if runtime.is_main:
                        keep_samples(plan)
                        if config is not None:
                            write_text(plan.directory / CONFIG, to_toml(config))
                    step = None if fresh else first.step
                    return _drained(plan, first, events, runtime, resumed_step=step)
        except TrainingError as error:
            fault = error
        go_back(plan, runtime, fault)  # outside the handler, which would keep the training that failed alive
        del fault
        fresh = False


def _drained(plan: Plan, first: Event, events: Iterator[Event], runtime: Runtime, *, resumed_step: int | None) -> Run:
    """Hand every event to the sinks; every process drains its generator, one writes."""
    from eyas.verbs.report import AtTheEnd

    directory, config = plan.directory, plan.config
    sets = {split: prepared.images for split, prepared in plan.evaluations.items()}
    try:
        sinks = Sinks(())
        if runtime.is_main:
            page = AtTheEnd(directory, config.output.report, sets, config.device.device)
            sinks = open_sinks(
                directory, config.output, resumed_step=resumed_step, profile=runtime.profile, before_the_end=page
            )
        with sinks, runtime.profile.traced(directory / TRACE):
            event = first
            sinks.write(event)
            for event in events:
                sinks.write(event)
    except FileError as error:
        hint = f"What was saved before is whole. Once that is mended: eyas resume {directory}"
        raise FileError(f"{error}\n{hint}") from error
    assert isinstance(event, Finished)
    return Run(directory, event)


def _unfinished(header: dict[str, Any], config: RunConfig, *, told_more: bool) -> bool:
    """Return whether there is anything left to train. Raises `SettingsError` for fewer epochs than are done."""
    state = header["state"]
    done, asked = state["epochs_done"], config.training.epochs
    if done > asked:
        raise SettingsError(
            f"--epochs {asked}: {done} are trained already. Give more, or use epochs/epoch-{asked:03d}.safetensors."
        )
    return done < asked and (told_more or not state["stopped"])


def new_directory(config: RunConfig) -> Path:
    """Return the run folder to make. Raises `RunInUseError` if it holds a run, `SettingsError` if it is a file."""
    if config.output.out is None:
        known = config.data.train.partition(":")[0]
        source = known if known in names() else config.data.train  # the `:` of a path is no split's
        name = safe_name(f"{config.model.model.replace('/', '-')}-{Path(source).stem or 'data'}")
        numbered = (Path("runs") / f"{name}-{number}" for number in count(1))
        return next(folder for folder in numbered if not folder.exists())
    directory = Path(config.output.out)
    check_name(directory)
    if directory.exists() and not directory.is_dir():
        raise SettingsError(f"--out {directory}: is a file; a folder is needed.")
    _check_holds_no_run(directory)
    return directory


def _check_holds_no_run(directory: Path) -> None:
    if any((directory / name).exists() for name in (CONFIG, "state.safetensors", "epochs", "events.jsonl")):
        raise RunInUseError(
            f"--out {directory}: holds a run already, which is not overwritten. Go on with it by "
            f"`eyas resume {directory}`, or choose another folder."
        )


@contextlib.contextmanager
def _locked(directory: Path, runtime: Runtime) -> Iterator[None]:
    """Hold the run folder, in the process that writes."""
    with folder_lock(directory) if runtime.is_main else contextlib.nullcontext():
        yield


def _repeatable(plan: Plan) -> RunConfig:
    """Return the settings to repeat or to resume the run by: with full paths, without the run folder.

    The preprocessing stands there as it was found, so that it depends no more on a library or a file of weights.
    """
    found = {
        "output": plan.config.output.model_copy(update={"out": None}),
        "preprocess": PreprocessConfig(**plan.preprocess.to_dict()),
    }
    return with_absolute_paths(plan.config.model_copy(update=found))
