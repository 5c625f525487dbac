"""What the systems do each in its own way: locks, limits of memory, names, ends of processes; by the rules of each."""

from __future__ import annotations

import ctypes
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eyas.cli import escape_unencodable
from eyas.config.run_config import make_config
from eyas.data.images.packed import PackedStrings
from eyas.data.lists.paths import Root, tidy_paths
from eyas.files import system
from eyas.files.pathnames import is_absolute, last_part, quoted, refused_name, safe_name
from eyas.files.system import end_text, free_memory, locked
from eyas.verbs.train import new_directory

MB = 2**20


@pytest.fixture
def on_windows(monkeypatch):
    monkeypatch.setattr(system, "NAME", system.WINDOWS)


def tree(root: Path, files: dict[str, object]) -> Path:
    """Write a system's account of itself: 8,000 MB are free, and what the files say."""
    for name, content in {"proc/meminfo": f"MemTotal: 1 kB\nMemAvailable: {8000 * 1024} kB\n", **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{content}\n")
    return root


def limited(group: str, limit: object, used: int, cached: int = 0, *, version: int = 2) -> dict[str, object]:
    """Return the files of a control group."""
    names = ("memory.max", "memory.current", "inactive_file")
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file") if version == 1 else names
    stat = f"anon 1\n{names[2]} {cached * MB}"
    return {
        f"sys/fs/cgroup/{group}/{names[0]}": limit if isinstance(limit, str) else limit * MB,
        f"sys/fs/cgroup/{group}/{names[1]}": used * MB,
        f"sys/fs/cgroup/{group}/memory.stat": stat,
    }


SLURM = "system.slice/slurmstepd.scope/job_7/step_0/user/task_0"
TREES = {
    "no groups": ({}, 8000),
    "version 2, at the top of a container": ({"proc/self/cgroup": "0::/", **limited(".", 1800, 300)}, 1500),
    "version 2, without a limit": ({"proc/self/cgroup": "0::/", **limited(".", "max", 300)}, 8000),
    "version 2, no files at the top": ({"proc/self/cgroup": "0::/init.scope", **limited("init.scope", "max", 3)}, 8000),
    "version 2, a limit of its own": ({"proc/self/cgroup": "0::/a/b", **limited("a/b", 900, 100), **limited("a", 5000, 100)}, 800),
    "version 2, the limit some levels above (Slurm)": (
        {"proc/self/cgroup": f"0::/{SLURM}", **limited(SLURM, "max", 50), **limited("system.slice/slurmstepd.scope/job_7", 2000, 400)}, 1600),
    "files that were read count as free": ({"proc/self/cgroup": "0::/a", **limited("a", 1000, 900, 600)}, 700),
    "a group that does not say what it holds": (
        {"proc/self/cgroup": "0::/a", "sys/fs/cgroup/a/memory.max": str(1800 * MB), "sys/fs/cgroup/a/memory.current": str(300 * MB)}, 1500),
    "a group that says odd things": ({"proc/self/cgroup": "0::/a", **limited("a", 1000, 900), "sys/fs/cgroup/a/memory.stat": "\n\nodd\ninactive_file\n"}, 100),
    "more used than allowed": ({"proc/self/cgroup": "0::/a", **limited("a", 1000, 1100)}, 0),
    "version 1": ({"proc/self/cgroup": "9:cpu,cpuacct:/x\n5:memory:/docker/7\n1:name=systemd:/y", **limited("memory/docker/7", 700, 100, version=1)}, 600),
    "version 1, in a container that is told its path outside": ({"proc/self/cgroup": "5:memory:/docker/7", **limited("memory", 500, 100, version=1)}, 400),
    "version 1, without a limit": ({"proc/self/cgroup": "5:memory:/", **limited("memory", str(2**63 - 4096), 100, version=1)}, 8000),
    "both versions, memory in the first": (
        {"proc/self/cgroup": "5:memory:/job\n0::/job", **limited("memory/job", 300, 100, version=1), "sys/fs/cgroup/unified/job/cgroup.procs": "1"}, 200),
    "a path that leads out of what is seen": ({"proc/self/cgroup": "0::/../../other", **limited(".", 600, 100)}, 500),
}  # fmt: skip


@pytest.mark.parametrize("name", TREES)
def test_free_memory_is_the_least_that_any_limit_above_a_process_leaves(tmp_path, name):
    files, free = TREES[name]
    assert free_memory(tree(tmp_path, files)) == free * MB


@pytest.mark.skipif(sys.platform == "win32", reason="asks the system for its memory another way")
def test_where_a_system_does_not_say_what_is_free_it_is_half_of_all(tmp_path):
    assert free_memory(tmp_path) == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


BLOCKS = """
import ctypes
from eyas.device.runtime import open_runtime
from eyas.config.training import DeviceConfig

class Heap(ctypes.Structure):  # struct mallinfo2 of glibc
    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", *"abcde")]

library = ctypes.CDLL(None)
library.mallinfo2.restype, library.malloc.restype, library.free.argtypes = Heap, ctypes.c_void_p, [ctypes.c_void_p]

def mapped():
    before = library.mallinfo2().hblks
    block = library.malloc(ctypes.c_size_t(2**26))
    grown = library.mallinfo2().hblks - before
    library.free(block)
    return grown

with open_runtime(DeviceConfig(device='cpu')):
    print(mapped(), end=" ")
print(mapped(), library.mallopt(-3, 2**30))
"""


@pytest.mark.skipif(sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs glibc")
def test_memory_is_kept_in_a_run_and_after_it_large_blocks_go_back_to_the_system_as_before():
    """In a process of its own: what a heap had before decides where a block comes from."""
    told = subprocess.run([sys.executable, "-c", BLOCKS], capture_output=True, text=True, check=True).stdout.split()
    if told[2] == "0":
        pytest.skip("this glibc does not let a block of the heap be that large")
    assert told[:2] == ["0", "1"]


def test_a_lock_is_held_once_looked_at_by_many_and_free_afterwards(tmp_path):
    path = tmp_path / "file"
    path.touch()
    with path.open("rb") as one, path.open("rb") as other, path.open("rb") as third, \
         locked(one, shared=True), locked(other, shared=True), pytest.raises(BlockingIOError):  # fmt: skip
        locked(third).__enter__()
    with path.open("ab") as one, path.open("rb") as other, locked(one, wait=True), pytest.raises(BlockingIOError):
        locked(other, shared=True).__enter__()
    with path.open("ab") as one, locked(one):
        pass


def test_the_end_of_a_process_is_told_in_words():
    assert end_text(3) == "ended with code 3"
    assert end_text(-40) == "was killed by signal 40"
    if os.name == "posix":
        assert end_text(-9) == "was killed by SIGKILL (was memory short?)"
        assert end_text(-11) == "was killed by SIGSEGV"


def test_a_drive_makes_a_path_absolute_on_windows_alone(monkeypatch):
    assert [is_absolute(path) for path in ("/a", "a/b", "C:/a", b"/a", b"C:/a", "")] == [True, False, False, True, False, False]
    monkeypatch.setattr(system, "NAME", system.WINDOWS)
    assert [is_absolute(path) for path in ("/a", "a/b", "C:/a", b"/a", b"C:/a", "")] == [True, False, True, True, True, False]
    assert last_part("C:\\photos\\birds.txt") == "birds.txt"


def test_a_list_of_windows_keeps_its_drive_and_its_server_there_and_is_found_by_its_end_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    lines = PackedStrings.of(["D:\\photos\\a.jpg", "\\\\server\\share\\b.jpg", "photos\\a.jpg"])
    assert list(tidy_paths(lines, Root(tmp_path))[0])[::2] == ["photos/a.jpg", "photos/a.jpg"]
    monkeypatch.setattr(system, "NAME", system.WINDOWS)
    lines = PackedStrings.of(["D:\\elsewhere\\a.jpg", "\\\\server\\share\\b.jpg", "photos\\a.jpg"])
    assert list(tidy_paths(lines, Root(tmp_path))[0]) == ["D:/elsewhere/a.jpg", "//server/share/b.jpg", "photos/a.jpg"]


@pytest.mark.parametrize(("train", "name"), [
    ("digits", "compact-digits-1"), ("digits:test", "compact-digits-1"), ("C:\\photos", "compact-C__photos-1"),
    ("photos/birds.txt", "compact-birds-1"), ("aux/", "compact-aux-1"), ("a:b", "compact-a_b-1"),
])  # fmt: skip
def test_a_colon_parts_a_set_from_its_split_and_is_else_a_letter_of_a_path(tmp_path, monkeypatch, train, name):
    monkeypatch.chdir(tmp_path)
    assert new_directory(make_config({"train": train, "model": "compact"})) == Path("runs") / name


def test_names_that_windows_refuses_or_changes_are_made_safe(on_windows):
    unsafe = ("aux", "CON.txt", "a:b", "run.", "run ", "a|b", "nul.tar.gz")
    assert [refused_name(Path("runs") / name) for name in unsafe] == list(unsafe)
    assert [refused_name(Path("runs") / safe_name(name)) for name in unsafe] == [None] * len(unsafe)
    assert [refused_name(Path(path)) for path in ("..", "../runs", "/", "auxiliary/con-1", ".tmp-1-a")] == [None] * 5


def test_elsewhere_such_names_are_names_as_any(tmp_path):
    assert refused_name(Path("aux") / "a:b") is None


def test_a_path_is_one_word_of_a_command_line(on_windows):
    words = ["C:\\runs\\birds-1", "C:\\my runs\\1", "runs/白鹭"]
    assert [quoted(word) for word in words] == ["C:\\runs\\birds-1", '"C:\\my runs\\1"', "runs/白鹭"]


def test_what_a_stream_has_no_letters_for_is_written_as_an_escape(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    escape_unencodable(stream)
    print("café 白", file=stream, end="", flush=True)
    assert stream.buffer.getvalue() == b"caf\xe9 \\u767d"
    monkeypatch.setattr(system, "NAME", system.WINDOWS)
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    escape_unencodable(stream)
    print("café 白", file=stream, end="", flush=True)
    assert stream.buffer.getvalue().decode() == "café 白"
