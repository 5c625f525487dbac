"""Every public name that takes a path or a data spec takes a `Path` as it takes a text."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel

import eyas
from eyas import cli_flags
from eyas.config import RunConfig
from eyas.settings import Section
from tests.everyday.case import pictures, write

AS = {"text": str, "Path": Path}
TAKE_NONE = {  # a value, a network, or something that takes a value of eyas
    "Audit", "EyasError", "Exported", "Overview", "Prediction", "Preprocess", "Run", "alex", "compact", "fit", "live", "open_runtime",
}  # fmt: skip
SETTINGS = {"model": "compact", "size": 16, "epochs": 1, "batch_size": 8, "device": "cpu", "view": "none", "report": "none", "cache": "ram"}


@dataclass
class Places:
    """Paths in the current folder, as texts or as `Path` objects."""

    of: Callable[[str], Any]
    run: str = "run"

    def __getattr__(self, name: str) -> Any:
        return self.of({"list": "list.txt", "names": "names.txt"}.get(name, name))


def _evaluated(p: Places) -> object:
    return eyas.evaluate(p.of("run"), p.photos)[0].confusion.tolist()


def _exported(p: Places) -> object:
    done = eyas.export(p.of("run"), p.of("model.pt2"), check=p.photos)
    return str(done.path), done.checked.source


def _classified(p: Places) -> object:
    model = eyas.Classifier.load(p.of("run"))
    model.save(p.of("copy.safetensors"))
    return model.predict(p.of("photos/cat/0.png")).label, [one.label for one in model.predict([p.of("photos/dog/0.png")])]


def _planned(p: Places) -> object:
    plan = eyas.make_plan(eyas.make_config({"train": p.photos, "val": p.photos, **SETTINGS}), p.of("planned"))
    return plan.directory / "state", plan.fingerprint


def _trained(p: Places) -> object:
    out = p.of(f"trained-{p.of.__name__}")
    done = eyas.train(p.list, root=p.photos, classes=p.names, test=p.list, data_dir=p.data, cache_dir=p.cache, weights=p.of("run"), out=out, **SETTINGS)
    again = eyas.train(config=p.of("run/config.toml"), epochs=1, out=p.of(f"again-{p.of.__name__}"))
    return done.best.classes, again.best.classes, done.directory.name[:7]


CALLS: dict[str, Callable[[Places], object]] = {
    "Classifier": _classified,
    "ImageTxtDataset": lambda p: eyas.ImageTxtDataset(p.list, p.photos, p.names).targets,
    "RunConfig": lambda p: eyas.RunConfig(data={"train": p.photos, "val": p.photos, "root": p.photos}),
    "calibrate": lambda p: str(eyas.calibrate(p.of("run"), p.hard, device="cpu").path),
    "compare": lambda p: [run.name for run in eyas.compare(p.of("run"), p.of("run/best.safetensors")).runs],
    "evaluate": _evaluated,
    "export": _exported,
    "inspect": lambda p: [part.name for part in eyas.inspect(p.photos, p.hard, html=p.of("page.html")).parts],
    "make_config": lambda p: eyas.make_config({"train": p.photos, "transform": p.of("own.py:change")}, file=p.of("run/config.toml")),
    "make_plan": _planned,
    "report": lambda p: str(eyas.report(p.of("run"), out=p.of("report.html"))),
    "resume": lambda p: eyas.resume(p.of("run"), train=p.photos),
    "runs": lambda p: [run.name for run in eyas.runs(p.of("run")).runs],
    "train": _trained,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with pictures, a list of them, and a run."""
    place, before = tmp_path_factory.mktemp("paths"), Path.cwd()
    os.chdir(place)
    try:
        pictures("photos", ("cat", "dog"), 6)
        pictures("hard", ("dog", "cat"), 3)
        Path("hard/cat/0.png").rename("hard/dog/9.png")
        write("names.txt", "cat", "dog")
        write("list.txt", *(f"{name}/{n}.png {label}" for label, name in enumerate(("cat", "dog")) for n in range(6)))
        eyas.train("photos", val="0.3", out="run", **{**SETTINGS, "epochs": 8, "lr": 0.05})
    finally:
        os.chdir(before)
    return place


def test_every_public_name_is_called_here_or_takes_no_path():
    assert set(eyas.__all__) == CALLS.keys() | TAKE_NONE and not CALLS.keys() & TAKE_NONE


@pytest.mark.parametrize("name", CALLS)
def test_a_public_name_takes_a_path_as_it_takes_a_text(folder, monkeypatch, name):
    monkeypatch.chdir(folder)
    torch.manual_seed(0)
    texts, paths = (CALLS[name](Places(kind)) for kind in AS.values())
    assert texts == paths


def sections() -> list[type[Section]]:
    flags = [one for one in vars(cli_flags).values() if isinstance(one, type) and issubclass(one, Section) and one is not Section]
    return [*flags, *(info.annotation for info in RunConfig.model_fields.values() if issubclass(info.annotation, BaseModel))]


@pytest.mark.parametrize("section", sections(), ids=lambda section: section.__name__)
def test_every_setting_that_is_a_text_takes_a_path(section):
    needed = {"run": "run", "paths": ("a",), "runs": ("a", "b"), "data": "photos"}
    given = {name: value for name, value in needed.items() if name in section.model_fields}
    for name, field in section.model_fields.items():
        if field.annotation in (str, str | None):
            assert getattr(section(**{**given, name: Path("a.py:b")}), name) == "a.py:b"
