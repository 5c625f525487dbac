"""The READMEs tell the truth: what they show is run as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.quick_commands import quick_commands

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"(?:^<!-- (not run: .*?) -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 300  # for one block on a busy machine; alone it takes a few


def blocks(page: str) -> list[tuple[str, str, bool]]:
    """Return (language, text, whether it is run) of the fenced blocks of a page that are code."""
    found = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    return [(language, text, not marker) for marker, language, text in found if language in ("bash", "python")]


def made(text: str) -> list[str]:
    """Return the targets that a block asks make for."""
    return re.findall(r"^make (\S+)", text, re.MULTILINE)


def write_photos(folder: Path) -> None:
    """Write the reader's own pictures that the README speaks of: photos/CLASS/01.jpg ... and photos.txt."""
    rng = np.random.default_rng(0)
    lines = []
    for name, level in (("cat", 60), ("dog", 190)):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(1, 13):
            path = f"photos/{name}/{number:02d}.jpg"
            pixels = rng.normal(level, 30, (72, 64, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / path)
            lines.append(f"{path} {name}\n")
    (folder / "photos.txt").write_text("".join(lines), encoding="utf-8")


def part_of(language: str, text: str) -> str:
    """Return which story a block belongs to: stories share no files, so that they can be run side by side."""
    return language if language == "python" else "digits" if "digits" in text else "photos"


@pytest.mark.parametrize(("part", "count", "result"), [
    ("digits", 5, "runs/digits/epochs/epoch-004.safetensors"), ("photos", 8, "runs/photos/best.onnx"), ("python", 3, "runs/stepwise"),
])  # fmt: skip
def test_every_block_of_the_readme_runs_as_it_stands(request, tmp_path_factory, tmp_path, part, count, result):
    """In the page's order, a story in one folder; both READMEs have the same blocks, so one of them is enough."""
    write_photos(tmp_path)
    shown = [(kind, text) for kind, text, is_run in blocks("README.md") if is_run and not made(text)]
    story = [(kind, text) for kind, text in shown if part_of(kind, text) == part]
    assert len(story) == count
    hatchery = request.getfixturevalue("hatchery") if sys.platform == "linux" else None
    with quick_commands(hatchery, tmp_path_factory.mktemp("bin")) as environment:
        for language, text in story:
            if language == "python" and hatchery is not None:
                trial = hatchery.start(tmp_path, text, call="tests.quick_commands:code_in")
                assert trial.wait(SECONDS) == 0, f"{text}\n{trial.text[-2000:]}"
                continue
            command = ["bash", "-euo", "pipefail", "-c", text] if language == "bash" else [sys.executable, "-c", text]
            done = subprocess.run(
                command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
            )
            assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert (tmp_path / result).exists()


def test_the_message_that_the_readme_shows_is_the_one_given(tmp_path):
    write_photos(tmp_path)
    lines = (tmp_path / "photos.txt").read_text().splitlines()
    lines[2] = "photos/cat/99.jpg cat"
    (tmp_path / "photos.txt").write_text("\n".join(lines))
    command = [sys.executable, "-m", "eyas", "train", "photos.txt"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (done.returncode, done.stdout) == (65, "")
    assert done.stderr in (ROOT / "README.md").read_text(encoding="utf-8")


def test_both_readmes_have_the_same_blocks():
    def bare(page: str) -> list[tuple[str, str, bool]]:
        return [(language, re.sub(r" *#.*", "", text), is_run) for language, text, is_run in blocks(page)]

    assert bare("README.zh-CN.md") == bare("README.md")


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", "docs/guide.md"])
def test_make_is_asked_only_for_what_the_makefile_has(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for _, text, _ in blocks(page):
        for target in made(text):
            assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), f"{page}: make {target}"


def test_examples_run(tmp_path, monkeypatch, capsys):
    from eyas.config.run_config import make_config

    for file in sorted((ROOT / "examples").glob("*.toml")):
        make_config(file=file)
    assert make_config(file=ROOT / "examples/standard.toml").model_dump(
        exclude={"preprocess"}
    ) == make_config().model_dump(exclude={"preprocess"})
    tuned = make_config(file=ROOT / "examples/finetune.toml")
    assert tuned == make_config(recipe="finetune")
    write_photos(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    from plain_loop import main

    accuracy = main(str(tmp_path / "photos.txt"), str(tmp_path / "photos.txt"), size=64)
    assert 0 <= accuracy <= 1
    assert "accuracy" in capsys.readouterr().out
