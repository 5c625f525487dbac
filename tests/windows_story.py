"""A life of eyas by Windows' rules, in one process: `python -m tests.windows_story FOLDER` prints what came of it as JSON.

Each step's entry is the command's exit code, or what it left. Processes that are spawned begin with this file too, so
the rules hold in them.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import windows

windows.emulate()

NAMES = ("aux", "left:right", "白鹭")  # labels that are no folder of Windows; the last is in no 8-bit code page
QUICK = ["--model", "compact", "--size", "16", "--batch-size", "16", "--lr", "0.05", "--device", "cpu", "--threads", "1",
         "--log-every", "1", "--view", "plain"]  # fmt: skip


class Watched(io.TextIOWrapper):
    """Stands for a terminal of an 8-bit code page, and does something once when a text is written to it."""

    def __init__(self, text: str, then: Callable[[str], object]) -> None:
        super().__init__(io.BytesIO(), encoding="cp1252", newline="\r\n", write_through=True)
        self.text, self.then, self.done = text, then, False

    def write(self, said: str) -> int:
        written = super().write(said)
        if self.text in said and not self.done:
            self.done = True
            self.then(said)
        return written


def command(*words: object, at: str = "\0", then: Callable[[str], object] = str) -> tuple[int, str]:
    """Return a command's exit code and what it printed; `then` is called once, when it prints `at`."""
    from eyas.cli import main

    usual, sys.stdout = sys.stdout, Watched(at, then)
    try:
        code = main([str(word) for word in words])
    finally:
        printed, sys.stdout = sys.stdout, usual
    return code, printed.buffer.getvalue().decode()  # type: ignore[attr-defined]


def cut_and_resumed(run: Path, *words: object, by: signal.Signals) -> list[int]:
    """Return the exit codes of a run that is stopped by a signal in its second epoch, and of its resume."""
    first = command("train", *words, "--out", run, at="epoch 1", then=lambda _: signal.raise_signal(by))[0]
    return [first, command("resume", run)[0]]


def write_lists(folder: Path) -> dict[str, Path]:
    """Write pictures of more than one size, and the lists of them."""
    from PIL import Image

    from tests.conftest import write_pictures

    lists = {}
    for part, count, seed in (("train", 18, 0), ("test", 6, 1)):
        colours = dict.fromkeys(("red", "green", "blue"), count)
        lists[part] = write_pictures(folder / part, colours, seed=seed)
        text = lists[part].read_text(encoding="utf-8")
        for colour, name in zip(colours, NAMES, strict=True):
            text = text.replace(f" {colour}\n", f"\t{name}\n")
        lists[part].write_text(text, encoding="utf-8")
        Image.new("RGB", (30, 24)).save(folder / part / "blue" / "000.png")
    return lists


def served(run: Path) -> dict[str, Any]:
    """Serve a run, ask it once when it says where it is, and stop it by Ctrl-C."""
    answers: list[Any] = []

    def ask(said: str) -> None:
        def asking() -> None:
            try:
                with urllib.request.urlopen(said.split()[0] + "/health", timeout=30) as response:
                    answers.append(response.status)
            finally:
                os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=asking).start()

    code, _ = command("serve", run, "--port", 0, "--device", "cpu", at="http://", then=ask)
    return {"code": code, "answers": answers}


def locked(folder: Path) -> list[object]:
    """Return whether a lock that is held is seen, what is told of its holder, and whether it is seen afterwards."""
    from eyas.errors import RunInUseError
    from eyas.files.atomic import folder_lock, is_locked

    told: object = None
    with folder_lock(folder):
        seen = is_locked(folder)
        try:
            with folder_lock(folder):
                pass
        except RunInUseError as error:
            told = f"process {os.getpid()} on" in str(error)
    return [seen, told, is_locked(folder)]


def fetched(folder: Path) -> str:
    """Return what is downloaded, from a folder of this machine."""
    from eyas.data.named.download import fetch

    (folder / "mirror").mkdir()
    (folder / "mirror" / "set.txt").write_text("a set", encoding="utf-8")
    target = fetch("https://example.org/set.txt", folder / "data" / "set.txt", mirror=str(folder / "mirror"))
    return target.read_text(encoding="utf-8")


def damaged_while_mapped(listed: Path, cache: Path) -> list[str]:
    """Return how the files of a set's pixels end that are used before and after the first one was damaged."""
    from eyas.config.data import DataConfig
    from eyas.data.images.preprocess import Preprocess
    from eyas.data.prepared import prepare
    from eyas.data.spec import open_images

    config = DataConfig(cache="disk", cache_dir=str(cache))
    used = []
    for _ in range(2):
        used.append(prepare(open_images(str(listed), config, split="train"), Preprocess(8), config))
        assert used[-1].store is not None and used[-1].store.file is not None
        with used[-1].store.file.open("r+b") as file:
            file.seek(-9, os.SEEK_END)
            file.write(b"damage")
    return [prepared.store.file.stem[40:] for prepared in used]


def story(folder: Path) -> dict[str, Any]:
    """Return what came of every step."""
    from tests.runs import assert_same_run

    lists, found = write_lists(folder), dict[str, Any]()
    flags = [lists["train"], "--test", lists["test"], *QUICK, "--epochs", 3, "--cache", "disk", "--cache-dir", folder / "cache"]
    uncut, cut = folder / "uncut", folder / "cut"
    found["train"], printed = command("train", *flags, "--out", uncut)
    found["printed"] = NAMES[2] in printed
    found["cut"] = cut_and_resumed(cut, *flags, by=windows.SIGBREAK)
    assert_same_run(uncut, cut)
    found["cached"] = sorted(path.suffix for path in (folder / "cache").iterdir())
    found["logs"] = [len((run / "metrics.csv").read_text(encoding="utf-8").splitlines()) for run in (uncut, cut)]

    flags = [lists["train"], *QUICK, "--epochs", 2, "--cache", "none"]
    alone, beside = folder / "alone", folder / "beside"
    found["alone"] = command("train", *flags, "--out", alone)[0]
    found["workers"] = cut_and_resumed(beside, *flags, "--workers", 1, by=signal.SIGINT)
    assert_same_run(alone, beside)

    found["gone back"] = command("train", *flags, "--lr", "1e30", "--on-nan", "rollback", "--out", folder / "wild")[0]
    found["evaluate"] = command("evaluate", cut, lists["test"], "--json", folder / "scores.json", "--device", "cpu")[0]
    found["predict"] = command("predict", cut, folder / "test", "--copy-to", folder / "sorted", "--device", "cpu",
                               "--out", folder / "answers.csv")[0]  # fmt: skip
    found["sorted"] = sorted(path.name for path in (folder / "sorted").iterdir())
    found["report"] = command("report", cut, "--out", folder / "page.html")[0]
    found["export"] = command("export", cut, "--check", lists["test"])[0]
    found["exported"] = sorted(path.name for path in cut.glob("*.onnx*"))
    found["runs"] = command("runs", folder)[0]
    found["inspect"] = [command("inspect", lists["train"], "--cache-dir", folder / "cache")[0] for _ in range(2)]
    found["serve"] = served(cut)
    code, _ = command("train", lists["train"], *QUICK, "--size", 8, "--batch-size", 1, "--out", folder / "nothing")
    found["cannot begin"] = [code, (folder / "nothing").exists()]
    found["locked"] = locked(folder)
    found["fetched"] = fetched(folder)
    found["damaged"] = damaged_while_mapped(lists["train"], folder / "cache")
    found["refused"] = [command("train", *flags, "--out", folder / name)[0] for name in ("aux", "run.", "a:b")]
    found["refused"] += [command("predict", cut, folder / "test", "--copy-to", folder / "con")[0]]
    found["refused"] += [command("datasets", "digits", "--export", folder / "nul.files")[0]]
    found["replaced"] = len(windows.replaced)
    return found


if __name__ == "__main__":
    print(json.dumps(story(Path(sys.argv[1]))))
