"""`eyas serve` as a process: its first line, a signal, a port that is taken."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.conftest import write_pictures
from tests.runs import config_of

from eyas import Classifier
from eyas.config.run_config import to_toml
from eyas.data.images.preprocess import Preprocess
from eyas.model.zoo import build
from eyas.serve.examples import find_examples


@contextlib.contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start `eyas serve` at a free port; yield the process and its first line."""
    command = [sys.executable, "-m", "eyas", "serve", *arguments, "--port", "0", "--device", "cpu"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline()
        finally:
            process.kill()


def port_of(line: str) -> int:
    found = re.match(r"http://127\.0\.0\.1:(\d+)  ", line)
    assert found, line
    return int(found[1])


def test_a_process_answers_and_a_signal_ends_it_when_what_is_in_work_is_answered(model, picture, tmp_path):
    folder = tmp_path / "pictures"
    write_pictures(folder, {"red": 2, "blue": 1})
    with started(str(model), "--examples", str(folder)) as (process, line):
        assert "compact, 4 classes, 32x32 by stretch" in line
        port = port_of(line)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            assert client.get("/ready").json() == {"status": "ok"}
            answer = client.post("/predict", files={"file": ("a.png", picture)}).json()["answers"][0]
            assert len(client.get("/about").json()["examples"]) == 3
            example = client.get("/examples/2")
            assert example.headers["content-type"] == "image/jpeg"
            assert str(tmp_path) not in client.get("/about").text
        (tmp_path / "a.png").write_bytes(picture)
        assert answer["probability"] == Classifier.load(model).predict(tmp_path / "a.png").probability
        with in_work(port, len(picture)) as line_in_work:
            process.send_signal(signal.SIGTERM)
            refused_by(port)
            line_in_work.sendall(picture)
            said = b"".join(iter(lambda: line_in_work.recv(65536), b""))
        assert said.startswith(b"HTTP/1.1 200 ")
        assert json.loads(said.partition(b"\r\n\r\n")[2])["answers"][0]["label"] == answer["label"]
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


@contextlib.contextmanager
def in_work(port: int, length: int) -> Iterator[socket.socket]:
    """Yield the line of a request that the server has begun to read, its body of `length` bytes still to come."""
    head = (
        "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nExpect: 100-continue\r\n"
        f"Content-Length: {length}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        line.sendall(head.encode())
        assert line.recv(1000).startswith(b"HTTP/1.1 100 ")
        yield line


def refused_by(port: int) -> None:
    """Wait until nobody is let in any more."""
    for _ in range(3000):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=60).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.02)
    raise AssertionError("connections are still accepted")


@pytest.mark.slow
def test_ctrl_c_ends_it_and_a_second_one_waits_for_nobody(model):
    with started(str(model), "--timeout", "600") as (process, line), in_work(port_of(line), 9):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stderr is not None
        said = process.stderr.readline()
    assert said == f"No example pictures on the page: {model} lies in no run folder; --examples FOLDER has others.\n"


def test_a_port_that_is_taken_is_said_before_the_model_is_read(model):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = ended(str(model), "--port", str(port))
    assert told == (2, f"eyas: --port {port}: cannot be had on 127.0.0.1: Address already in use. "
                       f"Choose another, such as --port {port + 1}.\n")  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 65, "nowhere: does not exist"),
        (["{model}", "--max-files", "300"], 2, "--queue 256: has no room for a request of --max-files 300."),
        (["{model}", "--timeout", "0"], 2, "--timeout 0"),
        (
            ["{model}", "--host", "no.such.host.invalid"],
            2,
            "--host no.such.host.invalid: is no address of this machine.",
        ),
        (["{model}", "--examples", "nowhere"], 2, "--examples nowhere: is no folder with pictures"),
    ],
)
def test_mistakes_are_told_in_one_line(model, arguments, code, message):
    found, told = ended(*(argument.format(model=model) for argument in arguments))
    assert found == code
    assert message in told
    assert told.count("\n") == 1


def ended(*arguments: str) -> tuple[int, str]:
    """Return the exit code of a command that does not begin to serve, and what it told."""
    command = [sys.executable, "-m", "eyas", "serve", *arguments, "--device", "cpu"]
    if "--port" not in arguments:
        command += ["--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


def saved_in(run: Path) -> Path:
    """Save a model as a run's best."""
    classes = ("blue", "green", "red")
    Classifier(build("compact", 3), "compact", classes, Preprocess(16)).save(run / "best.safetensors")
    return run / "best.safetensors"


def test_examples_are_of_the_set_that_the_run_was_measured_on(pictures, tmp_path):
    (tmp_path / "config.toml").write_text(to_toml(config_of(pictures)))
    model = saved_in(tmp_path)
    assert [example.label for example in find_examples("auto", model, "127.0.0.1")[0]] == ["blue", "green", "red"]
    assert find_examples("auto", model, "0.0.0.0") == ([], "a run's own pictures are shown to this machine alone")
    assert find_examples("none", model, "127.0.0.1") == ([], "")
    Path(pictures["test"]).rename(Path(pictures["test"]).with_suffix(".gone"))
    try:
        gone = f"{pictures['test']}: there is no such list or folder any more; the run has it as --test"
        found, without = find_examples("auto", model, "localhost")
        assert (found, without.startswith(gone)) == ([], True)
    finally:
        Path(pictures["test"]).with_suffix(".gone").rename(pictures["test"])


def test_examples_are_of_the_share_that_was_kept_for_validation(pictures, tmp_path):
    (tmp_path / "config.toml").write_text(to_toml(config_of(pictures, test=None, val="0.2")))
    found, _ = find_examples("auto", saved_in(tmp_path), "::1")
    assert [example.label for example in found] == ["blue", "green", "red"]
    (tmp_path / "config.toml").write_text(to_toml(config_of(pictures, train="digits", test=None)))
    named = "the run has a named set, which might have to be downloaded"
    assert find_examples("auto", tmp_path / "best.safetensors", "::1") == ([], named)
    (tmp_path / "config.toml").write_text("rubbish [")
    found, without = find_examples("auto", tmp_path / "best.safetensors", "::1")
    assert (found, "config.toml" in without) == ([], True)
