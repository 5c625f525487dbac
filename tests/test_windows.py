"""Windows, as far as Linux can show it: a whole life of eyas by its rules, which an emulation keeps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the emulation is made of Linux")

LIFE = {
    "train": 0,
    "printed": True,
    "cut": [75, 0],
    "cached": [".json", ".json", ".lock", ".lock", ".npy", ".npy"],
    "logs": [4, 4],
    "alone": 0,
    "workers": [75, 0],
    "gone back": 70,
    "evaluate": 0,
    "predict": 0,
    "sorted": ["_aux", "left_right", "白鹭"],
    "report": 0,
    "export": 0,
    "exported": ["best.onnx", "best.onnx.md"],
    "runs": 0,
    "inspect": [0, 0],
    "serve": {"code": 0, "answers": [200]},
    "locked": [True, True, False],
    "fetched": "a set",
    "cannot begin": [2, False],
    "damaged": ["", "-1"],
    "refused": [74] * 5,
}


def by_windows_rules(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    return subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, encoding="utf-8", check=False, **options
    )


def test_a_life_by_windows_rules_is_whole_and_a_cut_run_ends_as_the_uncut_one(tmp_path):
    """Train, cut, resume, read by processes, go back, evaluate, predict, report, export, inspect, serve, be refused."""
    done = by_windows_rules("-m", "tests.windows_story", str(tmp_path), timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("replaced") > 100, "the emulation was not asked"
    assert found == LIFE


REFUSED = """
import mmap, os, sys
from pathlib import Path
from tests import windows
windows.emulate()
import eyas.files.system
rules = eyas.files.system.__dict__
os.chdir(sys.argv[1])
open("open.txt", "w").close()
held, folder = open("open.txt"), Path("folder")
folder.mkdir()
Path("map.txt").write_text("mapped")
with open("map.txt") as file:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
Path("free.txt").touch()
for code in sys.argv[2:]:
    try:
        exec(code, {**rules, "__name__": "eyas.rules", "held": held, "os": os, "Path": Path})
    except Exception as error:
        print(type(error).__name__)
    else:
        print("done")
"""


def test_the_emulation_refuses_what_windows_refuses(tmp_path):
    asked = {
        "import fcntl": "ModuleNotFoundError",
        "import resource": "ModuleNotFoundError",
        "os.sysconf": "AttributeError",
        "os.setpgid": "AttributeError",
        "signal.SIGKILL": "AttributeError",
        "signal.SIGCHLD": "AttributeError",
        "ctypes.CDLL(None)": "TypeError",
        "os.kill(1, 0)": "AssertionError",
        "os.open('folder', os.O_RDONLY)": "PermissionError",
        "os.fsync(held.fileno())": "OSError",
        "os.replace('free.txt', 'open.txt')": "PermissionError",
        "Path('open.txt').unlink()": "PermissionError",
        "Path('map.txt').unlink()": "PermissionError",
        "Path('map.txt').replace('other.txt')": "PermissionError",
        "open('aux.txt', 'w')": "OSError",
        "Path('a:b').mkdir()": "OSError",
        "Path('free.txt').replace('dot.')": "OSError",
        "Path('free.txt').replace('other.txt')": "done",
    }
    done = by_windows_rules("-c", REFUSED, str(tmp_path), *asked, timeout=60)
    assert done.returncode == 0, done.stderr
    assert dict(zip(asked, done.stdout.split(), strict=True)) == asked
