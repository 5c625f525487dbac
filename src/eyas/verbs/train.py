"""`eyas train`: starts a run. Torch is imported only after the data has been checked."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eyas.config.data import PreprocessConfig
from eyas.config.flags import parse_config
from eyas.config.run_config import RunConfig, make_config
from eyas.data.named.table import names
from eyas.data.run_sets import open_sets, with_absolute_paths
from eyas.errors import RunInUseError, SettingsError
from eyas.files.atomic import CONFIG, check_name, make_folder, remove_lock
from eyas.files.pathnames import safe_name
from eyas.sinks.remote import check_loggers
from eyas.verbs.training_run import Run, exit_code, locked, refuse_in_a_loader, trained

if TYPE_CHECKING:
    from eyas.device.runtime import Runtime
    from eyas.training.plan import Plan


def command(arguments: list[str]) -> int:
    """`eyas train`: train a classifier from a list, a folder or a named data set."""
    config = parse_config(arguments)
    return exit_code(train_config(config))


def train(
    train: str | Path | None = None, *, recipe: str = "standard", config: str | Path | None = None, **settings: Any
) -> Run:
    """Train a classifier, as `eyas train` does, and return the finished run.

    `train` is the training set; it may be omitted if the TOML file `config` names one. `settings` are the flags as
    keywords, such as `model="resnet18"`, `epochs=10`. Raises `EyasError` where the command would print an error.
    """
    given = settings if train is None else {"train": train, **settings}
    return train_config(make_config(given, recipe=recipe, file=config))


def train_config(config: RunConfig) -> Run:
    """Train with the settings `config` in a new run folder. Raises `RunInUseError` if the folder contains a run."""
    refuse_in_a_loader()
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
        with contextlib.ExitStack() as afterwards, locked(directory, runtime):
            try:
                if runtime.is_main:
                    _check_holds_no_run(directory)  # another may have begun one here in the meantime
                plan = tuned(plan, runtime)
                return trained(plan, runtime, _repeatable(plan), fresh=True)
            except BaseException:
                if fresh and runtime.is_main and not (directory / CONFIG).exists():
                    shutil.rmtree(directory, ignore_errors=True)  # nothing half-written stays behind
                    afterwards.callback(remove_lock, directory)
                raise


def tuned(plan: Plan, runtime: Runtime) -> Plan:
    """Settle the settings that are chosen by timing, in the runtime and in the plan."""
    from eyas.training.tuning import tune

    runtime.config, said = tune(plan, runtime)
    facts = (*plan.facts, ("measured", said)) if said else plan.facts
    return replace(plan, config=plan.config.model_copy(update={"device": runtime.config}), facts=facts)


def new_directory(config: RunConfig) -> Path:
    """Return the run folder to create. Raises `RunInUseError` if it contains a run, `SettingsError` if it is a file."""
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


def _repeatable(plan: Plan) -> RunConfig:
    """Return the settings that repeat or resume the run: with absolute paths and without the run folder.

    The preprocessing is stored in full, so that it no longer depends on a library or a file of weights.
    """
    found = {
        "output": plan.config.output.model_copy(update={"out": None}),
        "preprocess": PreprocessConfig(**plan.preprocess.to_dict()),
    }
    return with_absolute_paths(plan.config.model_copy(update=found))
