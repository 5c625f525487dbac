"""The verb `serve`: a classifier behind a port, from the first line to a graceful stop."""

from __future__ import annotations

import contextlib
import math
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from eyas.errors import EyasError, SettingsError
from eyas.files import model_file
from eyas.serve.settings import ServeConfig
from eyas.system import claim_address, stop_signals
from eyas.terminal import clean

if TYPE_CHECKING:
    import uvicorn

    from eyas.serve.service import Service

NEEDED = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
STOPPING_SECONDS = 2  # over a request's own time: to hand the last answers out


def serve(run: str, config: ServeConfig) -> None:
    """Answer over HTTP with a run's best model until SIGTERM or Ctrl-C; what is in work then is answered first.

    Raises `SettingsError` where a library is missing or the port cannot be had, `DataError` and `CheckpointError` for
    a run that has no model.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise SettingsError(f"To serve, {', '.join(missing)} must be installed: pip install 'eyas[serve]'")
    config.checked()
    model = model_file(Path(run))
    with _bound(config.host, config.port) as door:
        service = _service(model, config)
        try:
            _answer(service, door)
        finally:
            service.close()


def _service(model: Path, config: ServeConfig) -> Service:
    """Return a classifier that has answered once."""
    from eyas.serve.examples import find_examples

    examples, without = find_examples(config.examples, model, config.host)
    if without:
        print(clean(f"No example pictures on the page: {without}; --examples FOLDER has others."), file=sys.stderr)
    from eyas.model.classifier import Classifier
    from eyas.serve.service import Service

    service = Service(Classifier.load(model, config.device), config)
    service.examples = examples
    service.warm_up()
    return service


def _answer(service: Service, door: socket.socket) -> None:
    """Answer at an open door until a signal comes."""
    server = make_server(service)
    over = threading.Event()

    def running() -> None:
        try:
            server.run(sockets=[door])
        finally:
            over.set()

    with _told_of_signals(over, server):
        # in a thread of its own: the main thread has the signals, which the server would pass on when it is done
        thread = threading.Thread(target=running, name="eyas-server", daemon=True)
        thread.start()
        while not server.started and not over.wait(0.02):
            pass
        if server.started:
            print(_greeting(service, door), flush=True)
        while not over.wait(0.5):  # on Windows a wait without an end is not woken by Ctrl-C
            pass
        service.gate.stopping = True
        server.should_exit = True
        thread.join(_patience(service.config) + STOPPING_SECONDS)
    if not server.started:
        raise EyasError("The server could not begin; what it wrote before says why.")


def make_server(service: Service) -> uvicorn.Server:
    """Return the server that answers for a service, at the sockets that its `run` is given."""
    import uvicorn

    from eyas.serve.app import make_app

    config = service.config
    settings: dict[str, Any] = {
        "http": "h11", "ws": "none", "loop": "asyncio", "lifespan": "off",
        "log_config": None, "access_log": False, "server_header": False,
        "proxy_headers": config.proxy is not None, "forwarded_allow_ips": config.proxy or "",
        "timeout_graceful_shutdown": _patience(config),
    }  # fmt: skip
    return uvicorn.Server(uvicorn.Config(make_app(service), **settings))


def _patience(config: ServeConfig) -> int:
    """Return the whole seconds in which every request that is in work has its answer or its refusal."""
    return math.ceil(config.timeout) + 1


@contextlib.contextmanager
def _told_of_signals(over: threading.Event, server: uvicorn.Server) -> Iterator[None]:
    """Set `over` at Ctrl-C, SIGTERM or Ctrl-Break; at a second one the server no longer waits for anyone."""

    def told(number: int, frame: FrameType | None) -> None:
        server.force_exit = over.is_set()
        over.set()

    before = {number: signal.signal(number, told) for number in stop_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _bound(host: str, port: int) -> socket.socket:
    """Return a socket with an address of its own, at which nobody is answered yet; raises `SettingsError`."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError:
        raise SettingsError(
            f"--host {host}: is no address of this machine. 127.0.0.1 is itself, 0.0.0.0 all."
        ) from None
    door = socket.socket(family, kind, protocol)
    try:
        claim_address(door)
        door.bind(address)
    except OSError as error:
        door.close()
        raise SettingsError(
            f"--port {port}: cannot be had on {host}: {error.strerror}. Choose another, such as --port {_other(port)}."
        ) from None
    return door


def _other(port: int) -> int:
    return 8000 if port < 1024 else port + 1 if port < 65535 else port - 1


def _greeting(service: Service, door: socket.socket) -> str:
    """Return the line that says where who answers."""
    host, port = door.getsockname()[:2]
    classifier = service.classifier
    what = f"{classifier.model}, {len(classifier.classes)} classes, {classifier.preprocess.in_words()}"
    return clean(f"http://{f'[{host}]' if ':' in host else host}:{port}  {what}  (Ctrl-C ends it)")
