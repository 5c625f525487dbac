"""`eyas serve`: serves a classifier over HTTP until a signal ends it."""

from __future__ import annotations

import math
import signal
import socket
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from eyas.config.flags import ServeFlags, parsed
from eyas.config.serve import ServeConfig
from eyas.errors import EyasError, SettingsError
from eyas.files.atomic import model_file
from eyas.files.system import claim_address, stop_signals
from eyas.terminal.clean import clean

if TYPE_CHECKING:
    import uvicorn

    from eyas.serve.service import Service

NEEDED = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
STOPPING_SECONDS = 2  # over a request's own time: to hand the last answers out


def serve(run: str, config: ServeConfig) -> None:
    """Serve a run's best model over HTTP until SIGTERM or Ctrl-C; requests in progress are completed first.

    Raises `SettingsError` if a library is missing or the port is not available, `DataError` or `CheckpointError` if
    the run has no model.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise SettingsError(f"To serve, {', '.join(missing)} must be installed: pip install 'eyas[serve]'")
    config.checked()
    model = model_file(Path(run))
    with bind(config.host, config.port) as door:
        from eyas.serve.examples import find_examples

        examples, without = find_examples(config.examples, model, config.host)
        if without:
            print(clean(f"No example pictures on the page: {without}; --examples FOLDER has others."), file=sys.stderr)
        from eyas.model.classifier import Classifier  # by now the mistakes that need no torch are told
        from eyas.serve.service import Service

        service = Service(Classifier.load(model, config.device), config)
        try:
            service.examples = examples
            service.warm_up()
            answer(service, door)
        finally:
            service.close()


def answer(service: Service, door: socket.socket) -> None:
    """Serve on a bound socket until Ctrl-C, SIGTERM or Ctrl-Break; a second one stops without waiting."""
    server = make_server(service)
    over = threading.Event()

    def running() -> None:
        try:
            server.run(sockets=[door])
        finally:
            over.set()

    def stop(number: int, frame: FrameType | None) -> None:
        server.force_exit = over.is_set()
        over.set()

    before = {number: signal.signal(number, stop) for number in stop_signals()}
    try:
        # in a thread of its own: the main thread has the signals, which the server would pass on when it is done
        thread = threading.Thread(target=running, name="eyas-server", daemon=True)
        thread.start()
        while not server.started and not over.wait(0.02):
            pass
        if server.started:
            host, port = door.getsockname()[:2]
            model = service.classifier
            what = f"{model.model}, {len(model.classes)} classes, {model.preprocess.in_words()}"
            where = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            print(clean(f"{where}  {what}  (Ctrl-C ends it)"), flush=True)
        while not over.wait(0.5):  # on Windows a wait without an end is not woken by Ctrl-C
            pass
        service.gate.stopping = True
        server.should_exit = True
        thread.join(patience(service.config) + STOPPING_SECONDS)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if not server.started:
        raise EyasError("The server could not begin; what it wrote before says why.")


def make_server(service: Service) -> uvicorn.Server:
    """Return the server of a service; its `run` takes the sockets."""
    import uvicorn

    from eyas.serve.app import make_app

    return uvicorn.Server(
        uvicorn.Config(
            make_app(service), http="h11", ws="none", loop="asyncio", lifespan="off", log_config=None,
            access_log=False, server_header=False, proxy_headers=False,
            timeout_graceful_shutdown=patience(service.config),
        )
    )  # fmt: skip


def patience(config: ServeConfig) -> int:
    """Return the whole seconds after which every request in progress has been answered or rejected."""
    return math.ceil(config.timeout) + 1


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address, not listening yet; raises `SettingsError` if it is not available."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError:
        message = f"--host {host}: is no address of this machine. 127.0.0.1 is itself, 0.0.0.0 all."
        raise SettingsError(message) from None
    door = socket.socket(family, kind, protocol)
    try:
        claim_address(door)
        door.bind(address)
    except OSError as error:
        door.close()
        other = 8000 if port < 1024 else port + 1 if port < 65535 else port - 1
        raise SettingsError(
            f"--port {port}: cannot be had on {host}: {error.strerror}. Choose another, such as --port {other}."
        ) from None
    return door


def command(arguments: list[str]) -> int:
    """`eyas serve`: serve a model over HTTP: an API and a web page."""
    given = parsed(ServeFlags, "serve", arguments)
    serve(given.run, given.serve_config())
    return 0
