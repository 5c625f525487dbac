"""`eyas resume`: continues a run from its saved state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eyas.config.flags import ResumeFlags, parsed
from eyas.config.run_config import RunConfig, check_whole, make_config, to_toml
from eyas.errors import INTERRUPTED, SettingsError
from eyas.files.atomic import CONFIG, write_text
from eyas.run_folder.origin import Origin, placed, run_of
from eyas.sinks.remote import check_loggers
from eyas.terminal.clean import clean, failed
from eyas.verbs.training_run import Run, exit_code, locked, refuse_in_a_loader, trained


def command(arguments: list[str]) -> int:
    """`eyas resume`: continue a run from where it stopped."""
    given = parsed(ResumeFlags, "resume", arguments)
    try:
        finished = resume(given.run, **given.model_dump(exclude={"run"}))
    except KeyboardInterrupt:  # before it trained, or for the second time
        return failed(f"Stopped at once. What was saved is whole; go on with `eyas resume {given.run}`.", INTERRUPTED)
    if finished is None:
        name = clean(given.run)
        moved = any((given.train, given.test, given.val, given.root, given.classes))
        done = "its data is the same, and is looked for there from now on" if moved else "nothing was changed"
        print(f"{name}: is complete; {done}. To train longer: eyas resume {name} --epochs N")
        return 0
    return exit_code(finished)


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
    """Continue a run from its saved state and return it, or None if it is already complete.

    `epochs` is the new total; if the schedule spans the whole run (cosine, onecycle), a larger one also needs
    `stretch_schedule`. `changed_files` continues although image files have changed. `moved` gives new locations of the
    data (`train`, `test`, `val`, `root`, `classes`); they are stored in the run if the data there is the same.
    Raises `SettingsError` if there is no run, or if anything that its results depend on has changed.
    """
    refuse_in_a_loader()
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
        _check_horizon(config, longer)
    with open_runtime(longer.device, profile=longer.output.profile) as runtime, locked(directory, runtime):
        allowed = frozenset({"epochs"} if stretch_schedule else ()) | frozenset({"files"} if changed_files else ())
        with runtime.profile.span("preparing"):
            plan = make_plan(longer, directory, sets=Origin(directory, longer).sets(), resuming=saved is not None,
                             allowed_changes=allowed, precision=runtime.config.precision)  # fmt: skip
        if saved is None or not complete:
            return trained(plan, runtime, longer if given or places else None)
        check_unchanged(saved, plan)
        if runtime.is_main:
            write_text(directory / CONFIG, to_toml(longer))
    return None


def _unfinished(header: dict[str, Any], config: RunConfig, *, told_more: bool) -> bool:
    """Return whether anything is left to train. Raises `SettingsError` for fewer epochs than are already done."""
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
