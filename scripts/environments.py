"""The environments of scripts/matrix: built by pip into build/matrix/, and kept there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / "build" / "matrix"
TOOLS = ["pytest", "pytest-xdist", "hypothesis"]


class LeftOutError(Exception):
    """A row cannot be run here; the words say why."""


def requirements(*extras: str) -> list[str]:
    """Return the dependencies of the project and of some of its extras, as pyproject.toml has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    offered = project["optional-dependencies"]
    listed = [*project["dependencies"], *(one for extra in extras for one in offered[extra])]
    return [one for one in listed if not one.startswith("eyas[")]


EXTRAS = ("timm", "export", "serve", "parquet", "wandb", "mlflow")


def base() -> Path:
    """Return the Python of an environment without any extra."""
    wanted = [*requirements(), *TOOLS, "-c", str(ROOT / "constraints.txt")]
    return environment("base", Path(sys.executable), wanted)


def lowest() -> Path:
    """Return the Python of an environment with the lowest versions that pyproject.toml allows."""
    pinned = [one.replace(">=", "==") for one in requirements(*EXTRAS)]
    return environment("lowest", python_named("3.12"), [*pinned, *tools()])


def newest(name: str) -> Path:
    """Return that Python with the newest versions of everything."""
    return environment(f"python-{name}", python_named(name), [*requirements(*EXTRAS), *tools()])


def tools() -> list[str]:
    """Return what the tests need beside the extras, in any version."""
    named = [re.split(r"[><=]", one)[0] for one in requirements("dev")]
    return [one for one in named if one not in ("ruff", "mypy") and one not in {*map(base_name, requirements(*EXTRAS))}]


def base_name(requirement: str) -> str:
    """Return the library that a requirement names."""
    return re.split(r"[><=\[]", requirement)[0]


def python_named(name: str) -> Path:
    """Return a Python of a version, such as 3.13, from PATH or pyenv."""
    found = [Path(there)] if (there := shutil.which(f"python{name}")) else []
    found += sorted((Path.home() / ".pyenv" / "versions").glob(f"{name}.*/bin/python"))
    for python in found:
        answer = subprocess.run([python, "--version"], capture_output=True, text=True, check=False)
        if answer.stdout.startswith(f"Python {name}."):
            return python
    raise LeftOutError(f"there is no Python {name}")


def environment(name: str, python: Path, wanted: list[str]) -> Path:
    """Return the Python of an environment with what is wanted and eyas itself, built where it is not there yet."""
    folder, stamp = BUILT / name, "\n".join([str(python), *wanted])
    if not (folder / "stamp").is_file() or (folder / "stamp").read_text() != stamp:
        print(f"{name}: building {folder.relative_to(ROOT)} (PyTorch is large: some minutes) ...", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([python, "-m", "venv", folder], check=True)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for step in (wanted, ["--no-deps", "-e", str(ROOT)]):
            done = subprocess.run([*pip, *step], capture_output=True, text=True, check=False)
            if done.returncode:
                last = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
                raise LeftOutError(f"pip could not build it: {' '.join(last) or done.stderr[-300:]}")
        (folder / "stamp").write_text(stamp)
    return folder / "bin" / "python"
