"""The verbs of training: a run folder from first to last. Torch is loaded once what was asked for can be done."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eyas.config import RunConfig, check_whole, make_config, to_toml
from eyas.data.settings import PreprocessConfig
from eyas.errors import FileError, RunInUseError, SettingsError, TrainingError
from eyas.events import Event, Finished
from eyas.files import folder_lock, make_folder, write_text
from eyas.sets import open_sets
from eyas.sinks import Sinks, open_sinks
from eyas.trace import TRACE

if TYPE_CHECKING:
    from eyas.model.classifier import Classifier
    from eyas.plan import Plan
    from eyas.training.runtime import Runtime

CONFIG = "config.toml"
NO_MEMORY = ("out of memory", "DefaultCPUAllocator", "allocate memory")  # how torch says so, on each device


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
        import csv

        with (self.directory / "metrics.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


def train(
    train: str | Path | None = None, *, recipe: str = "standard", config: str | Path | None = None, **settings: Any
) -> Run:
    """Train and return the run; `settings` are the flags' names, such as `model="resnet18"`, `epochs=10`.

    `train` may be left out where the file `config` names it. The same as `eyas train`. Raises an `EyasError` where
    the command would end with a message.
    """
    named = settings if train is None else {"train": train, **settings}
    given = {name: str(value) if isinstance(value, Path) else value for name, value in named.items()}
    return train_config(make_config(given, recipe=recipe, file=config))


def train_config(config: RunConfig) -> Run:
    """Train as `config` says, in a new run folder. Raises `RunInUseError` if its folder holds a run already."""
    directory = new_directory(config)
    sets = open_sets(config)
    from eyas.plan import make_plan
    from eyas.training.loop import fit
    from eyas.training.runtime import open_runtime, stoppable

    with open_runtime(config.device, profile=config.output.profile) as runtime:
        if runtime.world > 1 and config.output.out is None:
            raise SettingsError("--out is needed with several processes, so that all of them name the same run folder.")
        with runtime.profile.span("preparing"):
            plan = make_plan(config, directory, sets=sets)
        fresh = not directory.exists()
        make_folder(directory)
        with _locked(directory, runtime):
            try:
                if runtime.is_main:
                    _check_holds_no_run(directory)  # another may have begun one here in the meantime
                plan = tuned(plan, runtime)
                with contextlib.closing(fit(plan, runtime)) as events:
                    first = next(events)  # one batch went all the way: what can be known to fail has failed by now
                    with stoppable(runtime):  # from here on there is a run that a signal may leave to a resume
                        if runtime.is_main:
                            write_text(directory / CONFIG, to_toml(_repeatable(plan)))
                        return _drained(directory, first, events, plan.config, runtime, resumed_step=None)
            except BaseException:
                if fresh and runtime.is_main and not (directory / CONFIG).exists():
                    shutil.rmtree(directory, ignore_errors=True)  # nothing half-written stays behind
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
    stretch_schedule: bool = False,
    changed_files: bool = False,
) -> Run | None:
    """Go on with a run where its saved state stands; None if it is complete already, and nothing was changed.

    `epochs` may be more than first asked for; a schedule that ends with the run (cosine, onecycle) then takes another
    course, which `stretch_schedule` allows. `changed_files` goes on though image files were changed. Raises
    `SettingsError` if there is no run, or if what its results depend on has changed.
    """
    directory = Path(run)
    directory = directory.parent if directory.is_file() else directory
    if not (directory / CONFIG).is_file():
        raise SettingsError(f"{directory}: holds no run ({CONFIG} is missing). Begin one with `eyas train`.")
    config = make_config(file=directory / CONFIG)
    check_whole(directory / CONFIG)
    given = {name: value for name, value in (("epochs", epochs), ("patience", patience)) if value is not None}
    longer = config.model_copy(update={"training": config.training.model_copy(update=given)})
    from eyas.plan import make_plan
    from eyas.training.checkpoint import saved_header
    from eyas.training.loop import fit
    from eyas.training.runtime import open_runtime, stoppable

    saved = saved_header(directory)
    if saved is not None and not _unfinished(saved, longer, told_more=bool(given)):
        return None
    if saved is not None and longer.training.epochs != config.training.epochs and not stretch_schedule:
        _check_horizon(config, longer)
    with open_runtime(longer.device, profile=longer.output.profile) as runtime, _locked(directory, runtime):
        allowed = frozenset({"epochs"} if stretch_schedule else ()) | frozenset({"files"} if changed_files else ())
        with runtime.profile.span("preparing"):
            plan = make_plan(longer, directory, resuming=saved is not None, allowed_changes=allowed)
        with contextlib.closing(fit(plan, runtime)) as events:
            first = next(events)
            with stoppable(runtime):
                if runtime.is_main and given:
                    write_text(directory / CONFIG, to_toml(longer))
                return _drained(directory, first, events, longer, runtime, resumed_step=first.step)


def _drained(
    directory: Path,
    first: Event,
    events: Iterator[Event],
    config: RunConfig,
    runtime: Runtime,
    *,
    resumed_step: int | None,
) -> Run:
    """Hand every event to the sinks; every process drains its generator, one writes."""
    with _in_words(directory):
        sinks = Sinks(())
        if runtime.is_main:
            sinks = open_sinks(directory, config.output, resumed_step=resumed_step, profile=runtime.profile)
        with sinks, runtime.profile.traced(directory / TRACE):
            event = first
            sinks.write(event)
            for event in events:
                sinks.write(event)
    assert isinstance(event, Finished)
    return Run(directory, event)


@contextlib.contextmanager
def _in_words(directory: Path) -> Iterator[None]:
    """Say of what ends a run that has begun how to go on."""
    try:
        yield
    except FileError as error:
        hint = f"What was saved before is whole. Once that is mended: eyas resume {directory}"
        raise FileError(f"{error}\n{hint}") from error
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and not any(words in str(error) for words in NO_MEMORY):
            raise
        raise TrainingError(
            f"The memory ran out ({(str(error) or 'MemoryError').splitlines()[0]}). {directory} is saved up to its "
            "last state. Begin again with a smaller --batch-size, or with --accumulate 4, which computes the same "
            "steps in parts."
        ) from error


def _unfinished(header: dict[str, Any], config: RunConfig, *, told_more: bool) -> bool:
    """Return whether there is anything left to train. Raises `SettingsError` for fewer epochs than are done."""
    state = header["state"]
    done, asked = state["epochs_done"], config.training.epochs
    if done > asked:
        raise SettingsError(
            f"--epochs {asked}: {done} are trained already. Give more, or use epochs/epoch-{asked:03d}.safetensors."
        )
    return done < asked and (told_more or not state["stopped"])


def _check_horizon(config: RunConfig, longer: RunConfig) -> None:
    from eyas.training.optim import HORIZON

    if config.schedule.schedule in HORIZON:
        raise SettingsError(
            f"--epochs {longer.training.epochs}: the learning rate's course ({config.schedule.schedule}) was laid "
            f"out for {config.training.epochs} epochs and would jump. Add --stretch-schedule to take the longer course."
        )


def new_directory(config: RunConfig) -> Path:
    """Return the run folder to make. Raises `RunInUseError` if it holds a run, `SettingsError` if it is a file."""
    if config.output.out is None:
        source = config.data.train.split(":")[0].rstrip("/")
        name = f"{config.model.model.replace('/', '-')}-{Path(source).stem or 'data'}"
        taken = {path.name for path in Path("runs").glob(f"{name}-*")}
        return Path("runs") / next(f"{name}-{n}" for n in range(1, len(taken) + 2) if f"{name}-{n}" not in taken)
    directory = Path(config.output.out)
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


def _with_absolute_paths(config: RunConfig) -> RunConfig:
    """Return the settings with files and folders by their full path, so that a resume finds them from anywhere."""
    data = {name: _absolute(getattr(config.data, name)) for name in ("root", "classes")}
    data |= {name: _absolute_spec(getattr(config.data, name)) for name in ("train", "test", "val")}
    data["data_dir"] = str(Path(config.data.data_dir).absolute())
    return config.model_copy(
        update={
            "data": config.data.model_copy(update=data),
            "augment": config.augment.model_copy(update={"transform": _absolute_transform(config.augment.transform)}),
            "model": config.model.model_copy(update={"weights": _absolute(config.model.weights)}),
        }
    )


def _absolute_transform(spec: str | None) -> str | None:
    """Return `FILE.py:NAME` with its full path; a module stays a name."""
    from eyas.data.own_transform import is_file, transform_parts

    if spec is None or not is_file(transform_parts(spec)[0]):
        return spec
    place, name = transform_parts(spec)
    return f"{Path(place).absolute()}:{name}"


def _absolute_spec(spec: str | None) -> str | None:
    """Return a data spec with its full path; a named set stays a name, and a share of the training set a number."""
    from eyas.data.named import names

    named = spec is not None and (spec.partition(":")[0] in names() or spec.replace(".", "", 1).isdigit())
    return spec if named else _absolute(spec)


def _absolute(text: str | None) -> str | None:
    return str(Path(text).absolute()) if text and Path(text).exists() else text


def _repeatable(plan: Plan) -> RunConfig:
    """Return the settings to repeat or to resume the run by: with full paths, without the run folder.

    The preprocessing stands there as it was found, so that it depends no more on a library or a file of weights.
    """
    found = {
        "output": plan.config.output.model_copy(update={"out": None}),
        "preprocess": PreprocessConfig(**plan.preprocess.to_dict()),
    }
    return _with_absolute_paths(plan.config.model_copy(update=found))
