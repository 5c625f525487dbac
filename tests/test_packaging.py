"""What is installed and what is handed on: the metadata, the Python that is asked for, the wheel and the sdist."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import urllib.request
import venv
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest

from tests.test_docs import written_files

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHON = PROJECT["requires-python"].removeprefix(">=")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", "Makefile"])
def test_every_page_asks_for_the_python_that_the_package_asks_for(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"Python (\d+\.\d+(?:\.\d+)?) (?:or newer|或更新)", text)
    assert set(named) == {PYTHON}
    if page == "Makefile":
        assert f"sys.version_info < ({PYTHON.replace('.', ', ')})" in text


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
@pytest.mark.parametrize(("given", "said"), [("false", "; false is not"), ("", "")])
def test_make_with_a_python_that_is_too_old_ends_in_a_sentence_with_the_remedy(tmp_path, given, said):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "constraints.txt").touch()
    command = ["make", "demo", f"PYTHON={given}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    sentence = f"eyas needs Python {PYTHON} or newer{said}. Name one: make demo PYTHON=/path/to/python"
    assert done.stderr.splitlines()[0] == sentence
    assert not (tmp_path / ".venv").exists()


def test_on_a_package_page_no_link_and_no_picture_leads_nowhere():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    page = runpy.run_path(str(ROOT / "setup.py"))["page"](readme)
    targets = re.findall(r"\]\(([^)]+)\)|(?:src|href)=\"([^\"]+)\"", page)
    assert [target for pair in targets for target in pair if target and not target.startswith("https://")] == []
    assert page.count("*Picture: ") == len(re.findall(r"!\[|<img ", readme))


def copied(folder: Path) -> Path:
    """Return a folder with the project's files alone: building leaves its own beside them."""
    for file in written_files():
        target = folder / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    return folder


def ran(*command: str | Path, folder: Path, **environment: str) -> str:
    """Return what a command prints, run in a folder without the checkout on its path."""
    done = subprocess.run(
        [*map(str, command)], cwd=folder, env={**ENVIRONMENT, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def build(kind: str, tree: Path, into: Path) -> Path:
    """Return the path of the wheel or sdist that setuptools makes of a tree."""
    code = f"import sys, setuptools.build_meta as build; print(build.build_{kind}(sys.argv[1]))"
    into.mkdir(exist_ok=True)
    return into / ran(sys.executable, "-c", code, into, folder=tree).splitlines()[-1]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Path]:
    """Return the wheel, the sdist, and the folder into which the sdist was unpacked."""
    pytest.importorskip("setuptools", minversion="77")
    folder = tmp_path_factory.mktemp("packages")
    sdist = build("sdist", copied(folder / "tree"), folder / "dist")
    with tarfile.open(sdist) as tar:
        tar.extractall(folder / "unpacked", filter="data")
    return {
        "wheel": build("wheel", folder / "tree", folder / "dist"),
        "sdist": sdist,
        "unpacked": folder / "unpacked" / sdist.name.removesuffix(".tar.gz"),
    }


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/RECORD")}


@pytest.mark.slow
def test_the_metadata_is_complete(made):
    found = metadata(made["wheel"])
    assert found["Requires-Python"] == f">={PYTHON}"
    assert (found["License-Expression"], found["Author"]) == ("MIT", "the eyas developers")
    assert found["Description-Content-Type"] == "text/markdown"
    assert "Typing :: Typed" in found.get_all("Classifier")
    assert found["Keywords"]
    assert found["Summary"]
    assert str(found.get_payload()).startswith("# eyas\n")


@pytest.mark.slow
def test_the_sdist_holds_the_projects_files_and_nothing_else(made):
    files = {str(file.relative_to(made["unpacked"])) for file in made["unpacked"].rglob("*") if file.is_file()}
    left_out = re.compile(r"PKG-INFO|setup\.cfg|src/eyas\.egg-info/.*|\.gitignore")  # what setuptools adds, and git's own
    expected = {str(file.relative_to(ROOT)) for file in written_files()}
    assert {name for name in files if not left_out.fullmatch(name)} == {
        name for name in expected if not left_out.fullmatch(name)
    }


@pytest.mark.slow
def test_the_sdist_has_all_tests_and_makes_the_same_wheel(made, tmp_path):
    def collected(tree: Path) -> list[str]:
        command = (sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-m", "")
        told = ran(*command, folder=tree, PYTHONPATH=str(tree / "src"))
        return sorted(line for line in told.splitlines() if "::" in line)

    assert collected(made["unpacked"]) == collected(ROOT)
    assert contents(build("wheel", made["unpacked"], tmp_path / "dist")) == contents(made["wheel"])


@pytest.fixture(scope="module")
def installed(made, tmp_path_factory) -> Path:
    """Return the folder of commands of a fresh environment with the wheel, and this one's libraries behind it."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder / "environment", symlinks=True)
    bin_folder = folder / "environment" / "bin"
    command = (sys.executable, "-m", "pip", "--python", bin_folder / "python", "install", "--quiet")
    ran(*command, "--no-deps", "--no-index", made["wheel"], folder=folder)
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(ran(bin_folder / "python", "-c", ask, folder=folder).strip())
    (own / "behind.pth").write_text(sysconfig.get_path("purelib") + "\n")
    assert ran(bin_folder / "python", "-c", "import eyas; print(eyas.__file__)", folder=folder).startswith(str(own))
    return bin_folder


@pytest.mark.slow
def test_what_is_installed_from_the_wheel_trains_reports_predicts_and_exports_outside_the_tree(installed, tmp_path):
    eyas = installed / "eyas"
    assert PROJECT["version"] in ran(eyas, "--version", folder=tmp_path)
    quick = ("--model", "compact", "--size", "32", "--epochs", "1", "--batch-size", "256", "--device", "cpu")
    ran(eyas, "train", "digits", *quick, "--out", "run", folder=tmp_path)
    assert "<html" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    ran(installed / "python", "-m", "eyas", "datasets", "digits", "--export", "images", folder=tmp_path)
    assert "00000.png" in ran(eyas, "predict", "run", "images/test/00000.png", folder=tmp_path)
    answer = asked(eyas, "run", (tmp_path / "images" / "test" / "00000.png").read_bytes(), folder=tmp_path)
    assert answer["answers"][0]["label"] in "0123456789"
    ran(eyas, "export", "run", folder=tmp_path)
    assert (tmp_path / "run" / "best.onnx").is_file()


def asked(eyas: Path, run: str, picture: bytes, *, folder: Path) -> Any:
    """Return what a server of a run answers to one picture; it is ended then."""
    command = [str(eyas), "serve", run, "--port", "0", "--device", "cpu"]
    with subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
            assert found
            request = urllib.request.Request(f"{found[0]}/predict", picture, {"Content-Type": "image/png"})
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
                return json.load(answer)
        finally:
            process.terminate()
