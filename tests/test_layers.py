"""Law 9: rooms import downwards, heavy libraries load late, files and functions stay small."""

from __future__ import annotations

import ast
import json
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "eyas"
FILES = sorted(SOURCE.rglob("*.py"))
TESTS = sorted(Path(__file__).parent.rglob("*.py"))
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

# From the ground up: a room imports from the rooms that stand before it, and from itself; typing-only imports count too.
# The number is its budget: lines of Python that it may have. Who adds a capability pays for its lines by deletion, or
# raises a budget and says why in the commit.
CORE = {
    "errors": 81,
    "terminal": 216,
    "files": 843,
    "config": 1456,
    "seeds": 77,
    "device": 883,
    "data.images": 1483,
    "data.lists": 2427,
    "data.augment": 599,
    "data.named": 753,
    "data.loading": 629,
    "data": 1494,
    "evaluation": 556,
    "model": 1452,
    "training": 2514,
}
# What a training does not need: the core imports none of these.
SATELLITES = {
    "render": 1053,
    "predicting": 557,
    "run_folder": 553,
    "sinks": 1976,
    "audit": 722,
    "exporting": 915,
    "serve": 1053,
    "verbs": 2062,
    "cli": 141,
    "__main__": 7,
}
ROOMS = CORE | SATELLITES
WHOLE = 24576  # lines of Python under src/eyas
USED_ONCE = 0.12  # the share of functions that are private and used once
WORKS_WITHOUT_TRAINING = (
    "verbs.predict", "verbs.export", "exporting.quantise", "exporting.readme", "exporting.onnx_file", "verbs.serve", "serve.app", "serve.examples",
    "model.classifier", "data.spec", "data.images.preprocess", "model.zoo",
)  # fmt: skip


def name_of(file: Path) -> str:
    """Return a module's name below eyas, "" for the package itself."""
    parts = file.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def imports(node: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield (module below eyas, line) for every import, also inside functions, and those for type checkers."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: relative imports hide which layer they reach"
            whole = child.module or ""
            if whole == "eyas":
                yield from ((alias.name, child.lineno) for alias in child.names)
            elif whole.startswith("eyas."):
                base = whole.removeprefix("eyas.")
                yield from ((f"{base}.{a.name}" if (SOURCE / base.replace(".", "/")).is_dir() else base, child.lineno) for a in child.names)
        elif isinstance(child, ast.Import):
            yield from ((a.name.removeprefix("eyas."), child.lineno) for a in child.names if a.name.startswith("eyas."))
        yield from imports(child)


def room_of(module: str) -> str:
    """Return the room of a module: its folder, or at the top level the module itself."""
    return module if (SOURCE / module.replace(".", "/")).is_dir() else module.rpartition(".")[0] or module


def modules() -> dict[str, set[str]]:
    """Return which modules each module imports."""
    known = {name_of(file): file for file in FILES if name_of(file)}
    found = {}
    for name, file in known.items():
        targets = {target for target, _ in imports(tree_of(file))}
        found[name] = {t if t in known else t.rpartition(".")[0] for t in targets} - {name, ""}
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_the_rooms_before_it(room):
    allowed = {*list(ROOMS)[: list(ROOMS).index(room) + 1]}
    if room in CORE:
        assert not allowed & SATELLITES.keys()
    upward = [(name, target) for name, targets in modules().items() if room_of(name) == room for target in targets if room_of(target) not in allowed]
    assert upward == []


def test_no_modules_import_each_other_in_a_circle():
    """Modules are taken away that import none of those that are left; where none is, they go in a circle."""
    left = modules()
    while free := {name for name, targets in left.items() if not targets & left.keys()}:
        left = {name: targets for name, targets in left.items() if name not in free}
    assert {name: targets & left.keys() for name, targets in left.items()} == {}


def test_every_file_is_in_a_room_that_says_what_it_is_for():
    assert {room_of(name_of(file)) for file in FILES if name_of(file)} == ROOMS.keys()
    for file in FILES:
        if file.name == "__init__.py":
            assert ast.get_docstring(tree_of(file)), file


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_keeps_to_its_budget_of_lines_and_has_at_most_twenty_files(room):
    files = [file for file in FILES if room_of(name_of(file)) == room]
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
    assert lines <= ROOMS[room], "delete something, or raise the budget and say why in the commit"
    assert len([file for file in files if file.name != "__init__.py"]) <= 20


def function(place: str, name: str) -> ast.AST:
    """Return a function or method by its file and name."""
    wanted = [tree_of(SOURCE / place)]
    for part in name.split("."):
        wanted = [node for one in wanted for node in ast.walk(one) if getattr(node, "name", "") == part]
    assert len(wanted) == 1, f"{place}: {name}"
    return wanted[0]


def shown_calls(kind: str) -> list[tuple[str, str]]:
    """Return (file, function) of each line of a list of calls in the documentation."""
    text = (Path(__file__).parent.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    lines = text.partition(f"<!-- calls: {kind} -->\n```text\n")[2].partition("```")[0].splitlines()
    return [tuple(line.split()[:2]) for line in lines]


def test_it_is_five_calls_from_the_command_to_the_step_and_they_are_those_of_the_documentation():
    calls = shown_calls("control")
    assert len(calls) == 6
    for (place, name), (_, called) in pairwise(calls[1:]):  # main finds the verb by its name
        assert re.search(rf"\b{called}\(", ast.unparse(function(place, name))), f"{name} does not call {called}"
    assert "step(state.optimizer)" in ast.unparse(function(*calls[-1]))


def test_an_image_goes_through_the_six_files_of_the_documentation():
    calls = shown_calls("image")
    assert len({place for place, _ in calls}) <= 6
    assert all(function(place, name) for place, name in calls)


def test_the_loop_and_the_step_are_eighty_lines():
    both = [function("training/loop.py", "fit"), function("training/step.py", "train_step")]
    assert sum(node.end_lineno - node.lineno + 1 for node in both) <= 80


def test_the_top_level_is_five_files_and_the_whole_keeps_to_its_budget():
    assert len([path for path in SOURCE.iterdir() if path.suffix == ".py"]) <= 5
    assert sum(len(file.read_text(encoding="utf-8").splitlines()) for file in FILES) <= WHOLE


def test_what_uses_a_model_never_loads_the_training():
    wanted = ", ".join(f"eyas.{module}" for module in WORKS_WITHOUT_TRAINING)
    loaded = run_python(f"import {wanted}, sys; print(*sys.modules)").split()
    assert "eyas.verbs.predict" in loaded
    assert {name for name in loaded if name.startswith("eyas.training")} <= {"eyas.training", "eyas.training.events"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"], ["--version"], ["train", "--help"], ["resume", "--help"], ["evaluate", "--help"],
        ["predict", "--help"], ["export", "--help"], ["serve", "--help"], ["inspect", "--help"], ["inspect", "digits"], ["runs", "--help"], ["runs", "tests"], ["models", "--help"], ["datasets", "--help"], ["datasets"],
        ["train", "digits", "--epoch", "3"], ["train", "digits", "--epochs", "0"], ["trian"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_help_and_mistakes_do_not_load_torch(light, arguments):
    code, heavy, _ = ended(light, arguments)
    helping = "--help" in arguments or arguments in (
        ["--version"],
        ["datasets"],
        ["inspect", "digits"],
        ["runs", "tests"],
    )
    assert (code, heavy) == (0 if helping else 2, [])


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("train none.txt", 65, "none.txt: there is no such list"),
        ("train empty.txt", 65, "empty.txt: the list is empty"),
        ("train empty", 65, "empty: holds no folders"),
        ("train digitz", 2, "Did you mean 'digits'"),
        ("train bad.txt", 65, "bad.txt:2: b.jpg does not exist"),
        ("train good.txt --classes names.txt", 65, "names.txt names no class 'cat'"),
        ("train good.txt --test other.txt", 65, "other.txt has 1 class that good.txt does not have"),
        ("train good.txt --val other.txt", 65, "other.txt has 1 class that good.txt does not have"),
        ("train good.txt --test good.tx", 65, "good.tx: there is no such file"),
        ("train good.txt --val 1.5", 2, "must lie between 0 and 1"),
        ("train good.txt --patience 3", 2, "--patience, --overfit-patience and --plateau need --test or --val"),
        ("train digits:tset", 65, "digits has no split 'tset'"),
        ("train good.txt --out taken", 73, "taken: holds a run already"),
        ("resume empty", 2, "empty: holds no run"),
        ("evaluate none digits", 65, "none: does not exist"),
        ("evaluate model.safetensors bad.txt", 65, "bad.txt:2: b.jpg does not exist"),
        ("inspect none.txt", 65, "none.txt: there is no such list"),
        ("inspect digitz", 2, "Did you mean 'digits'"),
        ("inspect empty.txt", 65, "empty.txt: the list is empty"),
        ("runs none", 65, "none: there is no such folder"),
        ("predict none a.jpg", 65, "none: does not exist"),
        ("predict empty a.jpg", 65, "empty: holds no model yet"),
        ("predict model.safetensors none.jpg", 65, "none.jpg: does not exist"),
        ("export none", 65, "none: does not exist"),
        ("export empty", 65, "empty: holds no model yet"),
        ("export model.safetensors --format onxx", 2, "must be 'onnx' or 'pt2'"),
        ("export model.safetensors --out model.onnx --format pt2", 2, "--format is pt2"),
        ("export model.safetensors --int8", 2, "--int8 needs labelled images"),
        ("export model.safetensors --check none.txt", 65, "none.txt: there is no such list"),
    ],
)
def test_mistakes_in_data_do_not_load_torch(light, tmp_path, monkeypatch, command, code, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "taken" / "epochs").mkdir(parents=True)
    texts = {
        "a.jpg": "a", "c.jpg": "c", "model.safetensors": "", "empty.txt": "", "names.txt": "emu\nyak\n",
        "good.txt": "a.jpg cat\nc.jpg dog\n", "bad.txt": "a.jpg cat\nb.jpg dog\n", "other.txt": "a.jpg emu\nc.jpg dog\n",
    }  # fmt: skip
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    found, heavy, told = ended(light, command.split())
    assert (found, heavy) == (code, []), told
    assert message in told


ENDED = """
import contextlib, io, json, os, sys
from eyas.cli import main

def ended(arguments):
    told = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(told):
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = stop.code
    return code or 0, [name for name in ("torch", "matplotlib", "sklearn") if name in sys.modules], told.getvalue()

for arguments in (["train", "--help"], ["inspect", "digits"], ["train", "none.txt"]):
    ended(arguments)  # what these load may be loaded
print("ready", flush=True)
for line in sys.stdin:
    folder, arguments = json.loads(line)
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.chdir(folder)
        os.write(writing, json.dumps(ended(arguments)).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as answer:
        print(answer.read(), flush=True)
    os.wait()
"""


@pytest.fixture(scope="module")
def light() -> Iterator[subprocess.Popen[str]]:
    """A Python without the heavy libraries; commands are forked from it."""
    command = [sys.executable, "-c", ENDED]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.stdin.close()


def ended(light: subprocess.Popen[str], arguments: list[str]) -> tuple[int, list[str], str]:
    """Return a command's exit code, which of the heavy libraries it had loaded by then, and what it told on stderr."""
    print(json.dumps([str(Path.cwd()), arguments]), file=light.stdin, flush=True)
    code, heavy, told = json.loads(light.stdout.readline())
    return code, heavy, told


def run_python(code: str) -> str:
    """Return what a fresh Python prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_digits_and_the_records_of_a_run_do_not_load_what_only_charts_and_other_sets_need(tmp_path):
    """What stands between the command and the first step: torch, but neither scikit-learn nor matplotlib."""
    loaded = (
        run_python(f"""
import pathlib, sys
from tests.sinks.sample_run import started, steps
from eyas.sinks import open_sinks
from eyas.config.training import OutputConfig
from eyas.data.named.opening import open_named
open_named("digits", "train", "data")
with open_sinks(pathlib.Path({str(tmp_path)!r}), OutputConfig(), resumed_step=None) as sinks:
    for event in [started(pathlib.Path({str(tmp_path)!r})), *steps(1, 3)]:
        sinks.write(event)
    print("loaded", *sys.modules)
""")
        .partition("loaded")[2]
        .split()
    )
    assert "torch.utils.tensorboard" in loaded
    assert not {"sklearn", "scipy", "matplotlib"} & set(loaded)


def test_the_public_list_loads_nothing():
    assert run_python("import sys, eyas; print(*[m for m in sys.modules if m.startswith('eyas.')])").split() == []


@pytest.mark.parametrize("file", [f for f in FILES if f.name != "__main__.py"], ids=name_of)
def test_importing_a_module_does_no_work(file):
    """At the top of a file names are defined: nothing loops, opens or calls for its effect."""
    for node in tree_of(file).body:
        told = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        asked = isinstance(node, ast.If) and any(word in ast.dump(node.test) for word in ("TYPE_CHECKING", "__main__"))
        named = (ast.Import, ast.ImportFrom, *FUNCTIONS, ast.ClassDef, ast.Assign, ast.AnnAssign)
        assert told or asked or isinstance(node, named), f"{file}:{node.lineno}: does something when it is imported"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_files_and_functions_stay_small(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 300
    functions = [node for node in ast.walk(tree_of(file)) if isinstance(node, FUNCTIONS)]
    long = {f.name: f.end_lineno - f.lineno + 1 for f in functions if f.end_lineno - f.lineno >= 60}
    assert long == {}


def test_few_functions_are_private_and_used_once():
    """`scripts/helpers` lists them: such a one is read more easily where it is used, unless its name says more."""
    share = runpy.run_path(str(SOURCE.parent.parent / "scripts" / "helpers"))["share"]
    assert share(SOURCE) <= USED_ONCE


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_nothing_is_unpickled_and_only_the_runtime_reads_the_environment(file):
    for node in ast.walk(tree_of(file)):
        place = f"{file}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            assert not names & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}, place
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "torch.save"):
            assert ast.unparse(node.func) == "torch.load", f"{place}: torch.save writes pickles"
            assert ("weights_only", "True") in [(k.arg, ast.unparse(k.value)) for k in node.keywords], place
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "putenv"):
            # cli sets how long OpenMP spins: that must stand before torch is loaded, and the runtime loads it
            assert name_of(file) in ("device.runtime", "cli"), (
                f"{place}: environment variables belong into device/runtime.py"
            )


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_no_file_goes_by_the_folder_for_temporary_ones(file):
    """It may lie on another file system, from where nothing can be renamed into its place."""
    assert not re.search(r"tempfile|TMPDIR|mkstemp|gettempdir", file.read_text(encoding="utf-8"))


def test_no_file_is_named_after_a_drawer():
    """A name says what is in a file; these say that nobody knew."""
    drawers = {"util", "utils", "helper", "helpers", "manager", "base", "common", "misc", "core"}
    assert not [file for file in FILES if drawers & set(file.stem.split("_"))]


CLOCK = re.compile(r"time\.(time|monotonic|perf_counter|process_time)(_ns)?\(\)")


@pytest.mark.parametrize("file", TESTS, ids=lambda file: str(file.relative_to(Path(__file__).parent)))
def test_no_test_asserts_how_long_something_took(file):
    """On a busy machine anything may take any time. What may be asserted: an order, a count, what was asked or told."""
    nodes = list(ast.walk(tree_of(file)))
    read = [node for node in nodes if isinstance(node, ast.Assign) and CLOCK.search(ast.unparse(node.value))]
    names = {name.id for node in read for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    for asserted in (node for node in nodes if isinstance(node, ast.Assert)):
        for part in ast.walk(asserted.test):
            sides = (part.left, part.right) if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Sub) else ()
            readings = [side for side in map(ast.unparse, sides) if side in names or CLOCK.fullmatch(side)]
            assert not readings, f"{file}:{asserted.lineno}: asserts a time"


OF_ONE_SYSTEM = re.compile(
    r"fcntl|resource|msvcrt|SIGKILL|SIGCHLD|SIGBREAK|setpgid|/proc|sysconf|mallopt|malloc_trim|prctl|CDLL|WinDLL|os\.kill\b"
    r"|sys\.platform|os\.name\b|SO_REUSEADDR|O_NONBLOCK|hardlink_to|os\.link\b|\.fsync\("
)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_what_the_systems_do_each_in_its_own_way_is_in_one_file(file):
    text = file.read_text(encoding="utf-8")
    found = [f"{file}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}" for match in OF_ONE_SYSTEM.finditer(text)]
    assert found == [] or file.name == "system.py"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_text_is_read_and_written_in_an_encoding_that_is_named(file):
    """Without one it is the system's, which on Windows has few letters."""
    for call in (node for node in ast.walk(tree_of(file)) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func).rpartition(".")[2]
        if name not in ("open", "fdopen", "read_text", "write_text") or ast.unparse(call.func) in OF_OTHER_KINDS:
            continue
        words = [word.value for word in ast.walk(call) if isinstance(word, ast.Constant)]
        binary = any(isinstance(word, str) and "b" in word and len(word) < 4 for word in words)
        named = any(one.arg == "encoding" for one in call.keywords) or "utf-8" in words
        assert binary or named, f"{file}:{call.lineno}: {ast.unparse(call)}"


OF_OTHER_KINDS = {"os.open", "Image.open", "tarfile.open", "write_text", "self._open"}  # of files.py: in UTF-8
